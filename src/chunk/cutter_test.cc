#include "chunk/cutter.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <random>
#include <utility>

#include "base/hash.h"
#include "chunk/test_bytes.h"

namespace hailstone::chunk {
namespace {

std::vector<size_t> cut_all(ByteView in, const CutOptions& options) {
  std::vector<size_t> out;
  while (!in.empty()) {
    out.push_back(cut(in, options));
    in.remove_prefix(out.back());
  }
  return out;
}

constexpr CutOptions kSmall{.min_bytes = 256, .average_bytes = 1024, .max_bytes = 4096};

TEST(Cutter, AcceptsOrderedSizesWithAPowerOfTwoAverage) {
  EXPECT_TRUE(validate(CutOptions{}));
  EXPECT_TRUE(validate(kSmall));
  EXPECT_FALSE(validate({.min_bytes = 32}));
  EXPECT_FALSE(validate({.min_bytes = 1u << 20}));
  EXPECT_FALSE(validate({.average_bytes = 1'000'000}));
  EXPECT_FALSE(validate({.max_bytes = 1u << 20}));
  EXPECT_FALSE(validate({.max_bytes = (4u << 20) + 1}));
}

TEST(Cutter, KeepsToItsBoundsAndNearItsAverage) {
  const Bytes in = noise(4 << 20, 1);
  const auto sizes = cut_all(in, kSmall);
  for (size_t i = 0; i + 1 < sizes.size(); ++i) {
    EXPECT_GT(sizes[i], kSmall.min_bytes);
    EXPECT_LE(sizes[i], kSmall.max_bytes);
  }
  const size_t average = in.size() / sizes.size();
  EXPECT_GT(average, 900u);
  EXPECT_LT(average, 1500u);
}

TEST(Cutter, FindsTheSameCutsAgainAfterAnInsertion) {
  const Bytes in = noise(1 << 20, 2);
  Bytes edited = in;
  edited.insert(300'000, "inserted");
  auto hashes = [](ByteView bytes) {
    std::vector<Hash256> out;
    for (const size_t n : cut_all(bytes, kSmall)) {
      out.push_back(sha256(bytes.substr(0, n)));
      bytes.remove_prefix(n);
    }
    std::sort(out.begin(), out.end());
    return out;
  };
  const auto a = hashes(in), b = hashes(edited);
  std::vector<Hash256> fresh;
  std::set_difference(b.begin(), b.end(), a.begin(), a.end(), std::back_inserter(fresh));
  EXPECT_GE(fresh.size(), 1u);
  EXPECT_LE(fresh.size(), 4u);
}

RC_GTEST_PROP(Cutter, CutsAStreamInPartsAsItCutsTheWhole, ()) {
  const Bytes in = noise(*rc::gen::inRange(0, 40'000), *rc::gen::inRange(0, 1000));
  std::vector<size_t> cuts;
  Cutter cutter(kSmall);
  size_t length = 0;
  for (ByteView rest = in; !rest.empty();) {
    ByteView part = rest.substr(0, static_cast<size_t>(*rc::gen::inRange(1, 9000)));
    rest.remove_prefix(part.size());
    while (!part.empty()) {
      const auto found = cutter.find(part);
      length += found.value_or(part.size());
      part.remove_prefix(found.value_or(part.size()));
      if (found) cuts.push_back(std::exchange(length, 0));
    }
  }
  if (length > 0) cuts.push_back(length);
  RC_ASSERT(cuts == cut_all(in, kSmall));
}

// Cut points are a disk contract: these numbers may never change.
TEST(Cutter, CutsWhereItAlwaysDid) {
  EXPECT_EQ(cut_all(noise(20'000, 42), kSmall), (std::vector<size_t>{280, 1340, 1190, 1190, 433, 2002, 1608, 1334, 1952,
                                                                     1100, 1319, 1527, 1102, 1332, 1175, 1116}));
  EXPECT_EQ(cut_all(noise(12 << 20, 42), CutOptions{}),
            (std::vector<size_t>{1220553, 209167, 1297369, 847103, 280045, 1091413, 1189424, 1132096, 1063002, 1627945,
                                 75666, 1063555, 1022000, 463574}));
  EXPECT_EQ(cut_all(Bytes(10 << 20, '\0'), CutOptions{}), (std::vector<size_t>{4194304, 4194304, 2097152}));
}

}  // namespace
}  // namespace hailstone::chunk
