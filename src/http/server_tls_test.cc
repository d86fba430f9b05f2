#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "http/client.h"
#include "http/server_fixture.h"

namespace hailstone::http {
namespace {

// A self-signed certificate for 127.0.0.1, in files of their own that go with the object.
class Certificate {
 public:
  Certificate() {
    char name[] = "/tmp/hailstone_http_tls_XXXXXX";
    directory_ = ::mkdtemp(name);
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600L * 24);
    X509_set_pubkey(x, key);
    const auto* text = reinterpret_cast<const unsigned char*>("hailstone test");
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, text, -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_EXTENSION* alternative = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "IP:127.0.0.1");
    X509_add_ext(x, alternative, -1);
    X509_EXTENSION_free(alternative);
    X509_sign(x, key, EVP_sha256());
    write(certificate(), [&](FILE* f) { PEM_write_X509(f, x); });
    write(this->key(), [&](FILE* f) { PEM_write_PrivateKey(f, key, nullptr, nullptr, 0, nullptr, nullptr); });
    X509_free(x);
    EVP_PKEY_free(key);
  }
  ~Certificate() {
    ::unlink(certificate().c_str());
    ::unlink(key().c_str());
    ::rmdir(directory_.c_str());
  }
  std::string certificate() const { return directory_ + "/certificate.pem"; }
  std::string key() const { return directory_ + "/key.pem"; }

 private:
  static void write(const std::string& path, const std::function<void(FILE*)>& fill) {
    FILE* f = ::fopen(path.c_str(), "w");
    fill(f);
    ::fclose(f);
  }
  std::string directory_;
};

struct TlsServer {
  Certificate certificate;
  TestServer server{options()};
  ServerOptions options() const {
    ServerOptions o;
    o.tls_certificate = certificate.certificate();
    o.tls_key = certificate.key();
    o.head_timeout_ms = 60'000;
    return o;
  }
  BaseUrl url() const { return *BaseUrl::parse("https://127.0.0.1:" + std::to_string(server.server->port())); }
  Client client() const { return Client(url(), {.ca_file = certificate.certificate()}); }
};

