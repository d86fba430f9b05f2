#include "paxos/wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <tuple>

#include "paxos/io.h"

namespace hailstone::paxos {
namespace {

// ---- equality that looks at every field ----

auto fields(const Record& r) {
  return std::tuple(r.slot, r.ballot, r.origin, r.kind, r.time_us, r.parent, r.digest, r.data != nullptr,
                    r.data ? *r.data : Bytes());
}
auto fields(const std::vector<Record>& records) {
  std::vector<decltype(fields(Record()))> out;
  for (const Record& record : records) out.push_back(fields(record));
  return out;
}
auto fields(const Probe& m) { return std::tuple(m.ballot, m.chosen); }
auto fields(const ProbeReply& m) {
  return std::tuple(m.ballot, m.would, m.removed, m.promised, m.chosen, m.grant_left_ns);
}
auto fields(const Prepare& m) { return std::tuple(m.ballot, m.from); }
auto fields(const Promise& m) { return std::tuple(m.ballot, m.from, m.chosen, m.chosen_digest, fields(m.headers)); }
auto fields(const Fetch& m) { return std::tuple(m.ballot, m.slots); }
auto fields(const Values& m) { return std::tuple(m.ballot, fields(m.records)); }
auto fields(const Accept& m) {
  return std::tuple(m.ballot, m.life, m.chosen, m.chosen_digest, m.end, m.stamp, m.resent_for, m.trim_floor, m.checked,
                    m.checksum, fields(m.records));
}
auto fields(const Accepted& m) { return std::tuple(m.ballot, m.stamp, m.upto, m.missing, m.chosen, m.blind); }
auto fields(const Refuse& m) { return std::tuple(m.promised); }
auto fields(const Learn& m) { return std::tuple(m.first, m.last); }
auto fields(const Chosen& m) { return std::tuple(m.chosen, fields(m.records)); }
auto fields(const SnapshotOffer& m) { return std::tuple(m.meta); }
auto fields(const ReadRequest& m) { return std::tuple(m.id, m.life); }
auto fields(const ReadReply& m) { return std::tuple(m.id, m.life, m.ok, m.index); }
auto fields(const Handoff& m) { return std::tuple(m.ballot, m.to); }
auto fields(const Rest& m) { return std::tuple(m.ballot, m.stamp); }
auto fields(const Resting& m) { return std::tuple(m.ballot, m.stamp); }

bool same(const Message& a, const Message& b) {
  if (a.group != b.group || a.from != b.from || a.to != b.to || a.body.index() != b.body.index()) return false;
  return std::visit([&]<class T>(const T& body) { return fields(body) == fields(std::get<T>(b.body)); }, a.body);
}

// ---- messages at random ----

class Maker {
 public:
  explicit Maker(uint64_t seed) : random_(seed) {}
  /// Mostly small, of every length of varint.
  uint64_t number() { return random_() >> (random_() % 64); }
  bool flip() { return random_() % 2 == 0; }
  template <class T>
  T id() {
    return T(number());
  }
  Ballot ballot() { return {number(), id<ReplicaId>()}; }
  Digest digest() { return {random_(), random_()}; }
  Record record(Slot slot) {
    Record out{.slot = slot, .ballot = ballot(), .origin = {}, .kind = static_cast<Kind>(1 + random_() % 4)};
    out.origin = flip() ? out.ballot : ballot();
    out.time_us = static_cast<int64_t>(random_());
    out.parent = digest();
    out.digest = digest();
    if (flip()) out.data = std::make_shared<const Bytes>(Bytes(random_() % 300, static_cast<char>(random_())));
    return out;
  }
  std::vector<Record> records(uint64_t step_max) {
    std::vector<Record> out;
    uint64_t slot = number() >> 20;
    for (size_t n = random_() % 5; n > 0; --n) out.push_back(record(Slot(slot += 1 + random_() % step_max)));
    return out;
  }
  Config config() {
    Config out{.epoch = number(), .governs_from = id<Slot>()};
    for (uint64_t i = 0, n = 1 + random_() % Config::kVotersMax; i < n; ++i)
      out.voters.push_back({ReplicaId(random_() << 6 | i), static_cast<uint8_t>(random_())});
    for (uint64_t i = 0, n = random_() % Config::kLearnersMax; i < n; ++i)
      out.learners.emplace_back(random_() << 6 | (i + 32));
    if (flip()) out.q1 = out.q2 = static_cast<uint8_t>(out.voters.size());
    return out;
  }
  SnapshotMeta meta() {
    SnapshotMeta out{.upto = id<Slot>(), .digest = digest(), .time_us = static_cast<int64_t>(random_())};
    for (size_t n = random_() % 3; n > 0; --n) out.configs.push_back(config());
    out.bytes = number();
    return out;
  }
  Body body(size_t kind) {
    switch (kind) {
      case 0: return Probe{ballot(), id<Slot>()};
      case 1: return ProbeReply{ballot(), flip(), flip(), ballot(), id<Slot>(), static_cast<int64_t>(number())};
      case 2: return Prepare{ballot(), id<Slot>()};
      case 3: return Promise{ballot(), id<Slot>(), id<Slot>(), digest(), records(9)};
      case 4: {
        Fetch out{ballot(), {}};
        for (size_t n = random_() % 9; n > 0; --n) out.slots.push_back(id<Slot>());
        return out;
      }
      case 5: return Values{ballot(), records(9)};
      case 6:
        return Accept{ballot(),
                      id<LifeId>(),
                      id<Slot>(),
                      digest(),
                      id<Slot>(),
                      number(),
                      flip() ? LifeId() : id<LifeId>(),
                      id<Slot>(),
                      flip() ? Slot() : id<Slot>(),
                      flip() ? 0 : random_(),
                      records(9)};
      case 7: return Accepted{ballot(), number(), id<Slot>(), id<Slot>(), id<Slot>(), flip() ? LifeId() : id<LifeId>()};
      case 8: return Refuse{ballot()};
      case 9: return Learn{id<Slot>(), id<Slot>()};
      case 10: return Chosen{records(1), id<Slot>()};
      case 11: return SnapshotOffer{meta()};
      case 12: return ReadRequest{id<ReadId>(), id<LifeId>()};
      case 13: return ReadReply{id<ReadId>(), id<LifeId>(), flip(), id<Slot>()};
      case 14: return Handoff{ballot(), id<ReplicaId>()};
      case 15: return Rest{ballot(), number()};
      default: return Resting{ballot(), number()};
    }
  }
  Message message(size_t kind) { return {id<GroupId>(), id<ReplicaId>(), id<ReplicaId>(), body(kind)}; }
  Message message() { return message(random_() % std::variant_size_v<Body>); }
  size_t below(size_t n) { return random_() % n; }

