// Files of CA certificates in PEM form, which the operator names. One thread.
#pragma once

#include <memory>
#include <openssl/types.h>
#include <string>

#include "lib/base/result.h"

namespace fairlead {

struct FreeCertificateStore {
  void operator()(X509_STORE* store) const;
};
using CertificateStore = std::unique_ptr<X509_STORE, FreeCertificateStore>;

// The certificates in the file. Each is trusted: a server's own certificate, too. Fails if the file
// cannot be read, is not a regular file, is larger than 1 MiB, or has no certificate. The message
// begins with the path.
Result<CertificateStore> LoadCaFile(const std::string& path);

// Changes when the file is replaced or written. Empty: there is none.
std::string FileVersion(const std::string& path);

}  // namespace fairlead
