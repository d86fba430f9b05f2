#include "net/certificates.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <memory>

#include "net/tls.h"

namespace hailstone::net {
namespace {

template <class T, void (*Free)(T*)>
struct Freed {
  void operator()(T* t) const { Free(t); }
};
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY, EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509, X509_free>>;
using Text = std::unique_ptr<BIO, Freed<BIO, BIO_free_all>>;

constexpr long kClockErrorSeconds = 3600;

std::unexpected<Error> openssl_failed(const char* what) {
  const char* reason = ERR_reason_error_string(ERR_get_error());
  ERR_clear_error();
  return fail(Code::Invalid, fmt::format("{}: {}", what, reason != nullptr ? reason : "no reason given"));
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long length = BIO_get_mem_data(bio, &data);
  return {data, static_cast<size_t>(length)};
}

bool extend(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  if (extension == nullptr) return false;
  const bool added = X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return added;
}

/// A certificate for `key` with everything but extensions and signature.
Certificate blank(EVP_PKEY* key, const std::string& name, int days) {
  Certificate certificate(X509_new());
  unsigned char serial[16];
  if (RAND_bytes(serial, sizeof serial) != 1) return nullptr;
  serial[0] &= 0x7f;  // RFC 5280 §4.1.2.2: positive
  BIGNUM* number = BN_bin2bn(serial, sizeof serial, nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate.get()));
  BN_free(number);
  const auto* text = reinterpret_cast<const unsigned char*>(name.data());
  const bool made = X509_set_version(certificate.get(), X509_VERSION_3) == 1 &&
                    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -kClockErrorSeconds) != nullptr &&
                    X509_time_adj_ex(X509_getm_notAfter(certificate.get()), days, 0, nullptr) != nullptr &&
                    X509_set_pubkey(certificate.get(), key) == 1 &&
                    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8, text,
                                               static_cast<int>(name.size()), -1, 0) == 1;
  return made ? std::move(certificate) : nullptr;
}

Result<Certified> as_pem(X509* certificate, EVP_PKEY* key) {
  const Text first(BIO_new(BIO_s_mem())), second(BIO_new(BIO_s_secmem()));
  if (PEM_write_bio_X509(first.get(), certificate) != 1 ||
      PEM_write_bio_PKCS8PrivateKey(second.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return openssl_failed("certificate");
  return Certified{text_of(first.get()), text_of(second.get())};
}

/// `purposes` of RFC 5280 §4.2.1.12; `other_name` as OpenSSL writes it, or empty.
Result<Certified> issue(const Certified& authority, const std::string& name, const char* purposes,
                        const std::string& other_name, int days) {
  ERR_clear_error();
  const Text certificate_text(
      BIO_new_mem_buf(authority.certificate.data(), static_cast<int>(authority.certificate.size())));
  const Text key_text(BIO_new_mem_buf(authority.key.data(), static_cast<int>(authority.key.size())));
  const Certificate issuer(PEM_read_bio_X509(certificate_text.get(), nullptr, nullptr, nullptr));
  if (issuer == nullptr) return openssl_failed("authority certificate");
  const Key issuer_key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, nullptr, nullptr));
  if (issuer_key == nullptr) return openssl_failed("authority key");
  if (X509_check_private_key(issuer.get(), issuer_key.get()) != 1)
    return openssl_failed("authority key does not belong to the certificate");

  const Key key(EVP_EC_gen("P-256"));
  if (key == nullptr) return openssl_failed("key");
  const Certificate certificate = blank(key.get(), name, days);
  if (certificate == nullptr) return openssl_failed("certificate");
  X509* x = certificate.get();
  X509_set_issuer_name(x, X509_get_subject_name(issuer.get()));
  if (!extend(x, issuer.get(), NID_basic_constraints, "critical,CA:FALSE") ||
      !extend(x, issuer.get(), NID_key_usage, "critical,digitalSignature") ||
      !extend(x, issuer.get(), NID_ext_key_usage, purposes) ||
      (!other_name.empty() && !extend(x, issuer.get(), NID_subject_alt_name, other_name)) ||
      !extend(x, issuer.get(), NID_authority_key_identifier, "keyid") ||
      X509_sign(x, issuer_key.get(), EVP_sha256()) == 0)
    return openssl_failed("certificate");
  return as_pem(x, key.get());
}

}  // namespace

Result<Certified> make_authority(const std::string& name, int days) {
  ERR_clear_error();
  const Key key(EVP_EC_gen("P-256"));
  if (key == nullptr) return openssl_failed("authority key");
  const Certificate certificate = blank(key.get(), name, days);
  if (certificate == nullptr) return openssl_failed("authority certificate");
  X509* x = certificate.get();
  X509_set_issuer_name(x, X509_get_subject_name(x));
  if (!extend(x, x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
      !extend(x, x, NID_key_usage, "critical,keyCertSign,cRLSign") ||
      !extend(x, x, NID_subject_key_identifier, "hash") || X509_sign(x, key.get(), EVP_sha256()) == 0)
    return openssl_failed("authority certificate");
  return as_pem(x, key.get());
}

Result<Certified> make_node_certificate(const Certified& authority, NodeId id, int days) {
  const std::string name = node_name(id);
  return issue(authority, name, "serverAuth,clientAuth", "DNS:" + name, days);
}

Result<Certified> make_client_certificate(const Certified& authority, const std::string& principal, int days) {
  if (const std::string problem = problem_of_principal(principal); !problem.empty())
    return fail(Code::Invalid, problem);
  if (is_node_name(principal))
    return fail(Code::Invalid, fmt::format("principal '{}': a node's name; give it a node's certificate", principal));
  return issue(authority, principal, "clientAuth", "", days);
}

}  // namespace hailstone::net
