#include "publish/publisher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "publish/derived.h"
#include "publish/search.h"
#include "volume/testing.h"

namespace hailstone::publish {
namespace {

struct Rig {
  volume::testing::TestCell cell;
  NullLogger logger;
  SigningKey key = *SigningKey::from_seed(Bytes(32, '\7'));
  Publisher publisher{cell.repository, key, {}, logger};

  Rig() { cell.create("repo"); }

  std::expected<std::vector<Published>, Refusal> publish(std::vector<Item> items = {{"repo", {}, ""}},
                                                         std::vector<Bytes> channels = {"current"},
                                                         Bytes idempotency_key = "") {
    return publisher.publish({"tester", std::move(idempotency_key)},
                             {.items = std::move(items), .channels = std::move(channels)});
  }
  DraftId open_draft(std::optional<uint64_t> base = {}) {
    volume::OpenDraft open{"repo", {}, {}, "from a draft"};
    const auto v = *cell.repository.volume("repo");
    if (base || v->channel("current")) {
      open.base = base ? ReleaseNumber(*base) : v->channel("current")->release;
      open.base_root = cell.repository.release(*v, open.base)->root;
    }
    return DraftId(cell.repository.submit(cell.caller, open)->number);
  }
  Bytes read(std::string_view where, ByteView name) {
    const auto contents = *cell.repository.open(cell.target(where));
    const auto entry = *contents->get(name);
    return entry ? entry->content.inlined : "(absent)";
  }
  volume::ReleaseRecord record(uint64_t number) {
    return *cell.repository.release(**cell.repository.volume("repo"), ReleaseNumber(number));
  }
};

TEST(Publisher, HeadBecomesANumberedSignedRelease) {
  Rig rig;
  rig.cell.put("repo", "a", "1");
  const auto first = rig.publish();
  ASSERT_TRUE(first) << first.error().error.message;
  EXPECT_EQ(first->at(0).release.value, 1u);
  EXPECT_EQ(first->at(0).added, 1u);
  rig.cell.put("repo", "a", "2");
  rig.cell.put("repo", "b", "3");
  ASSERT_TRUE(rig.publish());
  const auto one = rig.record(1), two = rig.record(2);
  EXPECT_TRUE(rig.key.public_key().verify(two.signed_bytes(), two.signature));
  EXPECT_EQ(two.parent_hash, one.hash());
  EXPECT_EQ(two.parent.value, 1u);
  EXPECT_EQ(two.totals.keys, 2u);
  EXPECT_EQ((std::array{two.added, two.changed, two.removed}), (std::array<uint64_t, 3>{1, 1, 0}));
  EXPECT_EQ(rig.read("repo@current", "a"), "2");
  EXPECT_EQ(rig.read("repo@1", "a"), "1");
}

TEST(Publisher, NothingChangedIsNoNewRelease) {
  Rig rig;
  rig.cell.put("repo", "a", "1");
  ASSERT_TRUE(rig.publish());
  const auto again = rig.publish();
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->at(0).unchanged);
  EXPECT_EQ(again->at(0).release.value, 1u);
  const auto staged = rig.publish({{"repo", {}, ""}}, {"testing"});
  ASSERT_TRUE(staged);
  EXPECT_FALSE(staged->at(0).unchanged) << "another channel is to be flipped";
}

TEST(Publisher, DraftsMergeByKeyAndReachTheHead) {
  Rig rig;
  rig.cell.put("repo", "a", "1");
  ASSERT_TRUE(rig.publish());
  const DraftId x = rig.open_draft(), y = rig.open_draft();
  rig.cell.put("repo@draft-1", "x", "from x");
  rig.cell.put("repo@draft-2", "y", "from y");
  rig.cell.remove("repo@draft-2", "a");
  ASSERT_TRUE(rig.publish({{"repo", x, ""}}));
  ASSERT_TRUE(rig.publish({{"repo", y, ""}})) << "its base is no longer current, but the keys are others";
  for (const char* where : {"repo@current", "repo"}) {
    EXPECT_EQ(rig.read(where, "x"), "from x") << where;
    EXPECT_EQ(rig.read(where, "y"), "from y") << where;
    EXPECT_EQ(rig.read(where, "a"), "(absent)") << where;
  }
  EXPECT_FALSE(rig.cell.repository.resolve("repo@draft-1")) << "published drafts are gone";
  EXPECT_EQ(rig.record(2).message, "from a draft");
}

TEST(Publisher, OverlappingDraftsAreRefusedWithTheirKeys) {
  Rig rig;
  rig.cell.put("repo", "a", "1");
  ASSERT_TRUE(rig.publish());
  const DraftId x = rig.open_draft(), y = rig.open_draft();
  rig.cell.put("repo@draft-1", "a", "x");
  rig.cell.put("repo@draft-2", "a", "y");
  rig.cell.put("repo@draft-2", "b", "y");
  ASSERT_TRUE(rig.publish({{"repo", x, ""}}));
  const auto refused = rig.publish({{"repo", y, ""}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().error.code, Code::Conflict);
  EXPECT_EQ(refused.error().keys, std::vector<Bytes>{"a"});
  EXPECT_EQ(rig.read("repo@current", "a"), "x");
  EXPECT_EQ(rig.read("repo@draft-2", "b"), "y") << "the draft is still there to be mended";
  rig.cell.put("repo@draft-2", "a", "x");
  EXPECT_TRUE(rig.publish({{"repo", y, ""}}));
}

TEST(Publisher, DraftsNeverOverwriteUnpublishedChangesOfTheHead) {
  Rig rig;
  rig.cell.put("repo", "a", "1");
  ASSERT_TRUE(rig.publish());
  const DraftId draft = rig.open_draft();
  rig.cell.put("repo@draft-1", "a", "draft");
  rig.cell.put("repo", "a", "head");
  const auto refused = rig.publish({{"repo", draft, ""}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().keys, std::vector<Bytes>{"a"});
  rig.cell.put("repo", "c", "head only");
  rig.cell.put("repo", "a", "draft");  // the two sides agree now
  ASSERT_TRUE(rig.publish({{"repo", draft, ""}}));
  EXPECT_EQ(rig.read("repo", "c"), "head only");
  EXPECT_EQ(rig.read("repo@current", "c"), "(absent)") << "not published yet";
}

TEST(Publisher, SeveralVolumesAndChannelsFlipInOneCommit) {
  Rig rig;
  rig.cell.create("site");
  rig.cell.put("repo", "a", "1");
  rig.cell.put("site", "a", "1");
  const auto done = rig.publish({{"repo", {}, ""}, {"site", {}, ""}}, {"current", "stable"});
  ASSERT_TRUE(done) << done.error().error.message;
  for (const char* where : {"repo@current", "repo@stable", "site@current", "site@stable"})
    EXPECT_EQ(rig.read(where, "a"), "1");
  const auto v = *rig.cell.repository.volume("repo"), w = *rig.cell.repository.volume("site");
  EXPECT_EQ(v->channel("current")->at, w->channel("stable")->at) << "one instant";
  EXPECT_FALSE(rig.publish({{"repo", {}, ""}, {"repo", {}, ""}}));
}

TEST(Publisher, RetriesWithTheSameKeyPublishOnce) {
  Rig rig;
  rig.cell.put("repo", "a", "1");
  ASSERT_TRUE(rig.publish({{"repo", {}, ""}}, {"current"}, "once"));
  rig.cell.put("repo", "a", "2");
  const auto again = rig.publish({{"repo", {}, ""}}, {"current"}, "once");
  ASSERT_TRUE(again);
  EXPECT_EQ(again->at(0).release.value, 1u);
  EXPECT_EQ(rig.read("repo@current", "a"), "1");
}

TEST(Publisher, RollbackGoesBackAndRevertGoesOn) {
  Rig rig;
  for (const char* value : {"1", "2", "3"}) {
    rig.cell.put("repo", "a", value);
    ASSERT_TRUE(rig.publish());
  }
  EXPECT_EQ(rig.publisher.rollback(rig.cell.caller, "repo", "current", {})->to.value, 2u);
  EXPECT_EQ(rig.publisher.rollback(rig.cell.caller, "repo", "current", {})->to.value, 1u);
  EXPECT_FALSE(rig.publisher.rollback(rig.cell.caller, "repo", "current", {}));
  EXPECT_FALSE(rig.publisher.rollback(rig.cell.caller, "repo", "current", ReleaseNumber(3))) << "that is no rollback";
  EXPECT_EQ(rig.read("repo@current", "a"), "1");
  const auto reverted = rig.publisher.revert(rig.cell.caller, "repo", ReleaseNumber(2), {"current"}, "");
  ASSERT_TRUE(reverted) << reverted.error().error.message;
  EXPECT_EQ(reverted->release.value, 4u);
  EXPECT_EQ(rig.record(4).root, rig.record(2).root);
  EXPECT_EQ(rig.read("repo@current", "a"), "2");
}

TEST(Publisher, RevertTakesACleanHeadWithItAndSparesADirtyOne) {
  Rig rig;
  for (const char* value : {"1", "2"}) {
    rig.cell.put("repo", "a", value);
    ASSERT_TRUE(rig.publish());
  }
  ASSERT_TRUE(rig.publisher.revert(rig.cell.caller, "repo", ReleaseNumber(1), {"current"}, ""));
  EXPECT_EQ(rig.read("repo", "a"), "1");
  rig.cell.put("repo", "a", "unpublished");
  const auto again = rig.publisher.revert(rig.cell.caller, "repo", ReleaseNumber(2), {"current"}, "");
  ASSERT_TRUE(again);
  EXPECT_EQ(again->warnings.size(), 1u);
  EXPECT_EQ(rig.read("repo", "a"), "unpublished");
}

TEST(Publisher, ClonesShareEverythingAndGoTheirOwnWay) {
  Rig rig;
  rig.cell.put("repo", "a", "1");
  ASSERT_TRUE(rig.publish());
  ASSERT_TRUE(rig.publisher.clone(rig.cell.caller, "repo", {}, "copy", {}));
  EXPECT_EQ(rig.read("copy@1", "a"), "1");
  rig.cell.put("copy", "a", "2");
  ASSERT_TRUE(rig.publish({{"copy", {}, ""}}));
  EXPECT_EQ(rig.read("copy@current", "a"), "2");
  EXPECT_EQ(rig.read("repo@current", "a"), "1");
}

TEST(Publisher, ChecksRefuseAndWarnByTheVolumesSetting) {
  Rig rig;
  const Bytes release = "Origin: x\nSuite: stable\nDate: Sat, 01 Jan 2022 00:00:00 UTC\nSHA256:\n " +
                        sha256("other").hex() + " 5 main/binary-amd64/Packages\n";
  rig.cell.put("repo", "dists/stable/Release", release);
  rig.cell.put("repo", "dists/stable/main/binary-amd64/Packages", "wrong");
  const auto refused = rig.publish();
  ASSERT_FALSE(refused);
  EXPECT_FALSE(refused.error().findings.empty());
  EXPECT_FALSE(rig.cell.repository.resolve("repo@current"));
  volume::Settings settings;
  settings.checks = volume::CheckMode::Warn;
  ASSERT_TRUE(rig.cell.repository.submit(rig.cell.caller, volume::ChangeSettings{"repo", settings}));
  const auto warned = rig.publish();
  ASSERT_TRUE(warned);
  EXPECT_FALSE(warned->at(0).warnings.empty());
}

TEST(Publisher, HooksMayRefuse) {
  Rig rig;
  PublisherOptions options;
  options.hooks.push_back(
      {"re*", {.argv = {"/bin/sh", "-c", "grep -q forbidden && { echo no such files here; exit 1; }; exit 0"}}});
  Publisher publisher(rig.cell.repository, rig.key, options, rig.logger);
  rig.cell.put("repo", "forbidden/x", "1");
  const auto refused = publisher.publish(rig.cell.caller, {.items = {{"repo", {}, ""}}});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().error.message.find("no such files here"), std::string::npos)
      << refused.error().error.message;
  rig.cell.remove("repo", "forbidden/x");
  rig.cell.put("repo", "fine", "1");
  EXPECT_TRUE(publisher.publish(rig.cell.caller, {.items = {{"repo", {}, ""}}}));
}

TEST(Publisher, DerivedDataIsOfItsRelease) {
  Rig rig;
  rig.cell.put("repo", "pool/hello_1.0_amd64.deb", "1");
  ASSERT_TRUE(rig.publish());
  rig.cell.put("repo", "pool/world_2.0_amd64.deb", "2");
  rig.cell.remove("repo", "pool/hello_1.0_amd64.deb");
  ASSERT_TRUE(rig.publish());
  const auto hits = [&](uint64_t release, const char* word) {
    const auto root = *search_root(rig.cell.nodes, rig.record(release).derived);
    auto index = SearchIndex::open(rig.cell.nodes, *rig.cell.chunks, root);
    return (*index)->query(word, 10, 0)->hits.size();
  };
  EXPECT_EQ(hits(1, "hello"), 1u);
  EXPECT_EQ(hits(2, "hello"), 0u);
  EXPECT_EQ(hits(2, "world"), 1u);
  const auto read = [&](std::string_view key) {
    const auto entry = *derived_entry(rig.cell.nodes, rig.record(2).derived, key);
    return *chunk::read_content(*rig.cell.chunks, entry->content, 0, entry->content.bytes, 1 << 20);
  };
  EXPECT_NE(read(kFeedKey).find("<feed"), std::string::npos);
  EXPECT_NE(read(kChangesKey).find("hello_1.0"), std::string::npos);
}

TEST(Publisher, ManyPublishersLoseNothing) {
  Rig rig;
  rig.cell.put("repo", "seed", "1");
  ASSERT_TRUE(rig.publish());
  constexpr int kPublishers = 8, kRounds = 10;
  std::vector<std::thread> threads;
  std::atomic<int> published{0};
  for (int i = 0; i < kPublishers; ++i)
    threads.emplace_back([&rig, &published, i] {
      for (int round = 0; round < kRounds; ++round) {
        const DraftId draft = rig.open_draft();
        rig.cell.put("repo@draft-" + std::to_string(draft.value), "p" + std::to_string(i) + "/" + std::to_string(round),
                     "x");
        if (rig.publish({{"repo", draft, ""}})) ++published;
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(published, kPublishers * kRounds);
  const auto v = *rig.cell.repository.volume("repo");
  const auto last = *rig.cell.repository.release(*v, v->record.last_release);
  EXPECT_EQ(last.totals.keys, 1u + kPublishers * kRounds);
}

}  // namespace
}  // namespace hailstone::publish
