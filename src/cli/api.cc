#include "cli/api.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <thread>

#include "base/check.h"
#include "cli/exit_codes.h"

namespace hailstone::cli {
namespace {

constexpr size_t kKeysShown = 10;

std::string random_hex() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", random(), random(), random(), random());
}

bool worth_retrying(Code code) { return code == Code::Unavailable || code == Code::Timeout; }

Code code_of_status(int status) {
  switch (status) {
    case 401:
    case 403: return Code::Denied;
    case 404:
    case 410: return Code::NotFound;
    case 409:
    case 412: return Code::Conflict;
    case 413:
    case 507: return Code::Exhausted;
    case 501: return Code::Unsupported;
    case 503: return Code::Unavailable;
    case 504: return Code::Timeout;
    default: return status >= 500 ? Code::Io : Code::Invalid;
  }
}

// A string, or {"key_base64":...} where it is not UTF-8.
Bytes key_of(const Json& element) {
  return element.is_string() ? element.get<std::string>() : bytes_field(element, "key");
}

}  // namespace

const std::string* Answer::field(std::string_view name) const {
  for (const auto& [key, value] : fields)
    if (key == name) return &value;
  return nullptr;
}

Bytes bytes_field(const Json& object, const std::string& name) {
  if (!object.is_object()) return {};
  if (const auto at = object.find(name); at != object.end() && at->is_string()) return at->get<std::string>();
  Bytes out;
  if (const auto at = object.find(name + "_base64"); at != object.end() && at->is_string())
    if (!from_base64(at->get<std::string>(), out)) out.clear();
  return out;
}

Error error_of(const Answer& answer) {
  Error error{code_of_status(answer.status), fmt::format("the server answered {}", answer.status)};
  const Json body = Json::parse(answer.body, nullptr, false);
  if (!body.is_object() || !body.contains("error") || !body["error"].is_object()) return error;
  const Json& told = body["error"];
  if (told.contains("code") && told["code"].is_string()) parse_code(told["code"].get<std::string>(), error.code);
  if (told.contains("message") && told["message"].is_string()) error.message = told["message"].get<std::string>();
  if (told.contains("keys") && told["keys"].is_array()) {
    size_t shown = 0;
    for (const Json& key : told["keys"]) {
      if (shown++ == kKeysShown) break;
      error.message += "\n  " + printable(key_of(key));
    }
    // "key_count" is there when the server's own list is cut.
    const uint64_t total = told.value("key_count", uint64_t{told["keys"].size()});
    if (total > kKeysShown) error.message += fmt::format("\n  and {} more", total - kKeysShown);
  }
  if (told.contains("findings") && told["findings"].is_array()) {
    for (const Json& finding : told["findings"])
      error.message += fmt::format("\n  {}: {}: {}", finding.value("severity", "?"),
                                   printable(bytes_field(finding, "key")), finding.value("message", ""));
  }
  return error;
}

std::string target_path(const std::string& target, const std::string& what) {
  return fmt::format("/api/v1/targets/{}/{}", percent_encode(target), what);
}

std::string volume_path(const std::string& volume, const std::string& what) {
  return fmt::format("/api/v1/volumes/{}{}{}", percent_encode(volume), what.empty() ? "" : "/", what);
}

void add_parameter(std::string& path, std::string_view name, ByteView value) {
  path += fmt::format("{}{}={}", path.find('?') == std::string::npos ? '?' : '&', name, percent_encode(value));
}

Api::Api(ApiOptions options, std::unique_ptr<Transport> transport)
    : options_(std::move(options)), transport_(std::move(transport)) {
  if (!options_.sleep) options_.sleep = [](std::chrono::milliseconds time) { std::this_thread::sleep_for(time); };
}

std::vector<std::pair<std::string, std::string>> Api::fields(bool mutating) const {
  std::vector<std::pair<std::string, std::string>> out;
  if (!options_.key.empty()) out.emplace_back("Authorization", "Bearer " + options_.key);
  if (mutating) out.emplace_back("Idempotency-Key", random_hex());
  return out;
}

Result<Answer> Api::once(Call& call, const BodySink* sink) {
  TRY(Answer answer, transport_->call(call, sink));
  if (answer.status < 200 || answer.status > 299) return std::unexpected(error_of(answer));
  return answer;
}

Result<Answer> Api::with_retries(const std::function<Result<Answer>()>& attempt) {
  std::chrono::milliseconds pause{200};
  for (unsigned left = options_.attempts;; --left, pause *= 2) {
    auto answer = attempt();
    if (answer || left <= 1 || !worth_retrying(answer.error().code)) return answer;
    options_.sleep(pause);
  }
}

namespace {

Result<Json> parse(const Answer& answer, Bytes* raw) {
  if (raw != nullptr) *raw = answer.body;
  if (answer.body.empty()) return Json(nullptr);
  Json parsed = Json::parse(answer.body, nullptr, false);
  if (parsed.is_discarded())
    return fail(Code::Corrupt, "the server's answer is not JSON: is --url really a Hailstone server?");
  return parsed;
}

}  // namespace

Result<Json> Api::get(const std::string& target, Bytes* raw) {
  Call call{"GET", target, fields(false), {}, nullptr, {}};
  TRY(const Answer answer, with_retries([&] { return once(call, nullptr); }));
  return parse(answer, raw);
}

Result<Json> Api::send(const std::string& method, const std::string& target, const Json& body, Bytes* raw) {
  Call call{method, target, fields(true), body.is_null() ? Bytes() : body.dump(), nullptr, {}};
  if (!body.is_null()) call.fields.emplace_back("Content-Type", "application/json");
  TRY(const Answer answer, with_retries([&] { return once(call, nullptr); }));
  return parse(answer, raw);
}

Result<Answer> Api::download(const std::string& method, const std::string& target, const Json* body,
                             const BodySink& sink) {
  Call call{method, target, fields(false), body != nullptr ? body->dump() : Bytes(), nullptr, {}};
  if (body != nullptr) call.fields.emplace_back("Content-Type", "application/json");
  return once(call, &sink);
}

Result<Json> Api::upload(const std::string& method, const std::string& target, const std::string& content_type,
                         std::optional<uint64_t> length, const std::function<Result<BodyPull>()>& make_pull,
                         std::vector<std::pair<std::string, std::string>> more, Bytes* raw) {
  Call call{method, target, fields(true), {}, nullptr, length};
  call.fields.emplace_back("Content-Type", content_type);
  for (auto& field : more) call.fields.push_back(std::move(field));
  TRY(const Answer answer, with_retries([&]() -> Result<Answer> {
        TRY(call.pull, make_pull());
        return once(call, nullptr);
      }));
  return parse(answer, raw);
}

}  // namespace hailstone::cli
