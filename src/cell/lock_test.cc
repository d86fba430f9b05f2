// Locks: grants in order, sequencers, lock-delay.
#include <gtest/gtest.h>

#include "cell/testing.h"

namespace hailstone::cell {
namespace {

using enum LockReply::Outcome;

Lock exclusive(Lock::Wait wait = Lock::Wait::Queue, uint32_t delay_ms = 0) {
  return {"/l", LockMode::Exclusive, wait, delay_ms};
}
Lock shared(Lock::Wait wait = Lock::Wait::Queue, uint32_t delay_ms = 0) {
  return {"/l", LockMode::Shared, wait, delay_ms};
}

struct Locks : testing::Test {
  TestCell cell;
  SessionId ann = cell.open("ann"), ben = cell.open("ben"), cid = cell.open("cid"), dot = cell.open("dot");

  LockReply::Outcome lock(SessionId session, const Lock& request) { return outcome_of(cell.in(session, request)); }
  using Sessions = std::vector<SessionId>;
};

TEST_F(Locks, UnlockWakesTheWaiter) {
  // CLD: unlock did not look at the queue; the waiter hung until somebody else came.
  EXPECT_EQ(lock(ann, exclusive()), Granted);
  EXPECT_EQ(lock(ben, exclusive()), Queued);
  const Revision before = cell.counters().revision;
  EXPECT_EQ(refusal(cell.in(ann, Unlock{"/l"})), std::nullopt);
  EXPECT_EQ(cell.holders("/l"), Sessions{ben});
  const auto events = cell.events_since(before);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].kind, Event::Kind::LockReleased);
  EXPECT_EQ(events[0].session, ann);
  EXPECT_EQ(events[1].kind, Event::Kind::LockAcquired);
  EXPECT_EQ(events[1].session, ben);
  EXPECT_EQ(events[1].lock_generation, cell.lock("/l").holders[0].generation);
  EXPECT_EQ(cell.counters().revision, before.next());
}

TEST_F(Locks, CloseAndExpiryWakeTheWaiterToo) {
  lock(ann, exclusive());
  lock(ben, exclusive());
  lock(cid, exclusive());
  cell.in(ann, CloseSession{});
  EXPECT_EQ(cell.holders("/l"), Sessions{ben});
  cell.expire({ben});
  EXPECT_EQ(cell.holders("/l"), Sessions{cid});
}

TEST_F(Locks, TryDoesNotWait) {
  lock(ann, exclusive());
  EXPECT_EQ(lock(ben, exclusive(Lock::Wait::Try)), Busy);
  EXPECT_EQ(lock(ben, shared(Lock::Wait::Try)), Busy);
  EXPECT_TRUE(cell.lock("/l").waiters.empty());
}

TEST_F(Locks, SharedHoldersAreTogetherAndNobodyOvertakesAWaiter) {
  EXPECT_EQ(lock(ann, shared()), Granted);
  EXPECT_EQ(lock(ben, shared(Lock::Wait::Try)), Granted);
  EXPECT_EQ(lock(cid, exclusive()), Queued);
  EXPECT_EQ(lock(dot, shared(Lock::Wait::Try)), Busy);
  EXPECT_EQ(lock(dot, shared()), Queued);
  cell.in(ann, Unlock{"/l"});
  EXPECT_EQ(cell.holders("/l"), Sessions{ben});
  cell.in(ben, Unlock{"/l"});
  EXPECT_EQ(cell.holders("/l"), Sessions{cid});
  cell.in(cid, Unlock{"/l"});
  EXPECT_EQ(cell.holders("/l"), Sessions{dot});
}

TEST_F(Locks, OneUnlockGrantsAllSharedWaitersAtTheHead) {
  lock(ann, exclusive());
  lock(ben, shared());
  lock(cid, shared());
  lock(dot, exclusive());
  cell.in(ann, Unlock{"/l"});
  EXPECT_EQ(cell.holders("/l"), (Sessions{ben, cid}));
  EXPECT_EQ(cell.lock("/l").waiters.size(), 1u);
}

TEST_F(Locks, WhoLeavesTheQueueLetsOthersIn) {
  lock(ann, shared());
  lock(ben, exclusive());
  lock(cid, shared());
  EXPECT_EQ(outcome_of(cell.in(ben, Cancel{"/l"})), Cancelled);
  EXPECT_EQ(cell.holders("/l"), (Sessions{ann, cid}));
  lock(ben, exclusive());
  lock(dot, shared());
  cell.expire({ben});
  EXPECT_EQ(cell.holders("/l"), (Sessions{ann, cid, dot}));
}

TEST_F(Locks, CancelAfterTheGrantSaysSo) {
  lock(ann, exclusive());
  lock(ben, exclusive());
  cell.in(ann, Unlock{"/l"});
  const Reply reply = cell.in(ben, Cancel{"/l"});
  EXPECT_EQ(outcome_of(reply), Granted);
  EXPECT_EQ(generation_of(reply), cell.lock("/l").holders[0].generation);
  EXPECT_EQ(refusal(cell.in(cid, Cancel{"/l"})), Code::NotFound);
}

TEST_F(Locks, AskingAgainChangesNothing) {
  const Reply first = cell.in(ann, exclusive());
  EXPECT_EQ(cell.in(ann, exclusive()).outcome, first.outcome);
  EXPECT_EQ(refusal(cell.in(ann, shared())), Code::Conflict);
  EXPECT_EQ(lock(ben, exclusive()), Queued);
  EXPECT_EQ(lock(ben, exclusive()), Queued);
  EXPECT_EQ(refusal(cell.in(ben, exclusive(Lock::Wait::Try))), Code::Conflict);
  EXPECT_EQ(refusal(cell.in(ben, shared())), Code::Conflict);
  EXPECT_EQ(cell.lock("/l").waiters.size(), 1u);
}

