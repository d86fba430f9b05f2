#include "mirror/import_state.h"

#include <gtest/gtest.h>

#include "mirror/scan.h"
#include "mirror/testing_tree.h"

namespace hailstone::mirror {
namespace {

ImportState sample() {
  ImportState state;
  state.source = "/srv/www";
  state.target = "http://host:8080 site@draft-7/docs/";
  state.token = "t-42";
  state.records = {
      {"docs/a", 5, 1'000, 2'000, 17, 0x1122334455667788}, {"docs/ab", 0, -5, 0, 18, 1}, {"z", 1, 2, 3, 4, 5}};
  return state;
}

TEST(ImportState, DecodesWhatWasEncoded) {
  const auto decoded = ImportState::decode(sample().encode());
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(*decoded, sample());
  EXPECT_EQ(decoded->find("docs/ab")->inode, 18u);
  EXPECT_EQ(decoded->find("docs/aa"), nullptr);
}

TEST(ImportState, NoticesEveryFlippedBitAndEveryCut) {
  const Bytes bytes = sample().encode();
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    Bytes damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    EXPECT_FALSE(ImportState::decode(damaged)) << bit;
  }
  for (size_t size = 0; size < bytes.size(); ++size) EXPECT_FALSE(ImportState::decode(ByteView(bytes).substr(0, size)));
}

TEST(ImportState, EncodesTheGoldenFile) {
  std::string golden = read_text(HAILSTONE_MIRROR_TESTDATA "/import-state-v1.hex");
  std::erase(golden, '\n');
  EXPECT_EQ(to_hex(sample().encode()), golden);
}

TEST(ImportState, IsIgnoredWhenDamagedOrAboutSomethingElse) {
  TemporaryDirectory dir;
  const auto disk = disk::make_real_disk();
  const std::string path = dir / "cache/state";
  std::string why;
  EXPECT_FALSE(load_state(*disk, path, sample().source, sample().target, why));
  ASSERT_TRUE(save_state(*disk, path, sample()));
  EXPECT_EQ(load_state(*disk, path, sample().source, sample().target, why), sample());
  EXPECT_FALSE(load_state(*disk, path, "/srv/other", sample().target, why));
  EXPECT_FALSE(load_state(*disk, path, sample().source, "elsewhere", why));
  write_text(path, read_text(path).substr(1));
  EXPECT_FALSE(load_state(*disk, path, sample().source, sample().target, why));
  EXPECT_NE(why, "");
}

TEST(ImportState, RereadsWhatChangedTooCloseToTheScan) {
  Item item;
  item.key = "k";
  item.modified_ns = 1;
  item.changed_ns = 100'000'000'000;
  EXPECT_EQ(record_of(item, 1, 103'000'000'000).changed_ns, 100'000'000'000);
  EXPECT_EQ(record_of(item, 1, 101'000'000'000).changed_ns, 0);
}

}  // namespace
}  // namespace hailstone::mirror
