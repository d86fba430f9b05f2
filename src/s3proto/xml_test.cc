#include "s3proto/xml.h"

#include <gmock/gmock.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <pugixml.hpp>

#include "s3proto/utf8.h"

namespace hailstone::s3proto {
namespace {

std::string written(ByteView value, KeyEncoding encoding) {
  Bytes out;
  XmlWriter xml(out);
  xml.open_root("R");
  xml.key("Key", value, encoding);
  xml.close("R");
  return out;
}

TEST(XmlWriter, EscapesWhatParsersWouldChange) {
  Bytes out;
  append_xml_text(out, "a<b>&\"'\r\n\t\x01\x1f\x7f z");
  EXPECT_EQ(out, "a&lt;b&gt;&amp;&quot;&#39;&#xD;&#xA;&#x9;&#x1;&#x1F;&#x7F; z");
}

TEST(XmlWriter, ReplacesWhatXmlCannotCarry) {
  Bytes out;
  append_xml_text(out, ByteView("a\0b\xff\xc3(\xef\xbf\xbf\xe2\x82", 11));
  EXPECT_EQ(out,
            "a\xef\xbf\xbd"
            "b\xef\xbf\xbd\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

TEST(XmlWriter, WritesTimesWithMilliseconds) {
  Bytes out;
  XmlWriter xml(out);
  xml.time("A", UnixMicros{1'763'805'600'123'999});
  xml.time("B", UnixMicros{1'763'805'600'000'000});
  xml.time("C", UnixMicros{-1});
  EXPECT_EQ(out, "<A>2025-11-22T10:00:00.123Z</A><B>2025-11-22T10:00:00.000Z</B><C>1969-12-31T23:59:59.999Z</C>");
}

RC_GTEST_PROP(XmlWriter, AnyTextComesBack, ()) {
  // Characters that matter, mixed with any.
  std::string key;
  for (auto piece : *rc::gen::container<std::vector<std::string>>(rc::gen::element<std::string>(
           "&", "<", ">", "\"", "'", "]]>", "\r", "\n", "\t", " ", "\x01", "\x7f", "a", "/", "%", "+", "\xc3\xa9",
           "\xe2\x82\xac", "\xf0\x9f\x8c\xa8", "\xef\xbf\xbd", "&amp;", "<!--")))
    key += piece;
  const std::string document = written(key, KeyEncoding::None);
  const auto parsed = XmlDocument::parse(document, "R");
  RC_ASSERT(parsed.has_value());
  RC_ASSERT(*parsed->root().required_text("Key") == key);
  // And with the parser's own defaults, as a client has them.
  pugi::xml_document client;
  RC_ASSERT(bool(client.load_buffer(document.data(), document.size(), pugi::parse_default | pugi::parse_ws_pcdata)));
  RC_ASSERT(std::string(client.child("R").child_value("Key")) == key);
}

RC_GTEST_PROP(XmlWriter, AnyBytesComeBackUrlEncoded, (const std::string& key)) {
  const auto parsed = XmlDocument::parse(written(key, KeyEncoding::Url), "R");
  RC_ASSERT(parsed.has_value());
  Bytes decoded;
  RC_ASSERT(percent_decode(*parsed->root().required_text("Key"), decoded));
  RC_ASSERT(decoded == key);
}

RC_GTEST_PROP(XmlWriter, AnyBytesMakeAWellFormedDocument, (const std::string& key)) {
  const std::string document = written(key, KeyEncoding::None);
  RC_ASSERT(is_utf8(document));
  RC_ASSERT(XmlDocument::parse(document, "R").has_value());
}

TEST(XmlReader, IgnoresNamespacesCommentsAndSpace) {
  const auto parsed = XmlDocument::parse(
      "\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- c -->\n"
      "<s3:A xmlns:s3=\"http://s3.amazonaws.com/doc/2006-03-01/\" xmlns:xsi=\"i\">\n"
      "  <s3:B xsi:type=\"T\">x<!-- y -->z<![CDATA[<&]]></s3:B>\n  <C> </C>\n</s3:A>\n",
      "A");
  ASSERT_TRUE(parsed) << parsed.error().message;
  const auto b = parsed->root().one("B");
  ASSERT_TRUE(b);
  EXPECT_EQ((*b)->text(), "xz<&");
  EXPECT_EQ((*b)->attribute("type"), "T");
  EXPECT_EQ(*parsed->root().required_text("C"), " ");
}

TEST(XmlReader, RefusesWhatIsNotOneSafeDocument) {
  const std::pair<std::string, std::string> table[] = {
      {"<B/>", "another root"},
      {"<A>", "not closed"},
      {"<A></B>", "crossed"},
      {"<A/><A/>", "two roots"},
      {"<A/>x", "text after the root"},
      {"x<A/>", "text before the root"},
      {"<!DOCTYPE A><A/>", "DTD"},
      {"<!DOCTYPE A [<!ENTITY x \"y\">]><A>&x;</A>", "entity"},
      {"<A>&nbsp;</A>", "entity of HTML"},
      {"<A>&#0;</A>", "NUL by reference"},
      {"<A>&#xD800;</A>", "surrogate"},
      {"<A>&#x110000;</A>", "beyond Unicode"},
      {"<A>&#;</A>", "empty reference"},
      {"<A>& </A>", "bare ampersand"},
      {"<A>\xff</A>", "not UTF-8"},
      {std::string("<A>\0</A>", 8), "NUL"},
      {"<A>\x01</A>", "control character"},
      {"<A>x<B/></A>", "mixed content"},
      {"<A><!-- </A>", "open comment"},
      {"<A b=c/>", "attribute without quotes"},
      {"{}", "JSON"},
      {"<A><B><B><B><B><B><B><B><B><B><B><B><B/></B></B></B></B></B></B></B></B></B></B></B></A>", "deep"},
  };
  for (const auto& [document, why] : table) {
    const auto parsed = XmlDocument::parse(document, "A");
    ASSERT_FALSE(parsed) << why;
    EXPECT_EQ(parsed.error().code, ErrorCode::MalformedXML) << why;
  }
  EXPECT_EQ(XmlDocument::parse("", "A").error().code, ErrorCode::MissingRequestBodyError);
  EXPECT_EQ(XmlDocument::parse(" \n", "A").error().code, ErrorCode::MissingRequestBodyError);
  EXPECT_EQ(XmlDocument::parse("<A>12345</A>", "A", {.bytes_max = 10}).error().code,
            ErrorCode::MaxMessageLengthExceeded);
}

TEST(XmlReader, RefusesMissingDoubledAndUnknownElements) {
  const auto parsed = XmlDocument::parse("<A><B>1</B><C>x</C><C>y</C><D>TRUE</D><E><F/></E><G>-1</G></A>", "A");
  ASSERT_TRUE(parsed);
  const XmlElement& a = parsed->root();
  EXPECT_EQ(a.one("Z").error().message, "A: no Z");
  EXPECT_EQ(a.maybe("C").error().message, "A: more than one C");
  EXPECT_EQ(a.all("C").size(), 2u);
  EXPECT_EQ(*a.optional_number("B"), 1u);
  EXPECT_EQ(*a.optional_number("Z"), std::nullopt);
  EXPECT_EQ(*a.optional_boolean("D"), true);
  EXPECT_FALSE(a.optional_boolean("B"));
  EXPECT_FALSE(a.optional_number("D"));
  EXPECT_FALSE(a.optional_number("G"));
  EXPECT_FALSE(a.required_text("E"));
  EXPECT_TRUE(a.only({"B", "C", "D", "E", "G"}));
  EXPECT_EQ(a.only({"B", "C", "D", "E"}).error().message, "A: unexpected element G");
}

TEST(ErrorDocument, HoldsItsElementsInOrder) {
  const Bytes document = error_document({ErrorCode::NoSuchKey, "", {{"Key", "a&b"}}}, "/bucket/a&b", "REQ", "HOST");
  EXPECT_EQ(document,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code><Message>The specified key does "
            "not exist.</Message><Key>a&amp;b</Key><Resource>/bucket/a&amp;b</Resource><RequestId>REQ</RequestId>"
            "<HostId>HOST</HostId></Error>");
}

TEST(ErrorTable, EveryCodeHasAStatusAndAMessage) {
  for (size_t i = 0; i < kErrorCodeCount; ++i) {
    const auto code = static_cast<ErrorCode>(i);
    EXPECT_FALSE(default_message(code).empty()) << error_name(code);
    EXPECT_TRUE(http_status(code) >= 300 && http_status(code) < 600) << error_name(code);
  }
  EXPECT_EQ(http_status(ErrorCode::PreconditionFailed), 412);
  EXPECT_EQ(http_status(ErrorCode::SignatureDoesNotMatch), 403);
}

}  // namespace
}  // namespace hailstone::s3proto
