#include "sim/linearizability.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/detail/Configuration.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <map>
#include <random>
#include <sstream>

#include "sim/history_file.h"

namespace hailstone::sim {
namespace {

History parsed(std::string_view lines) {
  auto history = parse_history(fmt::format("hailstone history 1\n{}", lines));
  if (!history) throw std::runtime_error(history.error().message);
  return std::move(*history);
}

Verdict judge(const History& history, const Options& options = {}) {
  const auto report = check(history, options);
  if (!report) throw std::runtime_error(report.error().message);
  return report->verdict;
}

Verdict judge(std::string_view lines) { return judge(parsed(lines)); }

constexpr auto kGood = Verdict::Linearizable;
constexpr auto kBad = Verdict::Violation;

// --- Histories made by hand: CALL RETURN CLIENT KEY OPERATION -> ANSWER ---

TEST(Register, EmptyHistoryIsLinearizable) { EXPECT_EQ(judge(""), kGood); }

TEST(Register, StartsAbsent) {
  EXPECT_EQ(judge("0 10 1 1 read -> absent"), kGood);
  EXPECT_EQ(judge("0 10 1 1 read -> 7"), kBad);
}

TEST(Register, ReadsOverlappingAWriteMaySeeEither) {
  EXPECT_EQ(judge("0 100 1 1 write 7 -> ok\n"
                  "10 20 2 1 read -> absent\n"
                  "30 40 2 1 read -> 7"),
            kGood);
}

TEST(Register, StaleReadIsAViolation) {
  EXPECT_EQ(judge("0 10 1 1 write 1 -> ok\n"
                  "20 30 1 1 write 2 -> ok\n"
                  "40 50 2 1 read -> 1"),
            kBad);
}

TEST(Register, OperationsThatTouchInTimeOverlap) {
  EXPECT_EQ(judge("0 10 1 1 write 1 -> ok\n10 20 2 1 read -> absent"), kGood);
  EXPECT_EQ(judge("0 10 1 1 write 1 -> ok\n11 20 2 1 read -> absent"), kBad);
  EXPECT_EQ(judge("10 10 1 1 write 1 -> ok\n10 10 2 1 read -> absent"), kGood);
}

TEST(Register, LostUpdateIsAViolation) {
  EXPECT_EQ(judge("0 10 1 1 write 1 -> ok\n"
                  "20 40 1 1 cas 1 2 -> ok\n"
                  "20 40 2 1 write 3 -> ok\n"
                  "50 60 3 1 read -> 1"),
            kBad);
}

TEST(Register, ReadOfAWriteThatFailedIsAViolation) {
  EXPECT_EQ(judge("0 100 1 1 write 7 -> failed\n"
                  "10 20 2 1 read -> 7"),
            kBad);
}

TEST(Register, OnlyOneOfTwoCasFromTheSameValueMaySucceed) {
  EXPECT_EQ(judge("0 10 1 1 write 1 -> ok\n"
                  "20 40 1 1 cas 1 2 -> ok\n"
                  "20 40 2 1 cas 1 3 -> ok"),
            kBad);
  EXPECT_EQ(judge("0 10 1 1 write 1 -> ok\n"
                  "20 40 1 1 cas 1 2 -> ok\n"
                  "20 40 2 1 cas 1 3 -> mismatch"),
            kGood);
}

TEST(Register, CasMismatchOnTheExpectedValueIsAViolation) {
  EXPECT_EQ(judge("0 10 1 1 write 1 -> ok\n20 30 1 1 cas 1 2 -> mismatch"), kBad);
}

TEST(Register, CasCreatesAndDeletes) {
  EXPECT_EQ(judge("0 10 1 1 cas absent 1 -> ok\n"
                  "20 30 1 1 cas 1 absent -> ok\n"
                  "40 50 1 1 read -> absent\n"
                  "60 70 1 1 cas absent 2 -> ok\n"
                  "80 90 1 1 delete -> ok\n"
                  "95 99 1 1 read -> absent"),
            kGood);
  EXPECT_EQ(judge("0 10 1 1 cas absent 1 -> ok\n20 30 2 1 cas absent 1 -> ok"), kBad);
}

TEST(Register, ReadsGoingBackInTimeAreAViolation) {
  EXPECT_EQ(judge("0 100 1 1 write 1 -> ok\n"
                  "10 20 2 1 read -> 1\n"
                  "30 40 3 1 read -> absent"),
            kBad);
}

TEST(Register, UnknownWriteMayBeSeenLateOrNever) {
  EXPECT_EQ(judge("0 - 1 1 write 7 -> unknown\n50 60 2 1 read -> absent"), kGood);
  EXPECT_EQ(judge("0 - 1 1 write 7 -> unknown\n50 60 2 1 read -> 7"), kGood);
  EXPECT_EQ(judge("0 - 1 1 write 7 -> unknown\n50 60 2 1 read -> absent\n70 80 2 1 read -> 7"), kGood);
}

TEST(Register, UnknownWriteIsNotSeenBeforeItsCallNorTakenBack) {
  EXPECT_EQ(judge("10 20 2 1 read -> 7\n30 - 1 1 write 7 -> unknown"), kBad);
  EXPECT_EQ(judge("0 - 1 1 write 7 -> unknown\n50 60 2 1 read -> 7\n70 80 2 1 read -> absent"), kBad);
}

TEST(Register, OneUnknownWriteTakesEffectOnce) {
  constexpr std::string_view kSeenTwice =
      "5 6 2 1 write 1 -> ok\n"
      "10 20 2 1 read -> 7\n"
      "30 40 2 1 write 2 -> ok\n"
      "50 60 2 1 read -> 7\n";
  EXPECT_EQ(judge(fmt::format("0 - 1 1 write 7 -> unknown\n{}", kSeenTwice)), kBad);
  EXPECT_EQ(judge(fmt::format("0 - 1 1 write 7 -> unknown\n0 - 3 1 write 7 -> unknown\n{}", kSeenTwice)), kGood);
}

TEST(Register, AppliedTwiceIsAViolation) {
  EXPECT_EQ(judge("0 10 1 1 write 1 -> ok\n"
                  "20 30 1 1 write 2 -> ok\n"
                  "40 50 1 1 read -> 2\n"
                  "60 70 2 1 read -> 1"),
            kBad);
  EXPECT_EQ(judge("0 10 1 1 write 1 -> ok\n"
                  "20 - 1 1 cas 1 2 -> unknown\n"
                  "30 40 2 1 read -> 2\n"
                  "50 60 2 1 write 1 -> ok\n"
                  "70 80 2 1 read -> 2"),
            kBad);
}

TEST(Register, ChainOfUnknownCasExplainsARead) {
  constexpr std::string_view kChain =
      "0 - 1 1 cas 2 3 -> unknown\n"
      "0 - 2 1 cas 1 2 -> unknown\n"
      "0 - 3 1 cas absent 1 -> unknown\n";
  EXPECT_EQ(judge(fmt::format("{}50 60 4 1 read -> 3\n70 80 4 1 cas absent 9 -> mismatch", kChain)), kGood);
  EXPECT_EQ(judge(fmt::format("{}50 60 4 1 read -> 3\n70 80 4 1 read -> 2", kChain)), kBad);
}

TEST(Register, UnknownWriteExplainsAMismatch) {
  EXPECT_EQ(judge("0 10 1 1 write 1 -> ok\n5 - 2 1 write 9 -> unknown\n20 30 1 1 cas 1 2 -> mismatch"), kGood);
  EXPECT_EQ(judge("0 10 1 1 write 1 -> ok\n"
                  "5 - 2 1 write 9 -> unknown\n"
                  "20 30 1 1 cas 1 2 -> mismatch\n"
                  "40 50 1 1 read -> 1"),
            kBad);
}

TEST(Lock, GrantsAlternateWithReleases) {
  EXPECT_EQ(judge("0 10 1 1 acquire -> granted 5\n"
                  "20 30 2 1 acquire -> busy\n"
                  "40 50 1 1 release -> ok\n"
                  "60 70 1 1 release -> not_holder\n"
                  "80 90 2 1 acquire -> granted 6"),
            kGood);
}

TEST(Lock, HeldTwiceIsAViolation) {
  EXPECT_EQ(judge("0 10 1 1 acquire -> granted 5\n20 30 2 1 acquire -> granted 6\n40 50 1 1 release -> ok"), kBad);
  EXPECT_EQ(judge("0 10 1 1 acquire -> granted 5\n20 30 1 1 acquire -> granted 6"), kBad);
}

TEST(Lock, SequencersMustRise) {
  constexpr std::string_view kHistory =
      "0 10 1 1 acquire -> granted {}\n"
      "20 30 1 1 release -> ok\n"
      "40 50 2 1 acquire -> granted {}";
  EXPECT_EQ(judge(fmt::format(fmt::runtime(kHistory), 5, 6)), kGood);
  EXPECT_EQ(judge(fmt::format(fmt::runtime(kHistory), 5, 5)), kBad);
  EXPECT_EQ(judge(fmt::format(fmt::runtime(kHistory), 5, 4)), kBad);
}

TEST(Lock, GrantOfUnknownOutcomeTakesASequencerOfItsOwn) {
  constexpr std::string_view kHistory =
      "0 10 1 1 acquire -> granted 5\n"
      "20 30 1 1 release -> ok\n"
      "40 - 3 1 acquire -> unknown\n"
      "50 60 3 1 release -> ok\n"
      "70 80 2 1 acquire -> granted {}";
  EXPECT_EQ(judge(fmt::format(fmt::runtime(kHistory), 7)), kGood);
  EXPECT_EQ(judge(fmt::format(fmt::runtime(kHistory), 6)), kBad);
}

TEST(Lock, ExpiryEndsOnlyTheHoldOfTheClientItNames) {
  EXPECT_EQ(judge("0 10 1 1 acquire -> granted 5\n"
                  "20 30 1 1 expire -> ok\n"
                  "40 50 2 1 acquire -> granted 6\n"
                  "60 70 1 1 release -> not_holder"),
            kGood);
  EXPECT_EQ(judge("0 10 1 1 acquire -> granted 5\n20 30 2 1 expire -> ok"), kBad);
  EXPECT_EQ(judge("0 10 1 1 acquire -> granted 5\n"
                  "15 - 1 1 expire -> unknown\n"
                  "40 50 2 1 acquire -> granted 6\n"
                  "60 70 1 1 release -> ok"),
            kBad);
}

TEST(Lock, BusyWhenFreeIsAViolation) {
  EXPECT_EQ(judge("0 10 1 1 acquire -> busy"), kBad);
  EXPECT_EQ(judge("0 - 2 1 acquire -> unknown\n5 10 1 1 acquire -> busy"), kGood);
}

TEST(Check, ReportsEveryKeyThatFails) {
  const auto report =
      check(parsed("0 10 1 9 read -> 7\n"
                   "0 10 1 4 write 1 -> ok\n"
                   "0 10 2 3 read -> 8\n"
                   "20 30 1 4 read -> 1"));
  ASSERT_TRUE(report);
  EXPECT_EQ(report->verdict, kBad);
  EXPECT_EQ(report->keys, 3U);
  EXPECT_EQ(report->operations, 4U);
  EXPECT_EQ(report->violating_keys, (std::vector<uint64_t>{3, 9}));
}

TEST(Check, RejectsWhatIsNotAHistory) {
  const std::vector<std::pair<std::string_view, std::string_view>> cases{
      {"0 10 1 1 read -> 1\n10 9 1 1 read -> 1", "operation 1 (client 1, key 1): returns at 9 before its call at 10"},
      {"0 10 1 1 write 0 -> ok", "operation 0 (client 1, key 1): writes 0, which stands for absent"},
      {"0 10 0 1 acquire -> busy", "operation 0 (client 0, key 1): client 0 uses a lock; 0 stands for free"},
      {"0 10 1 1 acquire -> granted 0", "operation 0 (client 1, key 1): granted with sequencer 0"},
      {"0 10 1 1 read -> 1\n0 10 1 1 acquire -> busy",
       "operation 1 (client 1): key 1 is used both as a register and as a lock"},
  };
  for (const auto& [lines, message] : cases) {
    const auto report = check(parsed(lines));
    ASSERT_FALSE(report) << lines;
    EXPECT_EQ(report.error(), (Error{Code::Invalid, std::string(message)}));
  }
}

// --- Executions: operations that really take effect at one moment ---

struct Workload {
  size_t operations = 0;
  uint64_t clients = 3;
  uint64_t keys = 1;
  uint64_t values = 3;  // drawn from 1..values; 0: every write its own
  uint64_t unknown_percent = 20;
  uint64_t failed_percent = 5;
  int64_t length_ns_max = 20;  // of an operation, and of a client's pause
  bool locks = false;
};

using Random = std::mt19937_64;

uint64_t below(Random& random, uint64_t limit) { return random() % limit; }

/// The plainest statement of the models: one key's state, operations applied one by one.
struct Model {
  uint64_t value = 0;  // or the lock's holder
  uint64_t sequencer = 0;

