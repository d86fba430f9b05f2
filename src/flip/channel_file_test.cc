#include "flip/channel_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <filesystem>
#include <fstream>

namespace hailstone::flip {
namespace {

const tree::Root kRoot{ChunkId(sha256("root"))};
constexpr UnixMicros kWall{1'790'000'000'000'000};

ChannelFile sample() {
  ChannelFile file{VolumeId(7), {{{41, ReleaseNumber(1), kRoot, kWall, 1'790'000'000}, FlipId(1)}}, {}};
  file = with_flip(&file, VolumeId(7), {next_flip(&file, {}, {}, UnixMicros{0}), FlipId(2)}, {});
  return with_flip(&file, VolumeId(7),
                   {next_flip(&file, ReleaseNumber(300), kRoot, {kWall.value + 5'000'000}), FlipId(~uint64_t{0})},
                   {net::NodeId(2), net::NodeId(200)});
}

TEST(ChannelFile, IsWrittenAsBefore) {
  const auto path = std::filesystem::path(__FILE__).parent_path() / "testdata/channel_file_v1.txt";
  if (std::getenv("HAILSTONE_WRITE_GOLDEN") != nullptr) std::ofstream(path) << to_hex(sample().encode()) << '\n';
  std::ifstream in(path);
  std::string hex;
  in >> hex;
  EXPECT_EQ(to_hex(sample().encode()), hex);
  Bytes bytes;
  ASSERT_TRUE(from_hex(hex, bytes));
  EXPECT_EQ(ChannelFile::decode(bytes).value(), sample());
}

TEST(ChannelFile, WhatIsCutOrFollowedBySomethingIsRefused) {
  const Bytes bytes = sample().encode();
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_EQ(ChannelFile::decode(bytes.substr(0, size)).error().code, Code::Corrupt) << size;
  EXPECT_EQ(ChannelFile::decode(bytes + '\0').error().code, Code::Corrupt);
}

TEST(ChannelFile, AFlippedBitIsAnErrorOrAnotherFile) {
  const Bytes bytes = sample().encode();
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    Bytes damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ 1 << bit % 8);
    if (const auto file = ChannelFile::decode(damaged)) EXPECT_EQ(file->encode(), damaged) << bit;
  }
}

TEST(ChannelFile, RefusesWhatNoFlipsGive) {
  const auto refused = [](auto change) {
    ChannelFile file = sample();
    change(file);
    const auto decoded = ChannelFile::decode(file.encode());
    return !decoded && decoded.error().code == Code::Corrupt;
  };
  EXPECT_FALSE(refused([](ChannelFile&) {}));
  EXPECT_TRUE(refused([](ChannelFile& file) { file.flips.clear(); }));
  EXPECT_TRUE(refused([](ChannelFile& file) { file.flips.resize(kFlipsKept + 1, file.flips.back()); }));
  EXPECT_TRUE(refused([](ChannelFile& file) { file.flips[1].flip.sequence += 1; }));
  EXPECT_TRUE(refused([](ChannelFile& file) { file.flips[1].flip.at = file.flips[0].flip.at; }));
  EXPECT_TRUE(
      refused([](ChannelFile& file) { file.flips[1].flip.modified_seconds = file.flips[0].flip.modified_seconds; }));
  EXPECT_TRUE(refused([](ChannelFile& file) {
    file.flips.erase(file.flips.begin() + 1, file.flips.end());
    file.flips[0].flip.sequence = 0;
  }));
  EXPECT_TRUE(refused([](ChannelFile& file) { std::swap(file.excluded[0], file.excluded[1]); }));
  EXPECT_TRUE(refused([](ChannelFile& file) { file.excluded[0] = {}; }));
  Bytes newer = sample().encode();
  newer[4] = 2;
  EXPECT_EQ(ChannelFile::decode(newer).error().code, Code::Unsupported);
}

TEST(ChannelFile, FindsFlipsAndExcludedNodes) {
  const ChannelFile file = sample();
  EXPECT_EQ(file.find(FlipId(2))->flip.sequence, 42);
  EXPECT_EQ(file.find(FlipId(9)), nullptr);
  EXPECT_TRUE(file.excludes(net::NodeId(200)));
  EXPECT_FALSE(file.excludes(net::NodeId(3)));
  EXPECT_EQ(file.current().release, ReleaseNumber(300));
}

RC_GTEST_PROP(ChannelFileProperty, TimesRiseWhateverTheClockSays, (std::vector<int32_t> seconds)) {
  std::optional<ChannelFile> file;
  for (size_t i = 0; i < seconds.size(); ++i) {
    const UnixMicros wall{kWall.value + int64_t{seconds[i]} * 1'000'000};
    const volume::Flip next = next_flip(file ? &*file : nullptr, ReleaseNumber(i), kRoot, wall);
    RC_ASSERT(next.sequence == i + 1);
    RC_ASSERT(next.at >= wall && next.modified_seconds >= wall.seconds());
    file = with_flip(file ? &*file : nullptr, VolumeId(1), {next, FlipId(i)}, {});
    RC_ASSERT(file->flips.size() == std::min(i + 1, kFlipsKept));
    RC_ASSERT(ChannelFile::decode(file->encode()).value() == *file);
  }
}

}  // namespace
}  // namespace hailstone::flip
