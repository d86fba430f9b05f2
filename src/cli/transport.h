// One HTTP exchange with the server, as the command line sees it: the seam between commands and sockets.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"

namespace hailstone::cli {

/// Appends the next piece of a request body; false (and nothing appended) at its end.
using BodyPull = std::function<Result<bool>(Bytes& out)>;
/// Takes the next piece of a response body.
using BodySink = std::function<Result<void>(ByteView bytes)>;

struct Call {
  std::string method;  // "GET"
  std::string target;  // "/api/v1/volumes?x=y", encoded
  std::vector<std::pair<std::string, std::string>> fields;
  Bytes body;
  BodyPull pull;                   // a streamed body instead of `body`
  std::optional<uint64_t> length;  // of the streamed body, when known: else it goes out chunked
};

struct Answer {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> fields;  // names in lower case
  Bytes body;                                               // empty where a sink took it
  const std::string* field(std::string_view name) const;
};

/// One connection, kept alive between calls. Not thread-safe.
class Transport {
 public:
  virtual ~Transport() = default;
  /// A whole exchange. `sink` gets the body of a 2xx answer; other bodies are collected, up to a limit. Errors:
  /// Unavailable (not connected: nothing was sent), Timeout (the outcome is unknown), Io, and what pull or sink failed
  /// with.
  virtual Result<Answer> call(const Call& call, const BodySink* sink) = 0;
};

struct Server {
  std::string url;      // http://host[:port][/prefix] or https://...
  std::string ca_file;  // PEM to trust instead of the system's
};
/// Invalid when the URL is none. Connects with the first call.
Result<std::unique_ptr<Transport>> make_transport(const Server& server);

}  // namespace hailstone::cli
