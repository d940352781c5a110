// Certificates for tests: a CA, and certificates that it issues.
#pragma once

#include <ctime>
#include <memory>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string>

#include "lib/base/check.h"

namespace fairlead {

struct TestIdentity {
  std::shared_ptr<EVP_PKEY> key;
  std::shared_ptr<X509> certificate;

  std::string Pem() const {
    BIO* bio = BIO_new(BIO_s_mem());
    CHECK(PEM_write_bio_X509(bio, certificate.get()) == 1);
    char* bytes = nullptr;
    const long length = BIO_get_mem_data(bio, &bytes);
    std::string text(bytes, static_cast<size_t>(length));
    BIO_free(bio);
    return text;
  }
};

struct TestIssue {
  std::string common_name;
  std::string alternative_names = {};  // "DNS:shop.example,IP:127.0.0.1"; empty: none
  int64_t ends_in_s = 3600;
  bool is_ca = false;
};

// Signed by `issuer`; null: by itself.
inline TestIdentity IssueCertificate(const TestIssue& issue, const TestIdentity* issuer) {
  TestIdentity made{{EVP_EC_gen("P-256"), EVP_PKEY_free}, {X509_new(), X509_free}};
  X509* certificate = made.certificate.get();
  static long serial = 1;
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -7200);
  X509_gmtime_adj(X509_getm_notAfter(certificate), issue.ends_in_s);
  X509_set_pubkey(certificate, made.key.get());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(issue.common_name.c_str()), -1,
                             -1, 0);
  const X509* signer = issuer == nullptr ? certificate : issuer->certificate.get();
  X509_set_issuer_name(certificate, X509_get_subject_name(signer));
  X509V3_CTX context;
  X509V3_set_ctx(&context, const_cast<X509*>(signer), certificate, nullptr, nullptr, 0);
  const auto add = [&](int kind, const std::string& value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
    CHECK(extension != nullptr);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  };
  add(NID_basic_constraints, issue.is_ca ? "critical,CA:TRUE" : "CA:FALSE");
  if (!issue.alternative_names.empty()) add(NID_subject_alt_name, issue.alternative_names);
  EVP_PKEY* key = issuer == nullptr ? made.key.get() : issuer->key.get();
  CHECK(X509_sign(certificate, key, EVP_sha256()) > 0);
  return made;
}

}  // namespace fairlead
