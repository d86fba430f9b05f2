#include "depot/mirrors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hailstone::depot {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Origin, GoodHosts) {
  EXPECT_EQ(origin_of("example.org", false), "http://example.org");
  EXPECT_EQ(origin_of("example.org:8080", true), "https://example.org:8080");
  EXPECT_EQ(origin_of("127.0.0.1:1", false), "http://127.0.0.1:1");
  EXPECT_EQ(origin_of("[::1]:80", false), "http://[::1]:80");
  EXPECT_EQ(origin_of("[fe80::1]", false), "http://[fe80::1]");
}

TEST(Origin, BadHosts) {
  for (std::string_view host : {"", ":80", "a b", "a/b", "a\nb", "a\"b", "<x>", "a@b", "a:", "a:x", "a:123456", "[",
                                "[]", "[::1", "[g]", "[::1]x", "a:80:90"})
    EXPECT_EQ(origin_of(host, false), std::nullopt) << host;
  EXPECT_EQ(origin_of(Bytes(300, 'a'), false), std::nullopt);
}

const Pinned kRelease{"repo", ReleaseNumber(42), ""}, kChannel{"repo", ReleaseNumber(42), "/repo@stable"};

TEST(Mirrorlist, NamesTheReleaseFirstThenTheChannel) {
  EXPECT_EQ(mirrorlist("http://h", kRelease, "", MirrorlistFor::Others), "http://h/repo@42/\n");
  EXPECT_EQ(mirrorlist("http://h", kRelease, "a b\n/", MirrorlistFor::Apt), "http://h/repo@42/a%20b%0A/\n");
  EXPECT_EQ(mirrorlist("http://h", kChannel, "a/", MirrorlistFor::Others),
            "http://h/repo@42/a/\nhttp://h/repo@stable/a/\n");
  EXPECT_EQ(mirrorlist("http://h", kChannel, "", MirrorlistFor::Apt),
            "http://h/repo@42/\tpriority:1\nhttp://h/repo@stable/\tpriority:2\n");
}

TEST(Metalink, NamesFileSizeHashAndUrls) {
  const Hash256 hash = sha256("x");
  const MetalinkFile file{"repodata/re<&pomd.xml", 123, hash, UnixMicros{1'700'000'000'000'000}};
  const Bytes xml = metalink("https://h:8443", kChannel, file);
  EXPECT_THAT(xml, HasSubstr("<file name=\"re&lt;&amp;pomd.xml\">"));
  EXPECT_THAT(xml, HasSubstr("<size>123</size>"));
  EXPECT_THAT(xml, HasSubstr("<hash type=\"sha256\">" + hash.hex() + "</hash>"));
  EXPECT_THAT(xml, HasSubstr("<mm0:timestamp>1700000000</mm0:timestamp>"));
  EXPECT_THAT(xml, HasSubstr("<url protocol=\"https\" type=\"https\" preference=\"100\">"
                             "https://h:8443/repo@42/repodata/re%3C%26pomd.xml</url>"));
  EXPECT_THAT(xml, HasSubstr("preference=\"50\">https://h:8443/repo@stable/repodata/re%3C%26pomd.xml</url>"));
  EXPECT_THAT(metalink("https://h:8443", kRelease, file), Not(HasSubstr("preference=\"50\"")));
}

}  // namespace
}  // namespace hailstone::depot
