#include "publish/page_file.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "tree/cache.h"

namespace hailstone::publish {
namespace {

class PageFileTest : public ::testing::Test {
 protected:
  PageFile open(const tree::Root& root, uint64_t overlay_bytes_max = 64u << 20) {
    PageFile file(nodes_, *chunks_, {.overlay_bytes_max = overlay_bytes_max});
    EXPECT_TRUE(file.open(root).has_value());
    return file;
  }
  static Bytes content(PageFile& file) {
    Bytes out(file.bytes(), '?');
    EXPECT_EQ(file.read(0, out).value(), out.size());
    return out;
  }
  std::unique_ptr<chunk::ChunkStore> chunks_ = chunk::make_memory_store();
  tree::CachedNodes nodes_{*chunks_, {}};
};

TEST_F(PageFileTest, BehavesLikeAFileWhateverIsFlushedWhen) {
  EXPECT_TRUE(rc::check([this](uint32_t seed) {
    uint32_t state = seed;
    const auto random = [&](uint32_t below) { return (state = state * 1664525u + 1013904223u, (state >> 8) % below); };
    Bytes model;
    PageFile file = open({}, 4 * kPageBytes);
    for (int step = 0; step < 60; ++step) {
      switch (random(4)) {
        case 0:
        case 1: {
          const Bytes data(1 + random(3 * kPageBytes), static_cast<char>('a' + random(26)));
          const size_t offset = random(10 * kPageBytes);
          RC_ASSERT(file.write(offset, data).has_value());
          const size_t end = (offset + data.size() + kPageBytes - 1) / kPageBytes * kPageBytes;
          if (model.size() < end) model.resize(end, '\0');
          model.replace(offset, data.size(), data);
          break;
        }
        case 2: {
          const size_t pages = random(10);
          if (pages * kPageBytes > model.size()) break;
          RC_ASSERT(file.truncate(pages * kPageBytes).has_value());
          model.resize(pages * kPageBytes);
          break;
        }
        default: RC_ASSERT(file.flush().has_value());
      }
      RC_ASSERT(content(file) == model);
    }
    PageFile again = open(*file.flush());
    RC_ASSERT(content(again) == model);
  }));
}

TEST_F(PageFileTest, UnchangedPagesAreSharedAndNotWritten) {
  PageFile file = open({});
  for (uint64_t page = 0; page < 100; ++page)
    ASSERT_TRUE(file.write(page * kPageBytes, Bytes(kPageBytes, static_cast<char>(page))).has_value());
  const tree::Root first = *file.flush();
  PageFile changed = open(first);
  ASSERT_TRUE(changed.write(50 * kPageBytes + 7, "x").has_value());
  const tree::Root second = *changed.flush();
  EXPECT_EQ(changed.stats().pages_flushed, 1u);
  EXPECT_EQ(changed.stats().pages_read, 1u);
  tree::DiffCursor diff(nodes_, first, second);
  ASSERT_TRUE(diff.next().value().has_value());
  EXPECT_FALSE(diff.next().value().has_value());
  EXPECT_EQ(tree::totals(nodes_, second)->weight, 100 * kPageBytes);
}

TEST_F(PageFileTest, ReadsBeyondTheEndAreZeroAndShort) {
  PageFile file = open({});
  ASSERT_TRUE(file.write(0, Bytes(kPageBytes, 'a')).has_value());
  Bytes out(10, '?');
  EXPECT_EQ(file.read(kPageBytes - 4, out).value(), 4u);
  EXPECT_EQ(out, ByteView("aaaa\0\0\0\0\0\0", 10));
}

TEST_F(PageFileTest, DamageIsAnErrorNotAByte) {
  const auto root_with = [&](ByteView value) {
    return *tree::apply(nodes_, {}, std::vector<tree::Edit>{{Bytes(8, '\0'), Bytes(value), 1}});
  };
  Bytes out(10, '?');
  EXPECT_EQ(open(root_with("short")).read(0, out).error().code, Code::Corrupt);
  EXPECT_EQ(open(root_with(sha256("absent").view())).read(0, out).error().code, Code::Corrupt);
  EXPECT_EQ(open(root_with(chunks_->put("ten bytes.", chunk::Compress::Never)->view())).read(0, out).error().code,
            Code::Corrupt);
  PageFile gap(nodes_, *chunks_, {});
  EXPECT_EQ(gap.open(*tree::apply(nodes_, {}, std::vector<tree::Edit>{{"other", "x", 1}})).error().code, Code::Corrupt);
}

}  // namespace
}  // namespace hailstone::publish