TEST(ServerTls, ServesEveryKindOfBody) {
  TlsServer s;
  Client client = s.client();
  const auto body = [&client](const std::string& target) {
    ClientRequest request;
    request.target = target;
    auto whole = client.fetch(request);
    return whole ? whole->body : "error: " + whole.error().message;
  };
  EXPECT_EQ(body("/x"), "hello /x from afar");
  const Bytes& content = s.server.stage.content;
  for (const uint64_t length : {0u, 1u, 16384u, 16385u, 70'000u, 9u << 20})
    for (const Bytes path : {"/file", "/pages"})
      EXPECT_TRUE(body(path + "?length=" + std::to_string(length)) == content.substr(0, length)) << path << length;
  EXPECT_EQ(body("/shared?length=99990"), Bytes(99'990, 's'));
  const Bytes parts = "one,two," + content.substr(5, 3) + content.substr(0, 100'000);
  EXPECT_TRUE(body("/parts") == parts);
  EXPECT_TRUE(body("/known") == parts);
  const Bytes upload = content.substr(0, 3'000'000);
  auto echoed = client.fetch({.method = "PUT", .target = "/echo", .body = upload});
  ASSERT_TRUE(echoed) << echoed.error().message;
  EXPECT_TRUE(echoed->body == upload);
  EXPECT_EQ(s.server.server->stats().connections_total, 1u);
}

TEST(ServerTls, ClientsTrustOnlyWhatTheyWereTold) {
  TlsServer s;
  Client stranger(s.url(), {});
  const auto refused = stranger.fetch({});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Denied);
  EXPECT_NE(refused.error().message.find("127.0.0.1:"), std::string::npos);
  BaseUrl other = s.url();
  other.host = "localhost";  // not what the certificate says
  Client misled(other, {.ca_file = s.certificate.certificate()});
  EXPECT_EQ(misled.fetch({}).error().code, Code::Denied);
  Client careless(s.url(), {.verify = ClientOptions::Verify::None});
  EXPECT_TRUE(careless.fetch({}));
}

// The outcome of a handshake with these settings: the version, or "refused".
std::string handshake(uint16_t port, int version, ByteView alpn) {
  RawSocket raw(port);
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_min_proto_version(context, version);
  SSL_CTX_set_max_proto_version(context, version);
  SSL_CTX_set_security_level(context, 0);
  SSL* ssl = SSL_new(context);
  if (!alpn.empty())
    SSL_set_alpn_protos(ssl, reinterpret_cast<const unsigned char*>(alpn.data()), static_cast<unsigned>(alpn.size()));
  SSL_set_fd(ssl, raw.fd());
  std::string outcome = "refused";
  if (SSL_connect(ssl) == 1) {
    const unsigned char* chosen = nullptr;
    unsigned length = 0;
    SSL_get0_alpn_selected(ssl, &chosen, &length);
    outcome = SSL_get_version(ssl);
    if (length > 0) outcome += " " + std::string(reinterpret_cast<const char*>(chosen), length);
  }
  SSL_free(ssl);
  SSL_CTX_free(context);
  return outcome;
}

TEST(ServerTls, SpeaksTls12And13AndHttp11) {
  TlsServer s;
  const uint16_t port = s.server.server->port();
  EXPECT_EQ(handshake(port, TLS1_3_VERSION, "\x08http/1.1"), "TLSv1.3 http/1.1");
  EXPECT_EQ(handshake(port, TLS1_3_VERSION, "\x02h2\x08http/1.1"), "TLSv1.3 http/1.1");
  EXPECT_EQ(handshake(port, TLS1_2_VERSION, ""), "TLSv1.2");
  EXPECT_EQ(handshake(port, TLS1_1_VERSION, ""), "refused");
  EXPECT_EQ(handshake(port, TLS1_3_VERSION, "\x02h2"), "refused");
}

TEST(ServerTls, SlowHandshakesAndPlainTextAreCut) {
  TlsServer s;
  ServerOptions options = s.options();
  options.head_timeout_ms = 60;
  TestServer hasty(options);
  RawSocket silent(hasty.server->port()), plain(s.server.server->port());
  EXPECT_EQ(silent.receive_all(), "");
  plain.send(get("/"));
  EXPECT_EQ(plain.receive_all().find("HTTP/"), std::string::npos);
  EXPECT_TRUE(eventually([&] { return hasty.server->stats().connections_open == 0; }));
}

TEST(ServerTls, DrainsAsPlainConnectionsDo) {
  TlsServer s;
  Client busy = s.client(), idle = s.client();
  ASSERT_TRUE(idle.fetch({}));
  std::thread stopper;
  Result<Client::Whole> answer = fail(Code::Io, "not run");
  std::thread asker([&] { answer = busy.fetch({.target = "/gated"}); });
  ASSERT_TRUE(eventually([&] { return s.server.stage.waiting == 1; }));
  stopper = std::thread([&] { s.server.server->stop(); });
  EXPECT_TRUE(eventually([&] { return s.server.server->stats().connections_open == 1; }));
  s.server.stage.gate = true;
  asker.join();
  stopper.join();
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->body, "through");
}

TEST(ServerTls, NamesTheFileThatWontDo) {
  const Certificate certificate, other;
  ServerOptions options;
  options.tls_certificate = "/nonexistent/chain.pem";
  options.tls_key = certificate.key();
  NullLogger logger;
  const auto listen = [&] {
    return Server::listen(options, [](unsigned) { return std::unique_ptr<Handler>(); }, logger).error().message;
  };
  EXPECT_NE(listen().find("/nonexistent/chain.pem"), std::string::npos);
  options.tls_certificate = certificate.certificate();
  options.tls_key = certificate.certificate();
  EXPECT_NE(listen().find("tls_key"), std::string::npos);
  options.tls_key = other.key();
  EXPECT_NE(listen().find("tls_key"), std::string::npos);
}

}  // namespace
}  // namespace hailstone::http