 private:
  std::mt19937_64 random_;
};

Bytes encoded(const Message& message) {
  Bytes out;
  encode(message, out);
  return out;
}

// ---- one of each, as the golden file has it ----

Record sample_record(uint64_t slot) {
  Record r{.slot = Slot(slot), .ballot = {7, ReplicaId(0x1122334455667788)}, .origin = {}, .kind = Kind::Command};
  r.origin = r.ballot;
  r.time_us = 1'790'000'000'000'000;
  r.parent = {1, 2};
  r.data = std::make_shared<const Bytes>("hello");
  r.digest = {3, slot};
  return r;
}

std::map<std::string, Bytes> samples() {
  const Ballot ballot{7, ReplicaId(0x1122334455667788)}, other{300, ReplicaId(2)};
  const Digest digest{0x0102030405060708, 0x090a0b0c0d0e0f10};
  const LifeId life(0x0fedcba987654321);
  Record header = sample_record(12);
  header.origin = {3, ReplicaId(2)};
  header.data = nullptr;
  Record noop = sample_record(301);
  noop.kind = Kind::Noop;
  noop.data = std::make_shared<const Bytes>();
  Config config{.epoch = 2, .governs_from = Slot(2000)};
  config.voters = {{ReplicaId(1), 1}, {ReplicaId(2), 0}, {ReplicaId(3), 0}};
  config.learners = {ReplicaId(9)};
  const HardState hard{ballot, Slot(1000), digest};
  const SnapshotMeta meta{Slot(1000), digest, 5, {config}, 1u << 20};

  const std::pair<const char*, Body> bodies[] = {
      {"probe", Probe{ballot, Slot(5)}},
      {"probe_reply", ProbeReply{ballot, true, false, other, Slot(6), -1}},
      {"prepare", Prepare{ballot, Slot(5)}},
      {"promise", Promise{ballot, Slot(5), Slot(4), digest, {header}}},
      {"fetch", Fetch{ballot, {Slot(12), Slot(300)}}},
      {"values", Values{ballot, {sample_record(12)}}},
      {"accept", Accept{.ballot = ballot,
                        .life = life,
                        .chosen = Slot(299),
                        .chosen_digest = digest,
                        .end = Slot(301),
                        .stamp = 77,
                        .trim_floor = Slot(200),
                        .records = {sample_record(300), noop}}},
      {"accept_full", Accept{ballot, life, Slot(299), digest, Slot(299), 78, LifeId(5), Slot(200), Slot(128), 99, {}}},
      {"accepted", Accepted{ballot, 77, Slot(301), Slot(), Slot(299), LifeId()}},
      {"accepted_blind", Accepted{ballot, 77, Slot(301), Slot(300), Slot(299), life}},
      {"refuse", Refuse{other}},
      {"learn", Learn{Slot(1), Slot(300)}},
      {"chosen", Chosen{{sample_record(300), noop}, Slot(400)}},
      {"snapshot_offer", SnapshotOffer{meta}},
      {"read_request", ReadRequest{ReadId(8), life}},
      {"read_reply", ReadReply{ReadId(8), life, true, Slot(301)}},
      {"handoff", Handoff{ballot, ReplicaId(3)}},
      {"rest", Rest{ballot, 77}},
      {"resting", Resting{ballot, 77}},
  };
  std::map<std::string, Bytes> out;
  std::vector<Message> all;
  for (const auto& [name, body] : bodies) {
    all.push_back({GroupId(4), ReplicaId(1), ReplicaId(2), body});
    out[name] = encoded(all.back());
  }
  out["frame"] = encode_frame(std::span(all).first(3));
  const auto part = [&](const char* name, const auto& value) {
    Encoder encoder(out[name]);
    encode(value, encoder);
  };
  part("part_record", sample_record(300));
  part("part_header", header);
  part("part_hard_state", hard);
  part("part_config", config);
  part("part_snapshot_meta", meta);
  return out;
}

TEST(Wire, WritesWhatTheGoldenFileHas) {
  const auto path = std::filesystem::path(__FILE__).parent_path() / "testdata/wire_v1.txt";
  const auto made = samples();
  if (std::getenv("HAILSTONE_WRITE_GOLDEN") != nullptr) {
    std::ofstream out(path);
    for (const auto& [name, bytes] : made) out << name << ' ' << to_hex(bytes) << '\n';
  }
  std::ifstream in(path);
  std::map<std::string, Bytes> kept;
  for (std::string name, hex; in >> name >> hex;) ASSERT_TRUE(from_hex(hex, kept[name])) << name;
  ASSERT_EQ(kept.size(), made.size());
  for (const auto& [name, bytes] : made) EXPECT_EQ(to_hex(kept[name]), to_hex(bytes)) << name;
}

TEST(Wire, ReadsItsOwnSamples) {
  for (const auto& [name, bytes] : samples()) {
    if (name.starts_with("part_")) continue;
    if (name == "frame") {
      const auto frame = decode_frame(bytes);
      ASSERT_TRUE(frame) << frame.error().message;
      EXPECT_EQ(frame->messages.size(), 3u);
      EXPECT_EQ(frame->unknown, 0u);
      EXPECT_EQ(encode_frame(frame->messages), bytes);
      continue;
    }
    const auto message = decode(bytes);
    ASSERT_TRUE(message) << name << ": " << message.error().message;
    EXPECT_EQ(encoded(*message), bytes) << name;
  }
}

RC_GTEST_PROP(Wire, MessagesRoundTrip, (uint64_t seed)) {
  Maker maker(seed);
  for (size_t kind = 0; kind < std::variant_size_v<Body>; ++kind) {
    const Message message = maker.message(kind);
    RC_ASSERT(message.body.index() == kind);
    const Bytes bytes = encoded(message);
    RC_ASSERT(bytes.size() <= encoded_bytes_max(message));
    const auto back = decode(bytes);
    RC_ASSERT(back.has_value());
    RC_ASSERT(same(*back, message));
  }
}

RC_GTEST_PROP(Wire, FramesRoundTrip, (uint64_t seed)) {
  Maker maker(seed);
  std::vector<Message> messages;
  for (size_t n = maker.below(20); n > 0; --n) messages.push_back(maker.message());
  const auto back = decode_frame(encode_frame(messages));
  RC_ASSERT(back.has_value());
  RC_ASSERT(back->messages.size() == messages.size());
  for (size_t i = 0; i < messages.size(); ++i) RC_ASSERT(same(back->messages[i], messages[i]));
}

RC_GTEST_PROP(Wire, PartsRoundTripOneAfterAnother, (uint64_t seed)) {
  Maker maker(seed);
  const Record record = maker.record(Slot(maker.number()));
  const HardState hard{maker.ballot(), maker.id<Slot>(), maker.digest()};
  const Config config = maker.config();
  const SnapshotMeta meta = maker.meta();
  Bytes bytes;
  Encoder out(bytes);
  encode(record, out);
  RC_ASSERT(bytes.size() <= encoded_bytes_max(record));
  encode(hard, out);
  encode(config, out);
  encode(meta, out);
  Decoder in(bytes);
  RC_ASSERT(fields(decode_record(in).value()) == fields(record));
  RC_ASSERT(decode_hard_state(in).value() == hard);
  RC_ASSERT(decode_config(in).value() == config);
  RC_ASSERT(decode_snapshot_meta(in).value() == meta);
  RC_ASSERT(in.done());
}

TEST(Wire, EveryPrefixIsRefused) {
  for (const auto& [name, bytes] : samples())
    for (size_t length = 0; length < bytes.size() && !name.starts_with("part_"); ++length) {
      const Bytes cut = bytes.substr(0, length);
      if (name == "frame") {
        // Ends between two messages are ends of a shorter frame.
        if (const auto frame = decode_frame(cut)) EXPECT_EQ(encode_frame(frame->messages), cut);
        continue;
      }
      const auto message = decode(cut);
      ASSERT_FALSE(message) << name << " cut at " << length;
      EXPECT_EQ(message.error().code, Code::Corrupt) << name << " cut at " << length;
    }
}

// What is accepted has one encoding: a flipped bit is refused, or means something else and says so.
TEST(Wire, EveryFlippedBitIsRefusedOrMeansSomethingElse) {
  for (const auto& [name, bytes] : samples())
    for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
      Bytes flipped = bytes;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
      if (const auto message = decode(flipped)) EXPECT_EQ(encoded(*message), flipped) << name << " bit " << bit;
      if (const auto frame = decode_frame(flipped); frame && frame->unknown == 0)
        EXPECT_EQ(encode_frame(frame->messages), flipped) << name << " bit " << bit;
      Decoder record(flipped), hard(flipped), config(flipped), meta(flipped);
      (void)decode_record(record);
      (void)decode_hard_state(hard);
      (void)decode_config(config);
      (void)decode_snapshot_meta(meta);
    }
}

RC_GTEST_PROP(Wire, NoiseIsHarmless, (std::string noise)) {
  (void)decode(noise);
  (void)decode_frame(noise);
  (void)decode("\x01" + noise);
  (void)decode_frame("\x01" + noise);
}

TEST(Wire, RefusesLongerValuesWithoutReadingThem) {
  Record record = sample_record(1);
  Bytes bytes;
  Encoder out(bytes);
  record.data = std::make_shared<const Bytes>(kValueBytesMax, 'x');
  encode(record, out);
  Decoder in(bytes);
  EXPECT_EQ(decode_record(in)->data->size(), kValueBytesMax);
  bytes.resize(bytes.size() - kValueBytesMax - 4);
  out.varint(kValueBytesMax + 1);
  bytes.append(kValueBytesMax + 1, 'x');
  Decoder longer(bytes);
  const auto refused = decode_record(longer);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Corrupt);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("8388609 bytes of data"));
}

