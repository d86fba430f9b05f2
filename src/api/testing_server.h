// The API over a repository in memory behind a real server on the loopback interface.
#pragma once

#include "api/handler.h"
#include "api/testing.h"
#include "http/client.h"
#include "http/server.h"

namespace hailstone::api::testing {

struct Answered {
  int status = 0;
  Bytes body;
  http::ClientResponse head;
  Json json() const { return Json::parse(body); }
  Bytes field(std::string_view name) const { return Bytes(head.field(name).value_or("")); }
};

struct ServedCell {
  ApiCell api;
  http::BlockingPool pool;
  Api served{api.context.services, pool};
  std::unique_ptr<http::Server> server;

  explicit ServedCell(const http::BlockingPoolOptions& options = {}) : pool(options) {
    auto listening =
        http::Server::listen({.threads = 2}, [this](unsigned) { return served.make_handler(); }, api.logger);
    CHECK(listening.has_value());
    server = *std::move(listening);
    server->start();
  }
  ~ServedCell() { server->stop(); }

  std::unique_ptr<http::Client> client() {
    http::BaseUrl url;
    url.host = "127.0.0.1";
    url.port = server->port();
    return std::make_unique<http::Client>(url, http::ClientOptions{});
  }

  Answered send(http::Client& client, Bytes method, const Bytes& path, ByteView body = {},
                const std::vector<std::pair<Bytes, Bytes>>& fields = {}) {
    http::ClientRequest request;
    request.method = std::move(method);
    request.target = Bytes(kPrefix) + path;
    request.headers.add("Authorization", api.admin);
    for (const auto& [name, value] : fields) request.headers.add(name, value);
    request.body = body;
    auto answer = client.fetch(request);
    CHECK(answer.has_value());
    return {answer->head.status, std::move(answer->body), std::move(answer->head)};
  }
  Answered send(Bytes method, const Bytes& path, ByteView body = {},
                const std::vector<std::pair<Bytes, Bytes>>& fields = {}) {
    return send(*client(), std::move(method), path, body, fields);
  }
};

}  // namespace hailstone::api::testing
