// The part of Asio that uses OpenSSL, compiled once (BOOST_ASIO_SEPARATE_COMPILATION).
#include <utility>  // before Asio 1.74, which uses std::exchange without it

#include <boost/asio/ssl/impl/src.hpp>
