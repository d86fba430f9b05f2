#include "s3auth/authenticate.h"

#include <gtest/gtest.h>

#include <string>

#include "s3auth/sigv2.h"
#include "s3auth/sigv4.h"
#include "s3auth/testing.h"

namespace hailstone::s3auth {
namespace {

Verdict<Authenticated> check(const TestRequest& request, V2Rule v2 = V2Rule::Accept) {
  AuthenticateOptions options;
  options.v2 = v2;
  return authenticate(request.head(), options, derive_from(example_secret), example_secret, at(kExampleDate));
}

TestRequest plain() {
  return {"GET",
          "/b/k",
          "",
          {{"Host", "h"}, {"x-amz-date", Bytes(kExampleDate)}, {"x-amz-content-sha256", "UNSIGNED-PAYLOAD"}}};
}

TEST(Authenticate, TellsTheSchemesApart) {
  TestRequest request = plain();
  auto who = check(request);
  ASSERT_TRUE(who);
  EXPECT_EQ(who->scheme, Scheme::Anonymous);
  EXPECT_EQ(who->access_key_id, "");

  request.set("Authorization", sign_v4_header(request.head(), kExample)->authorization);
  EXPECT_EQ(check(request)->scheme, Scheme::V4Header);

  request = plain();
  request.query = *presign_v4(request.head(), kExample, at(kExampleDate), 60);
  EXPECT_EQ(check(request)->scheme, Scheme::V4Query);
  EXPECT_TRUE(is_presigned(check(request)->scheme));

  request = plain();
  request.set("Authorization", *sign_v2_header(request.head(), "", kExample));
  EXPECT_EQ(check(request)->scheme, Scheme::V2Header);

  request = plain();
  request.query = *presign_v2(request.head(), "", kExample, 2'000'000'000);
  EXPECT_EQ(check(request)->scheme, Scheme::V2Query);
}

TEST(Authenticate, RefusesVersion2WhereItIsOff) {
  const std::string off =
      "InvalidRequest 400: The authorization mechanism you have provided is not supported. Please use "
      "AWS4-HMAC-SHA256.";
  TestRequest request = plain();
  request.set("Authorization", *sign_v2_header(request.head(), "", kExample));
  EXPECT_EQ(told(check(request, V2Rule::Refuse)), off);
  request = plain();
  request.query = *presign_v2(request.head(), "", kExample, 2'000'000'000);
  EXPECT_EQ(told(check(request, V2Rule::Refuse)), off);
}

TEST(Authenticate, RefusesMoreThanOneSignature) {
  TestRequest presigned = plain();
  presigned.query = *presign_v4(presigned.head(), kExample, at(kExampleDate), 60);
  TestRequest request = presigned;
  request.set("Authorization", "AWS a:b");
  EXPECT_TRUE(told(check(request)).starts_with("InvalidArgument 400: Only one auth mechanism allowed"));
  request = presigned;
  request.query += "&AWSAccessKeyId=a";
  EXPECT_TRUE(told(check(request)).starts_with("InvalidArgument 400: Only one auth mechanism allowed"));
  request = plain();
  request.fields.emplace_back("Authorization", "AWS a:b");
  request.fields.emplace_back("authorization", "AWS a:b");
  EXPECT_TRUE(told(check(request)).starts_with("InvalidArgument 400: Only one auth mechanism allowed"));
}

TEST(Authenticate, RefusesOtherKindsOfAuthorization) {
  for (const char* value : {"", "Basic abc", "Bearer x", "AWS", "AWS3 x"}) {
    TestRequest request = plain();
    request.set("Authorization", value);
    EXPECT_EQ(told(check(request)), "InvalidArgument 400: Unsupported Authorization Type") << value;
  }
  TestRequest request = plain();
  request.query = "%";
  EXPECT_EQ(code_of(check(request)), "InvalidURI");
}

}  // namespace
}  // namespace hailstone::s3auth
