// The cell's state machine: files, sessions, locks and events behind one log of commands, deterministically.
#pragma once

#include "cell/command.h"
#include "cell/reply.h"
#include "replica/group.h"

namespace hailstone::cell {

/// Keeps nothing beside the database. Replies are Reply::encode(). Errors: Unsupported for a command of a newer program
/// (this one must not skip it), Corrupt for records that make no sense, and those of reading the state. Everything else
/// is a refusal in a reply, and a refused command has changed nothing but the time, and what the time alone changes.
class Machine : public replica::StateMachine {
 public:
  Result<Bytes> apply(Slot slot, ByteView command, const replica::Reader& state, replica::Batch& out) override;
  void applied(Slot) override {}
  bool batches() const override { return true; }
};

}  // namespace hailstone::cell
