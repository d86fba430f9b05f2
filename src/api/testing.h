// The API over a repository in memory, without sockets: requests as values, answers as values.
#pragma once

#include <utility>

#include "api/call.h"
#include "volume/testing.h"

namespace hailstone::api::testing {

class FixedStatus final : public StatusSource {
 public:
  NodeStatus status() const override {
    NodeStatus out;
    out.node = "node-1";
    out.version = "0.1.0";
    out.uptime_seconds = 77;
    out.log = out.applied = Slot(9);
    out.free_bytes = 1000;
    out.total_bytes = 4000;
    out.quarantine.push_back({ChunkId(sha256("broken")), "segment 17: record at 4096", "payload crc"});
    return out;
  }
  Bytes config_json() const override { return R"({"http":{"port":7000}})"; }
};

/// A request's head that owns what it points to.
class Head {
 public:
  Head(http::Method method, Bytes target, std::vector<std::pair<Bytes, Bytes>> fields = {})
      : target_(std::move(target)), fields_(std::move(fields)) {
    head_.method = method;
    head_.target = target_;
    const size_t question = target_.find('?');
    head_.path = std::string_view(target_).substr(0, question);
    head_.query = question == Bytes::npos ? std::string_view() : std::string_view(target_).substr(question + 1);
    for (const auto& [name, value] : fields_) head_.fields.push_back({name, value});
  }
  Head(const Head&) = delete;
  Head& operator=(const Head&) = delete;
  const http::RequestHead& get() const { return head_; }

 private:
  Bytes target_;
  std::vector<std::pair<Bytes, Bytes>> fields_;
  http::RequestHead head_;
};

/// What came back: a status and a body, whether answer or failure.
struct Reply {
  int status = 0;
  Json body;
  Bytes headers;
  Bytes code() const { return body.contains("error") ? body["error"]["code"].get<std::string>() : Bytes(); }
  Bytes message() const { return body.contains("error") ? body["error"]["message"].get<std::string>() : Bytes(); }
};

struct ApiCell {
  volume::testing::TestCell cell;
  publish::SigningKey signing = *publish::SigningKey::from_seed(Bytes(32, 's'));
  NullLogger logger;
  publish::Publisher publisher{cell.repository, signing, {}, logger};
  FixedStatus status;
  Context context{{cell.repository, publisher, status, signing.public_key(), Bytes(32, 'm'), logger}, {}};
  Bytes admin = key("root", volume::Role::Admin, {"*"});  // an Authorization field's value

  /// Makes an access key and returns "Bearer ID:SECRET".
  Bytes key(Bytes name, volume::Role role, std::vector<Bytes> volumes) {
    auto made = make_key(std::move(name), role, std::move(volumes), Bytes(32, 'm'), cell.clock.wall());
    CHECK(made.has_value());
    CHECK(cell.repository.submit(cell.caller, volume::PutKey{made->key}).has_value());
    return "Bearer " + made->key.id + ":" + made->secret;
  }

  /// Below /api/v1/, by the holder of `authorization` (empty: anonymous).
  Reply as(const Bytes& authorization, http::Method method, const Bytes& path, Bytes body = {},
           std::vector<std::pair<Bytes, Bytes>> fields = {}) {
    if (!authorization.empty()) fields.emplace_back("Authorization", authorization);
    const Head head(method, Bytes(kPrefix) + path, std::move(fields));
    auto call = prepare(context, head.get());
    if (!call) return reply(call.error());
    call->body = std::move(body);
    auto outcome = run(context, *call);
    if (!outcome) return reply(outcome.error());
    return {outcome->status, std::move(outcome->body), {}};
  }
  Reply get(const Bytes& path) { return as(admin, http::Method::Get, path); }
  Reply post(const Bytes& path, Bytes body) { return as(admin, http::Method::Post, path, std::move(body)); }
  Reply put(const Bytes& path, Bytes body = {}) { return as(admin, http::Method::Put, path, std::move(body)); }
  Reply patch(const Bytes& path, Bytes body) { return as(admin, http::Method::Patch, path, std::move(body)); }
  Reply erase(const Bytes& path) { return as(admin, http::Method::Delete, path); }

  static Reply reply(const Failure& failure) {
    const auto response = respond(failure);
    return {response.status, Json::parse(std::get<Bytes>(std::get<http::Part>(response.body))),
            response.headers.lines()};
  }
};

}  // namespace hailstone::api::testing