TEST_F(Locks, OnlyAHolderUnlocks) {
  EXPECT_EQ(refusal(cell.in(ann, Unlock{"/l"})), Code::NotFound);
  lock(ann, exclusive());
  lock(ben, exclusive());
  EXPECT_EQ(refusal(cell.in(ben, Unlock{"/l"})), Code::NotFound);
  EXPECT_EQ(cell.holders("/l"), Sessions{ann});
}

TEST_F(Locks, EachGrantHasASequencerThatRisesAndEndsWithIt) {
  LockGeneration last;
  for (const SessionId session : {ann, ben, ann}) {
    const Reply reply = cell.in(session, exclusive());
    const Sequencer sequencer{"/l", LockMode::Exclusive, generation_of(reply)};
    EXPECT_GT(sequencer.generation, last);
    last = sequencer.generation;
    EXPECT_TRUE(*sequencer_stands(cell.database(), sequencer));
    EXPECT_FALSE(*sequencer_stands(cell.database(), {"/l", LockMode::Shared, last}));
    EXPECT_FALSE(*sequencer_stands(cell.database(), {"/m", LockMode::Exclusive, last}));
    cell.in(session, Unlock{"/l"});
    EXPECT_FALSE(*sequencer_stands(cell.database(), sequencer));
    EXPECT_FALSE(*schema::read_node(cell.database(), "/l"));
  }
}

TEST_F(Locks, SharedGrantsHaveSequencersOfTheirOwn) {
  const LockGeneration first = generation_of(cell.in(ann, shared()));
  const LockGeneration second = generation_of(cell.in(ben, shared()));
  EXPECT_GT(second, first);
  cell.in(ann, Unlock{"/l"});
  EXPECT_FALSE(*sequencer_stands(cell.database(), {"/l", LockMode::Shared, first}));
  EXPECT_TRUE(*sequencer_stands(cell.database(), {"/l", LockMode::Shared, second}));
}

TEST_F(Locks, AFileShowsTheNewestGrantOfItsLock) {
  const LockGeneration before = generation_of(cell.in(ann, exclusive()));
  cell.put("/l", "x");
  EXPECT_EQ(cell.file("/l")->stat.lock_generation, before);
  lock(ben, exclusive());
  cell.in(ann, Unlock{"/l"});
  EXPECT_EQ(cell.file("/l")->stat.lock_generation, before.next());
  EXPECT_EQ(cell.file("/l")->stat.generation, 1u);
}

TEST_F(Locks, DelayAfterAHoldersLoss) {
  lock(ann, exclusive(Lock::Wait::Try, 5000));
  lock(ben, exclusive());
  cell.expire({ann});
  EXPECT_TRUE(cell.holders("/l").empty());
  EXPECT_EQ(lock(cid, exclusive(Lock::Wait::Try)), Busy);
  cell.pass_ms(4999);
  EXPECT_TRUE(cell.holders("/l").empty());
  cell.pass_ms(1);
  EXPECT_EQ(cell.holders("/l"), Sessions{ben});
}

TEST_F(Locks, AnyCommandWithALaterTimeEndsADelay) {
  lock(ann, exclusive(Lock::Wait::Try, 1000));
  lock(ben, exclusive());
  cell.expire({ann});
  cell.now_.value += 1'000'000;
  const Revision before = cell.counters().revision;
  const Reply refused = cell.remove("/nothing");
  EXPECT_EQ(refusal(refused), Code::NotFound);
  EXPECT_EQ(cell.holders("/l"), Sessions{ben});
  EXPECT_EQ(refused.revision, before.next());
}

TEST_F(Locks, NoDelayAfterUnlockOrClose) {
  lock(ann, exclusive(Lock::Wait::Try, 60'000));
  cell.in(ann, Unlock{"/l"});
  EXPECT_EQ(lock(ben, exclusive(Lock::Wait::Try, 60'000)), Granted);
  cell.in(ben, CloseSession{});
  EXPECT_EQ(lock(cid, exclusive(Lock::Wait::Try)), Granted);
}

TEST_F(Locks, TheLongestDelayCountsAndNoneIsAboveAMinute) {
  lock(ann, shared(Lock::Wait::Try, 1000));
  lock(ben, shared(Lock::Wait::Try, 3000));
  lock(cid, shared(Lock::Wait::Try, 2000));
  lock(dot, exclusive());
  cell.expire({ann});
  cell.expire({ben, cid});
  cell.pass_ms(2999);
  EXPECT_TRUE(cell.holders("/l").empty());
  cell.pass_ms(1);
  EXPECT_EQ(cell.holders("/l"), Sessions{dot});
  EXPECT_EQ(refusal(cell.in(dot, Lock{"/m", LockMode::Shared, Lock::Wait::Try, 60'001})), Code::Invalid);
}

TEST_F(Locks, ADelayedLockThatNobodyWantsIsForgotten) {
  lock(ann, exclusive(Lock::Wait::Try, 1000));
  cell.expire({ann});
  EXPECT_FALSE(cell.lock("/l").idle());
  cell.pass_ms(1000);
  EXPECT_FALSE(*cell.database().get(schema::lock("/l")));
  EXPECT_FALSE(cell.counters().next_delay);
}

TEST_F(Locks, NothingIsGrantedToASessionThatEndsInTheSameCommand) {
  lock(ann, exclusive());
  lock(ben, exclusive());
  lock(cid, exclusive());
  const Revision before = cell.counters().revision;
  cell.expire({ann, ben});
  EXPECT_EQ(cell.holders("/l"), Sessions{cid});
  EXPECT_EQ(cell.events_since(before).size(), 2u);
}

}  // namespace
}  // namespace hailstone::cell