  /// Takes effect, and writes into `op` what the client is told.
  void apply(Operation& op) {
    const auto answer = [&op](bool done) { return op.answer = done ? Answer::Done : Answer::Refused, done; };
    switch (op.kind) {
      case Kind::Read: op.result = value; break;
      case Kind::Write: value = op.value; break;
      case Kind::Delete: value = 0; break;
      case Kind::Cas:
        if (answer(value == op.expected)) value = op.value;
        break;
      case Kind::Acquire:
        if (answer(value == 0)) value = op.client, op.result = ++sequencer;
        break;
      case Kind::Release:
      case Kind::Expire:
        if (answer(value == op.client)) value = 0;
        break;
    }
  }
};

struct Planned {
  Operation operation;
  int64_t effect_ns;
  bool takes_effect;
};

Operation random_request(Random& random, const Workload& load, uint64_t& next_value) {
  const auto value = [&] { return load.values ? 1 + below(random, load.values) : ++next_value; };
  Operation op{.key = below(random, load.keys)};
  if (load.locks) {
    op.kind = std::array{Kind::Acquire, Kind::Acquire, Kind::Release, Kind::Expire}[below(random, 4)];
    return op;
  }
  op.kind =
      std::array{Kind::Read, Kind::Read, Kind::Write, Kind::Cas, Kind::Delete}[below(random, below(random, 4) ? 4 : 5)];
  if (op.kind == Kind::Write) op.value = value();
  if (op.kind == Kind::Cas)
    op.value = value(), op.expected = below(random, (load.values ? load.values : next_value) + 1);
  return op;
}

/// A history with a legal order: that of the moments at which the operations took effect.
History execute(Random& random, const Workload& load) {
  std::vector<Planned> plan;
  std::vector<int64_t> free_at(load.clients);
  uint64_t next_value = 0;
  for (size_t i = 0; i < load.operations; ++i) {
    const uint64_t client = static_cast<uint64_t>(std::min_element(free_at.begin(), free_at.end()) - free_at.begin());
    const auto span = [&] { return static_cast<int64_t>(below(random, static_cast<uint64_t>(load.length_ns_max))); };
    Operation op = random_request(random, load, next_value);
    op.client = client + 1;
    op.call_ns = free_at[client] + span();
    op.return_ns = op.call_ns + span();
    free_at[client] = op.return_ns + 1;
    int64_t effect_ns =
        op.call_ns + static_cast<int64_t>(below(random, static_cast<uint64_t>(op.return_ns - op.call_ns + 1)));
    bool takes_effect = true;
    const uint64_t luck = below(random, 100);
    if (luck < load.unknown_percent) {
      op.outcome = Outcome::Unknown;
      op.return_ns = kNever;
      takes_effect = luck % 2 == 0;
      if (luck % 4 == 0) effect_ns += 5 * span();
    } else if (luck < load.unknown_percent + load.failed_percent) {
      op.outcome = Outcome::Failed;
      takes_effect = false;
    }
    plan.push_back({op, effect_ns, takes_effect});
  }
  std::sort(plan.begin(), plan.end(), [](const auto& a, const auto& b) { return a.effect_ns < b.effect_ns; });
  std::map<uint64_t, Model> models;
  History out;
  for (Planned& planned : plan) {
    if (planned.takes_effect) models[planned.operation.key].apply(planned.operation);
    out.push_back(planned.operation);
  }
  std::shuffle(out.begin(), out.end(), random);
  return out;
}

/// Makes one answer another: in half of the cases no order explains it any more.
void swap_one_result(Random& random, const Workload& load, History& history) {
  Operation& op = history[below(random, history.size())];
  if (op.kind == Kind::Read) op.result = below(random, (load.values ? load.values : history.size()) + 1);
  if (op.kind == Kind::Cas || op.kind >= Kind::Acquire) {
    op.answer = op.answer == Answer::Done ? Answer::Refused : Answer::Done;
    if (op.kind == Kind::Acquire && op.answer == Answer::Done) op.result = 1 + below(random, 4);
  }
}

/// All orders of one key's operations, tried one by one.
bool some_order_is_legal(const History& history, std::vector<bool>& taken, const Model& model) {
  bool finished = true;
  for (size_t i = 0; i < history.size(); ++i) finished &= taken[i] || history[i].outcome != Outcome::Ok;
  if (finished) return true;
  for (size_t i = 0; i < history.size(); ++i) {
    if (taken[i] || history[i].outcome == Outcome::Failed) continue;
    bool first = true;
    for (size_t j = 0; j < history.size(); ++j) {
      first &= taken[j] || history[j].outcome != Outcome::Ok || history[j].return_ns >= history[i].call_ns;
    }
    if (!first) continue;
    Operation op = history[i];
    Model after = model;
    after.apply(op);
    if (history[i].outcome == Outcome::Ok) {
      if (op.answer != history[i].answer) continue;
      if (op.kind == Kind::Read && op.result != history[i].result) continue;
      if (op.kind == Kind::Acquire && op.answer == Answer::Done) {
        if (history[i].result <= model.sequencer) continue;
        after.sequencer = history[i].result;
      }
    }
    taken[i] = true;
    const bool legal = some_order_is_legal(history, taken, after);
    taken[i] = false;
    if (legal) return true;
  }
  return false;
}

Verdict judge_by_all_orders(const History& history) {
  std::vector<bool> taken(history.size());
  return some_order_is_legal(history, taken, {}) ? kGood : kBad;
}

void check_property(int cases, const std::function<void(uint64_t seed)>& property) {
  rc::detail::TestMetadata metadata;
  auto params = rc::detail::configuration().testParams;
  params.maxSuccess = cases;
  const auto result = rc::detail::checkTestable(
      [&property] { property(*rc::gen::noShrink(rc::gen::arbitrary<uint64_t>())); }, metadata, params);
  std::ostringstream out;
  rc::detail::printResultMessage(result, out);
  EXPECT_TRUE(result.template is<rc::detail::SuccessResult>()) << out.str();
}

Workload random_workload(Random& random, size_t operations_max) {
  return {.operations = 1 + below(random, operations_max),
          .clients = 1 + below(random, 7),
          .values = below(random, 5),
          .unknown_percent = below(random, 2) * below(random, 60),
          .length_ns_max = 1 + static_cast<int64_t>(below(random, 40)),
          .locks = below(random, 3) == 0};
}

TEST(Property, RealExecutionsAreAccepted) {
  check_property(3000, [](uint64_t seed) {
    Random random(seed);
    Workload load = random_workload(random, 150);
    load.keys = 1 + below(random, 3);
    const History history = execute(random, load);
    if (judge(history) != kGood) RC_FAIL(format_history(history));
  });
}

TEST(Property, AgreesWithAllOrdersOnSmallHistories) {
  std::map<Verdict, size_t> seen;
  check_property(30000, [&seen](uint64_t seed) {
    Random random(seed);
    const Workload load = random_workload(random, 7);
    History history = execute(random, load);
    for (uint64_t swaps = 1 + below(random, 2); swaps > 0; --swaps) swap_one_result(random, load, history);
    const Verdict verdict = judge_by_all_orders(history);
    ++seen[verdict];
    if (judge(history) != verdict) RC_FAIL(format_history(history));
  });
  EXPECT_GT(seen[kGood], 5000U);
  EXPECT_GT(seen[kBad], 5000U);
}

// --- Limits and shrinking ---

TEST(Limits, GivingUpIsUnknownAndNeverGood) {
  Random random(1);
  History history = execute(random, {.operations = 300, .clients = 16, .values = 3, .unknown_percent = 10});
  history.push_back({.client = 1, .kind = Kind::Read, .result = 99, .call_ns = 1'000'000, .return_ns = 1'000'001});
  EXPECT_EQ(judge(history, {.states_max = 0}), Verdict::Unknown);
  const auto report = check(history, {.states_max = 500});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->verdict, Verdict::Unknown);
  EXPECT_EQ(report->undecided_keys, std::vector<uint64_t>{0});
  EXPECT_LE(report->states, 500 + history.size());
}

TEST(Limits, ViolationOfOneKeyCountsMoreThanAnotherUndecided) {
  Random random(1);
  History history = execute(random, {.operations = 300, .clients = 16, .values = 3, .unknown_percent = 10});
  history.push_back({.client = 1, .kind = Kind::Read, .result = 99, .call_ns = 1'000'000, .return_ns = 1'000'001});
  history.push_back({.client = 1, .key = 1, .kind = Kind::Read, .result = 99, .call_ns = 0, .return_ns = 1});
  const auto report = check(history, {.states_max = 0});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->verdict, kBad);
  EXPECT_EQ(report->undecided_keys, std::vector<uint64_t>{0});
  EXPECT_EQ(report->violating_keys, std::vector<uint64_t>{1});
}

