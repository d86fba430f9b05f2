// The namespace: files, the directories they imply, their numbers.
#include <gtest/gtest.h>

#include "cell/testing.h"

namespace hailstone::cell {
namespace {

FileStat stat_of(const TestCell& cell, ByteView path) { return cell.file(path)->stat; }

std::vector<Bytes> names(const Listing& listing) {
  std::vector<Bytes> out;
  for (const auto& entry : listing.entries) out.push_back(entry.name);
  return out;
}

TEST(Files, CreateWithContentIsAtomic) {
  // CLD: others saw an empty file between open(create) and the first put.
  TestCell cell;
  const Revision before = cell.counters().revision;
  EXPECT_EQ(refusal(cell.put("/config", "whole")), std::nullopt);
  EXPECT_EQ(cell.counters().revision, before.next());
  EXPECT_EQ(cell.content("/config"), "whole");
  EXPECT_EQ(stat_of(cell, "/config").generation, 1u);
  const auto events = cell.events_since(before);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, Event::Kind::Created);
}

// Short contents are in the file's record, long ones beside it.
TEST(Files, ContentsGrowAndShrinkAcrossTheirPlaces) {
  TestCell cell;
  const SessionId ann = cell.open("ann");
  for (const size_t size :
       {kInlineContentBytes, kInlineContentBytes + 1, size_t{0}, 10 * kInlineContentBytes, size_t{3}}) {
    const Bytes content(size, 'x');
    ASSERT_EQ(refusal(cell.put("/a", content)), std::nullopt);
    EXPECT_EQ(cell.content("/a"), content);
    cell.in(ann, Lock{"/a", LockMode::Exclusive, Lock::Wait::Try, 0});  // its grant is noted in the file's record
    EXPECT_EQ(cell.content("/a"), content);
    cell.in(ann, Unlock{"/a"});
  }
  EXPECT_NE(stat_of(cell, "/a").lock_generation, LockGeneration());
}

TEST(Files, EachWriteRaisesTheGenerationAndTheRevision) {
  TestCell cell;
  cell.put("/a", "1");
  const FileStat first = stat_of(cell, "/a");
  cell.put("/other", "");
  cell.put("/a", "22");
  const FileStat second = stat_of(cell, "/a");
  EXPECT_EQ(second.instance, first.instance);
  EXPECT_EQ(second.created, first.created);
  EXPECT_EQ(second.generation, 2u);
  EXPECT_EQ(second.changed, cell.counters().revision);
  EXPECT_GT(second.changed, first.changed);
  EXPECT_EQ(second.bytes, 2u);
}

TEST(Files, AnInstanceIsNeverReusedForAPath) {
  TestCell cell;
  cell.put("/a", "1");
  const Instance first = stat_of(cell, "/a").instance;
  cell.remove("/a");
  cell.put("/a", "1");
  const Instance second = stat_of(cell, "/a").instance;
  EXPECT_GT(second, first);
  cell.cell(Txn{{}, {Delete{"/a"}, Put{"/a", "x"}, Delete{"/a"}, Put{"/a", "y"}}, {}});
  EXPECT_GT(stat_of(cell, "/a").instance, second.next());
}

TEST(Files, ExclusiveCreateRefusesWhatIsThere) {
  TestCell cell;
  const Txn create{{}, {Put{"/a", "1", Put::Mode::Create}}, {}};
  EXPECT_EQ(refusal(cell.cell(create)), std::nullopt);
  EXPECT_EQ(refusal(cell.cell(create)), Code::Exists);
  EXPECT_EQ(refusal(cell.cell(Txn{{}, {Put{"/b", "1", Put::Mode::Replace}}, {}})), Code::NotFound);
}

TEST(Files, DirectoriesComeAndGoWithWhatIsBeneath) {
  TestCell cell;
  cell.put("/a/b/c", "1");
  cell.put("/a/d", "2");
  const auto node = *schema::read_node(cell.database(), "/a");
  EXPECT_EQ(std::get<DirectoryStat>(*node).children, 2u);
  EXPECT_EQ(refusal(cell.remove("/a/b/c")), std::nullopt);
  EXPECT_FALSE(*schema::read_node(cell.database(), "/a/b"));
  cell.remove("/a/d");
  EXPECT_FALSE(*schema::read_node(cell.database(), "/a"));
}

TEST(Files, ADirectoryThatIsNotEmptyIsNotDeleted) {
  TestCell cell;
  cell.put("/a/b", "1");
  EXPECT_EQ(refusal(cell.remove("/a")), Code::Conflict);
  EXPECT_EQ(refusal(cell.remove("/")), Code::Conflict);
  EXPECT_EQ(refusal(cell.remove("/c")), Code::NotFound);
  EXPECT_EQ(cell.content("/a/b"), "1");
}

TEST(Files, NoFileBeneathAFileNorInADirectorysPlace) {
  TestCell cell;
  cell.put("/a", "1");
  EXPECT_EQ(refusal(cell.put("/a/b", "2")), Code::Conflict);
  EXPECT_EQ(refusal(cell.put("/a/b/c", "2")), Code::Conflict);
  cell.put("/d/e", "3");
  EXPECT_EQ(refusal(cell.put("/d", "4")), Code::Conflict);
  EXPECT_EQ(refusal(cell.put("/", "4")), Code::Conflict);
  EXPECT_EQ(refusal(cell.put("/a/", "4")), Code::Invalid);
}

TEST(Files, DeletingASubtreeIsAllOrNothing) {
  TestCell cell;
  for (const char* path : {"/a/1", "/a/2/3", "/a/2/4", "/ab", "/b"}) cell.put(path, "x");
  EXPECT_EQ(refusal(cell.cell(Txn{{}, {DeleteSubtree{"/a", 2}}, {}})), Code::Conflict);
  EXPECT_EQ(refusal(cell.cell(Txn{{}, {DeleteSubtree{"/a", 0}}, {}})), Code::Conflict);
  EXPECT_EQ(cell.counters().files, 5u);
  const Reply deleted = cell.cell(Txn{{}, {DeleteSubtree{"/a", 3}}, {}});
  EXPECT_EQ(result_of<Deleted>(deleted).files, 3u);
  EXPECT_EQ(cell.counters().files, 2u);
  EXPECT_EQ(result_of<Deleted>(cell.cell(Txn{{}, {DeleteSubtree{"/a", 0}}, {}})).files, 0u);
}

TEST(Files, ListsOneLevelWithContinuation) {
  TestCell cell;
  for (const char* path : {"/a/x/1", "/a/x/2", "/a/x-", "/a/b", "/a/\xff", "/ab"}) cell.put(path, "1");
  Listing all = *list(cell.database(), List{"/a"});
  EXPECT_EQ(names(all), (std::vector<Bytes>{"b", "x", "x-", "\xff"}));
  EXPECT_EQ(std::get<DirectoryStat>(all.entries[1].node).children, 2u);
  EXPECT_TRUE(all.next.empty());
  std::vector<Bytes> paged;
  List page{.path = "/a", .depth = List::Depth::Children, .after = {}, .entries_max = 1};
  do {
    all = *list(cell.database(), page);
    for (const Bytes& name : names(all)) paged.push_back(name);
    page.after = all.next;
  } while (!all.next.empty());
  EXPECT_EQ(paged, (std::vector<Bytes>{"b", "x", "x-", "\xff"}));
  EXPECT_EQ(names(*list(cell.database(), List{"/"})), (std::vector<Bytes>{"a", "ab"}));
  EXPECT_TRUE(list(cell.database(), List{"/nothing"})->entries.empty());
  EXPECT_TRUE(list(cell.database(), List{"/ab"})->entries.empty());
  EXPECT_EQ(list(cell.database(), List{"/a", List::Depth::Children, "x/1"}).error().code, Code::Invalid);
}

TEST(Files, ListsAllFilesBeneath) {
  TestCell cell;
  for (const char* path : {"/a/x/1", "/a/x/2", "/a/x-", "/b"}) cell.put(path, "1");
  List page{.path = "/", .depth = List::Depth::Files, .after = {}, .entries_max = 2};
  const Listing first = *list(cell.database(), page);
  EXPECT_EQ(names(first), (std::vector<Bytes>{"a/x/1", "a/x/2"}));
  page.after = first.next;
  const Listing second = *list(cell.database(), page);
  EXPECT_EQ(names(second), (std::vector<Bytes>{"a/x-", "b"}));
  EXPECT_TRUE(second.next.empty());
}

TEST(Files, EphemeralOnesGoWithTheirSessionInTheSameCommand) {
  TestCell cell;
  const SessionId ann = cell.open(), ben = cell.open();
  for (const SessionId session : {ann, ben})
    EXPECT_EQ(refusal(cell.in(session, Txn{{},
                                           {Put{fmt::format("/nodes/{}", session.value), "here", Put::Mode::Create,
                                                Put::Life::Ephemeral}},
                                           {}})),
              std::nullopt);
  EXPECT_EQ(stat_of(cell, "/nodes/1").owner, ann);
  cell.in(ann, CloseSession{});
  EXPECT_FALSE(cell.file("/nodes/1"));
  EXPECT_TRUE(cell.file("/nodes/2"));
  cell.expire({ben});
  EXPECT_FALSE(cell.file("/nodes/2"));
  EXPECT_FALSE(*schema::read_node(cell.database(), "/nodes"));
}

TEST(Files, LastingAndEphemeralAreNotMixedUp) {
  TestCell cell;
  const SessionId ann = cell.open(), ben = cell.open();
  const auto put = [](const Bytes& path, Put::Life life, Put::Mode mode = Put::Mode::Write) {
    return Txn{{}, {Put{path, "x", mode, life}}, {}};
  };
  EXPECT_EQ(refusal(cell.in(ann, put("/e", Put::Life::Ephemeral))), std::nullopt);
  EXPECT_EQ(refusal(cell.in(ann, put("/e", Put::Life::Ephemeral))), std::nullopt);
  EXPECT_EQ(refusal(cell.in(ben, put("/e", Put::Life::Ephemeral))), Code::Conflict);
  EXPECT_EQ(refusal(cell.in(ben, put("/e", Put::Life::Lasting))), Code::Conflict);
  EXPECT_EQ(refusal(cell.in(ben, put("/e", Put::Life::Lasting, Put::Mode::Replace))), std::nullopt);
  EXPECT_EQ(stat_of(cell, "/e").owner, ann);
  EXPECT_EQ(stat_of(cell, "/e").generation, 3u);
  cell.put("/l", "x");
  EXPECT_EQ(refusal(cell.in(ann, put("/l", Put::Life::Ephemeral))), Code::Conflict);
  EXPECT_EQ(refusal(cell.cell(put("/n", Put::Life::Ephemeral))), Code::Invalid);
  EXPECT_EQ(refusal(cell.in(ben, Txn{{}, {Delete{"/e"}}, {}})), std::nullopt);
}

}  // namespace
}  // namespace hailstone::cell
