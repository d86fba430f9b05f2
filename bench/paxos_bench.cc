// Measures the consensus core alone: CPU time of an accept round, and the memory of a group that has nothing to do.
// Links hailstone_paxos, Google Benchmark.
//
//   paxos_bench [--benchmark_filter=...] [--benchmark_repetitions=9]
//
// One thread; disks are durable at once, messages are moved by function call: what is left is the core.
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <memory>
#include <vector>

#include "paxos/replica.h"

namespace {

using namespace hailstone;
using namespace hailstone::paxos;

constexpr int64_t kMs = 1'000'000;

class Group {
 public:
  /// A configuration of three voters, of whom the first `alive` run. The first leads.
  explicit Group(uint64_t alive) {
    Config config{.epoch = 1, .governs_from = Slot(1)};
    for (uint64_t id = 1; id <= 3; ++id) config.voters.push_back({.id = ReplicaId(id)});
    for (uint64_t id = 1; id <= alive; ++id)
      replicas_.emplace_back(Options{.self = ReplicaId(id), .life = LifeId(id), .checksum_every = 0},
                             Boot{.base = {.configs = {config}}, .no_grants_outstanding = true}, now_);
    step(0, Tick{});
    deliver();
  }

  /// Returns how many commands the leader reports as chosen.
  size_t round(const std::vector<Proposal>& proposals) {
    chosen_ = 0;
    now_ = now_ + 20'000;  // 50,000 rounds a second
    step(0, Propose{.proposals = proposals, .time_us = now_.ns / 1000});
    deliver();
    return chosen_;
  }

  void idle(int64_t ns) {
    for (const Time end = now_ + ns; now_ < end; now_ = now_ + 10 * kMs) {
      for (size_t i = 0; i < replicas_.size(); ++i)
        if (replicas_[i].next_wakeup() <= now_) step(i, Tick{});
      deliver();
    }
    flight_ = {};
    batch_ = {};
    output_ = {};
  }

  const Replica& at(size_t i) const { return replicas_[i]; }

 private:
  void step(size_t i, Input input) {
    output_.clear();
    replicas_[i].step(now_, std::move(input), output_);
    WriteId durable;
    const Slot applied = output_.commits.empty() ? Slot(0) : output_.commits.back().slot;
    for (Message& message : output_.messages) flight_.push_back(std::move(message));
    for (Write& write : output_.writes) {
      for (Message& message : write.after) flight_.push_back(std::move(message));
      durable = write.id;
    }
    for (const Outcome& outcome : output_.outcomes) chosen_ += outcome.result == Outcome::Result::Chosen ? 1 : 0;
    if (applied) step(i, Applied{.upto = applied});
    if (durable) step(i, Persisted{.upto = durable});
  }

  void deliver() {
    while (!flight_.empty()) {
      batch_.swap(flight_);
      for (Message& message : batch_)
        if (const size_t to = message.to.value - 1; to < replicas_.size())
          step(to, Receive{.message = std::move(message)});
      batch_.clear();
    }
  }

  std::vector<Replica> replicas_;
  Time now_{0};
  Output output_;
  std::vector<Message> flight_, batch_;
  size_t chosen_ = 0;
};

/// Arguments: members that run (2: leader and one follower), commands in a round. Time is of a whole round.
void accept_round(benchmark::State& state) {
  Group group(static_cast<uint64_t>(state.range(0)));
  std::vector<Proposal> proposals(static_cast<size_t>(state.range(1)));
  for (Proposal& each : proposals) each = {.tag = 1, .data = std::make_shared<const Bytes>(256, 'v')};
  for (auto _ : state)
    if (group.round(proposals) != proposals.size()) state.SkipWithError("not all of them were chosen");
  state.SetItemsProcessed(state.iterations() * state.range(1));
}
BENCHMARK(accept_round)->ArgNames({"members", "batch"})->Args({2, 1})->Args({2, 64})->Args({3, 1})->Args({3, 64});

/// What one member of an idle group costs, by its own account and by the allocator's. Before, it had some rounds of so
/// many commands each.
void idle_group(benchmark::State& state) {
  constexpr size_t kGroups = 200;
  const std::vector<Proposal> proposals(static_cast<size_t>(state.range(1)),
                                        {.tag = 1, .data = std::make_shared<const Bytes>(256, 'v')});
  size_t counted = 0, allocated = 0;
  for (auto _ : state) {
    std::vector<std::unique_ptr<Group>> groups;
    const size_t before = mallinfo2().uordblks;
    for (size_t i = 0; i < kGroups; ++i) {
      groups.push_back(std::make_unique<Group>(3));
      for (int64_t k = 0; k < state.range(0); ++k) groups.back()->round(proposals);
      groups.back()->idle(10'000 * kMs);
    }
    allocated = (mallinfo2().uordblks - before) / kGroups / 3;
    counted = groups[0]->at(0).bytes_in_use();
  }
  state.counters["bytes_in_use_of_leader"] = static_cast<double>(counted);
  state.counters["bytes_allocated_a_member"] = static_cast<double>(allocated);
}
BENCHMARK(idle_group)
    ->ArgNames({"rounds", "batch"})
    ->Args({0, 1})
    ->Args({10, 1})
    ->Args({1000, 1})
    ->Args({2, 1000})
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
