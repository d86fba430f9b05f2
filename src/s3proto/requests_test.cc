#include "s3proto/requests.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "base/clock.h"

namespace hailstone::s3proto {
namespace {

template <class T>
std::string outcome(const Parsed<T>& parsed) {
  return parsed ? "ok" : std::string(error_name(parsed.error().code));
}

TEST(Requests, CompleteMultipartUploadTable) {
  const auto part = [](std::string_view number) {
    return fmt::format("<Part><PartNumber>{}</PartNumber><ETag>\"e\"</ETag></Part>", number);
  };
  const auto parse = [](const std::string& parts) {
    return parse_complete_multipart_upload("<CompleteMultipartUpload>" + parts + "</CompleteMultipartUpload>");
  };
  EXPECT_EQ(outcome(parse(part("1") + part("3") + part("10000"))), "ok");
  EXPECT_EQ(outcome(parse(part("2") + part("1"))), "InvalidPartOrder");
  EXPECT_EQ(outcome(parse(part("2") + part("2"))), "InvalidPartOrder");
  EXPECT_EQ(outcome(parse(part("0"))), "InvalidArgument");
  EXPECT_EQ(outcome(parse(part("10001"))), "InvalidArgument");
  EXPECT_EQ(outcome(parse(part("x"))), "MalformedXML");
  EXPECT_EQ(outcome(parse("")), "MalformedXML");
  EXPECT_EQ(outcome(parse("<Part><PartNumber>1</PartNumber></Part>")), "MalformedXML");
  const auto sum =
      parse("<Part><PartNumber>1</PartNumber><ETag>e</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part>");
  ASSERT_TRUE(sum);
  EXPECT_EQ((*sum)[0].etag, "e");
  EXPECT_EQ((*sum)[0].checksum->raw, Bytes(4, '\0'));
  EXPECT_EQ(outcome(parse("<Part><PartNumber>1</PartNumber><ETag>e</ETag><ChecksumCRC32>AA==</ChecksumCRC32></Part>")),
            "InvalidRequest");
}

TEST(Requests, DeleteTable) {
  const auto parse = [](const std::string& inner) { return parse_delete("<Delete>" + inner + "</Delete>"); };
  const auto good = parse(
      "<Quiet>true</Quiet><Object><Key>a b</Key><VersionId>v</VersionId><ETag>\"x\"</ETag></Object><Object><Key> "
      "</Key></Object>");
  ASSERT_TRUE(good);
  EXPECT_TRUE(good->quiet);
  EXPECT_EQ(good->objects[0], (DeleteRequest::Object{"a b", "v", "x", std::nullopt}));
  EXPECT_EQ(good->objects[1].key, " ");
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "<Object><Key>k</Key></Object>";
  EXPECT_EQ(outcome(parse(many)), "ok");
  EXPECT_EQ(outcome(parse(many + "<Object><Key>k</Key></Object>")), "MalformedXML");
  EXPECT_EQ(outcome(parse("")), "MalformedXML");
  EXPECT_EQ(outcome(parse("<Object><Key/></Object>")), "MalformedXML");
  EXPECT_EQ(outcome(parse("<Object><Key>a</Key><Key>b</Key></Object>")), "MalformedXML");
  EXPECT_EQ(outcome(parse("<Object><Key>a</Key><Other/></Object>")), "MalformedXML");
}

TEST(Requests, TaggingTable) {
  const auto tags = [](int n) {
    Tags out;
    for (int i = 0; i < n; ++i) out.emplace_back("k" + std::to_string(i), "v");
    return out;
  };
  EXPECT_EQ(*parse_tagging(render_tagging(tags(10)), TagLevel::Object), tags(10));
  EXPECT_EQ(outcome(parse_tagging(render_tagging(tags(11)), TagLevel::Object)), "InvalidTag");
  EXPECT_EQ(*parse_tagging(render_tagging(tags(50)), TagLevel::Bucket), tags(50));
  EXPECT_EQ(outcome(parse_tagging(render_tagging(tags(51)), TagLevel::Bucket)), "InvalidTag");
  for (const auto& [key, value] : Tags{{"", "v"},
                                       {"a!", "v"},
                                       {"a", "v\n"},
                                       {"aws:x", "v"},
                                       {std::string(129, 'k'), ""},
                                       {"a", std::string(257, 'v')}})
    EXPECT_EQ(outcome(parse_tagging(render_tagging({{key, value}}), TagLevel::Object)), "InvalidTag") << key;
  EXPECT_EQ(outcome(parse_tagging(render_tagging({{"a", "1"}, {"a", "2"}}), TagLevel::Object)), "InvalidTag");
  EXPECT_EQ(*parse_tagging_header("a=1&b=x%20y+z&c="), (Tags{{"a", "1"}, {"b", "x y z"}, {"c", ""}}));
  EXPECT_EQ(outcome(parse_tagging_header("a=1&a=1")), "InvalidArgument");
  EXPECT_EQ(outcome(parse_tagging_header("a=%z")), "InvalidArgument");
  EXPECT_EQ(parse_tagging_header("")->size(), 0u);
}

TEST(Requests, CorsRulesMatchOriginMethodAndHeaders) {
  const auto rules = parse_cors(
      "<CORSConfiguration><CORSRule><AllowedOrigin>https://*.x.org</AllowedOrigin><AllowedMethod>PUT</AllowedMethod>"
      "<AllowedHeader>X-Amz-*</AllowedHeader><MaxAgeSeconds>9</MaxAgeSeconds></CORSRule>"
      "<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod><ExposeHeader>ETag</ExposeHeader></"
      "CORSRule></CORSConfiguration>");
  ASSERT_TRUE(rules) << rules.error().message;
  EXPECT_EQ(*parse_cors(render_cors(*rules)), *rules);
  const std::string_view amz[] = {"x-amz-DATE"}, other[] = {"x-amz-date", "x-other"};
  const auto put = match_cors(*rules, "https://a.x.org", "PUT", amz);
  ASSERT_TRUE(put);
  EXPECT_EQ(put->allow_origin, "https://a.x.org");
  EXPECT_TRUE(put->credentials);
  EXPECT_THAT(put->allow_headers, testing::ElementsAre("x-amz-date"));
  EXPECT_FALSE(match_cors(*rules, "https://a.x.org", "PUT", other));
  EXPECT_FALSE(match_cors(*rules, "https://x.org", "PUT", {}));
  EXPECT_FALSE(match_cors(*rules, "http://a.x.org", "PUT", {}));
  const auto get = match_cors(*rules, "http://any", "GET", {});
  ASSERT_TRUE(get);
  EXPECT_EQ(get->allow_origin, "*");
  EXPECT_FALSE(get->credentials);
  const auto rule = [](std::string_view inner) {
    return fmt::format("<CORSConfiguration><CORSRule>{}</CORSRule></CORSConfiguration>", inner);
  };
  EXPECT_EQ(outcome(parse_cors(rule("<AllowedOrigin>*</AllowedOrigin>"))), "MalformedXML");
  EXPECT_EQ(outcome(parse_cors(rule("<AllowedOrigin>*</AllowedOrigin><AllowedMethod>PATCH</AllowedMethod>"))),
            "InvalidRequest");
  EXPECT_EQ(outcome(parse_cors(rule("<AllowedOrigin>*.*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>"))),
            "InvalidRequest");
}

UnixMicros at(std::string_view text) {
  UnixMicros out;
  EXPECT_TRUE(parse_iso8601(text, out)) << text;
  return out;
}

Parsed<LifecycleRules> lifecycle(std::string_view inner) {
  return parse_lifecycle(
      fmt::format("<LifecycleConfiguration><Rule><Status>Enabled</Status>{}</Rule></LifecycleConfiguration>", inner));
}

TEST(Requests, LifecycleRulesExpireWhatTheySay) {
  const auto rules = lifecycle(
      "<Filter><And><Prefix>log/</Prefix><Tag><Key>t</Key><Value>1</Value></Tag></And></Filter><Expiration><Days>2</"
      "Days></Expiration>");
  ASSERT_TRUE(rules) << rules.error().message;
  EXPECT_EQ(*parse_lifecycle(render_lifecycle(*rules)), *rules);
  const Tags tags = {{"t", "1"}};
  VersionFacts facts{.key = "log/a", .tags = &tags, .created = at("2026-01-01T10:00:00")};
  EXPECT_FALSE(expires(*rules, facts, at("2026-01-03T23:59:59")));
  EXPECT_TRUE(expires(*rules, facts, at("2026-01-04T00:00:00")));  // the midnight after two whole days
  EXPECT_EQ(expiration_of(*rules, facts)->at, at("2026-01-04T00:00:00"));
  facts.key = "other";
  EXPECT_FALSE(expires(*rules, facts, at("2027-01-01T00:00:00")));
  facts = {.key = "log/a", .created = at("2026-01-01T10:00:00")};
  EXPECT_FALSE(expires(*rules, facts, at("2027-01-01T00:00:00")));

  const auto old = lifecycle(
      "<Prefix/><NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>2</"
      "NewerNoncurrentVersions></NoncurrentVersionExpiration>"
      "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>");
  ASSERT_TRUE(old);
  EXPECT_EQ(*parse_lifecycle(render_lifecycle(*old)), *old);
  VersionFacts version{.key = "k", .current = false, .became_noncurrent = at("2026-01-01"), .newer_noncurrent = 1};
  EXPECT_FALSE(expires(*old, version, at("2026-02-01")));
  version.newer_noncurrent = 2;
  EXPECT_TRUE(expires(*old, version, at("2026-02-01")));
  EXPECT_FALSE(expires(*old, version, at("2026-01-01T23:00:00")));
  EXPECT_TRUE(aborts_upload(*old, "k", at("2026-01-01"), at("2026-01-02")));
  EXPECT_FALSE(aborts_upload(*old, "k", at("2026-01-01T00:00:01"), at("2026-01-02")));

  const auto marker =
      lifecycle("<Filter/><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>");
  ASSERT_TRUE(marker);
  EXPECT_TRUE(expires(*marker, {.key = "k", .delete_marker = true, .only_version = true}, at("2026-01-01")));
  EXPECT_FALSE(expires(*marker, {.key = "k", .delete_marker = true}, at("2026-01-01")));
  EXPECT_FALSE(expires(*marker, {.key = "k"}, at("2026-01-01")));
}

TEST(Requests, LifecycleRefusals) {
  const std::pair<std::string, std::string> table[] = {
      {"<Filter/>", "InvalidRequest"},
      {"<Expiration><Days>1</Days></Expiration>", "MalformedXML"},
      {"<Filter/><Expiration><Days>0</Days></Expiration>", "InvalidArgument"},
      {"<Filter/><Expiration><Date>2026-01-01T01:00:00Z</Date></Expiration>", "InvalidArgument"},
      {"<Filter/><Expiration><Days>1</Days><Date>2026-01-01</Date></Expiration>", "MalformedXML"},
      {"<Filter/><Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>", "NotImplemented"},
      {"<Filter><Prefix>a</Prefix><ObjectSizeLessThan>1</ObjectSizeLessThan></Filter><Expiration><Days>1</Days></"
       "Expiration>",
       "MalformedXML"},
      {"<Filter><ObjectSizeLessThan>1</ObjectSizeLessThan></"
       "Filter><AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></"
       "AbortIncompleteMultipartUpload>",
       "InvalidRequest"},
  };
  for (const auto& [inner, code] : table) EXPECT_EQ(outcome(lifecycle(inner)), code) << inner;
}

TEST(Requests, SettingsComeBackAsTheyWereSet) {
  for (auto v : {Versioning::Enabled, Versioning::Suspended}) EXPECT_EQ(*parse_versioning(render_versioning(v)), v);
  EXPECT_EQ(outcome(parse_versioning(render_versioning(Versioning::Never))), "IllegalVersioningConfigurationException");
  for (const ObjectLock& lock :
       {ObjectLock{}, ObjectLock{{{LockMode::Compliance, 3, 0}}}, ObjectLock{{{LockMode::Governance, 0, 2}}}})
    EXPECT_EQ(*parse_object_lock(render_object_lock(lock)), lock);
  EXPECT_EQ(outcome(parse_object_lock(render_object_lock({{{LockMode::Compliance, 3, 2}}}))), "MalformedXML");
  const Retention retention{LockMode::Compliance, at("2030-01-01T00:00:00.5")};
  EXPECT_EQ(**parse_retention(render_retention(retention)), retention);
  EXPECT_EQ(*parse_retention("<Retention/>"), std::nullopt);
  for (auto hold : {LegalHold::On, LegalHold::Off}) EXPECT_EQ(*parse_legal_hold(render_legal_hold(hold)), hold);
  const PublicAccessBlock block{true, false, true, false};
  EXPECT_EQ(*parse_public_access_block(render_public_access_block(block)), block);
  for (auto o : {Ownership::BucketOwnerEnforced, Ownership::BucketOwnerPreferred, Ownership::ObjectWriter})
    EXPECT_EQ(*parse_ownership(render_ownership(o)), o);
  EXPECT_EQ(*parse_create_bucket(""), CreateBucketRequest{});
  EXPECT_EQ(*parse_create_bucket(
                "<CreateBucketConfiguration><LocationConstraint>eu</LocationConstraint></CreateBucketConfiguration>"),
            (CreateBucketRequest{.location = "eu", .tags = {}}));
  EXPECT_EQ(*parse_create_bucket("<CreateBucketConfiguration><Tags><Tag><Key>a</Key><Value>1</Value></Tag></Tags>"
                                 "</CreateBucketConfiguration>"),
            (CreateBucketRequest{.location = "", .tags = {{"a", "1"}}}));
  EXPECT_EQ(outcome(parse_create_bucket("<CreateBucketConfiguration><Tags><Tag><Key>aws:a</Key><Value>1</Value></Tag>"
                                        "</Tags></CreateBucketConfiguration>")),
            "InvalidTag");
  EXPECT_EQ(outcome(parse_create_bucket("<CreateBucketConfiguration><Bucket/></CreateBucketConfiguration>")),
            "NotImplemented");
  EXPECT_EQ(*parse_object_attributes("ETag, ObjectSize"), (ObjectAttributes{.etag = true, .size = true}));
  EXPECT_EQ(outcome(parse_object_attributes("Colour")), "InvalidArgument");
}

TEST(Requests, AclsRoundTripAndDecide) {
  const Owner ann{"ann", "Ann"}, bob{"bob", ""};
  for (const char* name : {"private", "public-read", "public-read-write", "authenticated-read", "bucket-owner-read",
                           "bucket-owner-full-control", "log-delivery-write"}) {
    const auto acl = canned_acl(name, ann, bob);
    ASSERT_TRUE(acl) << name;
    EXPECT_EQ(*parse_acl(render_acl(*acl)), *acl) << name;
  }
  const auto read = *canned_acl("authenticated-read", ann, bob);
  EXPECT_TRUE(acl_allows(read, "ann", Permission::WriteAcp));
  EXPECT_TRUE(acl_allows(read, "cat", Permission::Read));
  EXPECT_FALSE(acl_allows(read, "", Permission::Read));
  EXPECT_FALSE(acl_allows(read, "cat", Permission::Write));
  EXPECT_EQ(outcome(canned_acl("public", ann, bob)), "InvalidArgument");
  EXPECT_EQ(outcome(parse_acl("<AccessControlPolicy/>")), "MalformedACLError");
  std::vector<Grant> grants;
  ASSERT_TRUE(parse_grants("id=\"x\", uri=\"http://acs.amazonaws.com/groups/global/AllUsers\"",
                           *grant_header("X-Amz-Grant-Read"), grants));
  EXPECT_THAT(grants, testing::SizeIs(2));
  EXPECT_EQ(outcome(parse_grants("emailAddress=\"a@b\"", Permission::Read, grants)), "UnresolvableGrantByEmailAddress");
  EXPECT_EQ(outcome(parse_grants("who", Permission::Read, grants)), "InvalidArgument");
}

TEST(Answers, AreWellFormedAndHoldTheirKeys) {
  ListObjectsV2Answer list;
  list.listing = {.bucket = "b", .delimiter = "/", .encoding = KeyEncoding::Url, .truncated = true};
  list.next_continuation_token = "t<";
  list.listing.objects.push_back({.key = "a b&\x01",
                                  .etag = "e",
                                  .size = 7,
                                  .checksum = ChecksumAlgorithm::Crc32,
                                  .checksum_type = ChecksumType::FullObject});
  list.listing.common_prefixes = {"p/"};
  const auto parsed = XmlDocument::parse(render(list), "ListBucketResult");
  ASSERT_TRUE(parsed) << parsed.error().message;
  const XmlElement& contents = **parsed->root().one("Contents");
  EXPECT_EQ(*contents.required_text("Key"), "a%20b%26%01");
  EXPECT_EQ(*contents.required_text("ETag"), "\"e\"");
  EXPECT_EQ(*contents.required_text("LastModified"), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(*parsed->root().required_text("KeyCount"), "2");
  EXPECT_EQ(*parsed->root().required_text("NextContinuationToken"), "t<");

  const std::pair<Bytes, std::string> table[] = {
      {render(ListAllMyBuckets{.buckets = {{"b", {}, "r"}}, .prefix = "p"}), "ListAllMyBucketsResult"},
      {render(ListObjectsAnswer{list.listing, "m", "n"}), "ListBucketResult"},
      {render(ListVersionsAnswer{.truncated = true,
                                 .versions = {{list.listing.objects[0], "v", true, false}, {{}, "w", false, true}}}),
       "ListVersionsResult"},
      {render(ListMultipartUploadsAnswer{.truncated = true, .uploads = {{}}}), "ListMultipartUploadsResult"},
      {render(ListPartsAnswer{.truncated = true,
                              .parts = {{1, {}, "e", 5, ShownChecksum{ChecksumAlgorithm::Sha1, "x", {}}}}}),
       "ListPartsResult"},
      {render(InitiateMultipartUploadAnswer{"b", "k", "u"}), "InitiateMultipartUploadResult"},
      {render(CompleteMultipartUploadAnswer{"l", "b", "k", "e-2", {}}), "CompleteMultipartUploadResult"},
      {render_copy_object({"e", {}, {}}), "CopyObjectResult"},
      {render_copy_part({"e", {}, {}}), "CopyPartResult"},
      {render(DeleteAnswer{{{"k", "v", true, "d"}}, {{"k", "v", {ErrorCode::AccessDenied, "", {}}}}}), "DeleteResult"},
      {render_location("eu-west-1"), "LocationConstraint"},
      {render(
           ObjectAttributesAnswer{"e", ShownChecksum{}, ObjectAttributesAnswer::Parts{.parts = {{}}}, "STANDARD", 4}),
       "GetObjectAttributesResponse"},
      {render(PostAnswer{"l", "b", "k", "e"}), "PostResponse"},
  };
  for (const auto& [document, root] : table) EXPECT_TRUE(XmlDocument::parse(document, root)) << document;
}

}  // namespace
}  // namespace hailstone::s3proto
