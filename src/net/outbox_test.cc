#include "net/outbox.h"

#include <gtest/gtest.h>

#include "net/frame.h"

namespace hailstone::net {
namespace {

Bytes joined(const std::deque<Piece>& pieces) {
  Bytes out;
  for (const Piece& piece : pieces) out += piece.bytes;
  return out;
}

TEST(Outbox, KeepsOrderWhateverTheSizes) {
  Outbox outbox(64u << 20);
  outbox.open();
  Bytes expected;
  size_t frames = 0;
  for (const size_t size :
       {0u, 1u, 300u, 16384u, 16385u, 5u, 70'000u, 70'000u, 16000u, 16000u, 16000u, 16000u, 16000u, 9u}) {
    const Bytes payload(size, static_cast<char>('a' + frames++ % 26));
    expected += encode_frame(FrameType::Data, 3, payload);
    EXPECT_NE(outbox.push(3, payload), Outbox::Pushed::Dropped);
  }
  EXPECT_EQ(outbox.queue_bytes(), expected.size());
  std::deque<Piece> pieces;
  outbox.take(pieces);
  EXPECT_TRUE(joined(pieces) == expected);
  size_t counted = 0;
  for (const Piece& piece : pieces) counted += piece.frames;
  EXPECT_EQ(counted, frames);
}

TEST(Outbox, TellsTheLoopOncePerTake) {
  Outbox outbox(1000);
  outbox.open();
  std::deque<Piece> pieces;
  EXPECT_EQ(outbox.push(0, "a"), Outbox::Pushed::First);
  EXPECT_EQ(outbox.push(0, "b"), Outbox::Pushed::Queued);
  outbox.take(pieces);
  EXPECT_EQ(outbox.push(0, "c"), Outbox::Pushed::First);
  outbox.take(pieces);
  EXPECT_EQ(joined(pieces), encode_frame(FrameType::Data, 0, "a") + encode_frame(FrameType::Data, 0, "b") +
                                encode_frame(FrameType::Data, 0, "c"));
}

TEST(Outbox, IsBoundedUntilWhatWasTakenIsSettled) {
  Outbox outbox(100);
  EXPECT_EQ(outbox.push(0, "closed"), Outbox::Pushed::Dropped);
  outbox.open();
  EXPECT_EQ(outbox.push(0, Bytes(84, 'x')), Outbox::Pushed::First);
  EXPECT_EQ(outbox.push(0, ""), Outbox::Pushed::Dropped);
  std::deque<Piece> pieces;
  outbox.take(pieces);
  EXPECT_EQ(outbox.push(0, ""), Outbox::Pushed::Dropped);
  outbox.settled(100);
  EXPECT_EQ(outbox.push(0, Bytes(200, 'x')), Outbox::Pushed::First) << "an empty queue takes any frame";
  EXPECT_EQ(outbox.push(0, Bytes(kPayloadBytesMax + 1, 'x')), Outbox::Pushed::Dropped);
  EXPECT_EQ(outbox.metrics(NodeId(1)).dropped, 4u);
  outbox.close();
  EXPECT_EQ(outbox.metrics(NodeId(1)).dropped, 5u);
  EXPECT_EQ(outbox.queue_bytes(), 0u);
  EXPECT_EQ(outbox.push(0, ""), Outbox::Pushed::Dropped);
}

TEST(Outbox, ASealedOneKeepsWhatItHas) {
  Outbox outbox(100);
  outbox.open();
  EXPECT_EQ(outbox.push(0, "a"), Outbox::Pushed::First);
  outbox.seal();
  EXPECT_EQ(outbox.push(0, "b"), Outbox::Pushed::Dropped);
  std::deque<Piece> pieces;
  outbox.take(pieces);
  EXPECT_EQ(pieces.size(), 1u);
}

}  // namespace
}  // namespace hailstone::net
