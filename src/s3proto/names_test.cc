#include "s3proto/names.h"

#include <gmock/gmock.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

namespace hailstone::s3proto {
namespace {

const std::vector<std::string> kDomains = {"s3.example.org", "example.org", "localhost"};

struct Case {
  std::string host, path, bucket, key;
  AddressStyle style = AddressStyle::Path;
};

TEST(Names, BucketAndKeyComeFromHostOrPath) {
  using enum AddressStyle;
  const Case table[] = {
      {"s3.example.org", "/", "", ""},
      {"s3.example.org", "/pics", "pics", ""},
      {"s3.example.org", "/pics/", "pics", ""},
      {"s3.example.org", "/pics/a/b", "pics", "a/b"},
      {"s3.example.org", "/pics//a", "pics", "/a"},
      {"s3.example.org", "/pics/a%2Fb%20c+d", "pics", "a/b c+d"},
      {"s3.example.org", "/pics--draft-7/%E2%82%AC", "pics--draft-7", "\xe2\x82\xac"},
      {"127.0.0.1:9000", "/pics/a", "pics", "a"},
      {"[::1]:9000", "/pics/a", "pics", "a"},
      {"unknown.net", "/pics/a", "pics", "a"},
      {"pics.s3.example.org", "/", "pics", "", VirtualHost},
      {"Pics.S3.Example.ORG:443", "/a/b", "pics", "a/b", VirtualHost},
      {"pics.s3.example.org.", "/a", "pics", "a", VirtualHost},
      {"a.dotted.name.s3.example.org", "//x", "a.dotted.name", "/x", VirtualHost},
      {"pics.localhost:9000", "/a", "pics", "a", VirtualHost},
      {"evils3.example.org.net", "/pics/a", "pics", "a"},
      {"other.example.org", "/a", "other", "a", VirtualHost},  // the shorter domain
  };
  for (const Case& c : table) {
    const auto parsed = parse_resource(c.host, c.path, kDomains);
    ASSERT_TRUE(parsed) << c.host << c.path << parsed.error().message;
    EXPECT_EQ(*parsed, (ResourceName{c.bucket, c.key, c.style})) << c.host << c.path;
  }
}

TEST(Names, RefusesPathsThatAreNoKey) {
  const std::tuple<std::string, ErrorCode> table[] = {
      {"", ErrorCode::InvalidURI},
      {"*", ErrorCode::InvalidURI},
      {"//key", ErrorCode::InvalidURI},
      {"/b/%", ErrorCode::InvalidURI},
      {"/b/%4", ErrorCode::InvalidURI},
      {"/b/%zz", ErrorCode::InvalidURI},
      {"/b/%00", ErrorCode::InvalidURI},
      {"/b/a%00b", ErrorCode::InvalidURI},
      {"/b/%ff", ErrorCode::InvalidURI},
      {"/b/\xc3", ErrorCode::InvalidURI},
      {"/%zz/a", ErrorCode::InvalidURI},
      {"/b/%ED%A0%80", ErrorCode::InvalidURI},
      {"/b/" + std::string(1025, 'x'), ErrorCode::KeyTooLongError},
  };
  for (const auto& [path, code] : table) {
    const auto parsed = parse_resource("h", path, kDomains);
    ASSERT_FALSE(parsed) << path;
    EXPECT_EQ(parsed.error().code, code) << path;
  }
  EXPECT_TRUE(parse_resource("h", "/b/" + std::string(1024, 'x'), kDomains));
}

RC_GTEST_PROP(Names, EveryEncodedKeyComesBack, (const std::string& raw)) {
  std::string key;
  for (char c : raw)
    if (c > 0) key += c;
  RC_PRE(!key.empty() && key.size() <= kKeyBytesMax);
  for (const Bytes& encoded : {percent_encode(key), percent_encode_path(key)}) {
    const auto parsed = parse_resource("h", "/bucket/" + encoded, kDomains);
    RC_ASSERT(parsed.has_value());
    RC_ASSERT(parsed->key == key);
    const auto source = parse_copy_source("bucket/" + encoded);
    RC_ASSERT(source.has_value());
    RC_ASSERT(source->key == key);
  }
}

TEST(Names, BucketNamesMeanStatesOfAVolume) {
  using Kind = BucketName::Kind;
  const std::pair<std::string, BucketName> good[] = {
      {"volume", {"volume", Kind::Head, 0, ""}},
      {"a.b-c", {"a.b-c", Kind::Head, 0, ""}},
      {"volume--draft-7", {"volume", Kind::Draft, 7, ""}},
      {"volume--42", {"volume", Kind::Release, 42, ""}},
      {"volume--stable", {"volume", Kind::Label, 0, "stable"}},
      {"volume--Rel_1.0--x", {"volume", Kind::Label, 0, "Rel_1.0--x"}},
      {"volume--draft", {"volume", Kind::Label, 0, "draft"}},
  };
  for (const auto& [name, expected] : good) {
    const auto parsed = parse_bucket(name);
    ASSERT_TRUE(parsed) << name << parsed.error().message;
    EXPECT_EQ(*parsed, expected) << name;
    EXPECT_EQ(parsed->text(), name);
  }
  for (const std::string bad : {"",
                                "ab",
                                "Volume",
                                "a_b",
                                "-ab",
                                "ab-",
                                ".ab",
                                "ab.",
                                "a..b",
                                "1.2.3.4",
                                "volume--",
                                "volume--0",
                                "volume--042",
                                "volume--4x",
                                "volume--draft-",
                                "volume--draft-0",
                                "volume--draft-x",
                                "volume--99999999999999999999",
                                "volume---x",
                                "volume--a/b",
                                "volume--\xc3\xa9",
                                "v/x",
                                "ab--stable"}) {
    const auto parsed = parse_bucket(bad);
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error().code, ErrorCode::InvalidBucketName) << bad;
  }
  EXPECT_FALSE(parse_bucket(std::string(64, 'a')));
}

TEST(Names, QueryIsDecodedOnce) {
  const auto query = Query::parse("prefix=a%2Bb+c&uploads&max-keys=7&&x=%252F&k=v=w");
  ASSERT_TRUE(query);
  EXPECT_EQ(query->get("prefix"), "a+b c");
  EXPECT_EQ(query->get("uploads"), "");
  EXPECT_EQ(query->get("x"), "%2F");
  EXPECT_EQ(query->get("k"), "v=w");
  EXPECT_EQ(query->get("none"), std::nullopt);
  EXPECT_EQ(*query->number("max-keys", 1000), 7u);
  EXPECT_EQ(*query->number("none", 1000), std::nullopt);
  EXPECT_FALSE(query->number("max-keys", 6));
  EXPECT_FALSE(query->number("prefix", 6));
  EXPECT_FALSE(query->number("uploads", 6));
  EXPECT_EQ(Query::parse("a=%").error().code, ErrorCode::InvalidURI);
  EXPECT_EQ(Query::parse("a=1&a=2").error().code, ErrorCode::InvalidArgument);
  EXPECT_TRUE(Query::parse("a=1&a=1"));
}

TEST(Names, CopySourcesNameBucketKeyAndVersion) {
  const std::pair<std::string, CopySource> good[] = {
      {"b/k", {"b", "k", std::nullopt}},           {"/b/k/l", {"b", "k/l", std::nullopt}},
      {"b/k%3Fx+y", {"b", "k?x+y", std::nullopt}}, {"%2Fb%2Fk", {"b", "k", std::nullopt}},
      {"b/k?versionId=v1", {"b", "k", "v1"}},
  };
  for (const auto& [text, expected] : good) {
    const auto parsed = parse_copy_source(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(*parsed, expected) << text;
  }
  for (const std::string bad : {"", "b", "b/", "/b", "//k", "b/k?x=1", "b/k?versionId=", "b/%zz", "b/%00", "b/%ff"}) {
    const auto parsed = parse_copy_source(bad);
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error().code, ErrorCode::InvalidArgument) << bad;
  }
}

}  // namespace
}  // namespace hailstone::s3proto
