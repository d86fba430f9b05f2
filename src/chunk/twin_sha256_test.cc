#include "chunk/twin_sha256.h"

#include <gtest/gtest.h>

#include <random>

#include "chunk/test_bytes.h"

namespace hailstone::chunk {
namespace {

using Engine = TwinSha256::Engine;

class TwinSha256Of : public testing::TestWithParam<Engine> {};
INSTANTIATE_TEST_SUITE_P(Engines, TwinSha256Of, testing::Values(Engine::Best, Engine::Portable));

TEST_P(TwinSha256Of, EveryLengthAcrossThreeBlocks) {
  const Bytes bytes = noise(200, 1);
  for (size_t n = 0; n <= bytes.size(); ++n) {
    TwinSha256 twin(GetParam());
    twin.update(ByteView(bytes).substr(0, n));
    EXPECT_EQ(twin.end_part(), sha256(ByteView(bytes).substr(0, n))) << n;
    EXPECT_EQ(twin.finish(), sha256(ByteView(bytes).substr(0, n))) << n;
  }
}

// The two chains at each distance from each other within a block, and each piece of every length up to two blocks.
TEST_P(TwinSha256Of, AnyPartsInAnyPieces) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 2000; ++round) {
    const Bytes bytes = noise(random() % 3000, random());
    TwinSha256 twin(GetParam());
    size_t part_from = 0, at = 0;
    while (at < bytes.size()) {
      const size_t n = std::min<size_t>(random() % 130, bytes.size() - at);
      const ByteView piece = ByteView(bytes).substr(at, n);
      const bool known = part_from == at && random() % 8 == 0;
      if (known) {
        twin.update_whole(piece);
        part_from = at + n;
      } else {
        twin.update(piece);
      }
      at += n;
      if (part_from < at && random() % 10 == 0) {
        ASSERT_EQ(twin.end_part(), sha256(ByteView(bytes).substr(part_from, at - part_from))) << round;
        part_from = at;
      }
    }
    ASSERT_EQ(twin.end_part(), sha256(ByteView(bytes).substr(part_from))) << round;
    ASSERT_EQ(twin.finish(), sha256(bytes)) << round;
  }
}

}  // namespace
}  // namespace hailstone::chunk
