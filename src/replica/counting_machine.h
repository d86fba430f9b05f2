// A small machine for tests: keeps every command by its slot, counts them, and can be told to fail.
#pragma once

#include <fmt/format.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <vector>

#include "base/codec.h"
#include "replica/group.h"

namespace hailstone::replica {

/// State: "count" -> how many commands, "slot/<16 hex digits>" -> the command. The reply is the count, in decimal; a
/// command that starts with '!' is refused by the reply "refused" and changes nothing; "break" makes the machine fail.
class CountingMachine final : public StateMachine {
 public:
  Result<Bytes> apply(Slot slot, ByteView command, const Reader& state, Batch& out) override {
    {
      std::unique_lock lock(gate_);
      opened_.wait(lock, [&] { return !held_back_; });
    }
    if (command == "break") return fail(Code::Corrupt, "machine broke");
    if (command.starts_with('!')) return Bytes("refused");
    TRY(uint64_t count, counted(state));
    if (slot.value % 3 == 0) {  // by the other way to read
      const auto at = state.iterate("count", "count\xff");
      TRY_DO(at->status());
      count = at->valid() ? std::stoull(Bytes(at->value())) : 0;
    }
    out.put("count", std::to_string(count + 1));
    out.put(fmt::format("slot/{:016x}", slot.value), Bytes(command));
    return std::to_string(count + 1);
  }
  void applied(Slot slot) override { last_applied = slot.value; }
  bool batches() const override { return batching; }

  static Result<uint64_t> counted(const Reader& state) {
    TRY(const auto value, state.get("count"));
    return value ? std::stoull(*value) : 0;
  }
  /// The commands in slot order.
  static Result<std::vector<Bytes>> commands(const Reader& state) {
    std::vector<Bytes> out;
    auto at = state.iterate("slot/", "slot0");
    for (; at->valid(); at->next()) out.emplace_back(at->value());
    TRY_DO(at->status());
    return out;
  }

  /// Nothing more is applied until it is called with false. Not at the end: who applies must come back.
  void hold_back(bool held) {
    {
      const std::lock_guard lock(gate_);
      held_back_ = held;
    }
    opened_.notify_all();
  }

  std::atomic<uint64_t> last_applied = 0;
  bool batching = true;

 private:
  std::mutex gate_;
  std::condition_variable opened_;
  bool held_back_ = false;
};

}  // namespace hailstone::replica
