#include "api/handler.h"

#include "api/streams.h"

namespace hailstone::api {
namespace {

constexpr std::string_view kWireType = "application/vnd.hailstone.wire";

http::Response respond(const Answer& answer) {
  http::Response response;
  if (answer.body.is_null()) {
    response.status = answer.status;
  } else {
    response = http::Response::json(answer.status, dump(answer.body));
  }
  response.headers.add("Cache-Control", "no-store");
  if (const auto etag = answer.body.find("etag");
      answer.body.is_object() && etag != answer.body.end() && etag->is_string())
    response.headers.add("ETag", "\"" + etag->get<std::string>() + "\"");
  return response;
}

http::Response stream(http::BlockingPool& pool, std::shared_ptr<Producer> producer) {
  http::Response response;
  response.headers.add("Content-Type", kWireType);
  response.headers.add("Cache-Control", "no-store");
  response.body = make_source(pool, std::move(producer));
  return response;
}

/// What GET would send, without sending it.
void drop_body(http::Response& response) {
  if (const auto* part = std::get_if<http::Part>(&response.body)) response.content_length = http::part_length(*part);
  response.body = std::monostate();
}

/// A JSON body, read whole. Beyond its limit 413; a client that went away is nobody's error.
http::Task<std::expected<Bytes, Failure>> read_body(http::RequestBody& body, uint64_t bytes_max) {
  auto bytes = co_await http::read_all(body, bytes_max);
  if (bytes) co_return *std::move(bytes);
  const int status = bytes.error().code == Code::Exhausted ? 413 : bytes.error().code == Code::Timeout ? 408 : 0;
  co_return std::unexpected(Failure(std::move(bytes).error(), status));
}

bool waits_for_publishes(Route route) {
  switch (route) {
    case Route::Publish:
    case Route::Revert:
    case Route::Rollback:
    case Route::Flip:
    case Route::CreateVolume:  // a clone does
    case Route::DiffDraft:     // seals
    case Route::DeleteVolume:
    case Route::WhyChunk:  // and for collections
    case Route::WhyTarget:
    case Route::ClusterStatus:  // and for other nodes
    case Route::UseStore:
    case Route::RemoveNode:
    case Route::ReplaceNode: return true;
    default: return false;
  }
}

/// The volume that a request is about, by its path alone; nothing: perhaps several.
std::optional<ByteView> volume_of(std::string_view path) {
  constexpr std::string_view kPrefix = "/api/v1/volumes/";
  if (!path.starts_with(kPrefix)) return std::nullopt;
  path.remove_prefix(kPrefix.size());
  path = path.substr(0, path.find('/'));
  if (path.empty()) return std::nullopt;
  return path;
}

/// These are about this node, or the cell while it is ill: they do not wait until it is well.
bool needs_no_leader(std::string_view path) {
  return path == "/api/v1/status" || path == "/api/v1/cluster" || path.starts_with("/api/v1/cluster/");
}

class Handler final : public http::Handler {
 public:
  Handler(Context& context, http::BlockingPool& pool, http::BlockingPool& slow_pool)
      : context_(context), pool_(pool), slow_pool_(slow_pool) {}

  http::Task<http::Response> handle(http::Request request) override {
    if (const auto volume = volume_of(request.head.path);
        !needs_no_leader(request.head.path) && !context_.repository().settled(volume)) {
      const auto settled = co_await http::await_callback<Result<void>>(
          [&repository = context_.repository(), volume](auto done) { repository.settle(volume, std::move(done)); });
      if (!settled) co_return api::respond(Failure(settled.error()));
    }
    auto call = prepare(context_, request.head);
    if (!call && call.error().status == 401) {  // the key may have been made through another node a moment ago
      if (co_await http::await_callback<Result<void>>(
              [&repository = context_.repository()](auto done) { repository.settle(std::nullopt, std::move(done)); }))
        call = prepare(context_, request.head);
    }
    const std::string_view endpoint = call ? call->match.endpoint->pattern : std::string_view("none");
    http::Response response;
    if (call) {
      auto answered = co_await dispatch(request, *std::move(call));
      response = answered ? *std::move(answered) : refuse(answered.error(), endpoint);
    } else {
      response = api::respond(call.error());
    }
    if (request.head.method == http::Method::Head) drop_body(response);
    co_return response;
  }

 private:
  using Answered = std::expected<http::Response, Failure>;

  http::Response refuse(const Failure& failure, std::string_view endpoint) {
    // Failing hardware and damaged data are for the operator; what a client did wrong is for the client.
    if (failure.error.code == Code::Corrupt || failure.error.code == Code::Io)
      context_.services.logger.error(
          "api_request_failed",
          {{"endpoint", endpoint}, {"code", code_name(failure.error.code)}, {"message", failure.error.message}});
    return api::respond(failure);
  }

  // Everything that may touch a disk or wait for the group runs on the pool, tree reads too: whether a node is cached
  // is not known before it is asked for. Jobs own what they use, for a stopped server may destroy this coroutine first.
  http::Task<Answered> dispatch(http::Request& request, Call call) {
    const Endpoint& endpoint = *call.match.endpoint;
    switch (endpoint.route) {
      case Route::PutContent:
        co_return finished(co_await pump(pool_, request.body, content_sink(context_, std::move(call))));
      case Route::Upload:
        co_return finished(co_await pump(pool_, request.body, upload_sink(context_, std::move(call))));
      case Route::GetContent: {
        auto found = co_await http::offload(
            pool_, [&context = context_, call = std::move(call)] { return find_content(context, call); });
        if (!found) co_return std::unexpected(std::move(found).error());
        co_return serve_content(context_, pool_, request.head, *std::move(found));
      }
      default: break;
    }
    if (endpoint.body_bytes_max > 0) {
      auto body = co_await read_body(request.body, endpoint.body_bytes_max);
      if (!body) co_return std::unexpected(std::move(body).error());
      call.body = *std::move(body);
    }
    if (endpoint.route == Route::Manifest || endpoint.route == Route::Fetch) {
      const bool contents = endpoint.route == Route::Fetch;
      auto production = co_await http::offload(pool_, [&context = context_, contents, call = std::move(call)] {
        return contents ? fetch(context, call) : manifest(context, call);
      });
      if (!production) co_return std::unexpected(std::move(production).error());
      co_return stream(pool_, *std::move(production));
    }
    http::BlockingPool& pool = waits_for_publishes(endpoint.route) ? slow_pool_ : pool_;
    co_return finished(
        co_await http::offload(pool, [&context = context_, call = std::move(call)] { return run(context, call); }));
  }

  static Answered finished(Outcome outcome) {
    if (!outcome) return std::unexpected(std::move(outcome).error());
    return respond(*outcome);
  }

  Context& context_;
  http::BlockingPool& pool_;
  http::BlockingPool& slow_pool_;
};

}  // namespace

std::unique_ptr<http::Handler> Api::make_handler() { return std::make_unique<Handler>(context_, pool_, slow_pool_); }

}  // namespace hailstone::api
