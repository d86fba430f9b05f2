#include "s3proto/policy.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <map>

namespace hailstone::s3proto {
namespace {

std::string statement(std::string_view effect, std::string_view rest) {
  return fmt::format(R"({{"Version":"2012-10-17","Statement":[{{"Effect":"{}",{}}}]}})", effect, rest);
}
constexpr std::string_view kReadAll = R"("Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::vol/*")";

std::string with_condition(std::string_view condition) {
  return statement("Allow", fmt::format(R"({},"Condition":{})", kReadAll, condition));
}

using Context = std::map<std::string, std::vector<std::string>>;
Verdict verdict(const std::string& json, std::string_view user, std::string_view action, std::string_view resource,
                const Context& context = {}) {
  const auto policy = parse_policy(json, "vol");
  if (!policy) ADD_FAILURE() << policy.error().message << "\n" << json;
  if (!policy) return Verdict::None;
  return evaluate(*policy, {user, action, resource, [&](std::string_view key) {
                              const auto found = context.find(std::string(key));
                              return found == context.end() ? std::vector<std::string>() : found->second;
                            }});
}

TEST(Policy, PrincipalActionAndResourceMustAllFit) {
  const std::string ann =
      statement("Allow", R"("Principal":{"AWS":["arn:aws:iam:::user/ann"]},"Action":["s3:get*","s3:ListBucket"],)"
                         R"("Resource":["arn:aws:s3:::vol","arn:aws:s3:::vol/pub/*"])");
  EXPECT_EQ(verdict(ann, "ann", "s3:GetObject", "vol/pub/a"), Verdict::Allow);
  EXPECT_EQ(verdict(ann, "ann", "s3:ListBucket", "vol"), Verdict::Allow);
  EXPECT_EQ(verdict(ann, "bob", "s3:GetObject", "vol/pub/a"), Verdict::None);
  EXPECT_EQ(verdict(ann, "", "s3:GetObject", "vol/pub/a"), Verdict::None);
  EXPECT_EQ(verdict(ann, "ann", "s3:PutObject", "vol/pub/a"), Verdict::None);
  EXPECT_EQ(verdict(ann, "ann", "s3:GetObject", "vol/priv"), Verdict::None);
  EXPECT_EQ(verdict(statement("Allow", kReadAll), "", "s3:GetObject", "vol/x"), Verdict::Allow);
  EXPECT_EQ(verdict(statement("Allow", kReadAll), "", "s3:GetObject", "vol"), Verdict::None);
  const std::string others =
      statement("Deny", R"("Principal":"*","NotAction":"s3:Get*","NotResource":"arn:aws:s3:::vol/pub/*")");
  EXPECT_EQ(verdict(others, "x", "s3:PutObject", "vol/a"), Verdict::Deny);
  EXPECT_EQ(verdict(others, "x", "s3:PutObject", "vol/pub/a"), Verdict::None);
  EXPECT_EQ(verdict(others, "x", "s3:GetObject", "vol/a"), Verdict::None);
}

TEST(Policy, DenyWinsWhereverItStands) {
  const std::string both =
      fmt::format(R"({{"Statement":[{{"Effect":"Deny",{}}},{{"Effect":"Allow",{}}}]}})", kReadAll, kReadAll);
  EXPECT_EQ(verdict(both, "", "s3:GetObject", "vol/x"), Verdict::Deny);
}

TEST(Policy, ConditionsFollowTheirOperators) {
  struct Case {
    std::string condition;
    Context context;
    bool holds;
  };
  const Case table[] = {
      {R"({"StringEquals":{"s3:prefix":["a","b"]}})", {{"s3:prefix", {"b"}}}, true},
      {R"({"StringEquals":{"S3:Prefix":"a"}})", {{"s3:prefix", {"A"}}}, false},
      {R"({"StringEquals":{"s3:prefix":"a"}})", {}, false},
      {R"({"StringEqualsIfExists":{"s3:prefix":"a"}})", {}, true},
      {R"({"StringEqualsIfExists":{"s3:prefix":"a"}})", {{"s3:prefix", {"b"}}}, false},
      {R"({"StringNotEquals":{"s3:prefix":["a","b"]}})", {{"s3:prefix", {"b"}}}, false},
      {R"({"StringNotEquals":{"s3:prefix":["a","b"]}})", {{"s3:prefix", {"c"}}}, true},
      {R"({"StringNotEquals":{"s3:prefix":"a"}})", {}, true},
      {R"({"StringEqualsIgnoreCase":{"s3:prefix":"a"}})", {{"s3:prefix", {"A"}}}, true},
      {R"({"StringLike":{"aws:Referer":"http://*.x.org/?"}})", {{"aws:referer", {"http://w.x.org/1"}}}, true},
      {R"({"StringNotLike":{"aws:Referer":"http://*"}})", {{"aws:referer", {"http://w"}}}, false},
      {R"({"Bool":{"aws:SecureTransport":true}})", {{"aws:securetransport", {"true"}}}, true},
      {R"({"Bool":{"aws:SecureTransport":"false"}})", {{"aws:securetransport", {"true"}}}, false},
      {R"({"IpAddress":{"aws:SourceIp":"10.1.0.0/16"}})", {{"aws:sourceip", {"10.1.2.3"}}}, true},
      {R"({"IpAddress":{"aws:SourceIp":"10.1.0.0/16"}})", {{"aws:sourceip", {"10.2.2.3"}}}, false},
      {R"({"IpAddress":{"aws:SourceIp":"2001:db8::/33"}})", {{"aws:sourceip", {"2001:db8:7fff::1"}}}, true},
      {R"({"IpAddress":{"aws:SourceIp":"2001:db8::/33"}})", {{"aws:sourceip", {"2001:db8:8000::1"}}}, false},
      {R"({"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}})", {{"aws:sourceip", {"::1"}}}, false},
      {R"({"NotIpAddress":{"aws:SourceIp":["10.0.0.0/8","127.0.0.1"]}})", {{"aws:sourceip", {"127.0.0.1"}}}, false},
      {R"({"NumericLessThanEquals":{"s3:max-keys":"10"}})", {{"s3:max-keys", {"10"}}}, true},
      {R"({"NumericLessThan":{"s3:max-keys":10}})", {{"s3:max-keys", {"10"}}}, false},
      {R"({"NumericNotEquals":{"s3:max-keys":10}})", {{"s3:max-keys", {"11"}}}, true},
      {R"({"NumericEquals":{"s3:max-keys":10}})", {{"s3:max-keys", {"ten"}}}, false},
      {R"({"DateGreaterThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}})",
       {{"aws:currenttime", {"2026-01-02T00:00:00Z"}}},
       true},
      {R"({"DateLessThan":{"aws:EpochTime":"1000"}})", {{"aws:epochtime", {"1000"}}}, false},
      {R"({"Null":{"s3:VersionId":"true"}})", {}, true},
      {R"({"Null":{"s3:VersionId":"true"}})", {{"s3:versionid", {"x"}}}, false},
      {R"({"Null":{"s3:VersionId":false}})", {{"s3:versionid", {"x"}}}, true},
      {R"({"StringEquals":{"s3:ExistingObjectTag/Team":"a"}})", {{"s3:existingobjecttag/Team", {"a"}}}, true},
      {R"({"ForAllValues:StringLike":{"s3:RequestObjectTagKeys":["a*","b"]}})",
       {{"s3:requestobjecttagkeys", {"ax", "b"}}},
       true},
      {R"({"ForAllValues:StringLike":{"s3:RequestObjectTagKeys":["a*"]}})",
       {{"s3:requestobjecttagkeys", {"ax", "b"}}},
       false},
      {R"({"ForAllValues:StringLike":{"s3:RequestObjectTagKeys":["a*"]}})", {}, true},
      {R"({"ForAnyValue:StringEquals":{"s3:RequestObjectTagKeys":["b"]}})",
       {{"s3:requestobjecttagkeys", {"a", "b"}}},
       true},
      {R"({"ForAnyValue:StringEquals":{"s3:RequestObjectTagKeys":["b"]}})", {}, false},
      {R"({"ForAnyValue:StringNotEquals":{"s3:RequestObjectTagKeys":["b"]}})", {}, false},
      {R"({"StringEquals":{"s3:prefix":"a"},"Bool":{"aws:SecureTransport":"true"}})", {{"s3:prefix", {"a"}}}, false},
  };
  for (const Case& c : table)
    EXPECT_EQ(verdict(with_condition(c.condition), "", "s3:GetObject", "vol/x", c.context) == Verdict::Allow, c.holds)
        << c.condition;
}

TEST(Policy, RefusesWhatItCannotHonour) {
  const std::pair<std::string, ErrorCode> table[] = {
      {"", ErrorCode::MalformedPolicy},
      {"[]", ErrorCode::MalformedPolicy},
      {"{}", ErrorCode::MalformedPolicy},
      {R"({"Statement":[]})", ErrorCode::MalformedPolicy},
      {R"({"Version":"2020-01-01","Statement":[{}]})", ErrorCode::MalformedPolicy},
      {R"({"Extra":1,"Statement":[{}]})", ErrorCode::MalformedPolicy},
      {statement("Maybe", kReadAll), ErrorCode::MalformedPolicy},
      {statement("Allow", R"("Effect":"Deny",)" + std::string(kReadAll)), ErrorCode::MalformedPolicy},
      {statement("Allow", R"("Action":"s3:*","Resource":"arn:aws:s3:::vol")"), ErrorCode::MalformedPolicy},
      {statement("Allow", R"("Principal":"ann","Action":"s3:*","Resource":"arn:aws:s3:::vol")"),
       ErrorCode::MalformedPolicy},
      {statement("Allow",
                 R"("Principal":{"AWS":"arn:aws:iam::123:role/x"},"Action":"s3:*","Resource":"arn:aws:s3:::vol")"),
       ErrorCode::MalformedPolicy},
      {statement("Allow", R"("Principal":{"Service":"x"},"Action":"s3:*","Resource":"arn:aws:s3:::vol")"),
       ErrorCode::MalformedPolicy},
      {statement("Allow", R"("NotPrincipal":"*","Action":"s3:*","Resource":"arn:aws:s3:::vol")"),
       ErrorCode::NotImplemented},
      {statement("Allow", R"("Principal":"*","Action":"ec2:Run","Resource":"arn:aws:s3:::vol")"),
       ErrorCode::MalformedPolicy},
      {statement("Allow", R"("Principal":"*","Action":[],"Resource":"arn:aws:s3:::vol")"), ErrorCode::MalformedPolicy},
      {statement("Allow", R"("Principal":"*","Action":"s3:*","NotAction":"s3:*","Resource":"arn:aws:s3:::vol")"),
       ErrorCode::MalformedPolicy},
      {statement("Allow", R"("Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::other/*")"),
       ErrorCode::MalformedPolicy},
      {statement("Allow", R"("Principal":"*","Action":"s3:*","Resource":"*")"), ErrorCode::MalformedPolicy},
      {statement("Allow", R"("Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::vol/${aws:username}")"),
       ErrorCode::NotImplemented},
      {with_condition(R"({"StringSounds":{"s3:prefix":"a"}})"), ErrorCode::MalformedPolicy},
      {with_condition(R"({"NullIfExists":{"s3:prefix":"true"}})"), ErrorCode::MalformedPolicy},
      {with_condition(R"({"StringEquals":{"s3:nothing":"a"}})"), ErrorCode::MalformedPolicy},
      {with_condition(R"({"StringEquals":{"s3:ExistingObjectTag/":"a"}})"), ErrorCode::MalformedPolicy},
      {with_condition(R"({"StringEquals":{}})"), ErrorCode::MalformedPolicy},
      {with_condition(R"({"StringEquals":{"s3:prefix":[]}})"), ErrorCode::MalformedPolicy},
      {with_condition(R"({"IpAddress":{"aws:SourceIp":"10.0.0.0/33"}})"), ErrorCode::MalformedPolicy},
      {with_condition(R"({"NumericEquals":{"s3:max-keys":"many"}})"), ErrorCode::MalformedPolicy},
      {with_condition(R"({"Bool":{"aws:SecureTransport":"yes"}})"), ErrorCode::MalformedPolicy},
      {std::string(kPolicyBytesMax + 1, ' '), ErrorCode::MalformedPolicy},
  };
  for (const auto& [json, code] : table) {
    const auto policy = parse_policy(json, "vol");
    ASSERT_FALSE(policy) << json;
    EXPECT_EQ(policy.error().code, code) << json << policy.error().message;
  }
}

TEST(Policy, PublicMeansAnyoneWithoutCondition) {
  EXPECT_TRUE(is_public(*parse_policy(statement("Allow", kReadAll), "vol")));
  EXPECT_FALSE(is_public(*parse_policy(statement("Deny", kReadAll), "vol")));
  EXPECT_FALSE(is_public(*parse_policy(with_condition(R"({"Bool":{"aws:SecureTransport":"true"}})"), "vol")));
}

TEST(Policy, WildcardsMatchAnyRun) {
  EXPECT_TRUE(wildcard_match("*", ""));
  EXPECT_TRUE(wildcard_match("a*b*c", "axxbyybzc"));
  EXPECT_TRUE(wildcard_match("a?c", "abc"));
  EXPECT_FALSE(wildcard_match("a?c", "ac"));
  EXPECT_FALSE(wildcard_match("a*b", "abc"));
  EXPECT_FALSE(wildcard_match("*a*a*a*a*a*a*a*a*b", std::string(1000, 'a')));
}

}  // namespace
}  // namespace hailstone::s3proto
