#include "collect/record.h"

#include <gtest/gtest.h>

namespace hailstone::collect {
namespace {

const ChunkId kId(sha256("chunk"));

template <class T>
void round_trip(const T& value, std::string_view hex) {
  const Bytes bytes = value.encode();
  EXPECT_EQ(to_hex(bytes), hex);
  const auto decoded = T::decode(bytes);
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(*decoded, value);
  for (size_t n = 0; n < bytes.size(); ++n) {
    const auto cut = T::decode(ByteView(bytes).substr(0, n));
    if (cut) {
      EXPECT_NE(*cut, value) << n;
    }
  }
  EXPECT_EQ(T::decode(bytes + Bytes(1, '\xff')).error().code, Code::Corrupt);
}

TEST(CollectRecords, AreWhatTheFormatPageSays) {
  round_trip(
      Record{.counts = {{.kind = Kind::Data, .count = 300}, {.kind = Kind::List1, .count = 1}}, .since = {}, .run = 0},
      "0100ac020401");
  round_trip(Record{.counts = {}, .since = UnixMicros{100}, .run = 7}, "00c80107");
  round_trip(Work{.sign = Work::Sign::Discount, .what = {.kind = Kind::EntryNode, .id = kId, .bytes = 0}},
             "0201" + kId.hex() + "00");
  round_trip(Meta{.runs = 3, .time = UnixMicros{100}, .added = {.segment = 2, .offset = 64}, .recount = true},
             "03c801024001");
}

TEST(CollectRecords, KeysKeepTheirOrder) {
  const volume::RootRef ref{.owner = "Rxyz", .kind = volume::RootKind::Derived, .root = {kId}};
  EXPECT_EQ(keys::decode_root(keys::root(ref)).value(), ref);
  EXPECT_EQ(keys::decode_trash(keys::trash(UnixMicros{5}, kId)).value(), (std::pair(UnixMicros{5}, kId)));
  EXPECT_LT(keys::trash(UnixMicros{5}, kId), keys::trash(UnixMicros{500}, ChunkId()));
  EXPECT_EQ(keys::chunk_of('C', keys::record(kId)).value(), kId);
  EXPECT_FALSE(keys::decode_root("R"));
  EXPECT_FALSE(keys::decode_trash("X123"));
  EXPECT_FALSE(keys::chunk_of('C', "C1"));
}

}  // namespace
}  // namespace hailstone::collect
