#include "publish/search_terms.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cctype>

namespace hailstone::publish {
namespace {

TEST(SearchTerms, WordsAreWhatPeopleType) {
  using Words = std::vector<Bytes>;
  EXPECT_EQ(words_of("pool/main/n/Nginx-core_1.22.1-9+deb12u1_amd64.deb"),
            (Words{"pool", "main", "n", "nginx", "core", "1.22.1", "9", "deb12u1", "amd64", "deb"}));
  EXPECT_EQ(words_of("libfoo.so.1.2."), (Words{"libfoo", "so", "1.2"}));
  EXPECT_EQ(words_of("a..b.1.c 1..2"), (Words{"a", "b", "1", "c", "1", "2"}));
  EXPECT_EQ(words_of("gr\xc3\xb6\xc3\x9f"
                     "e/\xff"),
            (Words{"gr\xc3\xb6\xc3\x9f"
                   "e",
                   "\xff"}));
  EXPECT_EQ(words_of("/-_/ \"*'"), Words{});
  EXPECT_EQ(words_of(Bytes(500, 'x')), Words{Bytes(kWordBytesMax, 'x')});
}

TEST(SearchTerms, NamesCompareAsPeopleWriteThem) {
  EXPECT_EQ(name_term("Foo_Bar"), "=foo-bar");
  EXPECT_EQ(name_term("foo--bar"), "=foo-bar");
  EXPECT_EQ(name_term("libstdc++6"), "=libstdc-6");
  EXPECT_EQ(name_term("@babel/core"), "=-babel-core");
}

TEST(SearchTerms, KeyTermsAreStable) {
  // Part of the format: an index made elsewhere must find its keys again here.
  EXPECT_EQ(terms_of_key("a/b_1.0_all.deb"), key_term("a/b_1.0_all.deb") + " 1.0 =b a all b deb");
  EXPECT_EQ(key_term("a").size(), 8u);
  EXPECT_EQ(key_term("a"), "#vgjc9fo");
}

TEST(SearchTerms, QueriesWithoutWordsAreInvalid) {
  for (const Bytes& bad :
       {Bytes(), Bytes(" "), Bytes("\"\" * - ^"), Bytes(2000, 'a'), Bytes("a b c d e f g h i j k l m n o p q")})
    EXPECT_EQ(parse_search_query(bad).error().code, Code::Invalid) << bad;
}

TEST(SearchTerms, QuerySyntaxOfSqliteNeverPasses) {
  const auto query = parse_search_query("a\" OR terms:b NEAR(c) ^d* {x}:y");
  ASSERT_TRUE(query.has_value());
  EXPECT_EQ(query->all_words,
            "\"a\" AND \"or\" AND \"terms\" AND \"b\" AND \"near\" AND \"c\" AND \"d\" AND \"x\" AND \"y\"");
  EXPECT_EQ(query->name, "");
  EXPECT_EQ(query->all_words_prefix, query->all_words);  // "y" alone would match too much
  EXPECT_EQ(parse_search_query("nginx")->all_words_prefix, "\"nginx\" *");
  EXPECT_EQ(parse_search_query(" nginx ")->name, "=nginx");
  EXPECT_TRUE(rc::check("only the alphabet within quotes", [](const std::string& text) {
    const auto parsed = parse_search_query(text);
    if (!parsed) return;
    for (const Bytes& expression : {parsed->all_words, parsed->all_words_prefix}) {
      bool quoted = false;
      for (const char c : expression) {
        if (c == '"')
          quoted = !quoted;
        else if (quoted)
          RC_ASSERT(static_cast<unsigned char>(c) >= 0x80 || std::isalnum(static_cast<unsigned char>(c)) || c == '.' ||
                    c == '-' || c == '=');
      }
      RC_ASSERT(!quoted);
    }
  }));
}

}  // namespace
}  // namespace hailstone::publish
