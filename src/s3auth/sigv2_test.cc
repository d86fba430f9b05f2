#include "s3auth/sigv2.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <vector>

#include "s3auth/testing.h"

namespace hailstone::s3auth {
namespace {

UnixMicros date_of(const TestRequest& request) {
  int64_t seconds = 0;
  EXPECT_TRUE(parse_request_date(request.head().field("date").value_or(""), seconds));
  return UnixMicros{seconds * 1'000'000};
}

// "Signing and Authenticating REST Requests" of the S3 developer guide.
TEST(SigV2, SignsThePublishedExamples) {
  struct Case {
    TestRequest request;
    std::string bucket_in_host, signature;
  };
  const std::vector<Case> cases = {
      {{"GET", "/photos/puppy.jpg", "", {{"Date", "Tue, 27 Mar 2007 19:36:42 +0000"}}},
       "johnsmith",
       "bWq2s1WEIj+Ydj0vQ697zp+IXMU="},
      {{"PUT", "/photos/puppy.jpg", "", {{"Content-Type", "image/jpeg"}, {"Date", "Tue, 27 Mar 2007 21:15:45 +0000"}}},
       "johnsmith",
       "MyyxeRY7whkBe+bq8fHCL/2kKUg="},
      {{"GET", "/", "prefix=photos&max-keys=50&marker=puppy", {{"Date", "Tue, 27 Mar 2007 19:42:41 +0000"}}},
       "johnsmith",
       "htDYFYduRNen8P9ZfE/s9SuKy0U="},
      {{"GET", "/", "acl", {{"Date", "Tue, 27 Mar 2007 19:44:46 +0000"}}}, "johnsmith", "c2WLPFtWHVgbEmeEG93a4cG37dM="},
      {{"GET", "/dictionary/fran%C3%A7ais/pr%c3%a9f%c3%a8re", "", {{"Date", "Wed, 28 Mar 2007 01:49:49 +0000"}}},
       "",
       "DNEZGsoieTZ92F3bUfSPQcbGmlM="},
      {{"GET", "/", "", {{"Date", "Wed, 28 Mar 2007 01:29:59 +0000"}}}, "", "qGdzdERIC03wnaRNKh6OqZehG9s="},
      {{"PUT",
        "/db-backup.dat.gz",
        "",
        {{"x-amz-acl", "public-read"},
         {"content-type", "application/x-download"},
         {"Content-MD5", "4gJE4saaMU4BqNR0kLY+lw=="},
         {"X-Amz-Meta-ReviewedBy", "joe@johnsmith.net"},
         {"X-Amz-Meta-ReviewedBy", "jane@johnsmith.net"},
         {"X-Amz-Meta-FileChecksum", "0x02661779"},
         {"X-Amz-Meta-ChecksumAlgorithm", "crc32"},
         {"Date", "Tue, 27 Mar 2007 21:06:08 +0000"}}},
       "static.johnsmith.net",
       "ilyl83RwaSoYIEdixDQcA4OnAnc="},
  };
  for (Case c : cases) {
    const auto value = sign_v2_header(c.request.head(), c.bucket_in_host, kExample);
    ASSERT_TRUE(value) << told(value);
    EXPECT_EQ(*value, "AWS AKIAIOSFODNN7EXAMPLE:" + c.signature);
    c.request.set("Authorization", *value);
    const auto who = verify_v2_header(c.request.head(), c.bucket_in_host, example_secret, date_of(c.request));
    ASSERT_TRUE(who) << told(who);
    EXPECT_EQ(who->access_key_id, kExample.access_key_id);
    EXPECT_EQ(who->scheme, Scheme::V2Header);
  }
}

TEST(SigV2, PresignsThePublishedExample) {
  TestRequest request{"GET", "/photos/puppy.jpg", "", {{"Host", "johnsmith.s3.amazonaws.com"}}};
  const auto query = presign_v2(request.head(), "johnsmith", kExample, 1175139620);
  ASSERT_TRUE(query);
  EXPECT_EQ(*query,
            "AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Expires=1175139620&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D");
  request.query = *query;
  const auto at_second = [&](int64_t s) {
    return told(verify_v2_query(request.head(), "johnsmith", example_secret, UnixMicros{s * 1'000'000}));
  };
  EXPECT_EQ(at_second(1175139620), "ok");
  EXPECT_EQ(at_second(1175139621), "AccessDenied 403: Request has expired");
}

// A signature made by botocore 1.43.11.
TEST(SigV2, AgreesWithBotocore) {
  const TestRequest request{
      "GET", "/b/a%20b", "uploadId=x%2By&acl&prefix=p", {{"Date", "Fri, 24 May 2013 00:00:00 GMT"}}};
  EXPECT_EQ(*sign_v2_header(request.head(), "", kExample), "AWS AKIAIOSFODNN7EXAMPLE:S/k2T0t10se1WQDUt8oBvtbAUYQ=");
}

TEST(SigV2, SignsSubresourcesSortedAndDecoded) {
  const TestRequest request{
      "GET", "/b/k%20", "uploadId=a%2Bb&prefix=x&response-content-type=text%2Fplain&partNumber=2&acl&tagging=", {}};
  EXPECT_EQ(*string_to_sign_v2(request.head(), "", "1"),
            "GET\n\n\n1\n/b/k%20?acl&partNumber=2&response-content-type=text/plain&tagging=&uploadId=a+b");
}

TEST(SigV2, SaysWhatIsWrong) {
  TestRequest good{"PUT", "/b/k", "acl", {{"x-amz-date", "Tue, 27 Mar 2007 21:20:26 +0000"}, {"Date", "whenever"}}};
  good.set("Authorization", *sign_v2_header(good.head(), "", kExample));
  const UnixMicros now = at("20070327T212026Z");
  const auto verify = [&](const TestRequest& r) { return told(verify_v2_header(r.head(), "", example_secret, now)); };
  const auto with = [&](const Bytes& name, const Bytes& value) {
    TestRequest r = good;
    r.set(name, value);
    return verify(r);
  };
  const std::string mismatch =
      "SignatureDoesNotMatch 403: The request signature we calculated does not match the signature you provided. Check "
      "your key and signing method.";
  EXPECT_EQ(verify(good), "ok");
  EXPECT_EQ(with("Date", "some other time"), "ok");  // X-Amz-Date replaces it
  EXPECT_EQ(with("x-amz-date", "Tue, 27 Mar 2007 21:20:27 +0000"), mismatch);
  EXPECT_EQ(with("Content-Type", "a/b"), mismatch);
  EXPECT_EQ(with("Content-MD5", "x"), mismatch);
  EXPECT_EQ(with("x-amz-acl", "private"), mismatch);
  EXPECT_EQ(with("Authorization", "AWS AKIAIOSFODNN7EXAMPLE:"), mismatch);
  EXPECT_EQ(with("x-amz-date", "Tue, 27 Mar 2007 21:35:27 GMT"),
            "RequestTimeTooSkewed 403: The difference between the request time and the current time is too large.");
  EXPECT_EQ(with("x-amz-date", "now"),
            "AccessDenied 403: AWS authentication requires a valid Date or x-amz-date header");
  EXPECT_EQ(with("Authorization", "AWS nobody:abc"),
            "InvalidAccessKeyId 403: The AWS Access Key Id you provided does not exist in our records.");
  for (const char* bad : {"AWS", "AWS ", "AWS :abc", "AWS abc", "aws a:b"})
    EXPECT_EQ(with("Authorization", bad),
              "InvalidArgument 400: AWS authorization header is invalid.  Expected AwsAccessKeyId:signature");
  TestRequest r = good;
  r.drop("x-amz-date");
  r.drop("Date");
  EXPECT_EQ(verify(r), "AccessDenied 403: AWS authentication requires a valid Date or x-amz-date header");
  r = good;
  r.query = "%x";
  EXPECT_EQ(verify(r), "InvalidURI 400: Couldn't parse the specified URI.");
  EXPECT_TRUE(with("x-amz-security-token", "t").starts_with("InvalidToken 400"));
}

TEST(SigV2, SaysWhatIsWrongWithAQuery) {
  const TestRequest plain{"GET", "/b/k", "versionId=3", {}};
  const Bytes good = *presign_v2(plain.head(), "", kExample, 1000);
  const auto changed = [&](const std::string& from, const std::string& to) {
    TestRequest r = plain;
    r.query = good;
    const size_t found = r.query.find(from);
    EXPECT_NE(found, Bytes::npos) << from;
    r.query.replace(found, from.size(), to);
    return told(verify_v2_query(r.head(), "", example_secret, UnixMicros{0}));
  };
  EXPECT_EQ(changed("", ""), "ok");
  EXPECT_TRUE(changed("versionId=3", "versionId=4").starts_with("SignatureDoesNotMatch"));
  EXPECT_TRUE(changed("Expires=1000", "Expires=1001").starts_with("SignatureDoesNotMatch"));
  EXPECT_EQ(changed("AKIAIOSFODNN7EXAMPLE", "X"),
            "InvalidAccessKeyId 403: The AWS Access Key Id you provided does not exist in our records.");
  for (const char* bad : {"", "x", "-1", "1x", "99999999999999999999", "1099511627777"})
    EXPECT_EQ(changed("Expires=1000", std::string("Expires=") + bad),
              std::string("AccessDenied 403: Invalid date (should be seconds since epoch): ") + bad);
  for (const char* name : {"AWSAccessKeyId", "Expires", "Signature"})
    EXPECT_EQ(changed(std::string(name) + "=", "x="),
              "AccessDenied 403: Query-string authentication requires the Signature, Expires and AWSAccessKeyId "
              "parameters");
  EXPECT_TRUE(changed("versionId=3", "x-amz-security-token=t").starts_with("InvalidToken"));
}

}  // namespace
}  // namespace hailstone::s3auth
