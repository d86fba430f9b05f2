#include "volume/repository.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <thread>

#include "volume/testing.h"

namespace hailstone::volume {
namespace {

using testing::TestCell;

std::map<Bytes, Bytes> read_all(TestCell& cell, std::string_view where) {
  std::map<Bytes, Bytes> out;
  auto contents = *cell.repository.open(cell.target(where));
  auto cursor = contents->cursor();
  for (auto moved = cursor->seek(""); moved && cursor->valid(); moved = cursor->next()) {
    const Entry entry = *Entry::decode(cursor->value());
    out[Bytes(cursor->key())] = *chunk::read_content(*cell.chunks, entry.content, 0, entry.content.bytes, 1 << 20);
    EXPECT_EQ(contents->get_encoded(cursor->key())->value(), cursor->value());
  }
  return out;
}

TEST(Repository, HeadReadsItsWritesAcrossSeals) {
  TestCell cell;
  cell.create("repo");
  cell.put("repo", "a", "1");
  cell.put("repo", "b", "2");
  ASSERT_TRUE(cell.repository.seal(*cell.target("repo").volume, kHeadLayer));
  cell.put("repo", "a", "3");
  cell.remove("repo", "b");
  cell.put("repo", "c", "4");
  const std::map<Bytes, Bytes> expected = {{"a", "3"}, {"c", "4"}};
  EXPECT_EQ(read_all(cell, "repo"), expected);
  const Bytes token = *cell.repository.token(cell.target("repo"));
  ASSERT_TRUE(cell.repository.seal(*cell.target("repo").volume, kHeadLayer));
  EXPECT_EQ(read_all(cell, "repo"), expected);
  EXPECT_EQ(*cell.repository.token(cell.target("repo")), token) << "sealing changes nothing a reader sees";
}

TEST(Repository, ASealCutShortIsFinishedByTheNext) {
  TestCell cell;
  cell.create("repo");
  cell.put("repo", "a", "1");
  ASSERT_TRUE(cell.repository.submit(cell.caller, BeginSeal{"repo", kHeadLayer}));  // and then the process died
  cell.put("repo", "b", "2");
  cell.put("repo", "a", "3");
  EXPECT_EQ(read_all(cell, "repo"), (std::map<Bytes, Bytes>{{"a", "3"}, {"b", "2"}}));
  const auto sealed = cell.repository.seal(*cell.target("repo").volume, kHeadLayer);
  ASSERT_TRUE(sealed);
  EXPECT_EQ(tree::lookup(cell.nodes, sealed->root, "b")->has_value(), true) << "the call's own cut is folded too";
  EXPECT_EQ(read_all(cell, "repo"), (std::map<Bytes, Bytes>{{"a", "3"}, {"b", "2"}}));
}

TEST(Repository, ConditionsAreExact) {
  TestCell cell;
  cell.create("repo");
  const Target head = cell.target("repo");
  const auto write = [&](Condition condition, ByteView bytes) {
    return cell.repository.write(cell.caller, head, {std::move(condition)}, {{"k", cell.file(bytes)}});
  };
  EXPECT_TRUE(write({"k", {}, {{"*"}}}, "one"));
  auto again = write({"k", {}, {{"*"}}}, "two");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::Conflict);
  EXPECT_FALSE(write({"k", {{sha256("two").hex()}}, {}}, "three"));
  EXPECT_TRUE(write({"k", {{sha256("one").hex()}}, {}}, "three"));
  ASSERT_TRUE(cell.repository.seal(*head.volume, kHeadLayer));
  EXPECT_FALSE(write({"k", {{sha256("one").hex()}}, {}}, "four")) << "also when the key is only in the base tree";
  EXPECT_TRUE(write({"k", {{sha256("three").hex()}}, {}}, "four"));
  EXPECT_FALSE(write({"absent", {{"*"}}, {}}, "five"));
}

TEST(Repository, OfManyExclusiveCreatesOneWins) {
  TestCell cell;
  cell.create("repo");
  std::atomic<int> won{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 16; ++i)
    clients.emplace_back([&cell, &won, i] {
      for (int k = 0; k < 20; ++k)
        if (cell.repository.write(cell.caller, cell.target("repo"), {{"key" + std::to_string(k), {}, {{"*"}}}},
                                  {{"key" + std::to_string(k), cell.file("by " + std::to_string(i))}}))
          ++won;
    });
  for (auto& client : clients) client.join();
  EXPECT_EQ(won, 20);
}

TEST(Repository, BatchesAreAllOrNothing) {
  TestCell cell;
  cell.create("repo");
  cell.put("repo", "a", "1");
  auto refused = cell.repository.write(cell.caller, cell.target("repo"), {{"a", {}, {{"*"}}}},
                                       {{"b", cell.file("2")}, {"a", std::nullopt}});
  EXPECT_FALSE(refused);
  EXPECT_EQ(read_all(cell, "repo"), (std::map<Bytes, Bytes>{{"a", "1"}}));
  auto bad_key =
      cell.repository.write(cell.caller, cell.target("repo"), {}, {{"b", cell.file("2")}, {"", std::nullopt}});
  ASSERT_FALSE(bad_key);
  EXPECT_EQ(bad_key.error().code, Code::Invalid);
  EXPECT_EQ(read_all(cell, "repo").size(), 1u);
}

TEST(Repository, ReleasesAreImmutableAndNamedByNumberChannelAndTag) {
  TestCell cell;
  cell.create("repo");
  cell.put("repo", "a", "1");
  EXPECT_EQ(cell.release("repo").value, 1u);
  cell.put("repo", "a", "2");
  EXPECT_EQ(cell.release("repo", "testing").value, 2u);
  ASSERT_TRUE(cell.repository.submit(cell.caller, SetTag{"repo", "v1.0", ReleaseNumber(1)}));
  EXPECT_EQ(read_all(cell, "repo@1")["a"], "1");
  EXPECT_EQ(read_all(cell, "repo@current")["a"], "1");
  EXPECT_EQ(read_all(cell, "repo@testing")["a"], "2");
  EXPECT_EQ(read_all(cell, "repo@v1.0")["a"], "1");
  auto denied = cell.repository.write(cell.caller, cell.target("repo@1"), {}, {{"a", std::nullopt}});
  ASSERT_FALSE(denied);
  EXPECT_EQ(denied.error().code, Code::Denied);
  for (const char* absent : {"repo@3", "repo@stable", "repo@draft-9", "nothere"}) {
    auto target = cell.repository.resolve(absent);
    ASSERT_FALSE(target) << absent;
    EXPECT_EQ(target.error().code, Code::NotFound);
  }
  EXPECT_FALSE(cell.repository.submit(cell.caller, SetTag{"repo", "testing", ReleaseNumber(1)})) << "a channel's name";
}

TEST(Repository, FlipsOfSeveralVolumesAreOneCommit) {
  TestCell cell;
  for (const char* name : {"apt-repo", "rpm-repo"}) {
    cell.create(name);
    cell.put(name, "a", "1");
    cell.release(name);
    cell.put(name, "a", "2");
    cell.release(name, "testing");
  }
  Commit both;
  both.flips = {{"apt-repo", "current", ReleaseNumber(2), ReleaseNumber(1)},
                {"rpm-repo", "current", ReleaseNumber(2), ReleaseNumber(9)}};
  auto refused = cell.repository.submit(cell.caller, both);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Conflict);
  EXPECT_EQ(read_all(cell, "apt-repo@current")["a"], "1") << "the half that was fine did not happen";
  both.flips[1].expected = ReleaseNumber(1);
  ASSERT_TRUE(cell.repository.submit(cell.caller, both));
  EXPECT_EQ(read_all(cell, "apt-repo@current")["a"], "2");
  EXPECT_EQ(read_all(cell, "rpm-repo@current")["a"], "2");
}

