#include "publish/feed.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <pugixml.hpp>

#include "publish/utf8.h"

namespace hailstone::publish {
namespace {

Feed example() {
  return {.id = "urn:uuid:1",
          .title = "debian & friends",
          .updated = UnixMicros{0},
          .links = {{"self", "/-/feed?a=1&b=2", "application/atom+xml"}}};
}

TEST(Feed, HasWhatRfc4287AsksFor) {
  const std::vector<FeedRelease> releases = {{.number = ReleaseNumber(43),
                                              .time = UnixMicros{1'793'000'000'000'000},
                                              .author = "",
                                              .message = "",
                                              .links = {}},
                                             {.number = ReleaseNumber(42),
                                              .time = UnixMicros{1'792'000'000'000'000},
                                              .author = "Zoë <z@x>",
                                              .message = "a < b && \"c\"\nmore",
                                              .added = 1,
                                              .changed = 2,
                                              .removed = 3,
                                              .links = {{"alternate", "/debian@42/", ""}}}};
  const Bytes xml = atom_feed(example(), releases);
  pugi::xml_document document;
  ASSERT_TRUE(document.load_buffer(xml.data(), xml.size())) << xml;
  const pugi::xml_node root = document.child("feed");
  EXPECT_STREQ(root.attribute("xmlns").value(), "http://www.w3.org/2005/Atom");
  EXPECT_STREQ(root.child_value("id"), "urn:uuid:1");
  EXPECT_STREQ(root.child_value("title"), "debian & friends");
  EXPECT_STREQ(root.child_value("updated"), "2026-10-26T07:33:20Z");
  EXPECT_STREQ(root.child("link").attribute("href").value(), "/-/feed?a=1&b=2");
  const pugi::xml_node first = root.child("entry");
  EXPECT_STREQ(first.child_value("id"), "urn:uuid:1/release/43");
  EXPECT_STREQ(first.child_value("title"), "Release 43");
  EXPECT_STREQ(first.child("author").child_value("name"), "unknown");
  EXPECT_FALSE(first.child("content"));
  const pugi::xml_node second = first.next_sibling("entry");
  EXPECT_STREQ(second.child_value("title"), "Release 42: a < b && \"c\"");
  EXPECT_STREQ(second.child("author").child_value("name"), "Zoë <z@x>");
  EXPECT_STREQ(second.child_value("content"), "a < b && \"c\"\nmore");
  EXPECT_STREQ(second.child_value("summary"), "1 added, 2 changed, 3 removed");
  EXPECT_STREQ(second.child("link").attribute("rel").value(), "alternate");
}

TEST(Feed, EmptyFeedSaysWhenItWasMade) {
  EXPECT_NE(atom_feed(example(), {}).find("<updated>1970-01-01T00:00:00Z</updated>"), Bytes::npos);
}

TEST(Feed, AnyBytesMakeWellFormedXml) {
  EXPECT_EQ(xml_escape(ByteView("a\0\x01\x80<&>\"'\r", 10)),
            "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd&lt;&amp;&gt;&quot;&#39;&#13;");
  EXPECT_TRUE(rc::check("any message", [](const std::string& author, const std::string& message) {
    const FeedRelease release{
        .number = ReleaseNumber(1), .time = {}, .author = author, .message = message, .links = {}};
    const Bytes xml = atom_feed(example(), {&release, 1});
    pugi::xml_document document;
    RC_ASSERT(document.load_buffer(xml.data(), xml.size(), pugi::parse_default | pugi::parse_ws_pcdata_single));
    RC_ASSERT(valid_utf8(xml));
    if (valid_utf8(message) &&
        message.find_first_of(ByteView("\0\1\2\3\4\5\6\7\x8\xb\xc\xe\xf\x10", 14)) == Bytes::npos && !message.empty() &&
        xml_escape(message).find("\xef\xbf\xbd") == Bytes::npos)
      RC_ASSERT(document.child("feed").child("entry").child_value("content") == message);
  }));
}

TEST(Feed, LongTitlesAreCutBetweenCharacters) {
  FeedRelease release{.number = ReleaseNumber(1),
                      .time = {},
                      .author = {},
                      .message = Bytes(119, 'a') + "\xe2\x82\xac" + "b",
                      .links = {}};
  const Bytes xml = atom_feed(example(), {&release, 1});
  EXPECT_NE(xml.find("Release 1: " + Bytes(119, 'a') + "...</title>"), Bytes::npos) << xml;
}

}  // namespace
}  // namespace hailstone::publish
