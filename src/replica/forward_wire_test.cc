#include "replica/forward_wire.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

namespace hailstone::replica {
namespace {

constexpr paxos::Ballot kBallot{9, paxos::ReplicaId(1)};
constexpr paxos::LifeId kLife(0x1122334455667788);

paxos::SharedBytes shared(ByteView bytes) { return std::make_shared<const Bytes>(bytes); }

const Forward kForward{.group = paxos::GroupId(3),
                       .ballot = kBallot,
                       .life = kLife,
                       .begin = 300,
                       .first = 301,
                       .commands = {shared("put a"), shared("")}};
const ForwardReply kReply{
    .group = paxos::GroupId(3), .ballot = kBallot, .life = kLife, .begin = 300, .next = 303, .why = {}};

ForwardReply refused() {
  ForwardReply reply = kReply;
  reply.next = 302;
  reply.refused = true;
  reply.why = {Code::Exhausted, "disk full"};
  return reply;
}

/// "name: hex" in each line.
std::map<std::string, Bytes> golden() {
  std::ifstream in(std::filesystem::path(__FILE__).parent_path() / "testdata/forward_wire_v1.txt");
  std::map<std::string, Bytes> out;
  for (std::string line; std::getline(in, line);)
    if (const size_t colon = line.find(": "); colon != std::string::npos)
      out[line.substr(0, colon)] = line.substr(colon + 2);
  return out;
}

TEST(ForwardWire, IsWhatTheFormatPageSays) {
  const auto bytes = golden();
  EXPECT_EQ(to_hex(encode(ForwardMessage(kForward))), bytes.at("forward"));
  EXPECT_EQ(to_hex(encode(ForwardMessage(kReply))), bytes.at("reply"));
  EXPECT_EQ(to_hex(encode(ForwardMessage(refused()))), bytes.at("refused"));
  EXPECT_EQ(to_hex(wrap({paxos::ReplicaId(2), kLife, 301}, "put a")), bytes.at("data"));

  const auto message = decode_forward_message(encode(ForwardMessage(kForward)));
  ASSERT_TRUE(message);
  const auto& forward = std::get<Forward>(*message);
  EXPECT_EQ(forward.ballot, kBallot);
  EXPECT_EQ(forward.begin, 300u);
  EXPECT_EQ(forward.first, 301u);
  ASSERT_EQ(forward.commands.size(), 2u);
  EXPECT_EQ(*forward.commands[0], "put a");
  const auto reply = decode_forward_message(encode(ForwardMessage(refused())));
  ASSERT_TRUE(reply);
  EXPECT_EQ(std::get<ForwardReply>(*reply).why, (Error{Code::Exhausted, "disk full"}));
  const Bytes data = wrap({paxos::ReplicaId(2), kLife, 301}, "put a");
  const auto unwrapped = unwrap(data);
  ASSERT_TRUE(unwrapped);
  EXPECT_EQ(unwrapped->origin, (Origin{paxos::ReplicaId(2), kLife, 301}));
  EXPECT_EQ(unwrapped->command, "put a");
}

TEST(ForwardWire, NothingCutOffOrMalformedIsTaken) {
  for (const ForwardMessage& message : {ForwardMessage(kForward), ForwardMessage(kReply), ForwardMessage(refused())}) {
    const Bytes whole = encode(message);
    for (size_t size = 0; size < whole.size(); ++size)
      EXPECT_FALSE(decode_forward_message(ByteView(whole).substr(0, size))) << size;
    EXPECT_EQ(decode_forward_message(whole + 'x').error().code, Code::Corrupt);
  }
  Forward forward = kForward;
  forward.first = 299;  // below begin
  EXPECT_FALSE(decode_forward_message(encode(ForwardMessage(forward))));
  forward = kForward;
  forward.begin = 0;
  EXPECT_FALSE(decode_forward_message(encode(ForwardMessage(forward))));
  forward.begin = forward.first = UINT64_MAX;  // its numbers would wrap
  EXPECT_FALSE(decode_forward_message(encode(ForwardMessage(forward))));
  forward = kForward;
  forward.commands = {shared(Bytes(kCommandBytesMax + 1, 'x'))};
  EXPECT_FALSE(decode_forward_message(encode(ForwardMessage(forward))));
  EXPECT_FALSE(unwrap(ByteView("\x02\x01\x02\x03", 4)));

  Bytes other = encode(ForwardMessage(kReply));
  other[0] = 2;
  EXPECT_EQ(decode_forward_message(other).error().code, Code::Unsupported);
  other[0] = 1;
  other[1] = 9;
  EXPECT_EQ(decode_forward_message(other).error().code, Code::Unsupported);
}

TEST(ForwardWire, TheLongestCommandFitsIntoARecordWithItsOrigin) {
  const Origin longest{paxos::ReplicaId(UINT64_MAX), paxos::LifeId(UINT64_MAX), UINT64_MAX};
  EXPECT_EQ(wrap(longest, Bytes(kCommandBytesMax, 'x')).size(), paxos::kValueBytesMax);
}

}  // namespace
}  // namespace hailstone::replica