TEST(Repository, LastModifiedSecondsRiseStrictlyEvenWithinOneSecond) {
  TestCell cell;
  cell.create("repo");
  int64_t last = 0;
  for (int i = 0; i < 5; ++i) {
    cell.put("repo", "a", std::to_string(i));
    cell.release("repo");
    const int64_t now = cell.target("repo").volume->channel("current")->modified_seconds;
    EXPECT_GT(now, last);
    last = now;
  }
  Commit remove;
  remove.flips = {{"repo", "current", ReleaseNumber(0), {}}};
  ASSERT_TRUE(cell.repository.submit(cell.caller, remove));
  EXPECT_FALSE(cell.repository.resolve("repo@current"));
  cell.put("repo", "a", "back");
  cell.release("repo");
  EXPECT_GT(cell.target("repo").volume->channel("current")->modified_seconds, last) << "a recreated channel goes on";
}

TEST(Repository, IdempotencyKeysReturnTheFirstReply) {
  TestCell cell;
  cell.create("repo");
  const Caller retry{"tester", "key-1"};
  const auto first = cell.repository.submit(retry, OpenDraft{"repo", {}, {}, "m"});
  const auto second = cell.repository.submit(retry, OpenDraft{"repo", {}, {}, "m"});
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->number, second->number);
  EXPECT_EQ(first->slot, second->slot);
  const auto other = cell.repository.submit({"other", "key-1"}, OpenDraft{"repo", {}, {}, "m"});
  EXPECT_NE(other->number, first->number) << "keys are each author's own";
  EXPECT_EQ(cell.repository.drafts(*cell.target("repo").volume)->size(), 2u);
}

