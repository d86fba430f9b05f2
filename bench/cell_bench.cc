// Measures what one write costs a member of a cell besides consensus and sockets: applying it, and the service's part.
// Links hailstone_cell, Google Benchmark.
//
//   cell_bench [--benchmark_filter=...] [--benchmark_repetitions=9]
//   perf stat -e instructions:u cell_bench --benchmark_filter=apply/64 --benchmark_min_time=3
//
// One thread; 64 sessions write files of 256 bytes among 10,000, each after the reply to its last. An item is a write.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <stdlib.h>

#include <filesystem>
#include <random>
#include <vector>

#include "base/check.h"
#include "cell/front.h"
#include "cell/machine.h"
#include "cell/master.h"
#include "disk/disk.h"
#include "replica/pending.h"
#include "replica/place.h"
#include "replica/rocks_database.h"

namespace {

using namespace hailstone;
using namespace hailstone::cell;

constexpr size_t kSessions = 64, kFiles = 10'000;
constexpr int64_t kWriteNs = 20'000;  // 50,000 writes a second
constexpr MemberId kHere{1}, kThere{2};
const Bytes kPrincipal = "bench";

Command open_command(uint64_t n) {
  OpenSession open{.lease_ms = 120'000};
  for (size_t i = 0; i < 8; ++i) open.nonce[i] = static_cast<uint8_t>(n >> (8 * i));
  return {.time = ClusterTime(1), .principal = kPrincipal, .body = open};
}

Body write_of(std::mt19937_64& random) {
  return Txn{.then_operations = {Put{.path = fmt::format("/bench/key-{:08}", random() % kFiles),
                                     .content = Bytes(256, static_cast<char>('a' + random() % 26))}}};
}

class TemporaryDirectory {
 public:
  TemporaryDirectory() : path_((std::filesystem::temp_directory_path() / "cell_bench_XXXXXX").string()) {
    CHECK(mkdtemp(path_.data()) != nullptr);
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// What replica::Applier does with a command, without its threads. Its place in the log is written with each batch.
class Member {
 public:
  explicit Member(std::unique_ptr<replica::Database> database) : database_(std::move(database)) {}

  Reply apply(const Command& command) { return *Reply::decode(apply(command.encode())); }
  Bytes apply(ByteView command) {
    replica::Batch out;
    auto reply = machine_.apply(Slot(++slot_), command, pending_, out);
    CHECK(reply.has_value());
    place_.changed_by(out);
    pending_.add(std::move(out));
    return *std::move(reply);
  }
  void write() {
    replica::Batch& batch = pending_.batch();
    batch.put(Bytes(replica::kAppliedKey), place_.encode());
    CHECK(database_->write(batch).has_value());
    pending_.clear();
  }
  const replica::Reader& state() const { return *database_; }

 private:
  const std::unique_ptr<replica::Database> database_;
  Machine machine_;
  uint64_t slot_ = 0;
  replica::Place place_;
  replica::Pending pending_{*database_, [] { return Result<void>(); }, 16u << 20};
};

/// Argument: commands written together. The database is flushed and compacted beside it, on threads of its own.
void apply(benchmark::State& state) {
  const auto together = static_cast<size_t>(state.range(0));
  const TemporaryDirectory directory;
  const auto disk = disk::make_real_disk();
  Member member(*replica::open_rocks_database(*disk, {.directory = directory.path(), .memtable_bytes = 8u << 20}));
  std::mt19937_64 random(1);
  std::vector<SessionId> sessions;
  for (uint64_t n = 1; n <= kSessions; ++n)
    sessions.push_back(std::get<Opened>(member.apply(open_command(n)).outcome).session);
  uint64_t number = 0, time = 1;
  size_t turn = 0;
  std::vector<Bytes> commands(together);
  const auto round = [&] {
    for (Bytes& command : commands) {
      if (turn == 0) ++number;
      command = Command{.time = ClusterTime(++time),
                        .principal = kPrincipal,
                        .session = sessions[turn],
                        .number = CommandNumber(number),
                        .got = CommandNumber(number - 1),
                        .body = write_of(random)}
                    .encode();
      turn = (turn + 1) % kSessions;
    }
  };
  for (auto _ : state) {
    state.PauseTiming();
    round();
    state.ResumeTiming();
    for (const Bytes& command : commands) benchmark::DoNotOptimize(member.apply(command));
    member.write();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(apply)->MeasureProcessCPUTime()->ArgName("together")->Arg(16)->Arg(64);

/// A front with 64 clients and the master, of the same member or of another one, to which messages are encoded.
class Service {
 public:
  explicit Service(bool relayed) : master_at_(relayed ? kThere : kHere), member_(replica::make_memory_database()) {
    for (uint64_t n = 1; n <= kSessions; ++n)
      sessions_.push_back(std::get<Opened>(member_.apply(open_command(n)).outcome).session);
    member_.write();
    CHECK(front_.start(now_, member_.state()).has_value());
    CHECK(master_.lead(now_, wire::Epoch(1), 0, view(), master_out_).has_value());
    front_.leader(now_, master_at_, front_out_);
    for (uint64_t n = 1; n <= kSessions; ++n) {
      front_.connected(now_, wire::ConnectionId(n), kPrincipal);
      hear(n, wire::encode(wire::ClientMessage(wire::Hello{})));
    }
    deliver();
  }

  /// One write of each client, all in one turn, their outcomes in the next one.
  void round(const std::vector<Bytes>& messages, const Bytes& reply) {
    answered_ = 0;
    now_ = now_ + kWriteNs * static_cast<int64_t>(kSessions);
    for (size_t i = 0; i < kSessions; ++i) hear(i + 1, messages[i]);
    if (++rounds_ % 16 == 0) {
      const uint64_t n = rounds_ / 16 % kSessions;
      hear(n + 1, wire::encode(wire::ClientMessage(wire::KeepAlive{sessions_[n], wire::Beat(rounds_), {}})));
    }
    deliver();
    auto proposals = std::exchange(master_out_.proposals, {});
    CHECK(proposals.size() == kSessions);
    for (auto& proposal : proposals) CHECK(master_.outcome(now_, proposal.tag, reply, view(), master_out_).has_value());
    front_.applied();
    deliver();
    CHECK(answered_ >= kSessions);
  }
  const std::vector<SessionId>& sessions() const { return sessions_; }

 private:
  View view() const { return {.state = member_.state(), .may_read = true}; }
  void hear(uint64_t n, ByteView bytes) {
    auto message = wire::decode_client_message(bytes);
    CHECK(message.has_value());
    CHECK(front_.receive(now_, wire::ConnectionId(n), *std::move(message), member_.state(), front_out_).has_value());
  }
  wire::PeerMessage carried(wire::PeerMessage message) const {
    if (master_at_ == kHere) return message;
    return *wire::decode_peer_message(wire::encode(message));
  }
  void deliver() {
    for (auto& [to, message] : std::exchange(front_out_.members, {}))
      CHECK(master_.receive(now_, kHere, carried(std::move(message)), view(), master_out_).has_value());
    for (auto& [to, message] : std::exchange(master_out_.messages, {}))
      front_.receive(now_, master_at_, carried(std::move(message)), front_out_);
    answered_ += front_out_.clients.size();
    for (auto& message : std::exchange(front_out_.clients, {}))
      front_.written(now_, message.connection, message.message.size(), front_out_);
  }

  const MemberId master_at_;
  Member member_;
  std::vector<SessionId> sessions_;
  Time now_{1'000'000'000};
  Front front_{{.member = kHere, .cell = "bench"}};
  Front::Output front_out_;
  Master master_;
  Master::Output master_out_;
  size_t answered_ = 0;
  uint64_t rounds_ = 0;
};

/// Argument: 1 where the clients' member is not the master's.
void serve(benchmark::State& state) {
  Service service(state.range(0) != 0);
  std::mt19937_64 random(1);
  const Bytes reply =
      Reply{.refused = {},
            .revision = Revision(1'000'000),
            .time = ClusterTime(1'700'000'000'000'000),
            .outcome = TxnReply{.branch = TxnReply::Branch::Then,
                                .results = {Written{{.instance = Instance(9999), .generation = 100, .bytes = 256}}}}}
          .encode();
  uint64_t number = 0;
  std::vector<Bytes> messages(kSessions);
  for (auto _ : state) {
    state.PauseTiming();
    ++number;
    for (size_t i = 0; i < kSessions; ++i)
      messages[i] = wire::encode(wire::ClientMessage(wire::Do{.call = wire::CallId(number),
                                                              .deadline_ms = 10'000,
                                                              .session = service.sessions()[i],
                                                              .number = CommandNumber(number),
                                                              .got = CommandNumber(number - 1),
                                                              .body = write_of(random)}));
    state.ResumeTiming();
    service.round(messages, reply);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kSessions));
}
BENCHMARK(serve)->ArgName("relayed")->Arg(0)->Arg(1)->MinTime(2);

}  // namespace

BENCHMARK_MAIN();