std::string shrunk(std::string_view lines) { return format_history(shrink(parsed(lines))).substr(20); }

TEST(Shrink, KeepsTheWriteThatAStaleReadMissed) {
  EXPECT_EQ(shrunk("0 9 1 1 write 1 -> ok\n"
                   "10 19 2 1 read -> 1\n"
                   "20 29 1 1 write 2 -> ok\n"
                   "30 39 2 1 read -> 1\n"
                   "35 99 3 1 write 5 -> ok\n"
                   "40 49 2 1 read -> 2\n"),
            "0 9 1 1 write 1 -> ok\n"
            "20 29 1 1 write 2 -> ok\n"
            "30 39 2 1 read -> 1\n");
}

TEST(Shrink, ShowsOperationsInFlightAsUnknown) {
  EXPECT_EQ(shrunk("0 9 1 1 write 1 -> ok\n"
                   "5 99 2 1 write 2 -> ok\n"
                   "20 29 3 1 read -> 2\n"
                   "30 39 3 1 read -> 1\n"),
            "0 9 1 1 write 1 -> ok\n"
            "5 - 2 1 write 2 -> unknown\n"
            "20 29 3 1 read -> 2\n"
            "30 39 3 1 read -> 1\n");
}

TEST(Shrink, DropsHoldsWholeSoThatWhatIsLeftIsTheirFault) {
  EXPECT_EQ(shrunk("0 1 1 1 acquire -> granted 1\n"
                   "2 3 1 1 release -> ok\n"
                   "4 5 2 1 acquire -> granted 2\n"
                   "6 7 1 1 acquire -> busy\n"
                   "8 9 2 1 expire -> ok\n"
                   "10 11 1 1 acquire -> granted 3\n"
                   "12 13 2 1 acquire -> granted 4\n"
                   "14 15 1 1 release -> ok\n"),
            "10 11 1 1 acquire -> granted 3\n"
            "12 13 2 1 acquire -> granted 4\n");
}

