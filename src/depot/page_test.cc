#include "depot/page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hailstone::depot {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Page, SizesReadWell) {
  EXPECT_EQ(human_size(0), "0 B");
  EXPECT_EQ(human_size(1023), "1023 B");
  EXPECT_EQ(human_size(1024), "1.0 KiB");
  EXPECT_EQ(human_size(1536), "1.5 KiB");
  EXPECT_EQ(human_size(1048575), "1.0 MiB") << "not 1024.0 KiB";
  EXPECT_EQ(human_size(UINT64_MAX), "16.0 EiB");
}

TEST(Page, TimesReadWell) { EXPECT_EQ(human_time(UnixMicros{1'700'000'000'123'456}), "2023-11-14 22:13"); }

TEST(Page, EverythingIsEscaped) {
  Page page;
  page.title = "<script>\"'&";
  page.crumbs = {{"<a>", "/x\"y"}, {"<b>", ""}};
  page.search = "/v/-/search\"";
  page.query = "\"><script>";
  const Bytes html = render(page);
  EXPECT_THAT(html, Not(HasSubstr("<script>")));
  EXPECT_THAT(html, HasSubstr("&lt;b&gt;"));
  EXPECT_THAT(html, Not(HasSubstr("x\"y")));
}

TEST(Page, CrumbsLeadUp) {
  const auto crumbs = crumbs_of("/repo@stable", "repo@stable", "a b//c/");
  ASSERT_EQ(crumbs.size(), 5u);
  EXPECT_EQ(crumbs[0].href, "/");
  EXPECT_EQ(crumbs[1].href, "/repo@stable/");
  EXPECT_EQ(crumbs[2].href, "/repo@stable/a%20b/");
  EXPECT_EQ(crumbs[3].href, "/repo@stable/a%20b//");
  EXPECT_EQ(crumbs[3].name, "");
  EXPECT_EQ(crumbs[4].href, "") << "where we are is no link";
  EXPECT_EQ(crumbs[4].name, "c");
}

}  // namespace
}  // namespace hailstone::depot
