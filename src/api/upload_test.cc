#include "api/upload.h"

#include <gtest/gtest.h>

#include <random>

#include "api/testing.h"
#include "chunk/test_bytes.h"

namespace hailstone::api {
namespace {

using testing::ApiCell;

volume::Entry bare(int64_t modified_ns = 5) {
  volume::Entry entry;
  entry.modified_ns = modified_ns;
  return entry;
}

struct Uploads : ::testing::Test {
  ApiCell api;
  void SetUp() override { api.cell.create("vol"); }

  Upload open(const UploadOptions& options = {}) {
    return {api.cell.repository, api.cell.caller, api.cell.target("vol"), options};
  }
  static std::expected<Upload::Done, Failure> feed_all(Upload upload, ByteView stream, size_t piece = 7'000) {
    while (!stream.empty()) {
      TRY_DO(upload.feed(stream.substr(0, piece)));
      stream.remove_prefix(std::min(piece, stream.size()));
    }
    return upload.finish();
  }
  Bytes content(const Bytes& key) {
    const auto entry = (*api.cell.repository.open(api.cell.target("vol")))->get(key);
    if (!*entry) return "(absent)";
    return *chunk::read_content(*api.cell.chunks, (*entry)->content, 0, (*entry)->content.bytes, 64 << 20);
  }
  size_t count() {
    return volume::list(**api.cell.repository.open(api.cell.target("vol")), {.limit = 1'000'000})->entries.size();
  }
};

TEST_F(Uploads, TakePutsOfEverySizeCopiesAndDeletes) {
  api.cell.put("vol", "gone", "x");
  const auto known = api.cell.file("known content, longer than what fits in an entry" + Bytes(500, 'k'));
  const Bytes big = chunk::noise(9'000'000, 1);
  mirror::WireEncoder wire;
  ASSERT_TRUE(wire.put_inline("empty", bare(), ""));
  ASSERT_TRUE(wire.put_inline("tiny", bare(), "t"));
  ASSERT_TRUE(wire.put_inline("small", bare(), Bytes(60'000, 's')));
  ASSERT_TRUE(wire.begin_put("big", bare(77), big.size()));
  wire.data(big);
  wire.done(sha256(big));
  ASSERT_TRUE(wire.begin_put("abandoned", bare(), 100));
  wire.data("some");
  wire.abandon();
  ASSERT_TRUE(wire.copy("copy", known));
  wire.remove("gone");
  wire.end();
  const auto done = feed_all(open(), wire.take());
  ASSERT_TRUE(done) << done.error().error.message;
  EXPECT_EQ(done->counts, (mirror::WireCounts{4, 1, 1, 60'001 + big.size()}));
  EXPECT_EQ(Json(done->token), api.get("targets/vol/token").body["token"]);
  EXPECT_EQ(content("empty"), "");
  EXPECT_EQ(content("small"), Bytes(60'000, 's'));
  EXPECT_TRUE(content("big") == big);
  EXPECT_EQ(content("abandoned"), "(absent)");
  EXPECT_EQ(content("copy").size(), 548u);
  EXPECT_EQ(content("gone"), "(absent)");
  EXPECT_EQ(api.get("targets/vol/entry?key=big").body["modified_ns"], 77);
}

TEST_F(Uploads, AnEmptyStreamIsFine) {
  mirror::WireEncoder wire;
  wire.end();
  const auto done = feed_all(open(), wire.take());
  ASSERT_TRUE(done);
  EXPECT_EQ(done->position, Slot());
  EXPECT_EQ(Json(done->token), api.get("targets/vol/token").body["token"]);
}

TEST_F(Uploads, TenThousandEntriesInFewCommands) {
  mirror::WireEncoder wire;
  for (int i = 0; i < 10'000; ++i)
    ASSERT_TRUE(wire.put_inline("file-" + std::to_string(i), bare(), Bytes(300, 'x') + std::to_string(i)));
  wire.end();
  const Slot before = api.cell.group.applied_slot();
  const auto done = feed_all(open({.batch_edits = 4000}), wire.take(), 1 << 20);
  ASSERT_TRUE(done) << done.error().error.message;
  EXPECT_EQ(api.cell.group.applied_slot().value - before.value, 3u);
  EXPECT_EQ(count(), 10'000u);
  EXPECT_EQ(content("file-9999"), Bytes(300, 'x') + "9999");
}

TEST_F(Uploads, BatchesStayWithinTheirBytes) {
  mirror::WireEncoder wire;
  volume::Entry heavy = bare();
  heavy.metadata["note"] = Bytes(4000, 'n');
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(wire.put_inline("file-" + std::to_string(i), heavy, "x"));
  wire.end();
  const Slot before = api.cell.group.applied_slot();
  ASSERT_TRUE(feed_all(open({.batch_bytes = 100'000}), wire.take()));
  EXPECT_EQ(api.cell.group.applied_slot().value - before.value, 4u);
}

TEST_F(Uploads, MissingContentsAreNamedAndNothingIsDone) {
  const auto here = api.cell.file(Bytes(500, 'h'));
  volume::Entry elsewhere = here, deep = here;
  elsewhere.content.refs[0].id = ChunkId(sha256("elsewhere"));
  elsewhere.content.sha256 = elsewhere.content.refs[0].id;
  deep.content.depth = 1;
  deep.content.refs[0].id = ChunkId(sha256("list"));
  mirror::WireEncoder wire;
  ASSERT_TRUE(wire.copy("a", here));
  ASSERT_TRUE(wire.copy("b", elsewhere));
  ASSERT_TRUE(wire.copy("c", deep));
  wire.end();
  const auto done = feed_all(open(), wire.take());
  ASSERT_FALSE(done);
  EXPECT_EQ(ApiCell::reply(done.error()).status, 409);
  EXPECT_EQ(done.error().keys, (std::vector<Bytes>{"b", "c"}));
  EXPECT_EQ(count(), 0u);
}

TEST_F(Uploads, ReferencesThatContradictTheStoreAreRefused) {
  const auto here = api.cell.file(Bytes(500, 'h'));
  const auto refused = [&](const volume::Entry& lie) {
    mirror::WireEncoder wire;
    EXPECT_TRUE(wire.copy("a", lie));
    wire.end();
    const auto done = feed_all(open(), wire.take());
    return !done && done.error().error.code == Code::Invalid;
  };
  auto longer = here;
  longer.content.bytes = longer.content.refs[0].bytes = 501;
  EXPECT_TRUE(refused(longer));
  auto no_list = here;
  no_list.content.depth = 1;
  EXPECT_TRUE(refused(no_list)) << "a data chunk is no list";
  volume::Entry inlined = bare();
  inlined.content.inlined = "abc";
  inlined.content.bytes = 3;
  inlined.content.sha256 = sha256("abd");
  EXPECT_TRUE(refused(inlined));
  EXPECT_EQ(count(), 0u);
}

TEST_F(Uploads, AWrongContentHashIsRefused) {
  mirror::WireEncoder wire;
  ASSERT_TRUE(wire.begin_put("a", bare(), 3));
  wire.data("abc");
  wire.done(sha256("abd"));
  wire.end();
  const auto done = feed_all(open(), wire.take());
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().error.code, Code::Invalid);
  EXPECT_EQ(count(), 0u);
}

TEST_F(Uploads, DamagedStreamsLeaveNothingOfTheBatchVisible) {
  mirror::WireEncoder wire;
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(wire.put_inline("file-" + std::to_string(i), bare(), Bytes(40, 'x')));
  wire.end();
  const Bytes good = wire.take();
  for (size_t cut = 0; cut < good.size(); cut += 13) {
    const auto done = feed_all(open(), ByteView(good).substr(0, cut));
    ASSERT_FALSE(done) << cut;
    EXPECT_EQ(done.error().error.code, Code::Invalid);
  }
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    Bytes bad = good;
    bad[random() % bad.size()] ^= static_cast<char>(1u << (random() % 8));
    EXPECT_FALSE(feed_all(open(), bad));
  }
  EXPECT_FALSE(feed_all(open(), good + "x"));
  EXPECT_EQ(count(), 0u);
  EXPECT_TRUE(feed_all(open(), good));
  EXPECT_EQ(count(), 20u);
}

TEST_F(Uploads, WhatWasCommittedBeforeTheDamageStays) {
  mirror::WireEncoder wire;
  for (int i = 0; i < 25; ++i) ASSERT_TRUE(wire.put_inline("file-" + std::to_string(100 + i), bare(), "x"));
  const Bytes torn = wire.take();
  EXPECT_FALSE(feed_all(open({.batch_edits = 10}), torn));
  EXPECT_EQ(count(), 20u);
}

TEST_F(Uploads, AnIdempotencyKeyDoesNotMergeBatches) {
  mirror::WireEncoder wire;
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(wire.put_inline("file-" + std::to_string(i), bare(), "x"));
  wire.end();
  volume::Caller caller{"c", "key"};
  ASSERT_TRUE(feed_all(Upload(api.cell.repository, caller, api.cell.target("vol"), {.batch_edits = 10}), wire.take()));
  EXPECT_EQ(count(), 30u);
}

TEST_F(Uploads, TokensOfBatchesMeetUnlessSomebodyElseWrote) {
  const auto files = [](int first, int count) {
    mirror::WireEncoder wire;
    for (int i = first; i < first + count; ++i)
      EXPECT_TRUE(wire.put_inline("file-" + std::to_string(100 + i), bare(), "x"));
    wire.end();
    return wire.take();
  };
  const Bytes before = *api.cell.repository.token(api.cell.target("vol"));
  const auto first = feed_all(open({.batch_edits = 10}), files(0, 25));
  ASSERT_TRUE(first);
  EXPECT_EQ(first->previous, before);
  const auto second = feed_all(open({.batch_edits = 10}), files(25, 5));
  ASSERT_TRUE(second);
  EXPECT_EQ(second->previous, first->token);

  Upload upload = open({.batch_edits = 10});
  const Bytes stream = files(50, 25);
  ASSERT_TRUE(upload.feed(ByteView(stream).substr(0, stream.size() / 2)));
  ASSERT_TRUE(api.cell.repository.write({"somebody", {}}, api.cell.target("vol"), {}, {{"theirs", volume::Entry{}}}));
  ASSERT_TRUE(upload.feed(ByteView(stream).substr(stream.size() / 2)));
  const auto third = upload.finish();
  ASSERT_TRUE(third);
  EXPECT_EQ(third->previous, "");
}

}  // namespace
}  // namespace hailstone::api
