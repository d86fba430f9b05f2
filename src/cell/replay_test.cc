// The same commands give the same database, byte for byte, however they are batched and wherever a copy goes on.
#include <gtest/gtest.h>

#include "cell/random_commands.h"
#include "cell/testing.h"
#include "replica/pending.h"

namespace hailstone::cell {
namespace {

struct Applied {
  std::vector<Bytes> replies;
  std::map<Bytes, Bytes> rows;
  bool operator==(const Applied&) const = default;
};

/// A history with refusals, repetitions, expiries and delays in it.
std::vector<Bytes> some_history(uint64_t seed, size_t length) {
  std::vector<Bytes> out;
  TestCell cell;
  RandomCommands commands;
  for (size_t i = 0; i < length; ++i) {
    out.push_back(commands.draw(seed * 1'000'003 + i, cell.database()).encode());
    cell.apply_encoded(out.back());
  }
  return out;
}

void apply_to(replica::Database& database, const std::vector<Bytes>& history, size_t from, size_t to, Applied& out) {
  Machine machine;
  for (size_t i = from; i < to; ++i) {
    replica::Batch batch;
    out.replies.push_back(machine.apply(Slot(i + 1), history[i], database, batch).value());
    ASSERT_TRUE(database.write(batch));
  }
  out.rows = rows_of(database);
}

class Replay : public testing::TestWithParam<uint64_t> {};
INSTANTIATE_TEST_SUITE_P(Seeds, Replay, testing::Range<uint64_t>(1, 9));

TEST_P(Replay, GivesTheSameDatabase) {
  const auto history = some_history(GetParam(), 400);
  Applied first, second;
  apply_to(*replica::make_memory_database(), history, 0, history.size(), first);
  apply_to(*replica::make_memory_database(), history, 0, history.size(), second);
  EXPECT_GT(first.rows.size(), 10u);
  EXPECT_TRUE(first == second);
}

TEST_P(Replay, WritesOfManyCommandsTogetherChangeNothing) {
  const auto history = some_history(GetParam(), 400);
  Applied alone;
  apply_to(*replica::make_memory_database(), history, 0, history.size(), alone);

  const auto database = replica::make_memory_database();
  replica::Pending* reach = nullptr;
  const auto write = [&]() -> Result<void> {
    TRY_DO(database->write(reach->batch()));
    reach->clear();
    return {};
  };
  replica::Pending pending(*database, write, 1u << 16);
  reach = &pending;
  Machine machine;
  Applied together;
  for (size_t i = 0; i < history.size(); ++i) {
    replica::Batch batch;
    together.replies.push_back(machine.apply(Slot(i + 1), history[i], pending, batch).value());
    pending.add(std::move(batch));
    if (i % 37 == 36) ASSERT_TRUE(write());
  }
  ASSERT_TRUE(write());
  together.rows = rows_of(*database);
  EXPECT_TRUE(alone == together);
}

TEST_P(Replay, ACopyOfTheStateGoesOnAsTheOriginal) {
  const auto history = some_history(GetParam(), 400);
  Applied whole, halves;
  apply_to(*replica::make_memory_database(), history, 0, history.size(), whole);
  const auto original = replica::make_memory_database();
  apply_to(*original, history, 0, 200, halves);
  const auto copy = replica::make_memory_database();
  replica::Batch snapshot;
  for (const auto& [key, value] : halves.rows) snapshot.put(key, value);
  ASSERT_TRUE(copy->write(snapshot));
  apply_to(*copy, history, 200, history.size(), halves);
  EXPECT_TRUE(whole == halves);
}

TEST(Replay, AMalformedCommandIsRefusedAndChangesNothing) {
  TestCell cell;
  cell.put("/a", "x");
  const auto rows = rows_of(cell.database());
  const Bytes good =
      Command{
          .time = {}, .principal = {}, .session = {}, .number = {}, .got = {}, .body = Txn{{}, {Put{"/b", "y"}}, {}}}
          .encode();
  for (size_t length = 0; length < good.size(); ++length)
    EXPECT_EQ(refusal(*Reply::decode(cell.apply_encoded(good.substr(0, length)))), Code::Invalid);
  EXPECT_EQ(refusal(*Reply::decode(cell.apply_encoded(good + "x"))), Code::Invalid);
  EXPECT_EQ(rows_of(cell.database()), rows);
}

TEST(Replay, ACommandOfANewerProgramStopsTheMachine) {
  const auto database = replica::make_memory_database();
  replica::Batch out;
  EXPECT_EQ(Machine().apply(Slot(1), Bytes("\x02\x00", 2), *database, out).error().code, Code::Unsupported);
  EXPECT_EQ(Machine().apply(Slot(1), Bytes("\x01\x40", 2), *database, out).error().code, Code::Unsupported);
}

/// Fails at the n-th read, as a database does that has no room for what must be written before an iteration.
class FailingReader final : public replica::Reader {
 public:
  FailingReader(const replica::Reader& under, int fail_at) : under_(under), left_(fail_at) {}
  Result<std::optional<Bytes>> get(ByteView key) const override {
    TRY_DO(count());
    return under_.get(key);
  }
  std::unique_ptr<replica::Iterator> iterate(ByteView begin, ByteView end) const override {
    if (count()) return under_.iterate(begin, end);
    struct Failed final : replica::Iterator {
      void seek(ByteView) override {}
      void next() override {}
      bool valid() const override { return false; }
      ByteView key() const override { return {}; }
      ByteView value() const override { return {}; }
      Result<void> status() const override { return fail(Code::Exhausted, "disk full"); }
    };
    return std::make_unique<Failed>();
  }
  bool failed() const { return left_ <= 0; }

