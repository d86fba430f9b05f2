// SHA-256 of a whole stream and of each of its parts in one pass, for about the price of one.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/hash.h"

namespace hailstone::chunk {

/// A content needs two digests of every byte: its chunk's and its own. SHA-256 is a chain in which each step waits for
/// the one before; two chains side by side fill each other's waits. Without SHA instructions: one after the other.
class TwinSha256 {
 public:
  enum class Engine : uint8_t {
    Best,      // what this processor can do
    Portable,  // for tests
  };
  explicit TwinSha256(Engine engine = Engine::Best);

  /// Bytes of the whole and of the present part.
  void update(ByteView bytes);
  /// Bytes of the whole alone: a part whose digest is known. Only between parts.
  void update_whole(ByteView bytes);
  /// Ends the present part: its digest. The next byte begins another.
  Hash256 end_part();
  /// Digest of the whole; the object is then spent.
  Hash256 finish();

 private:
  struct Chain {
    std::array<uint32_t, 8> state{};
    std::array<char, 64> rest{};  // of bytes that make no block yet
    uint64_t bytes = 0;

    size_t pending() const { return bytes % 64; }
    void restart();
    /// Takes what completes a block that was begun; the remainder.
    ByteView complete(ByteView bytes);
    void keep(ByteView bytes);
    void update(ByteView bytes);
    Hash256 finish();
  };

  Chain whole_, part_;
  std::optional<Hasher> portable_whole_, portable_part_;
  bool part_open_ = false;
};

}  // namespace hailstone::chunk
