// Registers by key, with compare-and-set: the smallest state machine that a linearizability checker can judge.
#pragma once

#include "base/codec.h"
#include "bench/register/protocol.h"
#include "replica/group.h"

namespace hailstone::bench {

/// A command is an operation byte and its fields, as in a request. The reply is an answer byte and its fields.
class RegisterMachine final : public replica::StateMachine {
 public:
  Result<Bytes> apply(Slot, ByteView command, const replica::Reader& state, replica::Batch& out) override {
    Decoder in(command);
    const auto operation = static_cast<Operation>(in.u8());
    const ByteView key = in.bytes();
    const ByteView expected = operation == Operation::Cas ? in.bytes() : ByteView();
    const ByteView value = in.bytes();
    if (!in.done()) return fail(Code::Corrupt, "a command that is none");
    Bytes reply(1, static_cast<char>(Answer::Ok));
    if (operation == Operation::Cas) {
      TRY(const auto held, state.get(stored(key)));
      if (held.value_or("") != expected) {
        reply[0] = static_cast<char>(Answer::Mismatch);
        Encoder(reply).bytes(held.value_or(""));
        return reply;
      }
    }
    out.put(stored(key), Bytes(value));
    return reply;
  }
  void applied(Slot) override {}
  bool batches() const override { return true; }

  static Bytes stored(ByteView key) { return "r/" + Bytes(key); }
};

}  // namespace hailstone::bench
