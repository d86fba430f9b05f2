#include "depot/facts.h"

#include <gtest/gtest.h>

namespace hailstone::depot {
namespace {

TEST(Facts, EachConditionalFieldCounts) {
  for (std::string_view name :
       {"If-Match", "if-none-match", "IF-MODIFIED-SINCE", "If-Unmodified-Since", "Range", "If-Range"}) {
    http::RequestHead head;
    head.fields = {{"Host", "h"}, {name, "x"}};
    EXPECT_TRUE(read_facts(head).conditional) << name;
    EXPECT_EQ(read_facts(head).ranged, name == "Range");
  }
}

TEST(Facts, OthersDoNot) {
  http::RequestHead head;
  head.fields = {{"Host", "h"}, {"User-Agent", "x"}, {"Accept", "a/b"}, {"Rangf", "x"}, {"If-Natch", "x"}};
  EXPECT_FALSE(read_facts(head).conditional);
}

TEST(Facts, PicksTheFirstOfEachName) {
  http::RequestHead head;
  head.fields = {{"accept", "1"},        {"Accept", "x"}, {"Accept-Encoding", "2"},
                 {"AUTHORIZATION", "3"}, {"Cookie", "4"}, {"If-Release-At-Least", "5"}};
  const Facts facts = read_facts(head);
  EXPECT_EQ(facts.accept, "1");
  EXPECT_EQ(facts.accept_encoding, "2");
  EXPECT_EQ(facts.authorization, "3");
  EXPECT_EQ(facts.cookie, "4");
  EXPECT_EQ(facts.release_at_least, "5");
}

}  // namespace
}  // namespace hailstone::depot
