// One of each command, reply and record, byte for byte as the golden file has it; decoders against every cut and flip.
#include <gtest/gtest.h>

#include <set>

#include "cell/testing.h"
#include "cell/testing_golden.h"

namespace hailstone::cell {
namespace {

Command with(Body body) {
  return {.time = ClusterTime(1'790'000'000'000'000),
          .principal = "ann",
          .session = SessionId(5),
          .number = CommandNumber(300),
          .got = CommandNumber(299),
          .body = std::move(body)};
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

Txn full_txn() {
  return {{FileExists{"/a"}, FileAbsent{"/b"}, InstanceIs{"/a", Instance(7)}, GenerationIs{"/a", 2},
           ContentIs{"/a", sha256("hello")}, LockHeldBy{"/l", SessionId(5)},
           SequencerStands{{"/l", LockMode::Shared, LockGeneration(9)}}},
          {Put{"/a", "hello", Put::Mode::Create, Put::Life::Ephemeral}, Delete{"/b"}, DeleteSubtree{"/d", 10}},
          {Get{"/a"}, List{"/d", List::Depth::Files, "e/f", 100}}};
}

std::map<Bytes, Command> commands() {
  Nonce nonce;
  for (size_t i = 0; i < nonce.size(); ++i) nonce[i] = static_cast<uint8_t>(i);
  Settings settings;
  settings.sessions_max = 1000;
  Command open = with(OpenSession{nonce, 10'000, true});
  open.session = {}, open.number = {}, open.got = {};
  return {{"open session", open},
          {"close session", with(CloseSession{})},
          {"expire", with(Expire{{SessionId(1), SessionId(300)}})},
          {"put", with(Txn{{}, {Put{"/a", "hello"}}, {}})},
          {"transaction", with(full_txn())},
          {"lock", with(Lock{"/l", LockMode::Exclusive, Lock::Wait::Queue, 15'000})},
          {"unlock", with(Unlock{"/l"})},
          {"cancel", with(Cancel{"/l"})},
          {"tick", with(Tick{})},
          {"change settings", with(ChangeSettings{settings})},
          {"set rules", with(SetRules{"ben", {{"/", 15}, {"/b", 3}}})}};
}

std::map<Bytes, Reply> replies() {
  const auto done = [](Outcome outcome) {
    return Reply{.refused = {},
                 .revision = Revision(300),
                 .time = ClusterTime(1'790'000'000'000'000),
                 .outcome = std::move(outcome)};
  };
  Reply refused = done({});
  refused.refused = Error{Code::Conflict, "'/a' is a file"};
  const Listing listing{.entries = {{"e", stat()}, {"f", DirectoryStat{2, Revision(10)}}}, .next = "f"};
  return {{"done", done({})},
          {"refused", refused},
          {"opened", done(Opened{SessionId(5), 10'000, true})},
          {"transaction",
           done(TxnReply{TxnReply::Branch::Else,
                         {Written{stat()}, Deleted{3}, Got{}, Got{File{stat(), "hello"}}, Listed{listing}}})},
          {"lock", done(LockReply{LockReply::Outcome::Granted, LockGeneration(9)})},
          {"expired", done(Expired{2})}};
}

std::vector<Event> all_events() {
  const auto lock = [](Event::Kind kind) {
    return Event{.kind = kind,
                 .path = "/l",
                 .session = SessionId(5),
                 .lock_generation = LockGeneration(9),
                 .mode = LockMode::Shared};
  };
  return {{.kind = Event::Kind::Created, .path = "/a", .instance = Instance(7), .generation = 1},
          {.kind = Event::Kind::Changed, .path = "/a", .instance = Instance(7), .generation = 2},
          {.kind = Event::Kind::Deleted, .path = "/a", .instance = Instance(7), .generation = 2},
          lock(Event::Kind::LockAcquired),
          lock(Event::Kind::LockReleased),
          lock(Event::Kind::LockLost),
          {.kind = Event::Kind::Settings, .path = "/"},
          {.kind = Event::Kind::Rules, .path = "/"}};
}

/// A small cell with a record in every table.
std::map<Bytes, Bytes> records() {
  TestCell cell;
  const SessionId ann = cell.open("ann"), ben = cell.open("ben"), cid = cell.open("cid");
  cell.as("dot", OpenSession{nonce_of(9), 10'000, true});
  cell.in(ann, Txn{{}, {Put{"/d/e", "hello"}, Put{"/eph", "", Put::Mode::Create, Put::Life::Ephemeral}}, {}});
  cell.in(ann, Lock{"/d/e", LockMode::Exclusive, Lock::Wait::Try, 5000});
  cell.in(ben, Lock{"/d/e", LockMode::Shared, Lock::Wait::Queue, 1000});
  cell.in(cid, Lock{"/m", LockMode::Exclusive, Lock::Wait::Try, 60'000});
  cell.expire({cid});
  // Too long for the records that tell of them.
  cell.in(ben, Txn{{}, {Put{"/long", Bytes(kInlineContentBytes + 1, 'x')}}, {}});
  cell.in(ben, Txn{{}, {Get{"/long"}}, {}});
  cell.cell(ChangeSettings{});
  cell.cell(SetRules{"ann", {{"/", kAllRights}}});
  return rows_of(cell.database());
}

std::map<Bytes, Bytes> all_bytes() {
  std::map<Bytes, Bytes> out;
  for (const auto& [name, command] : commands()) out["command: " + name] = command.encode();
  for (const auto& [name, reply] : replies()) out["reply: " + name] = reply.encode();
  out["events"] = encode_events(all_events());
  for (const auto& [key, value] : records()) out["record " + to_hex(key)] = value;
  return out;
}

TEST(Format, IsThatOfTheGoldenFile) { expect_golden("cell_v1.txt", all_bytes()); }

TEST(Format, WhatIsWrittenIsRead) {
  for (const auto& [name, command] : commands()) EXPECT_EQ(*Command::decode(command.encode()), command) << name;
  for (const auto& [name, reply] : replies()) EXPECT_EQ(*Reply::decode(reply.encode()), reply) << name;
  EXPECT_EQ(*decode_events(encode_events(all_events())), all_events());
  EXPECT_EQ(*count_events(encode_events(all_events())), 8u);
  std::set<char> tables;
  for (const auto& [key, value] : records()) tables.insert(key[0]);
  EXPECT_EQ(tables.size(), 13u);
}

TEST(Format, NoCutCommandOrReplyIsRead) {
  for (const auto& [name, command] : commands()) {
    const Bytes bytes = command.encode();
    for (size_t length = 0; length < bytes.size(); ++length) EXPECT_FALSE(Command::decode(bytes.substr(0, length)));
  }
  for (const auto& [name, reply] : replies()) {
    const Bytes bytes = reply.encode();
    for (size_t length = 0; length < bytes.size(); ++length) EXPECT_FALSE(Reply::decode(bytes.substr(0, length)));
  }
}

TEST(Format, EveryValueHasOneForm) {
  const auto flip_all = [](const Bytes& bytes, auto decode) {
    for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      Bytes flipped = bytes;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
      if (const auto decoded = decode(flipped)) EXPECT_EQ(decoded->encode(), flipped);
    }
  };
  for (const auto& [name, command] : commands()) flip_all(command.encode(), Command::decode);
  for (const auto& [name, reply] : replies()) flip_all(reply.encode(), Reply::decode);
  for (const auto& [key, value] : records()) {
    if (key[0] == 'S') flip_all(value, SessionRecord::decode);
    if (key[0] == 'L') flip_all(value, LockRecord::decode);
    if (key[0] == 'M') flip_all(value, Counters::decode);
  }
}

TEST(Format, DumpShowsEveryTable) {
  TestCell cell;
  const SessionId ann = cell.open("ann");
  cell.put("/d/e", "hello");
  cell.in(ann, Lock{"/l", LockMode::Exclusive, Lock::Wait::Try, 5000});
  cell.put("/long", Bytes(kInlineContentBytes + 1, 'x'));
  cell.in(ann, Txn{{}, {Get{"/long"}}, {}});
  Bytes text;
  ASSERT_TRUE(dump(cell.database(), [&](const Bytes& line) { text += line + "\n"; }));
  for (const char* expected :
       {"cell revision=3 ", "settings sessions_max=65536 ", "session 1 principal=ann lease_ms=10000 caching=false ",
        "directory /d children=1 changed=1\n", "file /long instance=2 generation=1 ",
        "file /d/e instance=1 generation=1 ", "lock /l mode=exclusive holder=1:1:5000ms\n", "reply session=1 ",
        "revision 1; created /d/e instance=1 generation=1\n",
        "revision 2; lock acquired /l session=1 lock_generation=1 exclusive\n"})
    EXPECT_NE(text.find(expected), Bytes::npos) << expected << "\n" << text;
}

}  // namespace
}  // namespace hailstone::cell
