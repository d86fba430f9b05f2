#include "net/tls.h"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <vector>

#include "base/check.h"

namespace hailstone::net {
namespace {

bool certificate_is(const X509* certificate, NodeId id) {
  const std::string name = node_name(id);
  return X509_check_host(const_cast<X509*>(certificate), name.data(), name.size(),
                         X509_CHECK_FLAG_ALWAYS_CHECK_SUBJECT | X509_CHECK_FLAG_NO_WILDCARDS, nullptr) == 1;
}

std::string common_name(const X509* certificate) {
  char name[256] = "";
  X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
  return printable(name);
}

/// As UTF-8; empty when it has a NUL in it: a name that others would read differently.
std::string text_of(const ASN1_STRING* string) {
  unsigned char* utf8 = nullptr;
  const int length = ASN1_STRING_to_UTF8(&utf8, string);
  if (length < 0) return "";
  std::string out(reinterpret_cast<char*>(utf8), static_cast<size_t>(length));
  OPENSSL_free(utf8);
  return out.find('\0') == std::string::npos ? out : "";
}

std::vector<std::string> common_names(const X509* certificate) {
  const X509_NAME* subject = X509_get_subject_name(certificate);
  std::vector<std::string> out;
  for (int at = -1; (at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0;)
    out.push_back(text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at))));
  return out;
}

std::vector<std::string> dns_names(const X509* certificate) {
  auto* names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  std::vector<std::string> out;
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i)
    if (const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i); name->type == GEN_DNS)
      out.push_back(text_of(name->d.dNSName));
  GENERAL_NAMES_free(names);
  return out;
}

/// The oldest error of this thread's queue, which it empties.
std::string openssl_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : fmt::format("error {:x}", code);
}

}  // namespace

std::string problem_of_principal(ByteView name) {
  if (name.empty() || name.size() > kPrincipalBytesMax)
    return fmt::format("principal '{}': 1 to {} bytes", printable(name), kPrincipalBytesMax);
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (std::ranges::any_of(name, is_control))
    return fmt::format("principal '{}': has control characters", printable(name));
  if (name == "*" || name == kAnonymous) return fmt::format("principal '{}': a reserved name", name);
  return "";
}

Result<std::unique_ptr<TlsContext>> TlsContext::load(const TlsFiles& files, NodeId self) {
  TRY(auto context, load(files));
  const X509* own = SSL_CTX_get0_certificate(context->native());
  if (!certificate_is(own, self))
    return fail(Code::Invalid, fmt::format("tls certificate {}: for '{}', this is {}", files.certificate,
                                           common_name(own), node_name(self)));
  return context;
}

