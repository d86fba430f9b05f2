#include "http/conditional.h"

#include <gtest/gtest.h>

#include <vector>

namespace hailstone::http {
namespace {

constexpr int64_t kTime = 784111777;  // Sun, 06 Nov 1994 08:49:37 GMT
constexpr std::string_view kAt = "Sun, 06 Nov 1994 08:49:37 GMT";
constexpr std::string_view kBefore = "Sun, 06 Nov 1994 08:49:36 GMT";
constexpr std::string_view kAfter = "Sun, 06 Nov 1994 08:49:38 GMT";

RequestHead head_of(Method method, std::vector<RequestHead::Field> fields) {
  RequestHead head;
  head.method = method;
  head.fields = std::move(fields);
  return head;
}

TEST(Conditions, FollowThePrecedenceOfTheRfc) {
  const Validators here{true, "\"a\"", kTime};
  const Validators weak{true, "W/\"a\"", kTime};
  const Validators none{false, "", std::nullopt};
  const auto kGo = Decision::Proceed, kSame = Decision::NotModified, kFail = Decision::PreconditionFailed;
  const struct {
    Method method;
    const Validators& state;
    std::vector<RequestHead::Field> fields;
    Decision want;
  } cases[] = {
      {Method::Get, here, {}, kGo},
      {Method::Get, here, {{"If-Match", "\"a\""}}, kGo},
      {Method::Get, here, {{"If-Match", "\"b\", \"a\""}}, kGo},
      {Method::Get, here, {{"If-Match", "\"b\""}, {"if-match", "\"a\""}}, kGo},
      {Method::Get, here, {{"If-Match", "\"b\""}}, kFail},
      {Method::Get, here, {{"If-Match", ""}}, kFail},
      {Method::Put, here, {{"If-Match", "W/\"a\""}}, kFail},
      {Method::Put, weak, {{"If-Match", "W/\"a\""}}, kFail},
      {Method::Put, here, {{"If-Match", "*"}}, kGo},
      {Method::Put, none, {{"If-Match", "*"}}, kFail},
      {Method::Put, none, {{"If-Match", "\"a\""}}, kFail},
      {Method::Put, here, {{"If-Match", "a"}}, kGo},
      {Method::Put, here, {{"If-Match", "\"A\""}}, kFail},
      {Method::Get, here, {{"If-None-Match", "\"a\""}}, kSame},
      {Method::Head, here, {{"If-None-Match", "\"x,\\\", \"a\""}}, kSame},
      {Method::Get, here, {{"If-None-Match", "W/\"a\""}}, kSame},
      {Method::Get, weak, {{"If-None-Match", "\"a\""}}, kSame},
      {Method::Get, here, {{"If-None-Match", "\"b\""}}, kGo},
      {Method::Put, here, {{"If-None-Match", "\"a\""}}, kFail},
      {Method::Put, here, {{"If-None-Match", "*"}}, kFail},
      {Method::Put, none, {{"If-None-Match", "*"}}, kGo},
      {Method::Get, none, {{"If-None-Match", "\"a\""}}, kGo},
      // Dates: exact equality only for "modified since".
      {Method::Get, here, {{"If-Modified-Since", kAt}}, kSame},
      {Method::Get, here, {{"If-Modified-Since", kAfter}}, kGo},
      {Method::Get, here, {{"If-Modified-Since", kBefore}}, kGo},
      {Method::Get, here, {{"If-Modified-Since", "yesterday"}}, kGo},
      {Method::Put, here, {{"If-Modified-Since", kAt}}, kGo},
      {Method::Get, here, {{"If-None-Match", "\"b\""}, {"If-Modified-Since", kAt}}, kGo},
      {Method::Get, here, {{"If-None-Match", "\"a\""}, {"If-Modified-Since", kBefore}}, kSame},
      {Method::Get, here, {{"If-Unmodified-Since", kAt}}, kGo},
      {Method::Get, here, {{"If-Unmodified-Since", kAfter}}, kGo},
      {Method::Get, here, {{"If-Unmodified-Since", kBefore}}, kFail},
      {Method::Get, here, {{"If-Unmodified-Since", "never"}}, kGo},
      {Method::Get, here, {{"If-Match", "\"a\""}, {"If-Unmodified-Since", kBefore}}, kGo},
      {Method::Get, here, {{"If-Match", "\"b\""}, {"If-None-Match", "\"a\""}}, kFail},
      {Method::Get, here, {{"If-Match", "\"a\""}, {"If-None-Match", "\"a\""}}, kSame},
  };
  for (size_t i = 0; i < std::size(cases); ++i)
    EXPECT_EQ(evaluate_conditions(head_of(cases[i].method, cases[i].fields), cases[i].state), cases[i].want) << i;
}

TEST(Conditions, RangesApplyToTheRepresentationTheyNameOnly) {
  const Validators here{true, "\"a\"", kTime};
  const std::pair<std::string_view, bool> cases[] = {{"\"a\"", true}, {"\"b\"", false}, {"W/\"a\"", false},
                                                     {kAt, true},     {kBefore, false}, {kAfter, false},
                                                     {"a", false}};
  for (const auto& [value, want] : cases)
    EXPECT_EQ(range_applies(head_of(Method::Get, {{"If-Range", value}}), here), want) << value;
  EXPECT_TRUE(range_applies(head_of(Method::Get, {}), here));
  EXPECT_FALSE(range_applies(head_of(Method::Get, {{"If-Range", "W/\"a\""}}), {true, "W/\"a\"", kTime}));
}

}  // namespace
}  // namespace hailstone::http
