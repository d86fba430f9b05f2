#include "replica/snapshot_wire.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

namespace hailstone::replica {
namespace {

const SnapshotGet kGet{.group = paxos::GroupId(3), .from = paxos::ReplicaId(7), .upto = Slot(300), .after = "k"};
const SnapshotPiece kPiece{
    .group = paxos::GroupId(3), .upto = Slot(300), .after = "k", .entries = {{"ka", "1"}, {"l", ""}}, .last = true};

/// "name: hex" in each line.
std::map<std::string, Bytes> golden() {
  std::ifstream in(std::filesystem::path(__FILE__).parent_path() / "testdata/snapshot_wire_v1.txt");
  std::map<std::string, Bytes> out;
  for (std::string line; std::getline(in, line);)
    if (const size_t colon = line.find(": "); colon != std::string::npos)
      out[line.substr(0, colon)] = line.substr(colon + 2);
  return out;
}

TEST(SnapshotWire, IsWhatTheFormatPageSays) {
  const auto golden_bytes = golden();
  EXPECT_EQ(to_hex(encode(SnapshotMessage(kGet))), golden_bytes.at("get"));
  EXPECT_EQ(to_hex(encode(SnapshotMessage(kPiece))), golden_bytes.at("piece"));
  SnapshotPiece gone = kPiece;
  gone.entries.clear();
  gone.last = false;
  gone.gone = true;
  EXPECT_EQ(to_hex(encode(SnapshotMessage(gone))), golden_bytes.at("gone"));
  for (const SnapshotMessage& message : {SnapshotMessage(kGet), SnapshotMessage(kPiece), SnapshotMessage(gone)})
    EXPECT_EQ(*decode_snapshot_message(encode(message)), message);
}

TEST(SnapshotWire, NothingCutOffOrOutOfOrderIsTaken) {
  for (const SnapshotMessage& message : {SnapshotMessage(kGet), SnapshotMessage(kPiece)}) {
    const Bytes whole = encode(message);
    for (size_t size = 0; size < whole.size(); ++size)
      EXPECT_FALSE(decode_snapshot_message(ByteView(whole).substr(0, size))) << size;
    EXPECT_EQ(decode_snapshot_message(whole + 'x').error().code, Code::Corrupt);
  }
  SnapshotPiece piece = kPiece;
  piece.entries = {{"l", ""}, {"l", ""}};
  EXPECT_FALSE(decode_snapshot_message(encode(SnapshotMessage(piece))));
  piece.entries = {{"k", "not after k"}};
  EXPECT_FALSE(decode_snapshot_message(encode(SnapshotMessage(piece))));
  Bytes other = encode(SnapshotMessage(kGet));
  other[0] = 2;
  EXPECT_EQ(decode_snapshot_message(other).error().code, Code::Unsupported);
  other[0] = 1;
  other[1] = 9;
  EXPECT_EQ(decode_snapshot_message(other).error().code, Code::Unsupported);
}

}  // namespace
}  // namespace hailstone::replica
