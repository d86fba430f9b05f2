#include "publish/search.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <thread>

#include "publish/decompress.h"
#include "publish/search_schema.h"
#include "publish/search_terms.h"
#include "tree/cache.h"

namespace hailstone::publish {
namespace {

using Kind = SearchEdit::Kind;
using Rank = SearchHit::Rank;

class Search : public ::testing::Test {
 protected:
  static SearchEdits from(std::map<Bytes, Kind> edits) {
    return [edits = std::move(edits), last = Bytes()]() mutable -> Result<std::optional<SearchEdit>> {
      const auto next = edits.upper_bound(last);
      if (next == edits.end()) return std::nullopt;
      last = next->first;
      return SearchEdit{next->first, next->second};
    };
  }
  static std::map<Bytes, Kind> added(const std::vector<Bytes>& keys) {
    std::map<Bytes, Kind> edits;
    for (const Bytes& key : keys) edits[key] = Kind::Added;
    return edits;
  }
  tree::Root update(const tree::Root& base, const std::map<Bytes, Kind>& edits) {
    const auto root = update_search(nodes_, *chunks_, base, from(edits), &stats_);
    EXPECT_TRUE(root.has_value()) << root.error().message;
    return root.value_or(tree::Root{});
  }
  std::unique_ptr<SearchIndex> open(const tree::Root& root) {
    auto index = SearchIndex::open(nodes_, *chunks_, root);
    EXPECT_TRUE(index.has_value()) << index.error().message;
    return *std::move(index);
  }
  std::vector<Bytes> keys(const tree::Root& root, ByteView text) {
    const auto answer = open(root)->query(text, 1000, 0);
    EXPECT_TRUE(answer.has_value()) << answer.error().message;
    std::vector<Bytes> out;
    for (const SearchHit& hit : answer->hits) out.push_back(hit.key);
    return out;
  }
  std::unique_ptr<chunk::ChunkStore> chunks_ = chunk::make_memory_store();
  tree::CachedNodes nodes_{*chunks_, {}};
  SearchUpdateStats stats_;
};
using Keys = std::vector<Bytes>;

TEST_F(Search, RanksNamesBeforePaths) {
  const auto root = update({}, added({"pool/n/nginx/nginx_1.22_amd64.deb", "pool/n/nginx/nginx-core_1.22_amd64.deb",
                                      "pool/l/libnginx-mod_1.0_all.deb", "pool/n/nginx/README", "doc/about-nginx.txt",
                                      "pool/a/apache2_2.4_amd64.deb"}));
  const auto answer = open(root)->query("nginx", 10, 0);
  ASSERT_TRUE(answer.has_value()) << answer.error().message;
  ASSERT_EQ(answer->hits.size(), 4u);
  EXPECT_EQ(answer->hits[0].key, "pool/n/nginx/nginx_1.22_amd64.deb");
  EXPECT_EQ(answer->hits[0].rank, Rank::ExactName);
  EXPECT_EQ(answer->hits[0].package->version, "1.22");
  EXPECT_EQ(answer->hits[1].key, "pool/n/nginx/nginx-core_1.22_amd64.deb");
  EXPECT_EQ(answer->hits[1].rank, Rank::NamePrefix);
  EXPECT_EQ(answer->hits[2], (SearchHit{"doc/about-nginx.txt", Rank::FileName, std::nullopt}));
  EXPECT_EQ(answer->hits[3].rank, Rank::Path);
  EXPECT_TRUE(answer->complete);
  EXPECT_FALSE(answer->more);
}

TEST_F(Search, AllWordsMustBeThereTheLastAsAPrefix) {
  const auto root = update({}, added({"a/foo-bar-1.2.3.tar.gz", "a/foo-1.2.3.tar.gz", "a/bar-baz.txt",
                                      "gr\xc3\xb6\xc3\x9f"
                                      "e.txt"}));
  EXPECT_EQ(keys(root, "bar FOO"), Keys{"a/foo-bar-1.2.3.tar.gz"});
  EXPECT_EQ(keys(root, "foo ba"), Keys{"a/foo-bar-1.2.3.tar.gz"});
  EXPECT_EQ(keys(root, "ba foo"), Keys{});
  EXPECT_EQ(keys(root, "1.2"), (Keys{"a/foo-1.2.3.tar.gz", "a/foo-bar-1.2.3.tar.gz"}));
  EXPECT_EQ(keys(root, "gr\xc3\xb6"), Keys{"gr\xc3\xb6\xc3\x9f"
                                           "e.txt"});
  EXPECT_EQ(keys(root, "nothing"), Keys{});
}

TEST_F(Search, HostileQueriesAreInvalidOrJustWords) {
  const auto root = update({}, added({"a/foo.txt", "a/or-near-not.txt"}));
  const auto index = open(root);
  for (const Bytes& bad : {Bytes(), Bytes("\"*^"), Bytes(5000, 'x')})
    EXPECT_EQ(index->query(bad, 10, 0).error().code, Code::Invalid);
  for (const char* odd : {"\"", "foo\"", "foo OR", "NOT near", "terms:foo", "foo*", "(foo", "a'; DROP TABLE keys; --",
                          "#", "=", "{terms}:x", "\xff\xfe foo"}) {
    const auto answer = index->query(odd, 10, 0);
    if (!answer) EXPECT_EQ(answer.error().code, Code::Invalid) << odd;
  }
  EXPECT_EQ(index->query(ByteView("foo\0bar", 7), 10, 0)->hits.size(), 0u);
  EXPECT_EQ(keys(root, "foo*"), Keys{"a/foo.txt"});
  EXPECT_EQ(keys(root, "OR NEAR not"), Keys{"a/or-near-not.txt"});
  EXPECT_TRUE(rc::check("any query", [&](const std::string& text) {
    const auto answer = index->query(text, 10, 0);
    RC_ASSERT(answer.has_value() || answer.error().code == Code::Invalid);
  }));
}

TEST_F(Search, UpdatesGiveTheAnswersOfAModel) {
  EXPECT_TRUE(rc::check([this](uint32_t seed) {
    uint32_t state = seed;
    const auto random = [&](uint32_t below) { return (state = state * 1664525u + 1013904223u, (state >> 8) % below); };
    std::set<Bytes> model;
    tree::Root root;
    for (int round = 0; round < 8; ++round) {
      std::map<Bytes, Kind> edits;
      for (uint32_t n = random(120); n > 0; --n) {
        const Bytes key = "dir" + std::to_string(random(5)) + "/pkg" + std::to_string(random(40)) + "_" +
                          std::to_string(random(3)) + ".0_all.deb";
        edits[key] = random(3) == 0 ? Kind::Removed : Kind::Added;  // also of what is there, or absent, already
      }
      for (const auto& [key, kind] : edits) {
        if (kind == Kind::Added)
          model.insert(key);
        else
          model.erase(key);
      }
      root = update(root, edits);
      for (const char* text : {"dir1", "pkg1", "pkg7 0", "all deb 2.0", "3"}) {
        std::set<Bytes> expected;
        const auto query = parse_search_query(text);
        for (const Bytes& key : model) {
          const auto have = words_of(key);
          bool all = true;
          for (size_t i = 0; i < query->words.size(); ++i)
            all &= std::ranges::any_of(have, [&](const Bytes& w) {
              return i + 1 == query->words.size() && query->words[i].size() > 1 ? w.starts_with(query->words[i])
                                                                                : w == query->words[i];
            });
          if (all) expected.insert(key);
        }
        const Keys got = keys(root, text);
        RC_ASSERT(std::set<Bytes>(got.begin(), got.end()) == expected);
        RC_ASSERT(got.size() == expected.size());
      }
    }
  }));
}

TEST_F(Search, SameEditsOnTheSameBaseGiveTheSameRoot) {
  std::map<Bytes, Kind> first, second;
  for (int i = 0; i < 3000; ++i) first["pool/p" + std::to_string(i * 7919 % 10007) + "_1_all.deb"] = Kind::Added;
  for (int i = 0; i < 100; ++i) second["pool/q" + std::to_string(i) + "_1_all.deb"] = Kind::Added;
  for (int i = 0; i < 50; ++i) second[first.begin()->first.substr(0, 6) + std::to_string(i)] = Kind::Removed;
  second[std::next(first.begin(), 1000)->first] = Kind::Removed;
  const auto a1 = update({}, first), a2 = update(a1, second);
  auto other_chunks = chunk::make_memory_store();
  tree::CachedNodes other_nodes(*other_chunks, {});
  const Bytes noise(1 << 22, 'n');  // another state of the heap
  const auto b1 = update_search(other_nodes, *other_chunks, {}, from(first));
  const auto b2 = update_search(other_nodes, *other_chunks, *b1, from(second));
  EXPECT_EQ(a1, *b1);
  EXPECT_EQ(a2, *b2);
}

TEST_F(Search, UpdateThatChangesNothingKeepsTheRoot) {
  const auto root = update({}, added({"a", "b"}));
  EXPECT_EQ(update(root, {}), root);
  EXPECT_EQ(update(root, {{"a", Kind::Added}, {"c", Kind::Removed}}), root);
  EXPECT_EQ(stats_.pages_written, 0u);
}

TEST_F(Search, SmallUpdateOfABigIndexWritesFewPages) {
  std::map<Bytes, Kind> first, second;
  for (int i = 0; i < 50'000; ++i)
    first["pool/main/p/pkg" + std::to_string(i) + "/pkg" + std::to_string(i) + "_1.0-1_amd64.deb"] = Kind::Added;
  const auto root = update({}, first);
  const uint64_t all_pages = tree::totals(nodes_, root)->keys;
  for (int i = 0; i < 20; ++i) second["pool/main/p/pkg17/pkg17_2." + std::to_string(i) + "_amd64.deb"] = Kind::Added;
  update(root, second);
  EXPECT_EQ(stats_.added, 20u);
  EXPECT_LT(stats_.pages_written, 20u);
  EXPECT_GT(all_pages, 500u);
}

TEST_F(Search, PagesOfHitsMeetWithoutGapOrOverlap) {
  std::map<Bytes, Kind> edits;
  for (int i = 0; i < 100; ++i) edits["x/file" + std::to_string(i)] = Kind::Added;
  const auto index = open(update({}, edits));
  std::set<Bytes> seen;
  for (size_t offset = 0; offset < 100; offset += 9) {
    const auto answer = index->query("x", 9, offset);
    for (const SearchHit& hit : answer->hits) EXPECT_TRUE(seen.insert(hit.key).second) << hit.key;
    EXPECT_EQ(answer->more, offset + 9 < 100);
  }
  EXPECT_EQ(seen.size(), 100u);
  EXPECT_TRUE(index->query("x", 9, 1000)->hits.empty());
}

TEST_F(Search, SaysWhenNotAllMatchesWereRanked) {
  std::map<Bytes, Kind> edits;
  for (size_t i = 0; i < kSearchCandidatesMax + 5; ++i) edits["x/file" + std::to_string(i)] = Kind::Added;
  edits["x/y"] = Kind::Added;
  const auto index = open(update({}, edits));
  EXPECT_FALSE(index->query("x", 9, 0)->complete);
  EXPECT_TRUE(index->query("x y", 9, 0)->complete);
}

TEST_F(Search, OldReleasesAnswerFromTheirOwnIndex) {
  const auto old = update({}, added({"a/one", "a/two"}));
  const auto now = update(old, {{"a/one", Kind::Removed}, {"a/three", Kind::Added}});
  EXPECT_EQ(keys(old, "a"), (Keys{"a/one", "a/two"}));
  EXPECT_EQ(keys(now, "a"), (Keys{"a/three", "a/two"}));
}

TEST_F(Search, EmptyIndexesAnswer) {
  EXPECT_EQ(keys({}, "a"), Keys{});
  EXPECT_EQ(keys(update({}, {}), "a"), Keys{});
  EXPECT_EQ(open({})->query("", 1, 0).error().code, Code::Invalid);
}

TEST_F(Search, ManyThreadsMayAskOneIndexAndMany) {
  std::map<Bytes, Kind> edits;
  for (int i = 0; i < 2000; ++i) edits["x/file" + std::to_string(i)] = Kind::Added;
  const auto root = update({}, edits);
  const auto shared = open(root);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        const Bytes text = "file" + std::to_string(t * 20 + i) + " x";
        EXPECT_GE(shared->query(text, 10, 0)->hits.size(), 1u);
        EXPECT_GE(open(root)->query(text, 10, 0)->hits.size(), 1u);
      }
    });
  for (std::thread& thread : threads) thread.join();
}

