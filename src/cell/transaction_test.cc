// Transactions: conditions, branches, atomicity.
#include <gtest/gtest.h>

#include "cell/testing.h"

namespace hailstone::cell {
namespace {

struct Transactions : testing::Test {
  TestCell cell;
  SessionId ann = cell.open("ann");

  bool hold(Compare compare) {
    const Reply reply = cell.cell(Txn{{std::move(compare)}, {}, {}});
    return std::get<TxnReply>(reply.outcome).branch == TxnReply::Branch::Then;
  }
};

TEST_F(Transactions, EveryConditionHoldsAndFails) {
  cell.put("/a", "content");
  cell.put("/a", "content2");
  cell.put("/d/f", "");
  const FileStat stat = cell.file("/a")->stat;
  EXPECT_TRUE(hold(FileExists{"/a"}));
  EXPECT_FALSE(hold(FileExists{"/b"}) || hold(FileExists{"/d"}) || hold(FileExists{"/"}));
  EXPECT_TRUE(hold(FileAbsent{"/b"}) && hold(FileAbsent{"/d"}));
  EXPECT_FALSE(hold(FileAbsent{"/a"}));
  EXPECT_TRUE(hold(InstanceIs{"/a", stat.instance}));
  EXPECT_FALSE(hold(InstanceIs{"/a", stat.instance.next()}) || hold(InstanceIs{"/b", {}}));
  EXPECT_TRUE(hold(GenerationIs{"/a", 2}));
  EXPECT_FALSE(hold(GenerationIs{"/a", 1}) || hold(GenerationIs{"/b", 0}));
  EXPECT_TRUE(hold(ContentIs{"/a", sha256("content2")}));
  EXPECT_FALSE(hold(ContentIs{"/a", sha256("content")}) || hold(ContentIs{"/b", sha256("")}));

  const auto generation = generation_of(cell.in(ann, Lock{"/l", LockMode::Exclusive, Lock::Wait::Try, 0}));
  EXPECT_TRUE(hold(LockHeldBy{"/l", ann}));
  EXPECT_FALSE(hold(LockHeldBy{"/l", ann.next()}) || hold(LockHeldBy{"/a", ann}));
  EXPECT_TRUE(hold(SequencerStands{{"/l", LockMode::Exclusive, generation}}));
  EXPECT_FALSE(hold(SequencerStands{{"/l", LockMode::Exclusive, generation.next()}}));
  cell.expire({ann});
  EXPECT_FALSE(hold(SequencerStands{{"/l", LockMode::Exclusive, generation}}));
}

TEST_F(Transactions, CompareAndSetLetsOneOfTwoThrough) {
  cell.put("/a", "0");
  const Txn set{{GenerationIs{"/a", 1}}, {Put{"/a", "1"}}, {Get{"/a"}}};
  const Reply first = cell.in(ann, set), second = cell.in(ann, set);
  EXPECT_EQ(result_of<Written>(first).stat.generation, 2u);
  EXPECT_EQ(std::get<TxnReply>(second.outcome).branch, TxnReply::Branch::Else);
  EXPECT_EQ(result_of<Got>(second).file->content, "1");
  EXPECT_EQ(result_of<Got>(second).file->stat.generation, 2u);
}

TEST_F(Transactions, OperationsSeeThoseBeforeThem) {
  const Reply reply =
      cell.cell(Txn{{}, {Put{"/d/a", "1"}, Put{"/d/b", "2"}, List{"/d"}, Delete{"/d/a"}, Get{"/d/a"}, List{"/d"}}, {}});
  EXPECT_EQ(result_of<Listed>(reply, 2).listing.entries.size(), 2u);
  EXPECT_FALSE(result_of<Got>(reply, 4).file);
  EXPECT_EQ(result_of<Listed>(reply, 5).listing.entries.size(), 1u);
  EXPECT_EQ(reply.revision, Revision(1));
  EXPECT_EQ(cell.events_since({}).size(), 3u);
}

TEST_F(Transactions, ARefusedOperationUndoesThoseBeforeIt) {
  cell.put("/x", "there");
  const auto rows = rows_of(cell.database());
  const Reply reply = cell.cell(Txn{{}, {Put{"/d/a", "1"}, Delete{"/x"}, Put{"/x", "2"}, Delete{"/nothing"}}, {}});
  EXPECT_EQ(refusal(reply), Code::NotFound);
  EXPECT_EQ(reply.refused->message, "operation 3: no file '/nothing'");
  EXPECT_EQ(rows_of(cell.database()), rows);
}

TEST_F(Transactions, ReadingOnlyRaisesNoRevision) {
  cell.put("/a", "1");
  const Reply reply = cell.in(ann, Txn{{FileExists{"/a"}}, {Get{"/a"}, List{"/"}}, {}});
  EXPECT_EQ(reply.revision, Revision(1));
  EXPECT_EQ(cell.counters().revision, Revision(1));
}

TEST_F(Transactions, PathsOfBothBranchesMustBeValid) {
  EXPECT_EQ(refusal(cell.cell(Txn{{}, {}, {Get{"bad"}}})), Code::Invalid);
  EXPECT_EQ(refusal(cell.cell(Txn{{FileExists{"/a//b"}}, {}, {}})), Code::Invalid);
}

}  // namespace
}  // namespace hailstone::cell