TEST(Shrink, WhatIsLeftFailsForAReasonOfTheWhole) {
  size_t before = 0;
  size_t after = 0;
  check_property(3000, [&](uint64_t seed) {
    Random random(seed);
    const Workload load = random_workload(random, 60);
    History history = execute(random, load);
    swap_one_result(random, load, history);
    if (judge(history) != kBad) return;
    const History left = shrink(history);
    if (judge(left) != kBad) RC_FAIL(format_history(history));
    before += history.size();
    after += left.size();
    for (const Operation& op : left) RC_ASSERT(op.outcome != Outcome::Failed);
  });
  RecordProperty("operations_before", std::to_string(before));
  RecordProperty("operations_after", std::to_string(after));
  EXPECT_LT(after * 2, before);
}

// --- Speed, in the log only ---

struct Measured {
  Report report;
  double seconds;
};

Measured measure(const History& history) {
  const auto start = std::chrono::steady_clock::now();
  const auto report = check(history);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  return {report.value(), took.count()};
}

void log_speed(std::string_view what, const Measured& m) {
  fmt::print("{}: {} operations in {:.2f} s, {:.0f}/s, {:.2f} states each, verdict {}\n", what, m.report.operations,
             m.seconds, static_cast<double>(m.report.operations) / m.seconds,
             static_cast<double>(m.report.states) / static_cast<double>(m.report.operations),
             static_cast<int>(m.report.verdict));
}