// A count is held against the bytes that are there before anything is allocated for it.
TEST(Wire, RefusesCountsThatTheInputCannotHold) {
  Bytes bytes = encoded({GroupId(1), ReplicaId(1), ReplicaId(2), Values{{1, ReplicaId(1)}, {}}});
  bytes.pop_back();
  Encoder out(bytes);
  out.varint(60'000);
  const auto refused = decode(bytes);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "paxos message Values: 60000 records in 0 bytes");
  bytes.append(kRecordsMax * 100, '\0');
  EXPECT_EQ(decode(bytes).error().code, Code::Unsupported);  // kind 0
}

TEST(Wire, SlotsMustAscend) {
  const Ballot ballot{7, ReplicaId(1)};
  const auto refused = [](Body body) {
    const auto message = decode(encoded({GroupId(1), ReplicaId(1), ReplicaId(2), std::move(body)}));
    return message ? std::string("taken") : message.error().message;
  };
  const std::vector<Record> equal{sample_record(5), sample_record(5)}, gap{sample_record(5), sample_record(7)};
  EXPECT_EQ(refused(Promise{ballot, Slot(1), Slot(1), {}, equal}), "paxos message Promise: slots do not ascend");
  EXPECT_EQ(refused(Accept{.ballot = ballot, .records = equal}), "paxos message Accept: slots do not ascend");
  EXPECT_EQ(refused(Accept{.ballot = ballot, .records = gap}), "taken");
  EXPECT_EQ(refused(Chosen{gap, Slot(9)}), "paxos message Chosen: slots have gaps");
}

