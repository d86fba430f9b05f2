// For tests: requests as owned values, and the keys and times of AWS's published examples.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "http/message.h"
#include "s3auth/refusal.h"
#include "s3auth/scope.h"
#include "s3auth/sigv4.h"

namespace hailstone::s3auth {

inline const Credentials kExample{"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1"};
inline constexpr std::string_view kExampleDate = "20130524T000000Z";
inline constexpr std::string_view kEmptySha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

inline UnixMicros at(std::string_view amz_date, int64_t more_s = 0) {
  int64_t seconds = 0;
  EXPECT_TRUE(parse_amz_date(amz_date, seconds)) << amz_date;
  return UnixMicros{(seconds + more_s) * 1'000'000};
}

inline std::optional<Bytes> example_secret(std::string_view access_key_id) {
  if (access_key_id == kExample.access_key_id) return kExample.secret;
  return std::nullopt;
}

/// Owns what a RequestHead shows.
struct TestRequest {
  Bytes method = "GET", path = "/", query;
  std::vector<std::pair<Bytes, Bytes>> fields;

  http::RequestHead head() const {
    http::RequestHead out;
    out.method_text = method;
    out.path = path;
    out.query = query;
    for (const auto& [name, value] : fields) out.fields.push_back({name, value});
    return out;
  }
  void set(const Bytes& name, const Bytes& value) {
    for (auto& field : fields)
      if (field.first == name) {
        field.second = value;
        return;
      }
    fields.emplace_back(name, value);
  }
  void drop(const Bytes& name) {
    std::erase_if(fields, [&](const auto& field) { return field.first == name; });
  }
};

/// "SignatureDoesNotMatch", or "ok".
template <class T>
std::string code_of(const Verdict<T>& verdict) {
  return verdict ? "ok" : std::string(verdict.error().code);
}
template <class T>
std::string told(const Verdict<T>& verdict) {
  if (verdict) return "ok";
  std::string out =
      std::string(verdict.error().code) + " " + std::to_string(verdict.error().status) + ": " + verdict.error().message;
  return out;
}
inline Bytes detail(const Refusal& refusal, std::string_view name) {
  for (const auto& [key, value] : refusal.details)
    if (key == name) return value;
  return "(none)";
}

}  // namespace hailstone::s3auth