 private:
  Result<void> count() const {
    if (--left_ > 0) return {};
    return fail(Code::Exhausted, "disk full");
  }
  const replica::Reader& under_;
  mutable int left_;
};

TEST(Replay, AnErrorOfTheDatabaseIsNeverTakenForARefusal) {
  TestCell cell;
  const SessionId ann = cell.open("ann"), ben = cell.open("ben");
  cell.put("/d/a", "x");
  cell.cell(SetRules{"ann", {{"/", kAllRights}}});
  cell.in(ann, Lock{"/l", LockMode::Exclusive, Lock::Wait::Try, 1000});
  cell.in(ann, Txn{{}, {Put{"/e", "", Put::Mode::Create, Put::Life::Ephemeral}}, {}});
  std::vector<Command> commands = {
      cell.next(ann, Txn{{ContentIs{"/d/a", sha256("x")}},
                         {List{"/"}, Get{"/d/a"}, DeleteSubtree{"/d", 9}, Put{"/f", "", Put::Mode::Write}},
                         {}}),
      cell.next(ann, Lock{"/l", LockMode::Exclusive, Lock::Wait::Try, 0}), cell.next(ben, CloseSession{})};
  // A repetition.
  commands[1].number = CommandNumber(2);
  commands[1].got = {};
  commands.push_back(
      {.time = cell.now_, .principal = "", .session = {}, .number = {}, .got = {}, .body = Expire{{ann}}});
  for (const Command& command : commands) {
    int reads = 1;
    for (;; ++reads) {
      const FailingReader reader(cell.database(), reads);
      replica::Batch out;
      const auto reply = Machine().apply(Slot(1), command.encode(), reader, out);
      if (!reader.failed()) break;
      ASSERT_FALSE(reply) << "read " << reads << " of command " << command.body.index();
      EXPECT_EQ(reply.error().code, Code::Exhausted);
      EXPECT_TRUE(out.empty());
    }
    EXPECT_GT(reads, 3);
  }
}

TEST(Replay, ADamagedRecordStopsTheMachine) {
  TestCell cell;
  cell.put("/a", "x");
  for (const Bytes& key : {schema::node("/a"), schema::counters()}) {
    const auto database = replica::make_memory_database();
    replica::Batch rows;
    for (const auto& [k, v] : rows_of(cell.database())) rows.put(k, k == key ? v + "?" : v);
    ASSERT_TRUE(database->write(rows));
    replica::Batch out;
    const Bytes command =
        Command{
            .time = {}, .principal = {}, .session = {}, .number = {}, .got = {}, .body = Txn{{}, {Put{"/a", "y"}}, {}}}
            .encode();
    EXPECT_EQ(Machine().apply(Slot(9), command, *database, out).error().code, Code::Corrupt);
  }
}

}  // namespace
}  // namespace hailstone::cell
