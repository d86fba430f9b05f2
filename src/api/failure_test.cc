#include "api/failure.h"

#include <gtest/gtest.h>

#include "api/json.h"

namespace hailstone::api {
namespace {

TEST(Failure, EveryCodeHasItsStatus) {
  const std::pair<Code, int> table[] = {{Code::Invalid, 400},     {Code::NotFound, 404},    {Code::Exists, 409},
                                        {Code::Conflict, 409},    {Code::Unavailable, 503}, {Code::Timeout, 504},
                                        {Code::Corrupt, 500},     {Code::Exhausted, 507},   {Code::Denied, 403},
                                        {Code::Unsupported, 501}, {Code::Cancelled, 503},   {Code::Io, 500}};
  for (const auto& [code, status] : table) {
    const auto response = respond(Failure(Error{code, "m"}));
    EXPECT_EQ(response.status, status) << code_name(code);
    EXPECT_NE(response.headers.lines().find("Cache-Control: no-store\r\n"), Bytes::npos);
    EXPECT_EQ(response.headers.lines().find("Retry-After") != Bytes::npos, status == 503);
    EXPECT_EQ(response.headers.lines().find("WWW-Authenticate") != Bytes::npos, false);
  }
}

TEST(Failure, SaysWhatAProgramNeeds) {
  publish::Refusal refusal(Error{Code::Conflict, "two keys"});
  refusal.keys = {"a", "\xff"};
  refusal.conflict_count = 5;
  refusal.findings = {{publish::Finding::Severity::Warn, "apt.index", "dists/x", "is missing"}};
  const auto response = respond(Failure(refusal));
  EXPECT_EQ(response.status, 409);
  const Json body = Json::parse(std::get<Bytes>(std::get<http::Part>(response.body)));
  EXPECT_EQ(body, Json::parse(R"({"error":{"code":"conflict","message":"two keys","key_count":5,
    "keys":["a",{"key_base64":"/w=="}],
    "findings":[{"severity":"warn","check":"apt.index","key":"dists/x","message":"is missing"}]}})"));
}

TEST(Failure, TellsHowToLogInAndWhichMethodsThereAre) {
  const auto who = respond(Failure(Error{Code::Denied, "m"}, 401));
  EXPECT_EQ(who.status, 401);
  EXPECT_NE(who.headers.lines().find("WWW-Authenticate: Bearer"), Bytes::npos);
  Failure method(Error{Code::Unsupported, "m"}, 405);
  method.allow = "GET, HEAD";
  EXPECT_NE(respond(method).headers.lines().find("Allow: GET, HEAD\r\n"), Bytes::npos);
}

}  // namespace
}  // namespace hailstone::api
