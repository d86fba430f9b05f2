// One of each message, byte for byte as the golden file has it; decoders against every cut and flip.
#include "cell/wire.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "cell/testing_golden.h"

namespace hailstone::cell::wire {
namespace {

Nonce nonce() {
  Nonce out;
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<uint8_t>(i);
  return out;
}

FileStat stat() {
  return {.instance = Instance(7),
          .generation = 2,
          .lock_generation = LockGeneration(9),
          .created = Revision(10),
          .changed = Revision(300),
          .owner = SessionId(5),
          .bytes = 5};
}

Ask ask(Query query, Ask::View view = Ask::View::Linearizable) { return {CallId(3), 5000, view, std::move(query)}; }

std::map<Bytes, ClientMessage> client_messages() {
  const Do open{CallId(1), 5000, {}, {}, {}, OpenSession{nonce(), 10'000, true}};
  const Do put{
      CallId(2), 5000, SessionId(5), CommandNumber(300), CommandNumber(299), Txn{{}, {Put{"/a", "hello"}}, {}}};
  return {{"hello", Hello{}},
          {"do: open session", open},
          {"do: put", put},
          {"ask: get", ask(Get{"/a"})},
          {"ask: list, local", ask(List{"/d", List::Depth::Files, "e", 10}, Ask::View::Local)},
          {"ask: sequencer stands", ask(SequencerStands{{"/l", LockMode::Shared, LockGeneration(9)}})},
          {"ask: lock", ask(GetLock{"/l"})},
          {"ask: sessions", ask(GetSessions{SessionId(5), 100})},
          {"ask: rules", ask(GetRules{"ann"})},
          {"ask: state", ask(GetState{})},
          {"fetch", Fetch{CallId(4), 5000, SessionId(5), "/a"}},
          {"keep alive", KeepAlive{SessionId(5), Beat(17), Epoch(6)}},
          {"dropped", Dropped{SessionId(5), Epoch(6), 2}},
          {"watch", Watch{WatchId(1), "/d", Revision(300), {}}},
          {"watch: from now, about a session", Watch{WatchId(2), "/", {}, SessionId(5)}},
          {"unwatch", Unwatch{WatchId(1)}},
          {"manage", Manage{CallId(5), 5000, "{}"}}};
}

Result answered(Answer answer) { return {CallId(3), Result::Answered{Revision(300), std::move(answer)}}; }

std::map<Bytes, MemberMessage> member_messages() {
  const Error moved{Code::Unavailable, "member 2 stops"};
  const Reply reply{
      .refused = {}, .revision = Revision(300), .time = ClusterTime(1'790'000'000'000'000), .outcome = {}};
  const LockRecord lock{.mode = LockMode::Exclusive,
                        .holders = {{SessionId(5), LockGeneration(9), 15'000}},
                        .waiters = {{SessionId(6), LockMode::Shared, 0}},
                        .delayed_until = {}};
  Counters counters;
  counters.revision = Revision(300);
  const EventBatch::Item created{
      Revision(300), {.kind = Event::Kind::Created, .path = "/d/e", .instance = Instance(7), .generation = 1}};
  const EventBatch::Item lost{
      Revision(301),
      {.kind = Event::Kind::LockLost, .path = "/d/l", .session = SessionId(5), .lock_generation = LockGeneration(9)}};
  return {
      {"welcome", Welcome{1, 2, "cell", "ann"}},
      {"result: refused, not done", Result{CallId(1), Result::Refused{moved, Result::Refused::Fate::NotDone}}},
      {"result: refused, unknown",
       Result{CallId(1), Result::Refused{{Code::Timeout, "no answer"}, Result::Refused::Fate::Unknown}}},
      {"result: reply", Result{CallId(2), reply}},
      {"result: got", answered(Got{File{stat(), "hello"}})},
      {"result: got nothing", answered(Got{})},
      {"result: listed",
       answered(Listed{{.entries = {{"e", stat()}, {"f", DirectoryStat{2, Revision(10)}}}, .next = "f"}})},
      {"result: sequencer stands", answered(true)},
      {"result: lock", answered(lock)},
      {"result: sessions",
       answered(std::vector<SessionInfo>{{SessionId(5), "ann", 10'000, true, ClusterTime(1'790'000'000'000'000), 3}})},
      {"result: rules", answered(std::vector<Rule>{{"/", 15}, {"/b", 3}})},
      {"result: state", answered(StateInfo{{}, counters})},
      {"result: fetched", Result{CallId(4), Result::Fetched{Revision(300), File{stat(), "hello"}, Epoch(6), 2, true}}},
      {"result: fetched, none", Result{CallId(4), Result::Fetched{Revision(300), {}, Epoch(6), 0, false}}},
      {"result: managed", Result{CallId(5), Result::Managed{"{}"}}},
      {"lease", Lease{SessionId(5), Beat(17), Epoch(6), 10'000, 2000}},
      {"invalidate", Invalidate{SessionId(5), Epoch(6), 2, {"/a", "/b"}, {"/d"}}},
      {"events", Events{WatchId(1), {{}, {created, lost}, Revision(301)}}},
      {"events: compacted", Events{WatchId(1), {Revision(200), {}, Revision(200)}}},
      {"watch refused", WatchRefused{WatchId(1), {Code::Denied, "no right"}}},
      {"goodbye", Goodbye{moved}}};
}

std::map<Bytes, PeerMessage> peer_messages() {
  return {{"relay", Relay{ConnectionId(8), "ann", KeepAlive{SessionId(5), Beat(17), Epoch(6)}}},
          {"reverse", Reverse{ConnectionId(8), Lease{SessionId(5), Beat(17), Epoch(6), 10'000, 2000}}},
          {"not master", NotMaster{ConnectionId(8), CallId(3)}}};
}

template <class Check>
void for_all(const Check& check) {
  for (const auto& [name, message] : client_messages()) check("client: " + name, message, decode_client_message);
  for (const auto& [name, message] : member_messages()) check("member: " + name, message, decode_member_message);
  for (const auto& [name, message] : peer_messages()) check("peer: " + name, message, decode_peer_message);
}

TEST(CellWire, GoldenFile) {
  std::map<Bytes, Bytes> current;
  for_all([&](const Bytes& name, const auto& message, auto) { current[name] = encode(message); });
  expect_golden("wire_v1.txt", current);
}

TEST(CellWire, WhatIsWrittenIsRead) {
  std::set<std::pair<size_t, size_t>> kinds;
  for_all([&](const Bytes& name, const auto& message, auto decode) {
    const auto decoded = decode(encode(message));
    ASSERT_TRUE(decoded) << name << ": " << decoded.error().message;
    EXPECT_EQ(*decoded, message) << name;
    kinds.insert({std::variant_size_v<std::decay_t<decltype(message)>>, message.index()});
  });
  EXPECT_EQ(kinds.size(),
            std::variant_size_v<ClientMessage> + std::variant_size_v<MemberMessage> + std::variant_size_v<PeerMessage>);
}

TEST(CellWire, NoCutMessageIsRead) {
  for_all([](const Bytes& name, const auto& message, auto decode) {
    const Bytes bytes = encode(message);
    for (size_t length = 0; length < bytes.size(); ++length)
      EXPECT_FALSE(decode(bytes.substr(0, length))) << name << " cut to " << length;
    EXPECT_FALSE(decode(bytes + '\0')) << name;
  });
}

TEST(CellWire, EveryValueHasOneForm) {
  for_all([](const Bytes& name, const auto& message, auto decode) {
    const Bytes bytes = encode(message);
    for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      Bytes flipped = bytes;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
      if (const auto decoded = decode(flipped)) EXPECT_EQ(encode(*decoded), flipped) << name << " bit " << bit;
    }
  });
}

TEST(CellWire, AnUnknownTypeIsToldFromAMalformedMessage) {
  EXPECT_EQ(decode_client_message("\x0a").error().code, Code::Unsupported);
  EXPECT_EQ(decode_client_message(Bytes(1, '\0')).error().code, Code::Unsupported);
  EXPECT_EQ(decode_member_message("\x01").error().code, Code::Unsupported);
  EXPECT_EQ(decode_peer_message("\x43").error().code, Code::Unsupported);
  EXPECT_EQ(decode_peer_message(ByteView("\x40\x01\x00\x0a", 4)).error().code, Code::Unsupported);  // what it relays
  EXPECT_EQ(decode_client_message("").error().code, Code::Invalid);
  EXPECT_EQ(decode_client_message("\x01").error().code, Code::Invalid);
  EXPECT_EQ(decode_client_message(Bytes(kMessageBytesMax + 1, '\x01')).error().code, Code::Invalid);
}

}  // namespace
}  // namespace hailstone::cell::wire
