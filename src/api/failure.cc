#include "api/failure.h"

#include "api/json.h"

namespace hailstone::api {
namespace {

constexpr std::string_view kRetryAfterSeconds = "1";

Json finding_json(const publish::Finding& finding) {
  Json out{{"severity", finding.severity == publish::Finding::Severity::Refuse ? "refuse" : "warn"},
           {"check", finding.check},
           {"message", finding.message}};
  put_bytes(out, "key", finding.key);
  return out;
}

}  // namespace

Failure::Failure(publish::Refusal refusal)
    : error(std::move(refusal.error)),
      keys(std::move(refusal.keys)),
      findings(std::move(refusal.findings)),
      key_count(refusal.conflict_count) {}

int status_of(Code code) {
  switch (code) {
    case Code::Invalid: return 400;
    case Code::Denied: return 403;
    case Code::NotFound: return 404;
    case Code::Exists: return 409;
    case Code::Conflict: return 409;
    case Code::Corrupt: return 500;
    case Code::Io: return 500;
    case Code::Unsupported: return 501;
    case Code::Unavailable: return 503;
    case Code::Cancelled: return 503;
    case Code::Timeout: return 504;
    case Code::Exhausted: return 507;
  }
  return 500;
}

Json to_json(const std::vector<publish::Finding>& findings) {
  Json out = Json::array();
  for (const auto& finding : findings) out.push_back(finding_json(finding));
  return out;
}

http::Response respond(const Failure& failure) {
  Json error{{"code", code_name(failure.error.code)}, {"message", failure.error.message}};
  Json keys = Json::array();
  for (const Bytes& key : failure.keys) {
    Json named = Json::object();
    put_bytes(named, "key", key);
    keys.push_back(named.contains("key") ? std::move(named["key"]) : std::move(named));
  }
  if (failure.key_count > failure.keys.size()) error["key_count"] = failure.key_count;
  error["keys"] = std::move(keys);
  error["findings"] = to_json(failure.findings);
  const int status = failure.status != 0 ? failure.status : status_of(failure.error.code);
  auto response = http::Response::json(status, dump({{"error", std::move(error)}}));
  response.headers.add("Cache-Control", "no-store");
  if (status == 401) {
    response.headers.add("WWW-Authenticate", "Bearer realm=\"hailstone\"");
    response.headers.add("WWW-Authenticate", "Basic realm=\"hailstone\", charset=\"UTF-8\"");
  }
  if (!failure.allow.empty()) response.headers.add("Allow", failure.allow);
  if (status == 503) response.headers.add("Retry-After", kRetryAfterSeconds);
  return response;
}

}  // namespace hailstone::api
