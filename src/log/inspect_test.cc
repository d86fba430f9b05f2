#include "log/inspect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/logger.h"
#include "disk/sim_disk.h"
#include "log/log.h"

namespace hailstone::log {
namespace {

using testing::HasSubstr;

class InspectTest : public testing::Test {
 protected:
  /// Records of 3,000 bytes, each a batch: three to a segment.
  InspectTest() {
    auto log =
        Log::open(disk_, {.directory = "log", .segment_bytes = 16 << 10, .spare = SparePreparation::Inline}, logger_);
    for (uint64_t slot = 1; slot <= 8; ++slot) {
      EXPECT_TRUE((*log)->append(Slot(slot), Bytes(3000, 'x')));
      EXPECT_TRUE((*log)->sync());
    }
  }
  LogReport inspected() {
    records_.clear();
    auto report = inspect(disk_, "log", [&](const RecordPlace& place, ByteView body) -> Result<void> {
      EXPECT_EQ(body.size(), 3000u);
      records_.push_back(place.slot.value);
      return {};
    });
    EXPECT_TRUE(report);
    return std::move(*report);
  }
  static std::string path(int number) { return "log/segment-000000000000000" + std::to_string(number); }

  disk::SimDisk disk_;
  NullLogger logger_;
  std::vector<uint64_t> records_;
};

TEST_F(InspectTest, AWholeLogIsListedAndLeftAsItIs) {
  const uint64_t before = disk_.operations();
  const LogReport report = inspected();
  EXPECT_EQ(disk_.operations(), before);
  ASSERT_EQ(report.segments.size(), 3u);
  EXPECT_TRUE(report.damages.empty());
  EXPECT_EQ(report.segments[1].path, path(2));
  EXPECT_EQ(report.segments[1].first, Slot(4));
  EXPECT_EQ(report.segments[1].last, Slot(6));
  EXPECT_EQ(report.segments[1].batches, 3u);
  EXPECT_EQ(report.segments[2].used_bytes, 3u * 4096);
  EXPECT_EQ(records_, (std::vector<uint64_t>{1, 2, 3, 4, 5, 6, 7, 8}));
}

TEST_F(InspectTest, DamageHasAFileAndAnOffset) {
  ASSERT_TRUE(disk_.flip(path(2), 2 * 4096 + 700));
  ASSERT_TRUE(disk_.flip(path(3), 3));
  const LogReport report = inspected();
  ASSERT_EQ(report.damages.size(), 2u);
  EXPECT_EQ(report.damages[0].path, path(2));
  EXPECT_EQ(report.damages[0].offset, 2 * 4096u);
  EXPECT_THAT(report.damages[0].what, HasSubstr("batch 5"));
  EXPECT_EQ(report.damages[1].path, path(3));
  EXPECT_EQ(report.damages[1].offset, 0u);
  EXPECT_THAT(report.damages[1].what, HasSubstr("magic"));
  EXPECT_EQ(records_, (std::vector<uint64_t>{1, 2, 3, 4, 6, 7, 8}));
}

TEST_F(InspectTest, TheLastBatchIsTornOrDamagedAsOpeningSays) {
  ASSERT_TRUE(disk_.flip(path(3), 2 * 4096 + 600));
  LogReport report = inspected();
  ASSERT_EQ(report.damages.size(), 1u);
  EXPECT_THAT(report.damages[0].what, HasSubstr("all its sectors were written"));
  // The same batch without one of its sectors was never durable.
  const Bytes image = *disk::read_file(disk_, path(3), UINT64_MAX);
  auto file = disk_.open(path(3), disk::OpenMode::Write);
  ASSERT_TRUE((*file)->write_at(2 * 4096 + 512, Bytes(512, '\0')));
  report = inspected();
  EXPECT_TRUE(report.damages.empty());
  EXPECT_THAT(report.segments[2].torn, HasSubstr("sector 1 of 8 was never written"));
}

TEST_F(InspectTest, AMissingSegmentIsNamed) {
  ASSERT_TRUE(disk_.remove(path(2)));
  const LogReport report = inspected();
  ASSERT_FALSE(report.damages.empty());
  EXPECT_EQ(report.damages[0].path, path(3));
  EXPECT_THAT(report.damages[0].what, HasSubstr("1 segments before it are missing"));
}

}  // namespace
}  // namespace hailstone::log
