#include "depot/listing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace hailstone::depot {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

ListingView view_of(std::vector<Bytes> files, std::vector<Bytes> directories) {
  ListingView view;
  view.volume = "repo";
  view.name = "repo@stable";
  view.base = "/repo@stable";
  view.prefix = view.inner = "d/";
  view.release = ReleaseNumber(7);
  view.published = UnixMicros{1'700'000'000'000'000};
  view.channel = "stable";
  view.limit = 10;
  for (Bytes& name : files) {
    volume::Entry entry;
    entry.content.bytes = 1536;
    entry.content.sha256 = sha256(name);
    entry.modified_ns = 1'700'000'000'000'000'000;
    view.listing.entries.push_back({"d/" + name, entry});
  }
  for (const Bytes& name : directories) view.listing.prefixes.push_back("d/" + name);
  return view;
}

TEST(ListingHtml, EveryNameIsEscapedAndLinkedRight) {
  const Bytes html = listing_html(
      view_of({"<script>alert(1)</script>", "a\"b", "caf\xc3\xa9", "bad\xff", "a:b", "p%q?x#y"}, {"sub dir/"}));
  EXPECT_THAT(html, Not(HasSubstr("<script>")));
  EXPECT_THAT(html, HasSubstr("href=\"/repo@stable/d/%3Cscript%3Ealert%281%29%3C/script%3E\""));
  EXPECT_THAT(html, HasSubstr("href=\"/repo@stable/d/a%22b\""));
  EXPECT_THAT(html, HasSubstr("href=\"/repo@stable/d/caf%C3%A9\">caf\xc3\xa9</a>"));
  EXPECT_THAT(html, HasSubstr("href=\"/repo@stable/d/bad%FF\">bad\xef\xbf\xbd</a>"));
  EXPECT_THAT(html, HasSubstr("href=\"/repo@stable/d/a%3Ab\""));
  EXPECT_THAT(html, HasSubstr("href=\"/repo@stable/d/p%25q%3Fx%23y\""));
  EXPECT_THAT(html, HasSubstr("href=\"/repo@stable/d/sub%20dir/\">sub dir/</a>"));
}

TEST(ListingHtml, NamesReleaseChannelSizeAndDate) {
  const Bytes html = listing_html(view_of({"x"}, {}));
  EXPECT_THAT(html, HasSubstr("<a href=\"/repo@7/d/\">7</a>"));
  EXPECT_THAT(html, HasSubstr("channel stable"));
  EXPECT_THAT(html, HasSubstr("<data value=\"1536\">1.5 KiB</data>"));
  EXPECT_THAT(html, HasSubstr("2023-11-14 22:13"));
}

TEST(ListingHtml, DotNamesAreNoLinks) {
  const Bytes html = listing_html(view_of({"..", "."}, {"../"}));
  EXPECT_THAT(html, Not(HasSubstr("d/..")));
  EXPECT_THAT(html, HasSubstr("<td>..</td>"));
}

TEST(ListingHtml, TheDirectoryItselfIsNotListed) {
  EXPECT_THAT(listing_html(view_of({""}, {})), HasSubstr("Nothing here"));
}

TEST(ListingJson, HasWhatAClientNeeds) {
  auto view = view_of({"x", "bad\xff"}, {"sub/"});
  view.listing.next = "d/x";
  const auto json = nlohmann::json::parse(listing_json(view));
  EXPECT_EQ(json["volume"], "repo");
  EXPECT_EQ(json["release"], 7);
  EXPECT_EQ(json["channel"], "stable");
  EXPECT_EQ(json["path"], "d/");
  ASSERT_EQ(json["entries"].size(), 3u);
  EXPECT_EQ(json["entries"][0], (nlohmann::json{{"name", "sub/"}, {"kind", "directory"}}));
  EXPECT_EQ(json["entries"][1]["name"], "x");
  EXPECT_EQ(json["entries"][1]["bytes"], 1536);
  EXPECT_EQ(json["entries"][1]["sha256"], sha256("x").hex());
  EXPECT_EQ(json["entries"][2]["name_base64"], to_base64("bad\xff"));
  EXPECT_EQ(decode_token(json["next"].get<Bytes>()), (PageToken{ReleaseNumber(7), "d/x"}));
}

TEST(PageTokens, MalformedIsNone) {
  EXPECT_EQ(decode_token(encode_token({ReleaseNumber(300), "k\xff"})), (PageToken{ReleaseNumber(300), "k\xff"}));
  EXPECT_EQ(decode_token("!"), std::nullopt);
  EXPECT_EQ(decode_token(""), std::nullopt);
  EXPECT_EQ(decode_token(to_base64(Bytes(1, '\0'))), std::nullopt);
}

TEST(Volumes, HtmlAndJson) {
  const VolumeSummary volumes[] = {{"repo", "the <repo>", ReleaseNumber(3), UnixMicros{1'700'000'000'000'000}},
                                   {"empty", "", {}, {}}};
  const Bytes html = volumes_html(volumes);
  EXPECT_THAT(html, HasSubstr("<a href=\"/repo/\">repo</a>"));
  EXPECT_THAT(html, HasSubstr("the &lt;repo&gt;"));
  EXPECT_THAT(html, HasSubstr("none yet"));
  const auto json = nlohmann::json::parse(volumes_json(volumes));
  EXPECT_EQ(json["volumes"][0]["release"], 3);
  EXPECT_FALSE(json["volumes"][1].contains("release"));
}

TEST(PrefersJson, Table) {
  const auto json = [](std::string_view accept) { return prefers_json(accept); };
  EXPECT_FALSE(prefers_json(std::nullopt));
  EXPECT_FALSE(json("*/*"));
  EXPECT_TRUE(json("application/json"));
  EXPECT_TRUE(json("application/json, text/plain, */*"));
  EXPECT_FALSE(json("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
  EXPECT_TRUE(json("text/html;q=0.5, application/json"));
  EXPECT_FALSE(json("text/html, application/json;q=0.9"));
  EXPECT_FALSE(json("application/json;q=0"));
  EXPECT_FALSE(json("application/json;q=x"));
}

}  // namespace
}  // namespace hailstone::depot