TEST_F(Search, IdsThatAreGivenAgainBringNoOldWords) {
  auto root = update({}, added({"a/one", "b/two"}));
  root = update(root, {{"b/two", Kind::Removed}});  // the highest id: the next key gets it
  root = update(root, {{"c/three", Kind::Added}});
  EXPECT_EQ(keys(root, "two"), Keys{});
  EXPECT_EQ(keys(root, "three"), Keys{"c/three"});
}

TEST_F(Search, KeysThatShareATermAreToldApart) {
  std::map<Bytes, Bytes> seen;  // 35 bits: two of some 200,000 meet
  Bytes one, other;
  for (int i = 0; other.empty(); ++i) {
    const Bytes key = "k" + std::to_string(i);
    const auto [at, fresh] = seen.try_emplace(key_term(key), key);
    if (!fresh) one = at->second, other = key;
  }
  auto root = update({}, added({one}));
  EXPECT_EQ(update(root, {{other, Kind::Removed}}), root);
  root = update(root, {{other, Kind::Added}});
  EXPECT_EQ(keys(root, other), Keys{other});
  root = update(root, {{one, Kind::Removed}});
  EXPECT_EQ(keys(root, one), Keys{});
  EXPECT_EQ(keys(root, other), Keys{other});
}

TEST_F(Search, ReadsAndUpdatesTheGoldenIndexOfFormat1) {
  std::ifstream in(std::filesystem::path(__FILE__).parent_path() / "testdata/search_v1.zst", std::ios::binary);
  Bytes packed((std::istreambuf_iterator<char>(in)), {});
  PageFile pages(nodes_, *chunks_, {});
  ASSERT_TRUE(pages.open({}).has_value());
  size_t written = 0;
  const auto unpacked = decompress(
      Coding::Zstd, [&]() -> Result<Bytes> { return std::exchange(packed, {}); },
      [&](ByteView bytes) {
        const size_t at = std::exchange(written, written + bytes.size());
        return pages.write(at, bytes);
      },
      1 << 20);
  ASSERT_TRUE(unpacked.has_value()) << unpacked.error().message;
  ASSERT_EQ(written % kPageBytes, 0u);
  const auto root = *pages.flush();
  EXPECT_EQ(keys(root, "nginx"), (Keys{"pool/n/nginx_1.22-1_all.deb", "pool/n/nginx-doc_1.22-1_all.deb"}));
  EXPECT_EQ(keys(root, "gr\xc3\xbc"), Keys{"Gr\xc3\xbc\xc3\x9f"
                                           "e/\xff.txt"});
  const auto removed = update(root, {{"pool/n/nginx_1.22-1_all.deb", Kind::Removed}, {"new", Kind::Added}});
  EXPECT_EQ(stats_.removed, 1u);
  EXPECT_EQ(keys(removed, "nginx"), Keys{"pool/n/nginx-doc_1.22-1_all.deb"});
  EXPECT_EQ(keys(removed, "new"), Keys{"new"});
}

