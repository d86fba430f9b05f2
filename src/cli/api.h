// The server's JSON API as calls that return values: authorization, retries with one idempotency key, errors
// translated.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/transport.h"

namespace hailstone::cli {

using Json = nlohmann::json;

struct ApiOptions {
  std::string url;
  std::string key;                                       // "KEYID:SECRET", or empty
  unsigned attempts = 5;                                 // of a call that fails with Unavailable or Timeout
  std::function<void(std::chrono::milliseconds)> sleep;  // between attempts
};

/// Not thread-safe; make one per thread.
class Api {
 public:
  Api(ApiOptions options, std::unique_ptr<Transport> transport);

  /// Parsed body of a 2xx answer; null for an empty one. `raw` gets it as it came. A retry carries the same idempotency
  /// key.
  Result<Json> get(const std::string& target, Bytes* raw = nullptr);
  Result<Json> send(const std::string& method, const std::string& target, const Json& body, Bytes* raw = nullptr);

  /// Streams a 2xx body into the sink. No retries: the sink may have taken some.
  Result<Answer> download(const std::string& method, const std::string& target, const Json* body, const BodySink& sink);
  /// Streams a body up; `make_pull` starts it again for every attempt.
  Result<Json> upload(const std::string& method, const std::string& target, const std::string& content_type,
                      std::optional<uint64_t> length, const std::function<Result<BodyPull>()>& make_pull,
                      std::vector<std::pair<std::string, std::string>> fields = {}, Bytes* raw = nullptr);

  const std::string& url() const { return options_.url; }

 private:
  Result<Answer> once(Call& call, const BodySink* sink);
  Result<Answer> with_retries(const std::function<Result<Answer>()>& attempt);
  std::vector<std::pair<std::string, std::string>> fields(bool mutating) const;

  ApiOptions options_;
  std::unique_ptr<Transport> transport_;
};

/// The error of a non-2xx answer, from its JSON where there is one.
Error error_of(const Answer& answer);

/// "/api/v1/targets/site%40draft-7/list"
std::string target_path(const std::string& target, const std::string& what);
std::string volume_path(const std::string& volume, const std::string& what = {});
/// Appends "?name=value" or "&name=value", encoded.
void add_parameter(std::string& path, std::string_view name, ByteView value);

/// "key" of an object, or its "key_base64" decoded. Empty when there is neither.
Bytes bytes_field(const Json& object, const std::string& name);

}  // namespace hailstone::cli