TEST(Repository, RepliesAreForgottenAfterADay) {
  TestCell cell;
  cell.create("repo");
  const auto open = [&](const Bytes& key) {
    return cell.repository.submit({"tester", key}, OpenDraft{"repo", {}, {}, ""});
  };
  const auto first = open("a");
  cell.clock.advance_seconds(25 * 3600);
  ASSERT_TRUE(open("b"));  // drops the old one
  EXPECT_NE(open("a")->number, first->number);
}

TEST(Repository, DraftsAreIsolatedAndExpireOnlyWhenIdle) {
  TestCell cell;
  cell.create("repo");
  cell.put("repo", "a", "1");
  cell.release("repo");
  const Target current = cell.target("repo@current");
  const tree::Root root = cell.repository.release(*current.volume, *current.release)->root;
  const auto draft = cell.repository.submit(cell.caller, OpenDraft{"repo", ReleaseNumber(1), root, "m"});
  ASSERT_TRUE(draft);
  cell.put("repo@draft-1", "b", "2");
  EXPECT_EQ(read_all(cell, "repo@draft-1").size(), 2u);
  EXPECT_EQ(read_all(cell, "repo").size(), 1u);
  const UnixMicros before = cell.clock.wall();
  cell.clock.advance_seconds(10);
  cell.put("repo@draft-1", "c", "3");
  EXPECT_FALSE(cell.repository.submit(cell.caller, ExpireDraft{"repo", DraftId(1), before}));
  EXPECT_TRUE(cell.repository.submit(cell.caller,
                                     ExpireDraft{"repo", DraftId(1), UnixMicros{cell.clock.wall().value + 1'000'000}}));
  EXPECT_FALSE(cell.repository.resolve("repo@draft-1"));
}

TEST(Repository, ADeletedVolumesNameStartsAfresh) {
  TestCell cell;
  cell.create("repo");
  cell.put("repo", "a", "1");
  cell.release("repo");
  ASSERT_TRUE(cell.repository.submit(cell.caller, DeleteVolume{"repo"}));
  EXPECT_FALSE(cell.repository.resolve("repo"));
  cell.create("repo");
  EXPECT_TRUE(read_all(cell, "repo").empty());
  EXPECT_FALSE(cell.repository.resolve("repo@1"));
}

TEST(Repository, AVolumeSeenEmptyIsDeletedOnlyIfItStillIs) {
  TestCell cell;
  const auto seen = [&] {
    const auto v = *cell.repository.volume("repo");
    return DeleteEmptyVolume{"repo", v->record.id, cell.repository.layer(*v, kHeadLayer)->version,
                             cell.repository.layer(*v, kVersionsLayer)->version};
  };
  const auto refused = [&](const DeleteEmptyVolume& command) {
    const auto reply = cell.repository.submit(cell.caller, command);
    return !reply && reply.error().code == Code::Conflict && cell.repository.volume("repo").has_value();
  };
  cell.create("repo");
  const auto fresh = seen();
  cell.put("repo", "a", "1");
  EXPECT_TRUE(refused(fresh)) << "an object was put";
  cell.remove("repo", "a");
  EXPECT_TRUE(refused(fresh)) << "and removed: the proposer looks again";
  const auto before_version = seen();
  ASSERT_TRUE(cell.repository.transact(cell.caller, *cell.target("repo").volume, [&](Transaction& transaction) {
    return transaction.put(kVersionsLayer, "a", cell.file("1"));
  }));
  EXPECT_TRUE(refused(before_version)) << "a former version was kept";
  auto other = seen();
  other.id = VolumeId(other.id.value + 1);
  EXPECT_TRUE(refused(other)) << "the name is another volume's";
  ASSERT_TRUE(cell.repository.seal(*cell.target("repo").volume, kHeadLayer));
  const auto last = seen();
  ASSERT_TRUE(cell.repository.seal(*cell.target("repo").volume, kHeadLayer)) << "sealing writes nothing";
  EXPECT_TRUE(cell.repository.submit(cell.caller, last));
  EXPECT_FALSE(cell.repository.volume("repo"));
  cell.create("repo");
  EXPECT_TRUE(refused(last)) << "another volume of that name";
  cell.release("repo");
  EXPECT_TRUE(refused(seen())) << "a release was made";
}

