#include "s3auth/post_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "s3auth/hmac.h"
#include "s3auth/testing.h"

namespace hailstone::s3auth {
namespace {

using Fields = std::vector<FormField>;
const UnixMicros kNow = at("20151229T120000Z");

Verdict<PostGrant> verify(const Fields& fields, UnixMicros now = kNow) {
  return verify_post_v4({fields, "sigv4examplebucket", "photo.jpg"}, {}, derive_from(example_secret), now);
}

// "Example: Browser-Based Upload using HTTP POST (Using AWS Signature Version 4)".
TEST(PostPolicy, VerifiesThePublishedExample) {
  const Bytes policy =
      "{ \"expiration\": \"2015-12-30T12:00:00.000Z\",\r\n  \"conditions\": [\r\n"
      "    {\"bucket\": \"sigv4examplebucket\"},\r\n    [\"starts-with\", \"$key\", \"user/user1/\"],\r\n"
      "    {\"acl\": \"public-read\"},\r\n"
      "    {\"success_action_redirect\": \"http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html\"},\r\n"
      "    [\"starts-with\", \"$Content-Type\", \"image/\"],\r\n    {\"x-amz-meta-uuid\": \"14365123651274\"},\r\n"
      "    {\"x-amz-server-side-encryption\": \"AES256\"},\r\n    [\"starts-with\", \"$x-amz-meta-tag\", \"\"],\r\n\r\n"
      "    {\"x-amz-credential\": \"AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request\"},\r\n"
      "    {\"x-amz-algorithm\": \"AWS4-HMAC-SHA256\"},\r\n    {\"x-amz-date\": \"20151229T000000Z\" }\r\n  ]\r\n}";
  Fields fields = sign_post_v4(policy, kExample, at("20151229T000000Z"));
  EXPECT_EQ(fields.back().value, "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e");
  fields.insert(fields.begin(),
                {{"key", "user/user1/${filename}"},
                 {"acl", "public-read"},
                 {"success_action_redirect", "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html"},
                 {"Content-Type", "image/jpeg"},
                 {"x-amz-meta-uuid", "14365123651274"},
                 {"x-amz-server-side-encryption", "AES256"},
                 {"x-amz-meta-tag", ""}});
  const auto grant = verify(fields);
  ASSERT_TRUE(grant) << told(grant);
  EXPECT_EQ(grant->access_key_id, kExample.access_key_id);
  EXPECT_EQ(grant->key, "user/user1/photo.jpg");
}

constexpr const char* kSigning =
    R"(,["starts-with","$x-amz-credential",""],["starts-with","$x-amz-algorithm",""],["starts-with","$x-amz-date",""])";

// A form whose policy has these conditions besides those for bucket and signature.
Fields form(const std::string& conditions, Fields more, const std::string& whole_policy = "") {
  const std::string policy =
      !whole_policy.empty()
          ? whole_policy
          : R"({"expiration":"2015-12-30T12:00:00.000Z","conditions":[{"bucket":"sigv4examplebucket"})" +
                std::string(kSigning) + (conditions.empty() ? "" : ",") + conditions + "]}";
  Fields out = sign_post_v4(policy, kExample, at("20151229T000000Z"));
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

TEST(PostPolicy, HoldsTheFormAgainstItsConditions) {
  const std::string any_key = R"(["starts-with","$key",""])";
  const Fields k = {{"key", "a"}};
  const auto k_and = [](const Bytes& name, const Bytes& value) { return Fields{{"key", "a"}, {name, value}}; };
  const std::string failed = "AccessDenied 403: Invalid according to Policy: Policy Condition failed: ";
  const std::string bad = "InvalidPolicyDocument 400: Invalid Policy: ";
  struct Case {
    std::string conditions;
    Fields fields;
    std::string told;
  };
  const std::vector<Case> cases = {
      {any_key, k, "ok"},
      {R"({"key":"a"})", k, "ok"},
      {R"({"KEY":"a"})", k, "ok"},
      {R"(["EQ","$Key","a"])", k, "ok"},
      {R"(["StArTs-WiTh","$kEy","a"])", k, "ok"},
      {R"(["eq","$key","A"])", k, failed + R"(["eq", "$key", "A"])"},
      {R"({"key":"b"})", k, failed + R"(["eq", "$key", "b"])"},
      {R"(["starts-with","$key","ab"])", k, failed + R"(["starts-with", "$key", "ab"])"},
      {R"({"key":"x/f.txt"})", {{"key", "x/${filename}"}}, failed + R"(["eq", "$key", "x/f.txt"])"},
      {R"({"key":"x/photo.jpg"})", {{"key", "x/${filename}"}}, "ok"},
      {any_key + R"(,{"acl":"private"})", k, failed + R"(["eq", "$acl", "private"])"},
      {any_key + R"(,["starts-with","$acl",""])", k, "ok"},
      {any_key, k_and("acl", "private"), "AccessDenied 403: Invalid according to Policy: Extra input fields: acl"},
      {any_key, k_and("X-Ignore-Me", "1"), "ok"},
      {any_key, k_and("file", "x"), "ok"},
      {"", k, "AccessDenied 403: Invalid according to Policy: Extra input fields: key"},
      {any_key + R"(,["starts-with","$Content-Type","image/"])", k_and("content-type", "image/a, image/b"), "ok"},
      {any_key + R"(,["starts-with","$Content-Type","image/"])", k_and("content-type", "image/a, text/b"),
       failed + R"(["starts-with", "$Content-Type", "image/"])"},
      {any_key + R"(,["content-length-range",1,"9"])", k, "ok"},
      {any_key + R"(,["content-length-range",-1,9])", k,
       bad + "Invalid content-length-range: expected two byte counts"},
      {any_key + R"(,["content-length-range",2,1])", k, bad + "Invalid content-length-range: expected two byte counts"},
      {any_key + R"(,["content-length-range",0])", k, bad + "Invalid Condition: expected an object or a list of three"},
      {any_key + R"(,{})", k,
       bad + "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified."},
      {any_key + R"(,{"a":"b","c":"d"})", k,
       bad + "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified."},
      {any_key + R"(,{"a":1})", k, bad + "Invalid Simple-Condition: value must be a string."},
      {any_key + R"(,["ends-with","$key","a"])", k, bad + "Invalid Condition: unknown operation 'ends-with'"},
      {any_key + R"(,["eq","key","a"])", k, bad + "Invalid Condition: expected [operation, \"$field\", \"value\"]"},
      {any_key + R"(,["eq","$key",1])", k, bad + "Invalid Condition: expected [operation, \"$field\", \"value\"]"},
      {any_key + R"(,[1,"$key","a"])", k, bad + "Invalid Condition: expected an object or a list of three"},
      {any_key + ",7", k, bad + "Invalid Condition: expected an object or a list of three"},
      {any_key, {{"key", "a"}, {"Key", "b"}}, "InvalidArgument 400: Bucket POST has two fields named 'Key'"},
      {any_key, {{"key", std::string(1025, 'a')}}, "KeyTooLongError 400: Your key is too long"},
      {any_key, {}, "InvalidArgument 400: Bucket POST must contain a field named 'key'."},
      {any_key, {{"key", "a"}, {"x-amz-security-token", "t"}}, "InvalidToken 400: "},
  };
  for (const Case& c : cases)
    EXPECT_THAT(told(verify(form(c.conditions, c.fields))), ::testing::StartsWith(c.told)) << c.conditions;
}

TEST(PostPolicy, RefusesAnotherBucket) {
  const Fields fields = form(R"({"key":"a"})", {{"key", "a"}});
  EXPECT_EQ(told(verify_post_v4({fields, "other", ""}, {}, derive_from(example_secret), kNow)),
            "AccessDenied 403: Invalid according to Policy: Policy Condition failed: [\"eq\", \"$bucket\", "
            "\"sigv4examplebucket\"]");
}

TEST(PostPolicy, RefusesMalformedPolicies) {
  const std::string bad = "InvalidPolicyDocument 400: Invalid Policy: ";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{", bad + "Invalid JSON."},
      {"[]", bad + "Invalid JSON."},
      {R"({"conditions":[{"key":"a"}]})", bad + "Policy missing expiration."},
      {R"({"EXPIRATION":"2015-12-30T12:00:00Z","conditions":[{"key":"a"}]})", bad + "Policy missing expiration."},
      {R"({"expiration":7,"conditions":[{"key":"a"}]})",
       bad + "Invalid 'expiration' value: expected an ISO 8601 time in UTC."},
      {R"({"expiration":"2015-12-30 12:00:00","conditions":[{"key":"a"}]})",
       bad + "Invalid 'expiration' value: expected an ISO 8601 time in UTC."},
      {R"({"expiration":"2015-12-30T12:00:00Z"})", bad + "Policy missing conditions."},
      {R"({"expiration":"2015-12-30T12:00:00Z","CONDITIONS":[{"key":"a"}]})", bad + "Policy missing conditions."},
      {R"({"expiration":"2015-12-30T12:00:00Z","conditions":{}})", bad + "Policy missing conditions."},
      {R"({"expiration":"2015-12-30T12:00:00Z","conditions":[]})", bad + "Policy missing conditions."},
      {R"({"expiration":"2015-12-29T11:59:59Z","conditions":[{"key":"a"}]})",
       "AccessDenied 403: Invalid according to Policy: Policy expired."},
  };
  for (const auto& [policy, said] : cases) EXPECT_EQ(told(verify(form("", {{"key", "a"}}, policy))), said) << policy;
}

TEST(PostPolicy, RefusesUnsignedAndMisSignedForms) {
  const Fields good = form(R"({"key":"a"})", {{"key", "a"}});
  ASSERT_EQ(told(verify(good)), "ok");
  const auto with = [&](const std::string& name, const std::string& value) {
    Fields fields = good;
    for (auto& field : fields)
      if (field.name == name) field.value = value;
    return told(verify(fields));
  };
  for (const char* name : {"policy", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"})
    EXPECT_EQ(with(name, ""), std::string("InvalidArgument 400: Bucket POST must contain a field named '") + name +
                                  "'.  If it is specified, please check the order of the fields.");
  EXPECT_THAT(with("policy", "e30="), ::testing::StartsWith("SignatureDoesNotMatch 403: "));
  EXPECT_THAT(with("x-amz-signature", "0"), ::testing::StartsWith("SignatureDoesNotMatch 403: "));
  EXPECT_EQ(with("x-amz-algorithm", "AWS4"), "InvalidArgument 400: X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"");
  EXPECT_THAT(with("x-amz-algorithm", "AWS4-ECDSA-P256-SHA256"), ::testing::StartsWith("NotImplemented 501: "));
  EXPECT_EQ(with("x-amz-date", "2015"), "InvalidArgument 400: X-Amz-Date must be formatted via ISO8601 Long format");
  EXPECT_EQ(with("x-amz-credential", "AKIAIOSFODNN7EXAMPLE/20151229/mars/s3/aws4_request"),
            "InvalidArgument 400: Error parsing the X-Amz-Credential field; the region 'mars' is wrong; expecting "
            "'us-east-1'");
  EXPECT_THAT(with("x-amz-credential", "NOBODY/20151229/us-east-1/s3/aws4_request"),
              ::testing::StartsWith("InvalidAccessKeyId 403: "));
}

TEST(PostPolicy, BoundsTheFile) {
  const auto grant = verify(form(R"({"key":"a"},["content-length-range",2,5])", {{"key", "a"}}));
  ASSERT_TRUE(grant) << told(grant);
  EXPECT_EQ(grant->length_min, 2u);
  EXPECT_EQ(grant->length_max, 5u);
  EXPECT_EQ(code_of(check_length(*grant, 1, Part::Begun)), "ok");
  EXPECT_EQ(code_of(check_length(*grant, 1, Part::Whole)), "EntityTooSmall");
  EXPECT_EQ(code_of(check_length(*grant, 2, Part::Whole)), "ok");
  EXPECT_EQ(code_of(check_length(*grant, 5, Part::Whole)), "ok");
  EXPECT_EQ(code_of(check_length(*grant, 6, Part::Begun)), "EntityTooLarge");
}

TEST(PostPolicy, VerifiesVersion2) {
  const Bytes policy = to_base64(
      R"({"expiration":"2015-12-30T12:00:00Z","conditions":[{"bucket":"b"},{"key":"a"},["content-length-range",0,9]]})");
  Fields fields = {{"key", "a"},
                   {"AWSAccessKeyId", kExample.access_key_id},
                   {"Policy", policy},
                   {"Signature", to_base64(hmac_sha1(kExample.secret, policy))}};
  EXPECT_EQ(post_signing(fields), PostSigning::V2);
  const auto check = [&] { return told(verify_post_v2({fields, "b", ""}, example_secret, kNow)); };
  EXPECT_EQ(check(), "ok");
  fields[3].value[0] ^= 1;
  EXPECT_THAT(check(), ::testing::StartsWith("SignatureDoesNotMatch 403: "));
  fields[1].value = "nobody";
  EXPECT_THAT(check(), ::testing::StartsWith("InvalidAccessKeyId 403: "));
  EXPECT_EQ(post_signing(form("", {})), PostSigning::V4);
  EXPECT_EQ(post_signing({}), PostSigning::V4);
}

}  // namespace
}  // namespace hailstone::s3auth
