#include "cell/snapshot_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace hailstone::cell {
namespace {

using Entries = std::vector<SnapshotEntry>;

Bytes file_of(const SnapshotHeader& header, const std::vector<Entries>& blocks) {
  SnapshotWriter writer;
  Bytes out = writer.begin(header);
  for (const Entries& entries : blocks) out += writer.add(encode_snapshot_block(entries));
  return out + writer.end();
}

Result<SnapshotHeader> read(const Bytes& file, Entries& out) {
  size_t at = 0;
  return read_snapshot_file(
      [&](size_t size) -> Result<Bytes> {
        const Bytes piece = file.substr(at, size);
        at += piece.size();
        return piece;
      },
      [&](SnapshotEntry entry) -> Result<void> {
        out.push_back(std::move(entry));
        return {};
      });
}

const SnapshotHeader kHeader{.cell = "east", .revision = Revision(300)};
const std::vector<Entries> kBlocks{{{"a", "1"}, {"b", ""}}, {{"c", Bytes("\0\xff", 2)}}};

TEST(SnapshotFile, IsWhatTheFormatPageSays) {
  std::ifstream in(std::filesystem::path(__FILE__).parent_path() / "testdata/cell_snapshot_v1.txt");
  std::string golden;
  std::getline(in, golden);
  EXPECT_EQ(to_hex(file_of(kHeader, kBlocks)), golden);
}

TEST(SnapshotFile, GivesBackWhatWasPutIn) {
  Entries entries;
  const auto header = read(file_of(kHeader, kBlocks), entries);
  ASSERT_TRUE(header) << header.error().message;
  EXPECT_EQ(*header, kHeader);
  EXPECT_EQ(entries, (Entries{{"a", "1"}, {"b", ""}, {"c", Bytes("\0\xff", 2)}}));
  entries.clear();
  EXPECT_TRUE(read(file_of(kHeader, {}), entries));
  EXPECT_TRUE(entries.empty());
}

TEST(SnapshotFile, NothingDamagedOrCutOffPasses) {
  const Bytes whole = file_of(kHeader, kBlocks);
  for (size_t i = 0; i < whole.size(); ++i) {
    Entries entries;
    EXPECT_FALSE(read(whole.substr(0, i), entries)) << "cut at " << i;
    for (const int bit : {0, 7}) {
      Bytes damaged = whole;
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << bit));
      EXPECT_FALSE(read(damaged, entries)) << "bit " << bit << " of byte " << i;
    }
  }
  Entries entries;
  EXPECT_FALSE(read(whole + "x", entries));
}

TEST(SnapshotFile, KeysAscendAndBlocksAreNotEmpty) {
  for (const std::vector<Entries>& blocks : {std::vector<Entries>{{{"b", ""}, {"a", ""}}},
                                             {{{"b", ""}}, {{"b", ""}}},
                                             {{{"b", ""}}, {{"a", ""}}},
                                             {Entries{}}}) {
    Entries entries;
    const auto header = read(file_of(kHeader, blocks), entries);
    ASSERT_FALSE(header);
    EXPECT_EQ(header.error().code, Code::Corrupt);
  }
}

TEST(SnapshotFile, AnotherFormatIsNamed) {
  Bytes later = file_of(kHeader, kBlocks);
  later[8] = 2;
  Entries entries;
  EXPECT_EQ(read(later, entries).error().code, Code::Unsupported);
  EXPECT_EQ(read("something else altogether", entries).error().code, Code::Invalid);
}

}  // namespace
}  // namespace hailstone::cell
