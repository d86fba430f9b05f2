#include "http/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <string_view>

namespace hailstone::http {
namespace {

constexpr unsigned char kAlpn[] = "\x08http/1.1";

// A client that names protocols must name ours; one that names none is served.
int select_alpn(SSL*, const unsigned char** out, unsigned char* out_length, const unsigned char* in, unsigned in_length,
                void*) {
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_length, kAlpn, sizeof kAlpn - 1, in, in_length) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

Result<std::unique_ptr<boost::asio::ssl::context>> make_tls_context(const std::string& certificate_chain_file,
                                                                    const std::string& key_file) {
  using Context = boost::asio::ssl::context;
  auto context = std::make_unique<Context>(Context::tls_server);
  SSL_CTX* native = context->native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_options(native, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                  SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
  if (SSL_CTX_set_cipher_list(native, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1)
    return fail(Code::Unsupported, "OpenSSL offers no ECDHE AEAD cipher suites");
  SSL_CTX_set_alpn_select_cb(native, select_alpn, nullptr);

  boost::system::error_code error;
  context->use_certificate_chain_file(certificate_chain_file, error);
  if (error) return fail(Code::Invalid, "tls_certificate " + certificate_chain_file + ": " + error.message());
  context->use_private_key_file(key_file, Context::pem, error);
  if (error) return fail(Code::Invalid, "tls_key " + key_file + ": " + error.message());
  if (SSL_CTX_check_private_key(native) != 1)
    return fail(Code::Invalid, "tls_key " + key_file + " does not belong to " + certificate_chain_file);
  return context;
}

}  // namespace hailstone::http