Result<std::unique_ptr<TlsContext>> TlsContext::load(const TlsFiles& files) {
  ERR_clear_error();
  SSL_CTX* native = SSL_CTX_new(TLS_method());
  CHECK(native != nullptr);
  std::unique_ptr<TlsContext> context(new TlsContext(native));
  SSL_CTX_set_min_proto_version(native, TLS1_3_VERSION);
  SSL_CTX_set_options(native, SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(native, 0);
  SSL_CTX_set_verify(native, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  const auto refuse = [](const char* what, const std::string& file) {
    return fail(Code::Invalid, fmt::format("{} {}: {}", what, file, openssl_error()));
  };
  if (SSL_CTX_load_verify_locations(native, files.authority.c_str(), nullptr) != 1)
    return refuse("tls authority", files.authority);
  if (SSL_CTX_use_certificate_chain_file(native, files.certificate.c_str()) != 1)
    return refuse("tls certificate", files.certificate);
  if (SSL_CTX_use_PrivateKey_file(native, files.key.c_str(), SSL_FILETYPE_PEM) != 1)
    return refuse("tls key", files.key);
  return context;
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

TlsSession::TlsSession(const TlsContext& context, Side side)
    : ssl_(SSL_new(context.native())), in_(BIO_new(BIO_s_mem())), out_(BIO_new(BIO_s_mem())) {
  CHECK(ssl_ != nullptr && in_ != nullptr && out_ != nullptr);
  SSL_set_bio(ssl_, in_, out_);
  if (side == Side::Accepted) {
    SSL_set_accept_state(ssl_);
  } else {
    SSL_set_connect_state(ssl_);
  }
}

TlsSession::~TlsSession() { SSL_free(ssl_); }

void TlsSession::free_idle_buffers() {
  frees_ = true;
  SSL_set_mode(ssl_, SSL_MODE_RELEASE_BUFFERS);
}

void TlsSession::feed(ByteView wire) {
  size_t taken = 0;
  CHECK(wire.empty() || (BIO_write_ex(in_, wire.data(), wire.size(), &taken) == 1 && taken == wire.size()));
}

std::unexpected<Error> TlsSession::failure(const char* what) {
  const long verified = SSL_get_verify_result(ssl_);
  if (verified != X509_V_OK) {
    ERR_clear_error();
    return fail(Code::Denied, fmt::format("tls: the peer's certificate: {}", X509_verify_cert_error_string(verified)));
  }
  return fail(Code::Denied, fmt::format("tls {}: {}", what, openssl_error()));
}

Result<bool> TlsSession::handshake() {
  ERR_clear_error();
  const int done = SSL_do_handshake(ssl_);
  if (done == 1) return true;
  if (SSL_get_error(ssl_, done) == SSL_ERROR_WANT_READ) return false;
  return failure("handshake");
}

Result<size_t> TlsSession::read(char* out, size_t size) {
  ERR_clear_error();
  size_t count = 0;
  if (SSL_read_ex(ssl_, out, size, &count) == 1) return count;
  switch (SSL_get_error(ssl_, 0)) {
    case SSL_ERROR_WANT_READ: return 0;
    case SSL_ERROR_ZERO_RETURN: return fail(Code::Unavailable, "closed by the peer");
    default: return failure("read");
  }
}

Result<void> TlsSession::write(ByteView bytes) {
  ERR_clear_error();
  size_t count = 0;
  // A memory BIO takes everything.
  if (!bytes.empty() && SSL_write_ex(ssl_, bytes.data(), bytes.size(), &count) != 1) return failure("write");
  return {};
}

ByteView TlsSession::output() {
  char* data = nullptr;
  if (const long length = BIO_get_mem_data(out_, &data); length > 0) {
    output_.append(data, static_cast<size_t>(length));
    (void)BIO_reset(out_);
  }
  return ByteView(output_).substr(sent_);
}

void TlsSession::sent(size_t bytes) {
  sent_ += bytes;
  if (sent_ < output_.size()) return;
  output_.clear();
  if (frees_) output_.shrink_to_fit();
  sent_ = 0;
}

bool TlsSession::peer_is(NodeId id) const {
  const X509* certificate = SSL_get0_peer_certificate(ssl_);
  return certificate != nullptr && certificate_is(certificate, id);
}

Result<std::string> TlsSession::principal() const {
  const X509* certificate = SSL_get0_peer_certificate(ssl_);
  if (certificate == nullptr) return fail(Code::Denied, "tls: the peer shows no certificate");
  std::vector<std::string> names = common_names(certificate);
  const bool has_common_name = !names.empty();
  if (!has_common_name) names = dns_names(certificate);
  if (names.size() != 1)
    return fail(Code::Denied, fmt::format("tls: the peer's certificate has {} {} names, a principal has one",
                                          names.size(), has_common_name ? "common" : "DNS"));
  if (const std::string problem = problem_of_principal(names.front()); !problem.empty())
    return fail(Code::Denied, "tls: the peer's certificate: " + problem);
  return std::move(names.front());
}

std::string TlsSession::peer_name() const {
  const X509* certificate = SSL_get0_peer_certificate(ssl_);
  return certificate != nullptr ? common_name(certificate) : "";
}

}  // namespace hailstone::net
