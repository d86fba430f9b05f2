// For tests: an edge behind a real server on loopback, over a repository in memory, and requests signed for it.
#pragma once

#include <gtest/gtest.h>

#include "base/logger.h"
#include "base/sealing.h"
#include "http/client.h"
#include "http/server.h"
#include "s3/edge.h"
#include "s3auth/sigv4.h"
#include "volume/testing.h"

namespace hailstone::s3::testing {

inline const Bytes kMasterKey(kMasterKeyBytes, 'm');

/// One server thread. Keys are made with key(); the name is the id in capitals, padded.
class EdgeRig {
 public:
  explicit EdgeRig(Options options = {})
      : edge_({cell.repository, publisher_, extents_, kMasterKey, logger_}, std::move(options), pool_, pool_) {
    http::ServerOptions listen;
    listen.threads = 1;
    auto server = http::Server::listen(listen, [this](unsigned) { return edge_.make_handler(); }, logger_);
    CHECK(server.has_value());
    server_ = *std::move(server);
    server_->start();
  }
  ~EdgeRig() { server_->stop(); }

  s3auth::Credentials key(const Bytes& name, volume::Role role, std::vector<Bytes> volumes = {"*"}) {
    volume::AccessKey key;
    key.id = "HS" + name;
    key.name = name;
    key.role = role;
    key.volumes = std::move(volumes);
    const Bytes secret = "secret of " + name;
    auto sealed = seal_secret(kMasterKey, key.id, secret);
    CHECK(sealed.has_value());
    key.sealed_secret = *std::move(sealed);
    CHECK(cell.repository.submit(cell.caller, volume::PutKey{key}).has_value());
    return {key.id, secret, "us-east-1"};
  }

  struct Got {
    int status = 0;
    Bytes code, body;
    http::ClientResponse head;
    /// Text of the first element of that name.
    Bytes element(const Bytes& name) const {
      const size_t at = body.find("<" + name + ">");
      if (at == Bytes::npos) return {};
      const size_t from = at + name.size() + 2;
      return body.substr(from, body.find("</" + name + ">") - from);
    }
  };
  using Fields = std::vector<std::pair<Bytes, Bytes>>;

  /// `who` without an id: not signed.
  Got ask(const Bytes& method, const Bytes& path, const Bytes& query = {}, const s3auth::Credentials& who = {},
          const Bytes& body = {}, Fields fields = {}) {
    http::Client client(base(), {});
    auto answer = client.fetch(request_of(method, path, query, who, body, std::move(fields)));
    EXPECT_TRUE(answer) << answer.error().message;
    if (!answer) return {};
    Got got{.status = answer->head.status, .code = {}, .body = answer->body, .head = answer->head};
    if (got.body.find("<Error>") != Bytes::npos) got.code = got.element("Code");
    return got;
  }

  /// A client that goes away after `sent` bytes of the body.
  void send_some(const Bytes& method, const Bytes& path, const s3auth::Credentials& who, const Bytes& body,
                 size_t sent) {
    auto request = request_of(method, path, {}, who, body, {});
    request.body_length = body.size();
    request.body = {};
    request.body_source = [&, at = size_t{0}](char* out, size_t size) mutable -> Result<size_t> {
      if (at == sent) return fail(Code::Cancelled, "went away");
      const size_t n = std::min(size, sent - at);
      std::memcpy(out, body.data() + at, n);
      at += n;
      return n;
    };
    http::Client client(base(), {});
    EXPECT_FALSE(client.fetch(request));
  }

  volume::testing::TestCell cell;
  const Meter& meter() const { return edge_.meter(); }

 private:
  http::BaseUrl base() const { return *http::BaseUrl::parse("http://127.0.0.1:" + std::to_string(server_->port())); }

  http::ClientRequest request_of(const Bytes& method, const Bytes& path, const Bytes& query,
                                 const s3auth::Credentials& who, const Bytes& body, Fields fields) {
    http::ClientRequest request;
    request.method = method;
    request.target = path + (query.empty() ? "" : "?" + query);
    request.body = body;
    if (!who.access_key_id.empty()) {
      fields.emplace_back("x-amz-date", format_amz_date(cell.clock.wall()));
      fields.emplace_back("x-amz-content-sha256", to_hex(sha256(body).view()));
      const Bytes host = "127.0.0.1:" + std::to_string(server_->port());
      http::RequestHead head;
      head.method_text = method;
      head.path = path;
      head.query = query;
      head.fields.push_back({"Host", host});
      for (const auto& [name, value] : fields) head.fields.push_back({name, value});
      auto signed_header = s3auth::sign_v4_header(head, who);
      EXPECT_TRUE(signed_header);
      if (signed_header) fields.emplace_back("Authorization", signed_header->authorization);
    }
    for (const auto& [name, value] : fields) request.headers.add(name, value);
    return request;
  }

  static Bytes format_amz_date(UnixMicros time) {
    Bytes out = format_iso8601(time);  // 2026-11-22T10:00:00.000Z
    out.resize(19);
    std::erase_if(out, [](char c) { return c == '-' || c == ':'; });
    return out + "Z";
  }

  NullLogger logger_;
  publish::SigningKey signing_ = *publish::SigningKey::from_seed(Bytes(32, 's'));
  publish::Publisher publisher_{cell.repository, signing_, {}, logger_};
  chunk::ExtentCache extents_{*cell.chunks, {}};
  http::BlockingPool pool_{{.threads = 2, .queue_max = 16}};
  Edge edge_;
  std::unique_ptr<http::Server> server_;
};

}  // namespace hailstone::s3::testing
