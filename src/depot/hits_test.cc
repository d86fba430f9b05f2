#include "depot/hits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace hailstone::depot {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

HitsView view_of(std::vector<Bytes> keys) {
  HitsView view{"repo", "repo", "/repo", ReleaseNumber(3), "<q>&", 20, 10, {}};
  for (Bytes& key : keys) view.answer.hits.push_back({std::move(key), publish::SearchHit::Rank::Path, {}});
  return view;
}

TEST(Hits, HtmlEscapesAndLinksOn) {
  auto view = view_of({"a/<b>", "\xff"});
  view.answer.more = true;
  view.answer.complete = false;
  const Bytes html = hits_html(view);
  EXPECT_THAT(html, Not(HasSubstr("<b>")));
  EXPECT_THAT(html, Not(HasSubstr("<q>")));
  EXPECT_THAT(html, HasSubstr("href=\"/repo/a/%3Cb%3E\""));
  EXPECT_THAT(html, HasSubstr("href=\"/repo/%FF\""));
  EXPECT_THAT(html, HasSubstr("href=\"?q=%3Cq%3E%26&amp;limit=10&amp;offset=30\""));
  EXPECT_THAT(html, HasSubstr("more words"));
  EXPECT_THAT(hits_html(view_of({})), HasSubstr("Nothing found"));
}

TEST(Hits, JsonCarriesAnyBytes) {
  const auto json = nlohmann::json::parse(hits_json(view_of({"a", "\xff"})));
  EXPECT_EQ(json["hits"][0]["key"], "a");
  EXPECT_EQ(json["hits"][0]["rank"], "path");
  EXPECT_EQ(json["hits"][1]["key_base64"], to_base64("\xff"));
  EXPECT_EQ(json["query"], "<q>&");
  EXPECT_EQ(json["more"], false);
}

}  // namespace
}  // namespace hailstone::depot
