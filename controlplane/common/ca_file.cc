#include "controlplane/common/ca_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <utility>

#include <fmt/format.h>
#include <sys/stat.h>

#include "lib/host/unique_fd.h"

namespace fairlead {
namespace {

constexpr off_t kMaxCaFileBytes = 1024 * 1024;

struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
struct FreeCertificate {
  void operator()(X509* certificate) const { X509_free(certificate); }
};

Status CannotRead(const std::string& path, int error) {
  return InvalidArgument(path + " cannot be read: " + std::strerror(error) +
                         "; name a file that fairleadd's user can read");
}

// Does not wait if the path is that of a FIFO.
Result<std::string> ReadRegularFile(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (!file.valid() || ::fstat(file.get(), &status) != 0) return CannotRead(path, errno);
  if (!S_ISREG(status.st_mode)) {
    return InvalidArgument(path + " is not a file; name a file of CA certificates in PEM form");
  }
  if (status.st_size > kMaxCaFileBytes) {
    return InvalidArgument(path +
                           " is larger than 1 MiB; name a file with the CAs of the backends only");
  }
  std::string text(static_cast<size_t>(status.st_size), '\0');
  size_t length = 0;
  while (length < text.size()) {
    const ssize_t got = ::read(file.get(), text.data() + length, text.size() - length);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return CannotRead(path, errno);
    if (got == 0) break;
    length += static_cast<size_t>(got);
  }
  text.resize(length);
  return text;
}

}  // namespace

void FreeCertificateStore::operator()(X509_STORE* store) const { X509_STORE_free(store); }

Result<CertificateStore> LoadCaFile(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadRegularFile(path));
  const std::unique_ptr<BIO, FreeBio> bio(
      BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  CertificateStore store(X509_STORE_new());
  if (bio == nullptr || store == nullptr) return ResourceExhausted(path + ": out of memory");
  size_t count = 0;
  for (;;) {
    const std::unique_ptr<X509, FreeCertificate> certificate(
        PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (certificate == nullptr) break;
    if (X509_STORE_add_cert(store.get(), certificate.get()) == 1) ++count;
  }
  const unsigned long error = ERR_peek_last_error();
  ERR_clear_error();
  const bool at_end =
      ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
  if (!at_end) {
    const char* reason = ERR_reason_error_string(error);
    return InvalidArgument(fmt::format("{} has a damaged certificate after {} good ones ({})", path,
                                       count, reason == nullptr ? "no reason" : reason));
  }
  if (count == 0) {
    return InvalidArgument(path + " has no certificate in PEM form (BEGIN CERTIFICATE)");
  }
  X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN);
  return store;
}

std::string FileVersion(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return "";
  return fmt::format("{} {} {} {}.{}", status.st_dev, status.st_ino, status.st_size,
                     status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
}

}  // namespace fairlead
