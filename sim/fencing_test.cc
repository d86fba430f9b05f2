#include "sim/fencing.h"

#include <gtest/gtest.h>

#include <array>

namespace hailstone::sim {
namespace {

constexpr uint64_t kLock = 200, kRegister = 100;

Operation grant(uint64_t client, uint64_t sequencer, int64_t call, int64_t ret) {
  return {
      .client = client, .key = kLock, .kind = Kind::Acquire, .result = sequencer, .call_ns = call, .return_ns = ret};
}
Operation write(uint64_t value, int64_t call, int64_t ret, Outcome outcome = Outcome::Ok) {
  return {.client = 1,
          .key = kRegister,
          .kind = Kind::Write,
          .outcome = outcome,
          .value = value,
          .call_ns = call,
          .return_ns = ret};
}
Operation read(uint64_t result, int64_t call, int64_t ret) {
  return {.client = 3, .key = kRegister, .kind = Kind::Read, .result = result, .call_ns = call, .return_ns = ret};
}
/// The operation at index 2 is the fenced write, under sequencer 1.
std::string judge(const History& history) {
  const std::array writes = {FencedWrite{.operation = 2, .lock = kLock, .sequencer = 1}};
  return check_fencing(history, writes);
}

TEST(Fencing, AWriteOfTheFormerHolderAfterALaterGrantIsSeen) {
  EXPECT_EQ(judge({grant(1, 1, 0, 1), grant(2, 2, 5, 6), write(9, 2, 3)}), "");
  EXPECT_EQ(judge({grant(1, 1, 0, 1), grant(2, 2, 5, 6), write(9, 4, 8)}), "");  // they overlap
  EXPECT_NE(judge({grant(1, 1, 0, 1), grant(2, 2, 5, 6), write(9, 7, 8)}), "");
  EXPECT_EQ(judge({grant(1, 1, 0, 1), grant(2, 2, 5, 6), write(9, 7, 8, Outcome::Failed)}), "");
}

TEST(Fencing, AWriteOfUnknownOutcomeMustNotAppearAfterALaterGrant) {
  const History before = {grant(1, 1, 0, 1), grant(2, 2, 5, 6), write(9, 4, kNever, Outcome::Unknown)};
  History good = before;
  good.push_back(read(9, 7, 8));
  good.push_back(read(4, 9, 10));  // overwritten by somebody
  EXPECT_EQ(judge(good), "");
  History bad = before;
  bad.push_back(read(4, 7, 8));
  bad.push_back(read(9, 9, 10));
  EXPECT_NE(judge(bad), "");
  History overlap = before;
  overlap.push_back(read(4, 7, 10));
  overlap.push_back(read(9, 9, 12));
  EXPECT_EQ(judge(overlap), "");
}

}  // namespace
}  // namespace hailstone::sim