TEST(Repository, StateReloadsEqualFromTheDatabase) {
  TestCell cell;
  cell.create("repo");
  for (int i = 0; i < 200; ++i) {
    cell.clock.advance_seconds(1);
    cell.put("repo", "a", std::to_string(i));
    cell.release("repo", i % 2 ? "current" : "testing");
  }
  ASSERT_TRUE(cell.repository.submit(cell.caller, SetTag{"repo", "v1", ReleaseNumber(7)}));
  Machine again;
  ASSERT_TRUE(again.load(*cell.database));
  const auto before = cell.machine.published().load(), after = again.published().load();
  ASSERT_EQ(after->volumes->size(), 1u);
  const Volume &x = *before->find("repo"), &y = *after->find("repo");
  EXPECT_EQ(x.record, y.record);
  EXPECT_EQ(x.tags, y.tags);
  ASSERT_EQ(y.channels.size(), 2u);
  for (const auto& [name, flips] : x.channels) EXPECT_EQ(*flips, *y.channels.at(name)) << name;
}

TEST(Repository, ChannelAtATimeComesFromTheWholeHistory) {
  TestCell cell;
  cell.create("repo");
  cell.put("repo", "a", "1");
  cell.release("repo");
  const UnixMicros then = cell.clock.wall();
  cell.clock.advance_seconds(3600);
  cell.put("repo", "a", "2");
  cell.release("repo");
  const auto v = cell.target("repo").volume;
  EXPECT_EQ(cell.repository.flip_at(*v, "current", UnixMicros{then.value + 60'000'000})->release.value, 1u);
  EXPECT_EQ(cell.repository.flip_at(*v, "current", UnixMicros{cell.clock.wall().value + 60'000'000})->release.value,
            2u);
  EXPECT_FALSE(cell.repository.flip_at(*v, "current", UnixMicros{then.value - 3'600'000'000}));
}

TEST(List, PagesWithDelimiterVisitEveryNameOnce) {
  TestCell cell;
  cell.create("repo");
  for (const char* key : {"a", "b/1", "b/2", "b/c/3", "d", "e/4", "f"}) cell.put("repo", key, "x");
  ASSERT_TRUE(cell.repository.seal(*cell.target("repo").volume, kHeadLayer));
  cell.put("repo", "b/0", "x");
  cell.remove("repo", "d");
  for (size_t limit : {1u, 2u, 3u, 100u}) {
    auto contents = *cell.repository.open(cell.target("repo"));
    std::vector<Bytes> names;
    ListRequest request{.prefix = "", .start_after = "", .delimiter = "/", .limit = limit};
    for (;;) {
      const Listing page = *list(*contents, request);
      std::vector<Bytes> here = page.prefixes;
      for (const Listed& file : page.entries) here.push_back(file.key);
      EXPECT_LE(here.size(), limit);
      std::ranges::sort(here);
      names.insert(names.end(), here.begin(), here.end());
      if (!page.next) break;
      request.start_after = *page.next;
    }
    EXPECT_EQ(names, (std::vector<Bytes>{"a", "b/", "e/", "f"})) << limit;
  }
  const Listing below = *list(**cell.repository.open(cell.target("repo")), {.prefix = "b/", .delimiter = "/"});
  EXPECT_EQ(below.entries.size(), 3u);
  EXPECT_EQ(below.prefixes, std::vector<Bytes>{"b/c/"});
}

// A head is a map: any mix of puts, removals, seals and seals cut short reads back as std::map says.
RC_GTEST_PROP(Repository, HeadAgreesWithAModel, ()) {
  TestCell cell;
  cell.create("repo");
  std::map<Bytes, Bytes> model;
  const auto steps = *rc::gen::container<std::vector<std::pair<int, int>>>(
      rc::gen::pair(rc::gen::inRange(0, 12), rc::gen::inRange(0, 6)));
  for (const auto& [key, action] : steps) {
    const Bytes name = "k" + std::to_string(key);
    switch (action) {
      case 0:
      case 1:
      case 2: {
        const Bytes value = std::to_string(model.size() * 7 + static_cast<size_t>(key));
        cell.put("repo", name, value);
        model[name] = value;
        break;
      }
      case 3:
        cell.remove("repo", name);
        model.erase(name);
        break;
      case 4: RC_ASSERT(cell.repository.seal(*cell.target("repo").volume, kHeadLayer).has_value()); break;
      case 5: RC_ASSERT(cell.repository.submit(cell.caller, BeginSeal{"repo", kHeadLayer}).has_value()); break;
    }
    RC_ASSERT(read_all(cell, "repo") == model);
  }
}

}  // namespace
}  // namespace hailstone::volume
