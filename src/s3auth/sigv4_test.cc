#include "s3auth/sigv4.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <ranges>
#include <string>
#include <vector>

#include "http/grammar.h"
#include "s3auth/canonical.h"
#include "s3auth/testing.h"

namespace hailstone::s3auth {
namespace {

const SigningKeyLookup kKeys = derive_from(example_secret);

std::string signature_of(std::string_view authorization) {
  return std::string(authorization.substr(authorization.rfind('=') + 1));
}

TestRequest example(Bytes method, Bytes path, Bytes query, Bytes digest = Bytes(kEmptySha256)) {
  return {std::move(method),
          std::move(path),
          std::move(query),
          {{"Host", "examplebucket.s3.amazonaws.com"},
           {"x-amz-content-sha256", std::move(digest)},
           {"x-amz-date", Bytes(kExampleDate)}}};
}

Verdict<Authenticated> verify(const TestRequest& request, const ScopeRule& rule = {},
                              UnixMicros now = at(kExampleDate)) {
  return verify_v4_header(request.head(), rule, kKeys, now);
}

// Signs with the published key and verifies again.
void expect_signature(TestRequest request, const std::vector<Bytes>& more, const std::string& signature) {
  const auto signed_header = sign_v4_header(request.head(), kExample, more);
  ASSERT_TRUE(signed_header) << told(signed_header);
  EXPECT_EQ(signature_of(signed_header->authorization), signature);
  request.set("Authorization", signed_header->authorization);
  const auto who = verify(request);
  ASSERT_TRUE(who) << told(who);
  EXPECT_EQ(who->access_key_id, kExample.access_key_id);
  EXPECT_EQ(who->scheme, Scheme::V4Header);
  EXPECT_EQ(who->seed.signature, signature);
}

// "Authenticating Requests: Using the Authorization Header", four examples.
TEST(SigV4, SignsTheGetObjectExample) {
  TestRequest request = example("GET", "/test.txt", "");
  request.set("Range", "bytes=0-9");
  expect_signature(request, {"range"}, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

TEST(SigV4, SignsThePutObjectExample) {
  TestRequest request =
      example("PUT", "/test$file.text", "", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072");
  request.set("Date", "Fri, 24 May 2013 00:00:00 GMT");
  request.set("x-amz-storage-class", "REDUCED_REDUNDANCY");
  expect_signature(request, {"date"}, "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

TEST(SigV4, SignsTheLifecycleExample) {
  expect_signature(example("GET", "/", "lifecycle"), {},
                   "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
}

TEST(SigV4, SignsTheListObjectsExample) {
  expect_signature(example("GET", "/", "max-keys=2&prefix=J"), {},
                   "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

TEST(SigV4, SignsTheSeedOfTheChunkedExamples) {
  TestRequest request{"PUT",
                      "/examplebucket/chunkObject.txt",
                      "",
                      {{"Host", "s3.amazonaws.com"},
                       {"x-amz-date", Bytes(kExampleDate)},
                       {"x-amz-storage-class", "REDUCED_REDUNDANCY"},
                       {"x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"},
                       {"Content-Encoding", "aws-chunked"},
                       {"x-amz-decoded-content-length", "66560"},
                       {"Content-Length", "66824"}}};
  expect_signature(request, {"content-encoding", "content-length"},
                   "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9");
  request.drop("Content-Length");
  request.set("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER");
  request.set("x-amz-trailer", "x-amz-checksum-crc32c");
  expect_signature(request, {"content-encoding"}, "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e");
}

TEST(SigV4, PresignsTheGetObjectExample) {
  TestRequest request{"GET", "/test.txt", "", {{"Host", "examplebucket.s3.amazonaws.com"}}};
  const auto query = presign_v4(request.head(), kExample, at(kExampleDate), 86400);
  ASSERT_TRUE(query) << told(query);
  EXPECT_EQ(*query,
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2F"
            "aws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
            "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
  request.query = *query;
  for (int64_t after : {-900, 0, 86400}) {
    const auto who = verify_v4_query(request.head(), {}, kKeys, at(kExampleDate, after));
    ASSERT_TRUE(who) << told(who);
    EXPECT_EQ(who->scheme, Scheme::V4Query);
    EXPECT_EQ(who->payload, PayloadMode::Unsigned);
  }
  EXPECT_EQ(told(verify_v4_query(request.head(), {}, kKeys, at(kExampleDate, 86401))),
            "AccessDenied 403: Request has expired");
  EXPECT_EQ(told(verify_v4_query(request.head(), {}, kKeys, at(kExampleDate, -901))),
            "AccessDenied 403: Request is not yet valid");
}

TEST(SigV4, ReadsThePayloadMode) {
  const std::vector<std::pair<Bytes, PayloadMode>> cases = {
      {Bytes(kEmptySha256), PayloadMode::Digest},
      {"UNSIGNED-PAYLOAD", PayloadMode::Unsigned},
      {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", PayloadMode::SignedChunks},
      {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", PayloadMode::SignedChunksTrailer},
      {"STREAMING-UNSIGNED-PAYLOAD-TRAILER", PayloadMode::UnsignedChunksTrailer}};
  for (const auto& [text, mode] : cases) {
    TestRequest request = example("PUT", "/b/k", "", text);
    request.set("Authorization", sign_v4_header(request.head(), kExample)->authorization);
    const auto who = verify(request);
    ASSERT_TRUE(who) << told(who);
    EXPECT_EQ(who->payload, mode);
    EXPECT_EQ(who->payload_digest.has_value(), mode == PayloadMode::Digest);
    EXPECT_EQ(code_of(check_payload(*who, sha256("x"))),
              mode == PayloadMode::Digest ? "XAmzContentSHA256Mismatch" : "ok");
    EXPECT_EQ(code_of(check_payload(*who, sha256(""))), "ok");
  }
}

// Each case spoils a good request after it was signed.
TEST(SigV4, RefusesHeaderSignedRequests) {
  const auto authorization = [](const Bytes& from, const Bytes& to) {
    return [=](TestRequest& r) {
      Bytes text;
      for (const auto& field : r.fields)
        if (field.first == "Authorization") text = field.second;
      const size_t found = text.find(from);
      ASSERT_NE(found, Bytes::npos) << from;
      r.set("Authorization", text.replace(found, from.size(), to));
    };
  };
  const auto set = [](const Bytes& name, const Bytes& value) { return [=](TestRequest& r) { r.set(name, value); }; };
  const auto drop = [](const Bytes& name) { return [=](TestRequest& r) { r.drop(name); }; };
  const std::string malformed = "AuthorizationHeaderMalformed 400: The authorization header is malformed; ";
  const std::string mismatch =
      "SignatureDoesNotMatch 403: The request signature we calculated does not match the signature you provided. Check "
      "your key and signing method.";
  const std::string no_date = "AccessDenied 403: AWS authentication requires a valid Date or x-amz-date header";
  const std::string skewed =
      "RequestTimeTooSkewed 403: The difference between the request time and the current time is too large.";
  struct Case {
    std::function<void(TestRequest&)> spoil;
    std::string told;
  };
  const std::vector<Case> cases = {
      {[](TestRequest&) {}, "ok"},
      {[](TestRequest& r) { r.method = "DELETE"; }, mismatch},
      {[](TestRequest& r) { r.path = "/test.txt/"; }, mismatch},
      {[](TestRequest& r) { r.path = "//test.txt"; }, mismatch},
      {[](TestRequest& r) { r.path = "/%74est.txt"; }, "ok"},
      {[](TestRequest& r) { r.path = "/%7"; }, "InvalidURI 400: Couldn't parse the specified URI."},
      {[](TestRequest& r) { r.query = "a=%zz"; }, "InvalidURI 400: Couldn't parse the specified URI."},
      {[](TestRequest& r) { r.query = "acl"; }, mismatch},
      {set("Authorization", "Basic abc"), "InvalidArgument 400: Unsupported Authorization Type"},
      {set("Authorization", "AWS4-HMAC-SHA256"), "InvalidArgument 400: Unsupported Authorization Type"},
      {drop("Authorization"), "InvalidArgument 400: Unsupported Authorization Type"},
      {set("Authorization", "AWS4-ECDSA-P256-SHA256 Credential=a"),
       "NotImplemented 501: A header you provided implies functionality that is not implemented: "
       "AWS4-ECDSA-P256-SHA256."},
      {set("x-amz-content-sha256", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER"),
       "NotImplemented 501: A header you provided implies functionality that is not implemented: "
       "AWS4-ECDSA-P256-SHA256."},
      {authorization("Credential=", "Credentials="),
       malformed + "unexpected component \"Credentials=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request\"."},
      {authorization(",Signature=", ",Signature"), malformed + "unexpected component \"Signature"},
      {authorization("SignedHeaders=host;x-amz-content-sha256;x-amz-date,", ""),
       malformed + "the authorization header requires three components: Credential, SignedHeaders, and Signature; "
                   "SignedHeaders is missing."},
      {authorization("EXAMPLE/20130524", "EXAMPLE"),
       malformed + "the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\"."},
      {authorization("us-east-1", "eu-west-1"), malformed + "the region 'eu-west-1' is wrong; expecting 'us-east-1'"},
      {authorization("/s3/", "/ec2/"), malformed + "incorrect service \"ec2\". This endpoint belongs to \"s3\"."},
      {authorization("aws4_request", "aws5"),
       malformed + "incorrect terminal \"aws5\". This endpoint uses \"aws4_request\"."},
      {authorization("/20130524/", "/20130525/"),
       malformed + "Invalid credential date \"20130525\". This date is not the same as X-Amz-Date: \"20130524\"."},
      {authorization("host;", "Host;"),
       malformed + "SignedHeaders must be lower-case names in rising order, separated by ';'."},
      {authorization("host;x-amz-content-sha256", "x-amz-content-sha256;host"),
       malformed + "SignedHeaders must be lower-case names in rising order, separated by ';'."},
      {authorization("host;", ""), "AccessDenied 403: There were headers present in the request which were not signed"},
      {set("x-amz-meta-a", "b"), "AccessDenied 403: There were headers present in the request which were not signed"},
      {set("X-AMZ-acl", "private"),
       "AccessDenied 403: There were headers present in the request which were not signed"},
      {authorization("host;", "cookie;host;"), mismatch},
      {authorization("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7NOBODY"),
       "InvalidAccessKeyId 403: The AWS Access Key Id you provided does not exist in our records."},
      {set("x-amz-security-token", "t"),
       "InvalidToken 400: The provided token is malformed or otherwise invalid: there are no session tokens here, sign "
       "with an access key alone."},
      {drop("x-amz-content-sha256"),
       "InvalidRequest 400: Missing required header for this request: x-amz-content-sha256"},
      {set("x-amz-content-sha256", "abc"), "InvalidArgument 400: x-amz-content-sha256 must be "},
      {drop("x-amz-date"), no_date},
      {set("x-amz-date", "yesterday"), no_date},
      {set("x-amz-date", "20131324T000000Z"), no_date},
      {set("x-amz-date", "20130524T001500Z"), mismatch},
      {set("x-amz-date", "20130524T001501Z"), skewed},
      {set("Host", "other"), mismatch},
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    TestRequest request = example("GET", "/test.txt", "");
    request.set("Authorization", sign_v4_header(request.head(), kExample)->authorization);
    cases[i].spoil(request);
    EXPECT_THAT(told(verify(request)), ::testing::StartsWith(cases[i].told)) << "case " << i;
  }
}

TEST(SigV4, TellsWhatItSigned) {
  TestRequest request = example("GET", "/test.txt", "");
  request.set("Authorization", sign_v4_header(request.head(), kExample)->authorization);
  request.path = "/a b";
  const auto who = verify(request);
  ASSERT_FALSE(who);
  const Bytes canonical =
      "GET\n/a%20b\n\nhost:examplebucket.s3.amazonaws.com\nx-amz-content-sha256:" + Bytes(kEmptySha256) +
      "\nx-amz-date:20130524T000000Z\n\nhost;x-amz-content-sha256;x-amz-date\n" + Bytes(kEmptySha256);
  EXPECT_EQ(detail(who.error(), "CanonicalRequest"), canonical);
  EXPECT_EQ(detail(who.error(), "StringToSign"),
            "AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n" + sha256(canonical).hex());
  EXPECT_EQ(detail(who.error(), "AWSAccessKeyId"), kExample.access_key_id);
  EXPECT_EQ(detail(who.error(), "SignatureProvided").size(), 64u);
  EXPECT_TRUE(detail(who.error(), "CanonicalRequestBytes").starts_with("47 45 54 0a 2f"));
}

TEST(SigV4, NamesTheExpectedRegionUnlessAnyWillDo) {
  TestRequest request = example("GET", "/test.txt", "");
  Credentials elsewhere = kExample;
  elsewhere.region = "eu-central-1";
  request.set("Authorization", sign_v4_header(request.head(), elsewhere)->authorization);
  const auto who = verify(request);
  ASSERT_FALSE(who);
  EXPECT_EQ(detail(who.error(), "Region"), "us-east-1");
  EXPECT_TRUE(verify(request, {"us-east-1", RegionRule::Any}));
  EXPECT_TRUE(verify(request, {"eu-central-1", RegionRule::Exact}));
}

TEST(SigV4, SaysWhichFieldsWereNotSigned) {
  TestRequest request = example("GET", "/test.txt", "");
  request.set("Authorization", sign_v4_header(request.head(), kExample)->authorization);
  request.set("X-Amz-Meta-A", "1");
  request.set("x-amz-acl", "1");
  const auto who = verify(request);
  ASSERT_FALSE(who);
  EXPECT_EQ(detail(who.error(), "HeadersNotSigned"), "x-amz-meta-a, x-amz-acl");
}

TEST(SigV4, TakesTheDateFieldWhereThereIsNoAmzDate) {
  for (const char* date : {"Fri, 24 May 2013 00:00:00 GMT", "20130524T000000Z"}) {
    TestRequest request = example("GET", "/test.txt", "");
    request.drop("x-amz-date");
    request.set("Date", date);
    request.set("Authorization", sign_v4_header(request.head(), kExample, {"date"})->authorization);
    EXPECT_EQ(told(verify(request)), "ok") << date;
  }
}

TEST(SigV4, AcceptsOtherSpellingsOfTheAuthorizationField) {
  TestRequest request = example("GET", "/test.txt", "");
  const Bytes good = sign_v4_header(request.head(), kExample)->authorization;
  request.set("Authorization", "AWS4-HMAC-SHA256  Signature=" + signature_of(good) +
                                   " ,  SignedHeaders=host;x-amz-content-sha256;x-amz-date, Credential=" +
                                   kExample.access_key_id + "/20130524/us-east-1/s3/aws4_request");
  EXPECT_EQ(told(verify(request)), "ok");
}

TEST(SigV4, RefusesPresignedRequests) {
  const std::string error = "AuthorizationQueryParametersError 400: ";
  const std::string required =
      error +
      "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, "
      "X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.";
  const std::vector<std::tuple<std::string, std::string, std::string>> cases = {
      {"", "", "ok"},
      {"X-Amz-Algorithm=AWS4-HMAC-SHA256&", "", required},
      {"X-Amz-Expires=60", "X-Amz-Expires=", required},
      {"X-Amz-Date=20130524T000000Z&", "", required},
      {"X-Amz-SignedHeaders=host&", "", required},
      {"X-Amz-Signature", "X-Amz-signature", required},
      {"X-Amz-Credential", "X", required},
      {"AWS4-HMAC-SHA256", "AWS4", error + "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\""},
      {"AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", "NotImplemented 501: "},
      {"X-Amz-Expires=60", "X-Amz-Expires=60&X-Amz-Expires=61", error + "X-Amz-Expires is there twice."},
      {"X-Amz-Expires=60", "X-Amz-Expires=a", error + "X-Amz-Expires should be a number"},
      {"X-Amz-Expires=60", "X-Amz-Expires=6x", error + "X-Amz-Expires should be a number"},
      {"X-Amz-Expires=60", "X-Amz-Expires=-1", error + "X-Amz-Expires must be non-negative"},
      {"X-Amz-Expires=60", "X-Amz-Expires=0", error + "X-Amz-Expires must be at least 1 second"},
      {"X-Amz-Expires=60", "X-Amz-Expires=604801", error + "X-Amz-Expires must be less than a week"},
      {"X-Amz-Expires=60", "X-Amz-Expires=99999999999999999999", error + "X-Amz-Expires must be less than a week"},
      {"X-Amz-Expires=60", "X-Amz-Expires=604800", "SignatureDoesNotMatch 403: "},
      {"X-Amz-Date=2013", "X-Amz-Date=x", error + "X-Amz-Date must be in the ISO8601 Long Format"},
      {"us-east-1", "us-east-2",
       error + "Error parsing the X-Amz-Credential parameter; the region 'us-east-2' is wrong; expecting 'us-east-1'"},
      {"%2Fs3", "", error + "Error parsing the X-Amz-Credential parameter; the Credential is mal-formed"},
      {"SignedHeaders=host", "SignedHeaders=x-a", "AccessDenied 403: There were headers present in the request"},
      {"SignedHeaders=host", "SignedHeaders=host%3B", error + "SignedHeaders must be lower-case names"},
      {"X-Amz-Expires=60", "X-Amz-Expires=60&X-Amz-Security-Token=t", "InvalidToken 400: "},
      {"X-Amz-Expires=60", "X-Amz-Expires=60&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD", "SignatureDoesNotMatch 403: "},
      {"X-Amz-Expires=60", "X-Amz-Expires=60&X-Amz-Content-Sha256=x", "InvalidArgument 400: "},
      {"AKIAIOSFODNN7EXAMPLE", "NOBODY", "InvalidAccessKeyId 403: "},
      {"X-Amz-Expires=60", "X-Amz-Expires=60&%", "InvalidURI 400: "},
  };
  for (const auto& [from, to, said] : cases) {
    TestRequest request{"GET", "/test.txt", "", {{"Host", "examplebucket.s3.amazonaws.com"}}};
    request.query = *presign_v4(request.head(), kExample, at(kExampleDate), 60);
    const size_t found = request.query.find(from);
    ASSERT_NE(found, Bytes::npos) << from;
    request.query.replace(found, from.size(), to);
    EXPECT_THAT(told(verify_v4_query(request.head(), {}, kKeys, at(kExampleDate))), ::testing::StartsWith(said))
        << from << " -> " << to;
  }
}

TEST(SigV4, RefusesPresignedFieldsThatAreNotSigned) {
  TestRequest request{"PUT", "/k", "", {{"Host", "h"}}};
  request.query = *presign_v4(request.head(), kExample, at(kExampleDate), 60);
  request.set("x-amz-acl", "public-read");
  EXPECT_EQ(code_of(verify_v4_query(request.head(), {}, kKeys, at(kExampleDate))), "AccessDenied");
  request.query.clear();
  request.query = *presign_v4(request.head(), kExample, at(kExampleDate), 60);
  EXPECT_EQ(code_of(verify_v4_query(request.head(), {}, kKeys, at(kExampleDate))), "ok");
  request.set("x-amz-acl", "private");
  EXPECT_EQ(code_of(verify_v4_query(request.head(), {}, kKeys, at(kExampleDate))), "SignatureDoesNotMatch");
}

// Signatures made by botocore 1.43.11 for a request with odd bytes.
TEST(SigV4, AgreesWithBotocore) {
  TestRequest request{"PUT",
                      "/b/a%20b//../%C3%A9%2B~%40",
                      "prefix=a%2Fb%20c%2Bd&list-type=2&marker=&a-=1&a%2F=1",
                      {{"Host", "h.example:8080"}}};
  TestRequest presigned = request;
  request.set("x-amz-meta-a", "  x   y  ");
  request.set("Content-Type", "text/plain");
  request.set("X-Amz-Date", Bytes(kExampleDate));
  request.set("X-Amz-Content-SHA256", sha256("hi").hex());
  request.set("Authorization",
              "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
              "SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-meta-a, "
              "Signature=78b1e6f2c4576f3745975a1c6fc2e6d6c78a4f2c7e1ed5e704e9da91570a9102");
  EXPECT_EQ(told(verify(request)), "ok");
  presigned.method = "GET";
  const Bytes query = *presign_v4(presigned.head(), kExample, at(kExampleDate), 60);
  EXPECT_EQ(signature_of(query), "8f70696a0a2ef65aa9306835639dfde40fae1ce3cf166f0dee57fc12888f7595");
}

TEST(SigV4, ReadsTheDigestThatSomeClientsHoistIntoTheQuery) {
  TestRequest request{"PUT", "/k", "X-Amz-Content-Sha256=UNSIGNED-PAYLOAD&x-id=PutObject", {{"Host", "h"}}};
  request.query = *presign_v4(request.head(), kExample, at(kExampleDate), 60);
  EXPECT_EQ(told(verify_v4_query(request.head(), {}, kKeys, at(kExampleDate))), "ok");
  request.query = "X-Amz-Content-Sha256=" + Bytes(kEmptySha256);
  request.query = *presign_v4(request.head(), kExample, at(kExampleDate), 60);
  const auto who = verify_v4_query(request.head(), {}, kKeys, at(kExampleDate));
  ASSERT_TRUE(who) << told(who);
  EXPECT_EQ(who->payload_digest, sha256(""));
}

TEST(Canonical, EncodesThePathOnceAndLeavesItsShape) {
  const std::vector<std::pair<Bytes, std::optional<Bytes>>> cases = {{"", "/"},
                                                                     {"/", "/"},
                                                                     {"/a//b/../c/./", "/a//b/../c/./"},
                                                                     {"/a%2Fb", "/a/b"},
                                                                     {"/a+b", "/a%2Bb"},
                                                                     {"/@x%40", "/%40x%40"},
                                                                     {"/%e4%F6", "/%E4%F6"},
                                                                     {"/a b", "/a%20b"},
                                                                     {"/~-._", "/~-._"},
                                                                     {"/%00", "/%00"},
                                                                     {"/%", std::nullopt},
                                                                     {"/%g0", std::nullopt}};
  for (const auto& [raw, wanted] : cases) EXPECT_EQ(canonical_path(raw), wanted) << raw;
}

TEST(Canonical, SortsTheQueryByEncodedNameThenValue) {
  const std::vector<std::pair<Bytes, Bytes>> cases = {
      {"", ""},
      {"b&a", "a=&b="},
      {"a=2&a=10&a=", "a=&a=10&a=2"},
      {"&&a=1&", "a=1"},
      {"a=b=c", "a=b%3Dc"},
      {"p=a+b%20c%2B", "p=a%20b%20c%2B"},
      {"a-b=1&a=1", "a=1&a-b=1"},
      // '/' encodes to %2F, which sorts before '-' though '/' itself does not.
      {"a-=1&a/=1", "a%2F=1&a-=1"},
      {"%c3=1", "%C3=1"}};
  for (const auto& [raw, wanted] : cases) EXPECT_EQ(canonical_query(*parse_query(raw)), wanted) << raw;
  EXPECT_EQ(canonical_query(*parse_query("a=1&X=2&b=3"), "X"), "a=1&b=3");
}

TEST(Canonical, FoldsAndJoinsFieldValues) {
  TestRequest request{"GET", "/", "", {{"X-A", "  a   b \t c "}, {"other", "x"}, {"x-a", ""}, {"X-a", "\"d  e\""}}};
  EXPECT_EQ(canonical_value(request.head(), "x-a"), "a b c,,\"d e\"");
  EXPECT_EQ(canonical_value(request.head(), "missing"), "");
}

TEST(Scope, KeepsSlashesOfTheAccessKeyId) {
  const auto scope = Scope::parse("a/b/20130524/r/s3/aws4_request");
  ASSERT_TRUE(scope);
  EXPECT_EQ(scope->access_key_id, "a/b");
  EXPECT_EQ(scope->credential(), "a/b/20130524/r/s3/aws4_request");
  EXPECT_FALSE(Scope::parse("20130524/r/s3/aws4_request"));
  EXPECT_FALSE(Scope::parse("/20130524/r/s3/aws4_request"));
}

// AWS's "Deriving the signing key" example.
TEST(Scope, DerivesThePublishedSigningKey) {
  EXPECT_EQ(
      derive_signing_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", {"AKIDEXAMPLE", "20150830", "us-east-1", "iam"})
          .hex(),
      "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9");
}

rc::Gen<Bytes> odd_bytes(int length_max, const std::string& never) {
  return rc::gen::resize(
      length_max,
      rc::gen::container<Bytes>(rc::gen::suchThat(
          rc::gen::oneOf(rc::gen::arbitrary<char>(), rc::gen::element('/', '+', '%', '~', ' ', 'a', '=', '@')),
          [never](char c) { return never.find(c) == std::string::npos; })));
}

TestRequest random_request() {
  TestRequest r = example("PUT", "", "", "UNSIGNED-PAYLOAD");
  r.path = "/" + percent_encode_path(*odd_bytes(20, ""));
  for (int i = *rc::gen::inRange(0, 4); i > 0; --i)
    r.query += percent_encode(*odd_bytes(8, "")) + "=" + percent_encode(*odd_bytes(8, "")) + "&";
  const std::string never("\r\n\0", 3);
  for (int i = *rc::gen::inRange(0, 3); i > 0; --i)
    r.fields.emplace_back("x-amz-meta-" + std::to_string(i), *odd_bytes(12, never));
  return r;
}

RC_GTEST_PROP(SigV4, VerifiesWhatItSigns, ()) {
  TestRequest request = random_request();
  TestRequest presigned = request;
  request.set("Authorization", sign_v4_header(request.head(), kExample)->authorization);
  RC_ASSERT(told(verify(request)) == "ok");
  presigned.query = *presign_v4(presigned.head(), kExample, at(kExampleDate), 60);
  RC_ASSERT(told(verify_v4_query(presigned.head(), {}, kKeys, at(kExampleDate))) == "ok");
}

// Everything of a request that its signature is over, and the signature.
Bytes meaning(const TestRequest& r) {
  const auto head = r.head();
  const auto query = parse_query(head.query);
  std::map<Bytes, Bytes> fields;
  for (Bytes name : std::views::keys(r.fields)) {
    std::ranges::transform(name, name.begin(), http::lower);
    fields[name] = canonical_value(head, name);
  }
  Bytes out =
      r.method + "\n" + canonical_path(head.path).value_or("?") + "\n" + (query ? canonical_query(*query) : "?");
  for (const auto& [name, value] : fields) out += "\n" + name + ":" + value;
  return out;
}

RC_GTEST_PROP(SigV4, RefusesAnyChangedByteThatMeansSomething, ()) {
  TestRequest request = random_request();
  const bool presigned = *rc::gen::arbitrary<bool>();
  if (presigned) {
    request.query = *presign_v4(request.head(), kExample, at(kExampleDate), 60);
  } else {
    request.set("Authorization", sign_v4_header(request.head(), kExample)->authorization);
  }
  std::vector<Bytes*> parts = {&request.method, &request.path, &request.query};
  for (auto& [name, value] : request.fields) {
    parts.push_back(&name);
    parts.push_back(&value);
  }
  std::erase_if(parts, [](const Bytes* part) { return part->empty(); });
  const Bytes before = meaning(request);
  Bytes& part = *parts[*rc::gen::inRange<size_t>(0, parts.size())];
  const size_t i = *rc::gen::inRange<size_t>(0, part.size());
  part[i] = static_cast<char>(part[i] ^ *rc::gen::inRange(1, 256));
  const auto who = presigned ? verify_v4_query(request.head(), {}, kKeys, at(kExampleDate)) : verify(request);
  RC_ASSERT(who.has_value() == (meaning(request) == before));
}

}  // namespace
}  // namespace hailstone::s3auth
