#include "http/message.h"

#include <gtest/gtest.h>

#include "http/url.h"

namespace hailstone::http {
namespace {

TEST(RequestHead, FindsFieldsWithoutRegardToCase) {
  RequestHead head;
  head.fields = {{"Accept", "a"}, {"ACCEPT", "b"}, {"X", ""}};
  EXPECT_EQ(head.field("accept"), "a");
  EXPECT_EQ(head.field("x"), "");
  EXPECT_FALSE(head.field("y"));
}

TEST(RequestHead, DecodesQueryParameters) {
  RequestHead head;
  head.query = "a=1&b=x+y%2Bz&c&d=%zz&e=&a=2&%66=7";
  EXPECT_EQ(head.parameter("a"), "1");
  EXPECT_EQ(head.parameter("b"), "x y+z");
  EXPECT_EQ(head.parameter("c"), "");
  EXPECT_FALSE(head.parameter("d"));
  EXPECT_EQ(head.parameter("e"), "");
  EXPECT_EQ(head.parameter("f"), "7");
  EXPECT_FALSE(head.parameter("g"));
}

TEST(HeaderBlock, LetsNothingSplitAResponse) {
  HeaderBlock block;
  block.add("Location", std::string_view("/a\r\nSet-Cookie: b\0c", 19));
  EXPECT_EQ(block.lines(), "Location: /a  Set-Cookie: b c\r\n");
}

TEST(Part, KnowsItsLength) {
  EXPECT_EQ(part_length(Part(Bytes("abc"))), 3u);
  EXPECT_EQ(part_length(Part(SharedSpan{std::make_shared<const Bytes>("abcdef"), 1, 2})), 2u);
  EXPECT_EQ(part_length(Part(FileSpan{nullptr, -1, 5, 9})), 9u);
}

TEST(BaseUrl, ParsesWhatPeopleWrite) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"http://a", "http://a"},
      {"http://a:80/", "http://a"},
      {"https://a.b:443", "https://a.b"},
      {"HTTPS://a:8080/p/q//", "https://a:8080/p/q"},
      {"http://[::1]:81", "http://[::1]:81"},
      {"http://[fe80::1%eth0]", "http://[fe80::1%eth0]"},
  };
  for (const auto& [text, want] : cases) {
    const auto url = BaseUrl::parse(text);
    ASSERT_TRUE(url) << text << ": " << url.error().message;
    EXPECT_EQ(url->text(), want);
  }
  EXPECT_EQ(BaseUrl::parse("https://h")->host_port(), "h:443");
}

TEST(BaseUrl, RefusesTheRestByName) {
  for (const std::string_view text :
       {"", "a:80", "ftp://a", "http://", "http://:80", "http://a:", "http://a:0", "http://a:65536", "http://a:8x",
        "http://u@a", "http://a/b?c", "http://a/#b", "http://[::1", "http://a b", "http://a/b c", "http://[::1]x"}) {
    const auto url = BaseUrl::parse(text);
    ASSERT_FALSE(url) << text;
    EXPECT_EQ(url.error().code, Code::Invalid);
    EXPECT_NE(url.error().message.find(text), std::string::npos);
  }
}

}  // namespace
}  // namespace hailstone::http