TEST_F(Search, RefusesEditsOutOfOrder) {
  for (const Keys& order : {Keys{"b", "a"}, Keys{"a", "a"}, Keys{""}, Keys{Bytes(1025, 'x')}}) {
    size_t next = 0;
    const auto root = update_search(nodes_, *chunks_, {}, [&]() -> Result<std::optional<SearchEdit>> {
      if (next == order.size()) return std::nullopt;
      return SearchEdit{order[next++], Kind::Added};
    });
    ASSERT_FALSE(root.has_value());
    EXPECT_EQ(root.error().code, Code::Invalid);
  }
  const auto failing = update_search(
      nodes_, *chunks_, {}, []() -> Result<std::optional<SearchEdit>> { return fail(Code::Cancelled, "stop"); });
  EXPECT_EQ(failing.error(), (Error{Code::Cancelled, "stop"}));
}

/// An index made by arbitrary SQL after the usual start.
class ForeignSearch : public Search {
 protected:
  tree::Root with(const std::string& sql) {
    PageFile pages(nodes_, *chunks_, {});
    EXPECT_TRUE(pages.open({}).has_value());
    const auto database = *SqliteDatabase::open(pages, SqliteDatabase::Mode::Write, 1 << 20);
    EXPECT_TRUE(create_search_schema(*database).has_value());
    const auto done = database->execute(sql);
    EXPECT_TRUE(done.has_value()) << done.error().message;
    EXPECT_TRUE(database->close().has_value());
    return *pages.flush();
  }
  Code refusal(const tree::Root& root) {
    const auto updated = update_search(nodes_, *chunks_, root, from(added({"a"})));
    const auto opened = SearchIndex::open(nodes_, *chunks_, root);
    EXPECT_FALSE(updated.has_value());
    EXPECT_FALSE(opened.has_value());
    EXPECT_EQ(updated.error().code, opened.error().code);
    return opened.error().code;
  }
};

