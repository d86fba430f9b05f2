// Measures the client core of a cell alone: cache hits, keep-alives and commands a second on one thread.
// Links hailstone_cell, Google Benchmark.
//
//   cell_client_bench [--benchmark_filter=...] [--benchmark_repetitions=9]
//
// The member at the other end answers at once by function call: what is left is the core.
#include <benchmark/benchmark.h>

#include "cell/client.h"

namespace {

using namespace hailstone;
using namespace hailstone::cell;
using namespace hailstone::cell::client;

class Client {
 public:
  Client() : core(options(), now_ns) {
    core.open(now_ns);
    core.on_tick(now_ns);
    core.output().clear();
    core.on_connected(now_ns);
    core.output().clear();
    core.on_message(wire::Welcome{.version = 1}, now_ns);
    answer();
  }

  /// Until nothing more is said.
  void answer() {
    for (;;) {
      messages.clear();
      messages.swap(core.output().messages);
      core.output().clear();
      if (messages.empty()) return;
      for (auto& message : messages) std::visit([this](auto& m) { on(m); }, message);
    }
  }

  int64_t now_ns = 1'000'000'000;
  Core core;
  uint64_t tags = 0;

 private:
  static Options options() { return {.caching = Options::Caching::On}; }

  void on(wire::Do& command) {
    Reply reply;
    if (std::holds_alternative<OpenSession>(command.body))
      reply.outcome = Opened{SessionId(5), 12'000, true};
    else
      reply.outcome = TxnReply{};
    core.on_message(wire::Result{command.call, std::move(reply)}, now_ns);
  }
  void on(wire::Fetch& fetch) {
    core.on_message(wire::Result{fetch.call, wire::Result::Fetched{.revision = Revision(1),
                                                                   .file = File{{}, Bytes(100, 'x')},
                                                                   .epoch = wire::Epoch(1),
                                                                   .keep = true}},
                    now_ns);
  }
  void on(wire::KeepAlive& alive) {
    core.on_message(wire::Lease{alive.session, alive.beat, wire::Epoch(1), 12'000, 2'000}, now_ns);
  }
  void on(auto&) {}

  std::vector<wire::ClientMessage> messages;
};

/// A time of the clock for each, as a reader needs it: here it stands still.
void cache_hit(benchmark::State& state) {
  Client c;
  std::vector<Bytes> paths;
  for (int64_t i = 0; i < state.range(0); ++i) {
    paths.push_back("/volumes/some-volume/channels/" + std::to_string(i));
    c.core.read(Tag(++c.tags), paths.back(), kNever, c.now_ns);
    c.answer();
  }
  size_t next = 0, hits = 0;
  for (auto _ : state) {
    const Copy* copy = c.core.cached(paths[next], c.now_ns);
    hits += copy != nullptr;
    benchmark::DoNotOptimize(copy);
    if (++next == paths.size()) next = 0;
  }
  if (hits != static_cast<size_t>(state.iterations())) state.SkipWithError("a miss");
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(cache_hit)->Arg(1)->Arg(100)->Arg(10'000);

void keep_alive(benchmark::State& state) {
  Client c;
  for (auto _ : state) {
    c.now_ns = c.core.next_wakeup_ns();
    c.core.on_tick(c.now_ns);
    c.answer();
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(keep_alive);

void command(benchmark::State& state) {
  Client c;
  for (auto _ : state) {
    c.core.command(Tag(++c.tags), Txn{{}, {Put{"/some/path", Bytes(100, 'x')}}, {}}, c.now_ns + 5'000'000'000,
                   c.now_ns);
    c.answer();
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(command);

}  // namespace

BENCHMARK_MAIN();
