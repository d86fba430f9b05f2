// The state machine against a naive model: the same replies and the same visible state, whatever commands come.
#include "cell/model.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "cell/random_commands.h"
#include "cell/testing.h"

namespace hailstone::cell {
namespace {

void same_reply(Reply machine, const Reply& model) {
  if (machine.refused) machine.refused->message.clear();
  RC_ASSERT(machine.refused.has_value() == model.refused.has_value());
  if (machine.refused) RC_ASSERT(code_name(machine.refused->code) == code_name(model.refused->code));
  RC_ASSERT(machine.revision.value == model.revision.value);
  RC_ASSERT(machine.time.value == model.time.value);
  RC_ASSERT(machine.outcome == model.outcome);
}

void same_files(const TestCell& cell, const replica::Reader& state, const Model& model) {
  RC_ASSERT(cell.counters().files == model.files.size());
  for (const auto& [path, file] : model.files) {
    const auto found = *read_file(state, path);
    RC_ASSERT(found.has_value());
    RC_ASSERT(*found == file);
  }
  for (const Bytes path : {"/", "/a", "/a/b", "/d", "/d/e", "/i", "/h"}) {
    const auto expected = model.beneath(path, List::Depth::Children);
    const Listing listing = *list(state, List{path});
    RC_ASSERT(listing.entries.size() == expected.size());
    for (const auto& entry : listing.entries) RC_ASSERT(expected.at(entry.name) == entry.node);
    const auto node = *schema::read_node(state, path);
    if (!expected.empty()) RC_ASSERT(std::get<DirectoryStat>(*node) == model.directory(path));
  }
}

void same_locks(const TestCell& cell, const Model& model) {
  for (const Bytes path : {"/a", "/l", "/d"}) {
    const LockRecord lock = cell.lock(path);
    const auto found = model.locks.find(path);
    const Model::LockState expected = found == model.locks.end() ? Model::LockState{} : found->second;
    RC_ASSERT(lock.holders.size() == expected.holders.size());
    RC_ASSERT(lock.waiters.size() == expected.waiters.size());
    RC_ASSERT(lock.delayed_until.value == expected.delayed_until);
    for (size_t i = 0; i < lock.holders.size(); ++i) {
      RC_ASSERT(lock.holders[i].session == expected.holders[i].session);
      RC_ASSERT(lock.holders[i].generation == expected.holders[i].generation);
      RC_ASSERT(lock.mode == expected.holders[i].mode);
    }
    for (size_t i = 0; i < lock.waiters.size(); ++i)
      RC_ASSERT(lock.waiters[i].session == expected.waiters[i].session &&
                lock.waiters[i].mode == expected.waiters[i].mode);
  }
}

void same_events(const TestCell& cell, const replica::Reader& state, const Model& model, uint64_t random) {
  const Counters counters = cell.counters();
  RC_ASSERT(counters.revision.value == model.revision);
  const Revision after(random % (model.revision + 1));
  const Bytes prefix = random % 3 ? "/" : "/a";
  const auto batch = *events_after(state, after, prefix, 1'000'000);
  if (after < counters.floor) {
    RC_ASSERT(batch.compacted == counters.floor);
    return;
  }
  std::vector<EventBatch::Item> expected;
  for (const auto& item : model.events)
    if (item.revision > after && covers(prefix, item.event.path)) expected.push_back(item);
  RC_ASSERT(batch.events == expected);
  RC_ASSERT(batch.upto == counters.revision);
}

/// Small limits from the start, so that they matter.
Settings small() {
  Settings s;
  s.sessions_max = 6;
  s.files_max = 8;
  s.bytes_max = 24;
  s.file_bytes_max = 4;
  s.waiters_max = 3;
  s.holds_max = 5;
  s.subtree_files_max = 4;
  s.history_events_max = 40;
  return s;
}

RC_GTEST_PROP(Model, AgreesWithTheMachine, ()) {
  const auto seeds = *rc::gen::resize(400, rc::gen::arbitrary<std::vector<uint64_t>>());
  TestCell cell;
  Model model;
  RandomCommands commands;
  const Command settings{
      .time = {}, .principal = {}, .session = {}, .number = {}, .got = {}, .body = ChangeSettings{small()}};
  same_reply(cell.apply(settings), model.apply(settings));
  for (const uint64_t seed : seeds) {
    const Command command = commands.draw(seed, cell.database());
    const Reply reply = cell.apply(command);
    same_reply(reply, model.apply(command));
    RC_ASSERT(cell.counters().sessions == model.sessions.size());
    same_files(cell, cell.database(), model);
    same_locks(cell, model);
    same_events(cell, cell.database(), model, seed);
  }
}

TEST(Model, RandomCommandsReachEverything) {
  TestCell cell;
  RandomCommands commands;
  cell.cell(ChangeSettings{small()});
  std::map<Bytes, int> seen;
  for (uint64_t seed = 0; seed < 20'000; ++seed) {
    const Command command = commands.draw(seed, cell.database());
    const Reply reply = cell.apply(command);
    ++seen[reply.refused ? Bytes(code_name(reply.refused->code)) : fmt::format("done {}", command.body.index())];
    for (const Event& event : cell.events_since(Revision(reply.revision.value - 1)))
      ++seen[fmt::format("event {}", static_cast<int>(event.kind))];
    if (const auto* lock = std::get_if<LockReply>(&reply.outcome))
      ++seen[fmt::format("lock {}", static_cast<int>(lock->outcome))];
    if (cell.counters().next_delay) ++seen["delay"];
  }
  for (int body = 0; body < 10; ++body) EXPECT_GT(seen[fmt::format("done {}", body)], 50) << body;
  for (int kind = 1; kind <= 8; ++kind) EXPECT_GT(seen[fmt::format("event {}", kind)], 50) << kind;
  for (int outcome = 1; outcome <= 4; ++outcome) EXPECT_GT(seen[fmt::format("lock {}", outcome)], 30) << outcome;
  for (const char* what : {"invalid", "not_found", "exists", "conflict", "exhausted", "denied", "delay"})
    EXPECT_GT(seen[what], 50) << what;
  if (HasFailure())
    for (const auto& [what, count] : seen) fmt::print("{} {}\n", what, count);
}

}  // namespace
}  // namespace hailstone::cell