TEST(Wire, LaterVersionsAndKindsAreUnsupported) {
  const Message message{GroupId(1), ReplicaId(1), ReplicaId(2), Refuse{{1, ReplicaId(1)}}};
  Bytes bytes = encoded(message);
  bytes[1] = 18;
  EXPECT_EQ(decode(bytes).error(), (Error{Code::Unsupported, "paxos message: body kind 18"}));
  bytes[0] = 2;
  EXPECT_EQ(decode(bytes).error(), (Error{Code::Unsupported, "paxos message: version 2, this program knows 1"}));

  const std::vector<Message> three(3, message);
  Bytes frame = encode_frame(three);
  frame[1 + (frame.size() - 1) / 3 + 4] = 18;
  const auto back = decode_frame(frame);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->messages.size(), 2u);
  EXPECT_EQ(back->unknown, 1u);
  frame[0] = 2;
  EXPECT_EQ(decode_frame(frame).error().code, Code::Unsupported);

  Bytes record;
  Encoder out(record);
  encode(sample_record(1), out);
  record[0] = 5;
  Decoder in(record);
  EXPECT_EQ(decode_record(in).error(), (Error{Code::Unsupported, "record kind 5"}));
}

TEST(Wire, AConfigurationThatCannotBeUsedIsRefused) {
  Config config{.epoch = 1};
  config.voters = {{ReplicaId(1), 0}, {ReplicaId(1), 0}};
  Bytes bytes;
  Encoder out(bytes);
  encode(config, out);
  Decoder in(bytes);
  EXPECT_EQ(decode_config(in).error(), (Error{Code::Corrupt, "configuration can't be used"}));
}

}  // namespace
}  // namespace hailstone::paxos