TEST_F(ForeignSearch, OtherFormatsAndSchemasAreRefused) {
  EXPECT_TRUE(SearchIndex::open(nodes_, *chunks_, with("SELECT 1")).has_value());
  EXPECT_EQ(refusal(with("PRAGMA user_version=99")), Code::Unsupported);
  EXPECT_EQ(refusal(with("CREATE TRIGGER t AFTER INSERT ON keys BEGIN DELETE FROM keys; END")), Code::Corrupt);
  EXPECT_EQ(refusal(with("CREATE VIEW v AS SELECT 1")), Code::Corrupt);
  EXPECT_EQ(refusal(with("DROP TABLE keys")), Code::Corrupt);
}

TEST_F(ForeignSearch, DamagedPagesAreErrors) {
  const auto root = update({}, added({"a/one", "a/two", "b/three"}));
  const uint64_t pages = tree::totals(nodes_, root)->keys;
  for (uint64_t page = 0; page < pages; ++page)
    for (const char fill : {'\0', '\xff', 'x'}) {
      PageFile file(nodes_, *chunks_, {});
      ASSERT_TRUE(file.open(root).has_value());
      ASSERT_TRUE(file.write(page * kPageBytes + 1, Bytes(kPageBytes - 1, fill)).has_value());
      const auto index = SearchIndex::open(nodes_, *chunks_, *file.flush());
      if (!index) continue;
      const auto answer = (*index)->query("a", 10, 0);  // whatever it says, it does not crash
      if (answer) EXPECT_LE(answer->hits.size(), 10u);
    }
}

}  // namespace
}  // namespace hailstone::publish
