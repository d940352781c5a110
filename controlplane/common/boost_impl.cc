// The parts of Asio and Beast that are compiled once instead of in every file
// (BOOST_ASIO_SEPARATE_COMPILATION).
#include <utility>  // before Asio 1.74, which uses std::exchange without it

#include <boost/asio/impl/src.hpp>
#include <boost/beast/src.hpp>
