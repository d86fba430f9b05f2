#include "paxos/window.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>

namespace hailstone::paxos {
namespace {

Record record(uint64_t slot, size_t bytes = 10) {
  return {.slot = Slot(slot), .data = std::make_shared<const Bytes>(bytes, 'x')};
}

TEST(Window, FindsWhatWasPutAndNothingElse) {
  Window window;
  window.put(record(7), WriteId(3), Slot(0)).settled = true;
  ASSERT_TRUE(window.find(Slot(7)));
  EXPECT_EQ(window.find(Slot(7))->write, WriteId(3));
  EXPECT_TRUE(window.find(Slot(7))->settled);
  for (const uint64_t other : {0, 6, 8, 7 + 16, 7 + 32}) EXPECT_FALSE(window.find(Slot(other))) << other;
}

TEST(Window, AnotherRecordForASlotReplacesTheFirst) {
  Window window;
  window.put(record(5, 100), WriteId(1), Slot(0)).settled = true;
  window.put(record(5, 30), WriteId(2), Slot(0));
  EXPECT_EQ(window.count(), 1u);
  EXPECT_EQ(window.data_bytes(), 30u);
  EXPECT_FALSE(window.find(Slot(5))->settled) << "what was known of the former record is not known of this one";
}

TEST(Window, GrowsWhenSlotsThatMustStayMeetInACell) {
  Window window;
  window.put(record(1, 0), WriteId(1), Slot(0));
  const size_t small = window.bytes();
  window.put(record(8, 0), WriteId(1), Slot(0));
  EXPECT_EQ(window.bytes(), small) << "8 slots have room";
  window.put(record(9, 0), WriteId(1), Slot(0));
  EXPECT_EQ(window.bytes(), 2 * small);
  window.put(record(1000, 0), WriteId(1), Slot(0));
  for (const uint64_t slot : {1, 8, 9, 1000}) EXPECT_TRUE(window.find(Slot(slot))) << slot;
}

TEST(Window, ADisposableSlotGivesItsCellUp) {
  Window window;
  window.put(record(1, 50), WriteId(1), Slot(0));
  const size_t small = window.bytes() - 50;
  window.put(record(17, 0), WriteId(2), Slot(1));
  EXPECT_EQ(window.bytes(), small) << "it did not grow";
  EXPECT_FALSE(window.find(Slot(1)));
  EXPECT_TRUE(window.find(Slot(17)));
  // One that is not disposable stays, though a slot above it is put.
  window.put(record(33, 0), WriteId(3), Slot(16));
  EXPECT_TRUE(window.find(Slot(17)));
}

TEST(Window, ShrinksToWhatItHolds) {
  Window window;
  window.put(record(1, 0), WriteId(1), Slot(0));
  const size_t small = window.bytes();
  for (uint64_t slot = 1; slot <= 1000; ++slot) window.put(record(slot, 0), WriteId(slot), Slot(0)).settled = true;
  const size_t big = window.bytes();
  EXPECT_GE(big, small * 64);
  window.shrink();
  EXPECT_EQ(window.bytes(), big) << "it is full";
  for (uint64_t slot = 1; slot <= 998; ++slot) window.erase(Slot(slot));
  window.shrink();
  EXPECT_EQ(window.bytes(), small);
  ASSERT_TRUE(window.find(Slot(999)));
  EXPECT_EQ(window.find(Slot(1000))->write, WriteId(1000));
  EXPECT_TRUE(window.find(Slot(1000))->settled);
  EXPECT_EQ(window.count(), 2u);
  window.erase(Slot(999));
  window.erase(Slot(1000));
  window.shrink();
  EXPECT_EQ(window.bytes(), 0u);
  EXPECT_FALSE(window.find(Slot(1000)));
}

// Any order of operations agrees with a map, as long as nothing is disposable.
RC_GTEST_PROP(Window, AgreesWithAMap, ()) {
  Window window;
  std::map<Slot, std::pair<WriteId, size_t>> model;
  const auto steps = *rc::gen::container<std::vector<std::tuple<uint8_t, uint16_t, uint8_t>>>(rc::gen::tuple(
      rc::gen::inRange<uint8_t>(0, 10), rc::gen::inRange<uint16_t>(1, 300), rc::gen::arbitrary<uint8_t>()));
  uint64_t write = 0;
  for (const auto& [kind, slot, bytes] : steps) {
    if (kind < 6) {
      window.put(record(slot, bytes), WriteId(++write), Slot(0));
      model[Slot(slot)] = {WriteId(write), bytes};
    } else if (kind < 9) {
      window.erase(Slot(slot));
      model.erase(Slot(slot));
    } else {
      window.shrink();
    }
  }
  size_t bytes = 0;
  std::vector<Slot> after;
  for (const auto& [slot, cell] : model) {
    RC_ASSERT(window.find(slot) != nullptr);
    RC_ASSERT(window.find(slot)->write == cell.first);
    bytes += cell.second;
    if (slot > Slot(100)) after.push_back(slot);
  }
  RC_ASSERT(window.count() == model.size());
  RC_ASSERT(window.data_bytes() == bytes);
  RC_ASSERT(window.slots_after(Slot(100)) == after);
}

}  // namespace
}  // namespace hailstone::paxos
