// Access rules: what is checked, for whom, and that nobody is locked out.
#include "cell/access.h"

#include <gtest/gtest.h>

#include "cell/testing.h"

namespace hailstone::cell {
namespace {

constexpr uint8_t kRead = 1, kWrite = 2, kLock = 4, kAdmin = 8;

struct Access : testing::Test {
  TestCell cell;
  SessionId ann = cell.open("ann"), ben = cell.open("ben");

  std::optional<Code> set(const Bytes& by, const Bytes& principal, std::vector<Rule> rules) {
    return refusal(cell.as(by, SetRules{principal, std::move(rules)}));
  }
  std::optional<Code> as_ben(Operation operation) { return refusal(cell.in(ben, Txn{{}, {std::move(operation)}, {}})); }
};

TEST_F(Access, WithoutRulesEverythingIsAllowedToEverybody) {
  EXPECT_EQ(as_ben(Put{"/a", "1"}), std::nullopt);
  EXPECT_EQ(refusal(cell.in(ben, ChangeSettings{})), std::nullopt);
}

TEST_F(Access, ARightCountsBeneathItsPrefixByWholeNames) {
  EXPECT_EQ(set("ann", "ann", {{"/", kAllRights}}), std::nullopt);
  EXPECT_EQ(as_ben(Put{"/b/x", "1"}), Code::Denied);
  EXPECT_EQ(set("ann", "ben", {{"/b", kRead | kWrite}, {"/l", kLock}}), std::nullopt);
  EXPECT_EQ(as_ben(Put{"/b/x", "1"}), std::nullopt);
  EXPECT_EQ(as_ben(Put{"/bx", "1"}), Code::Denied);
  EXPECT_EQ(as_ben(Get{"/b/x"}), std::nullopt);
  EXPECT_EQ(as_ben(List{"/b"}), std::nullopt);
  EXPECT_EQ(as_ben(List{"/"}), Code::Denied);
  EXPECT_EQ(as_ben(Get{"/l"}), Code::Denied);
  EXPECT_EQ(as_ben(DeleteSubtree{"/", 9}), Code::Denied);
  const auto lock = [&](const Bytes& path) {
    return refusal(cell.in(ben, Lock{path, LockMode::Shared, Lock::Wait::Try, 0}));
  };
  EXPECT_EQ(lock("/l/1"), std::nullopt);
  EXPECT_EQ(lock("/b"), Code::Denied);
  EXPECT_EQ(refusal(cell.in(ben, ChangeSettings{})), Code::Denied);
  EXPECT_EQ(set("ben", "ben", {{"/", kAllRights}}), Code::Denied);
}

TEST_F(Access, WhatASessionHasItMayGiveUpWhateverTheRules) {
  const auto lock = [&](SessionId session, const Bytes& path) {
    return outcome_of(cell.in(session, Lock{path, LockMode::Exclusive, Lock::Wait::Queue, 0}));
  };
  EXPECT_EQ(lock(ben, "/l"), LockReply::Outcome::Granted);
  EXPECT_EQ(lock(ann, "/m"), LockReply::Outcome::Granted);
  EXPECT_EQ(lock(ben, "/m"), LockReply::Outcome::Queued);
  set("ann", "ann", {{"/", kAllRights}});
  EXPECT_EQ(refusal(cell.in(ben, Unlock{"/l"})), std::nullopt);
  EXPECT_EQ(outcome_of(cell.in(ben, Cancel{"/m"})), LockReply::Outcome::Cancelled);
}

TEST_F(Access, OneRightDoesNotGiveAnother) {
  set("ann", "ann", {{"/", kAllRights}});
  set("ann", "ben", {{"/", kWrite}});
  EXPECT_EQ(as_ben(Put{"/a", "1"}), std::nullopt);
  EXPECT_EQ(as_ben(Get{"/a"}), Code::Denied);
  EXPECT_EQ(refusal(cell.in(ben, Txn{{FileExists{"/a"}}, {}, {}})), Code::Denied);
}

TEST_F(Access, BothBranchesAreChecked) {
  set("ann", "ann", {{"/", kAllRights}});
  set("ann", "ben", {{"/b", kRead | kWrite}});
  EXPECT_EQ(refusal(cell.in(ben, Txn{{}, {Put{"/b", "1"}}, {Put{"/a", "1"}}})), Code::Denied);
  EXPECT_FALSE(cell.file("/b"));
}

TEST_F(Access, EverybodysRulesAddToOnesOwn) {
  set("ann", "ann", {{"/", kAllRights}});
  set("ann", "*", {{"/public", kRead}});
  EXPECT_EQ(as_ben(Get{"/public/x"}), std::nullopt);
  EXPECT_EQ(as_ben(Put{"/public/x", ""}), Code::Denied);
}

TEST_F(Access, NobodyIsLockedOut) {
  EXPECT_EQ(set("ann", "ann", {{"/", kRead}}), Code::Conflict);
  EXPECT_EQ(set("ann", "ann", {{"/a", kAdmin}}), Code::Conflict);
  EXPECT_EQ(set("ann", "ann", {{"/", kAdmin}}), std::nullopt);
  EXPECT_EQ(set("ann", "ben", {{"/", kAdmin}}), std::nullopt);
  EXPECT_EQ(set("ben", "ann", {}), std::nullopt);
  EXPECT_EQ(set("ben", "ben", {{"/", kRead}}), Code::Conflict);
  EXPECT_EQ(set("ben", "ben", {}), std::nullopt);  // none left: open to all again
  EXPECT_EQ(set("", "ann", {{"/", kAdmin}}), std::nullopt);
  EXPECT_EQ(refusal(cell.cell(Txn{{}, {Put{"/a", "the cell itself"}}, {}})), std::nullopt);
}

TEST_F(Access, RulesMustBeWellFormed) {
  EXPECT_EQ(set("ann", "ann", {{"/", 0}}), Code::Invalid);
  EXPECT_EQ(set("ann", "ann", {{"/", 16}}), Code::Invalid);
  EXPECT_EQ(set("ann", "ann", {{"a", kAdmin}}), Code::Invalid);
  EXPECT_EQ(set("ann", "", {{"/", kAdmin}}), Code::Invalid);
  EXPECT_EQ(set("ann", "ann", std::vector<Rule>(kRulesMax + 1, {"/", kAdmin})), Code::Invalid);
}

TEST_F(Access, QueriesAskTheSameRules) {
  set("ann", "ann", {{"/", kAllRights}});
  set("ann", "ben", {{"/b", kRead}});
  const auto permissions = *Permissions::read(cell.database(), cell.counters(), "ben");
  EXPECT_TRUE(permissions.check(Right::Read, "/b/c"));
  EXPECT_EQ(permissions.check(Right::Read, "/c").error().message, "'ben' has no right to read '/c'");
  EXPECT_FALSE(permissions.is_cell());
}

}  // namespace
}  // namespace hailstone::cell
