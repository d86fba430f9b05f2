#include "paxos/fifo.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <deque>

namespace hailstone::paxos {
namespace {

RC_GTEST_PROP(Fifo, AgreesWithADeque, (const std::vector<uint8_t>& steps)) {
  Fifo<int> fifo;
  std::deque<int> model;
  int next = 0;
  for (const uint8_t step : steps) {
    if (step == 0) {
      fifo.clear();
      model.clear();
    } else if (step < 120 && !model.empty()) {
      fifo.pop_front();
      model.pop_front();
    } else if (step < 160) {
      fifo.push_front(++next);
      model.push_front(next);
    } else {
      fifo.push_back(++next);
      model.push_back(next);
    }
    RC_ASSERT(fifo.size() == model.size() && fifo.empty() == model.empty());
    RC_ASSERT(std::equal(fifo.begin(), fifo.end(), model.begin(), model.end()));
    if (!model.empty()) RC_ASSERT(fifo.front() == model.front() && fifo.back() == model.back());
  }
}

// A queue that is never empty does not grow with what has passed through it.
TEST(Fifo, KeepsNoMemoryOfWhatHasPassed) {
  Fifo<uint64_t> fifo;
  EXPECT_EQ(fifo.bytes(), 0u);
  for (uint64_t i = 0; i < 100'000; ++i) {
    fifo.push_back(i);
    if (i >= 10) fifo.pop_front();
  }
  EXPECT_EQ(fifo.size(), 10u);
  EXPECT_LE(fifo.bytes(), 64 * sizeof(uint64_t));
  fifo.release();
  EXPECT_EQ(fifo.bytes(), 0u);
}

}  // namespace
}  // namespace hailstone::paxos