TEST(Speed, SixteenClientsOnAHundredKeys) {
  Random random(7);
  const Workload load{.operations = 1'000'000,
                      .clients = 16,
                      .keys = 100,
                      .values = 0,
                      .unknown_percent = 5,
                      .failed_percent = 0,
                      .length_ns_max = 1000};
  const Measured m = measure(execute(random, load));
  log_speed("16 clients over 100 keys", m);
  EXPECT_EQ(m.report.verdict, kGood);
}

TEST(Speed, SixteenClientsOnEachKey) {
  for (const bool locks : {false, true}) {
    for (const uint64_t values : {0, 5}) {
      if (locks && values) continue;
      History all;
      for (uint64_t key = 0; key < 4; ++key) {
        Random random(key);
        Workload load{.operations = 10'000,
                      .clients = 16,
                      .values = values,
                      .unknown_percent = 5,
                      .failed_percent = 0,
                      .length_ns_max = 1000,
                      .locks = locks};
        for (Operation& op : execute(random, load)) {
          op.key = key;
          all.push_back(op);
        }
      }
      const Measured m = measure(all);
      log_speed(fmt::format("16 clients on each of 4 {}, {} values", locks ? "locks" : "registers",
                            values ? fmt::format("{}", values) : "unique"),
                m);
      EXPECT_NE(m.report.verdict, kBad);
    }
  }
}

}  // namespace
}  // namespace hailstone::sim
