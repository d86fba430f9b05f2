// A depot over a repository in memory, asked directly: what goes over the wire, without a wire.
#pragma once

#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <utility>
#include <vector>

#include "depot/depot.h"
#include "depot/test_cell.h"
#include "http/parser.h"

namespace hailstone::depot::testing {

inline Bytes bytes_of(const http::Part& part) {
  if (const auto* bytes = std::get_if<Bytes>(&part)) return *bytes;
  if (const auto* span = std::get_if<http::SharedSpan>(&part)) return span->bytes->substr(span->offset, span->length);
  if (const auto* pages = std::get_if<http::PageSpan>(&part)) return Bytes(pages->bytes);
  const auto& span = std::get<http::FileSpan>(part);
  Bytes out(span.length, '\0');
  EXPECT_EQ(::pread(span.fd, out.data(), out.size(), static_cast<off_t>(span.offset)),
            static_cast<ssize_t>(out.size()));
  return out;
}

/// Runs a coroutine to its end on a context of its own.
template <class T>
T run(http::Task<T> task) {
  boost::asio::io_context context(1);
  std::optional<T> out;
  boost::asio::co_spawn(context.get_executor(), std::move(task), [&](std::exception_ptr failure, T value) {
    if (failure) std::rethrow_exception(failure);
    out = std::move(value);
  });
  context.run();
  return *std::move(out);
}

struct Got {
  int status = 0;
  std::vector<std::pair<Bytes, Bytes>> headers;
  Bytes body;
  std::optional<uint64_t> length;  // announced
  std::optional<Error> cut;        // the connection would be cut within the body
  bool by_file = false;            // the body is sent from where it lies

  /// All values of a header, joined by ", "; "" when it isn't there.
  Bytes header(ByteView name) const {
    Bytes out;
    for (const auto& [n, value] : headers)
      if (n == name) out += (out.empty() ? "" : ", ") + value;
    return out;
  }
  bool has(ByteView name) const { return !header(name).empty(); }
};

inline Got collect(http::Response response) {
  Got out;
  out.status = response.status;
  ByteView lines = response.headers.lines();
  while (!lines.empty()) {
    const size_t end = lines.find("\r\n");
    const ByteView line = lines.substr(0, end);
    lines.remove_prefix(end + 2);
    const size_t colon = line.find(": ");
    out.headers.emplace_back(line.substr(0, colon), line.substr(colon + 2));
  }
  out.length = response.content_length;
  if (auto* part = std::get_if<http::Part>(&response.body)) {
    out.by_file = std::holds_alternative<http::FileSpan>(*part) || std::holds_alternative<http::PageSpan>(*part);
    out.body = bytes_of(*part);
    out.length = out.body.size();
  } else if (auto* source = std::get_if<std::unique_ptr<http::BodySource>>(&response.body)) {
    for (;;) {
      auto part_or = run((*source)->next());
      if (!part_or) {
        out.cut = part_or.error();
        break;
      }
      if (!*part_or) break;
      out.body += bytes_of(**part_or);
    }
  }
  return out;
}

class EmptyBody final : public http::RequestBody {
 public:
  http::Task<Result<size_t>> read_some(char*, size_t) override { co_return size_t{0}; }
};

using Headers = std::vector<std::pair<Bytes, Bytes>>;

/// A parsed head whose views point into itself.
class ParsedHead {
 public:
  ParsedHead(ByteView method, ByteView target, const Headers& headers) {
    text_ = Bytes(method) + " " + Bytes(target) + " HTTP/1.1\r\n";
    bool host = false;
    for (const auto& [name, value] : headers) {
      text_ += name + ": " + value + "\r\n";
      host = host || name == "Host";
    }
    if (!host) text_ += "Host: depot.test\r\n";
    text_ += "\r\n";
    http::RequestParser parser(http::HeadLimits{});
    const auto parsed = parser.parse(text_, head);
    EXPECT_EQ(parsed.state, http::Parsed::State::Done) << text_;
  }
  http::RequestHead head;

 private:
  Bytes text_;
};

/// Knows one key; its bearer may read the volumes named.
struct OneKey final : Authorizer {
  Credentials key{"id", "secret"};
  std::vector<Bytes> volumes;
  Access check(const volume::State&, const Credentials& given, const volume::Volume& volume) const override {
    if (given != key) return Access::Unknown;
    for (const Bytes& name : volumes)
      if (name == volume.record.name) return Access::Granted;
    return Access::Forbidden;
  }
};

struct Rig {
  Cell cell;
  OneKey authorizer;
  http::BlockingPool pool{{.threads = 2, .queue_max = 16}};
  Options options;
  chunk::ExtentCache extents{cell.repository.chunks(), {}};
  std::unique_ptr<Depot> depot = std::make_unique<Depot>(cell.repository, extents, authorizer, pool, options);
  bool secure = false;

  /// After a change of `options`.
  void restart() { depot = std::make_unique<Depot>(cell.repository, extents, authorizer, pool, options); }

  Got ask(ByteView method, ByteView target, const Headers& headers = {}) {
    const ParsedHead parsed(method, target, headers);
    EmptyBody body;
    return collect(run(depot->handle(http::Request{parsed.head, body, "127.0.0.1:1", secure})));
  }
  Got get(ByteView target, const Headers& headers = {}) { return ask("GET", target, headers); }
};

}  // namespace hailstone::depot::testing
