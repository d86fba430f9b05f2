#include "paxos/types.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "paxos/io.h"

namespace hailstone::paxos {
namespace {

using testing::HasSubstr;

Config config(size_t voters, uint8_t q1 = 0, uint8_t q2 = 0) {
  Config made{.epoch = 1, .governs_from = Slot(1), .q1 = q1, .q2 = q2};
  for (size_t i = 1; i <= voters; ++i) made.voters.push_back({.id = ReplicaId(i)});
  return made;
}

TEST(Ballot, IsOrderedByRoundThenByWhoLeads) {
  EXPECT_LT((Ballot{1, ReplicaId(9)}), (Ballot{2, ReplicaId(1)}));
  EXPECT_LT((Ballot{2, ReplicaId(1)}), (Ballot{2, ReplicaId(2)}));
  EXPECT_LT(Ballot{}, (Ballot{1, ReplicaId(1)}));
  EXPECT_FALSE(Ballot{});
}

TEST(Config, QuorumsAreMajoritiesUnlessSet) {
  const std::pair<size_t, size_t> expected[] = {{1, 1}, {2, 2}, {3, 2}, {4, 3}, {5, 3}, {6, 4}, {7, 4}, {31, 16}};
  for (const auto& [voters, majority] : expected) {
    EXPECT_EQ(config(voters).phase1_quorum(), majority) << voters;
    EXPECT_EQ(config(voters).phase2_quorum(), majority) << voters;
    EXPECT_EQ(config(voters).problem(), "");
  }
  EXPECT_EQ(config(5, 4, 2).phase1_quorum(), 4u);
  EXPECT_EQ(config(5, 4, 2).phase2_quorum(), 2u);
}

// Exactly the pairs in which every phase-1 quorum meets every phase-2 quorum are usable; and in those every phase-1
// quorum meets every set whose grants make a lease, and with one voter less in that set some would not.
TEST(Config, QuorumsAlwaysMeet) {
  for (uint8_t n = 1; n <= 7; ++n)
    for (uint8_t q1 = 1; q1 <= n + 1; ++q1)
      for (uint8_t q2 = 1; q2 <= n + 1; ++q2) {
        const Config made = config(n, q1, q2);
        EXPECT_EQ(made.problem().empty(), q1 <= n && q2 <= n && q1 + q2 > n) << +n << " " << +q1 << " " << +q2;
        if (made.problem().empty()) EXPECT_EQ(made.lease_quorum() + q1, n + 1u);
      }
}

TEST(Config, SaysWhatIsWrongWithIt) {
  EXPECT_EQ(Config{}.problem(), "a configuration needs a voter");
  EXPECT_THAT(config(32).problem(), HasSubstr("32 voters, at most 31"));
  EXPECT_THAT(config(5, 2, 3).problem(), HasSubstr("quorums 2 and 3 of 5"));
  Config twice = config(3);
  twice.voters[2].id = ReplicaId(1);
  EXPECT_THAT(twice.problem(), HasSubstr("voter 1 is 0 or named twice"));
  Config both = config(3);
  both.learners = {ReplicaId(4), ReplicaId(2)};
  EXPECT_THAT(both.problem(), HasSubstr("learner 2"));
  Config nobody = config(3);
  nobody.voters[0].id = ReplicaId(0);
  EXPECT_THAT(nobody.problem(), HasSubstr("voter 0"));
  Config many = config(1);
  for (uint64_t i = 0; i < 32; ++i) many.learners.emplace_back(100 + i);
  EXPECT_THAT(many.problem(), HasSubstr("32 learners"));
}

TEST(Config, DecodesWhatItEncodesAndNothingElse) {
  Config made = config(3, 3, 1);
  made.epoch = 7;
  made.governs_from = Slot(1'000'000);
  made.voters[1].priority = 200;
  made.learners = {ReplicaId(9)};
  const Bytes bytes = made.encode();
  Config back;
  ASSERT_TRUE(Config::decode(bytes, back));
  EXPECT_EQ(back, made);
  for (size_t length = 0; length < bytes.size(); ++length)
    EXPECT_FALSE(Config::decode(ByteView(bytes).substr(0, length), back)) << length;
  EXPECT_FALSE(Config::decode(bytes + "x", back));
  EXPECT_FALSE(Config::decode(config(5, 2, 3).encode(), back)) << "unusable quorums";
}

// ---- the hash chain ----

Record record(uint64_t slot, Digest parent, Bytes data = "value") {
  Record made{.slot = Slot(slot),
              .ballot = {2, ReplicaId(1)},
              .origin = {1, ReplicaId(1)},
              .kind = Kind::Command,
              .time_us = 1234,
              .parent = parent,
              .data = std::make_shared<const Bytes>(std::move(data))};
  made.digest = digest_of(made);
  return made;
}

TEST(Digest, CoversAllButTheBallotItWasAcceptedUnder) {
  const Record base = record(3, {1, 2});
  const auto changed = [&](const auto& change) {
    Record other = base;
    change(other);
    return digest_of(other) != base.digest;
  };
  EXPECT_TRUE(changed([](Record& r) { r.slot = Slot(4); }));
  EXPECT_TRUE(changed([](Record& r) { r.origin.round = 2; }));
  EXPECT_TRUE(changed([](Record& r) { r.origin.who = ReplicaId(2); }));
  EXPECT_TRUE(changed([](Record& r) { r.kind = Kind::Noop; }));
  EXPECT_TRUE(changed([](Record& r) { r.time_us = 1235; }));
  EXPECT_TRUE(changed([](Record& r) { r.parent.low = 2; }));
  EXPECT_TRUE(changed([](Record& r) { r.parent.high = 1; }));
  EXPECT_TRUE(changed([](Record& r) { r.data = std::make_shared<const Bytes>("valuf"); }));
  EXPECT_TRUE(changed([](Record& r) { r.data = std::make_shared<const Bytes>("value\0", 6); }));
  // A later leader proposes the same record again.
  EXPECT_FALSE(changed([](Record& r) { r.ballot.round = 9; }));
}

// It is in every log and snapshot: it must never change.
TEST(Digest, IsTheSameForEver) {
  const Digest digest = record(3, {1, 2}).digest;
  EXPECT_EQ(digest.low, 2495362597102667146u);
  EXPECT_EQ(digest.high, 7722412552023926594u);
}

// ---- SnapshotMeta ----

Record config_record(const SnapshotMeta& at, const Config& next) {
  Record made = record(at.upto.value + 1, at.digest, next.encode());
  made.kind = Kind::Config;
  made.digest = digest_of(made);
  return made;
}

TEST(SnapshotMeta, AdvancesOnlyByTheNextOfItsChain) {
  SnapshotMeta at{.configs = {config(3)}};
  const Record first = record(1, {});
  ASSERT_TRUE(at.advance(first));
  EXPECT_EQ(at.upto, Slot(1));
  EXPECT_EQ(at.digest, first.digest);
  EXPECT_EQ(at.time_us, 1234);
  const SnapshotMeta before = at;
  EXPECT_FALSE(at.advance(first)) << "again";
  EXPECT_FALSE(at.advance(record(3, first.digest))) << "a gap";
  EXPECT_FALSE(at.advance(record(2, {}))) << "another parent";
  Record broken = record(2, first.digest, "no configuration");
  broken.kind = Kind::Config;
  EXPECT_FALSE(at.advance(broken));
  EXPECT_EQ(at, before) << "unchanged by what it refused";
}

TEST(SnapshotMeta, AConfigurationGovernsFromItsSlotOn) {
  SnapshotMeta at{.configs = {config(3)}};
  Config next = config(5);
  next.epoch = 2;
  next.governs_from = Slot(4);
  ASSERT_TRUE(at.advance(config_record(at, next)));
  ASSERT_EQ(at.configs.size(), 2u);
  EXPECT_EQ(at.config_at(Slot(3)).epoch, 1u);
  EXPECT_EQ(at.config_at(Slot(4)).epoch, 2u);
  EXPECT_EQ(at.config_at(Slot(4000)).epoch, 2u);
  ASSERT_TRUE(at.advance(record(2, at.digest)));
  EXPECT_EQ(at.configs.size(), 2u) << "slot 3 is still the former's";
  ASSERT_TRUE(at.advance(record(3, at.digest)));
  ASSERT_EQ(at.configs.size(), 1u);
  EXPECT_EQ(at.configs[0].epoch, 2u);
}

// ---- options ----

TEST(Options, SayWhatIsWrongWithThem) {
  const auto problem = [](const auto& change) {
    Options options{.self = ReplicaId(1)};
    change(options);
    return options.problem();
  };
  EXPECT_EQ(problem([](Options&) {}), "");
  EXPECT_THAT(problem([](Options& o) { o.self = ReplicaId(0); }), HasSubstr("self"));
  EXPECT_THAT(problem([](Options& o) { o.alpha = 0; }), HasSubstr("alpha 0"));
  EXPECT_THAT(problem([](Options& o) { o.alpha = 8193; }), HasSubstr("alpha 8193"));
  EXPECT_THAT(problem([](Options& o) { o.grant_ns = 2 * o.heartbeat_ns - 1; }), HasSubstr("two heartbeats"));
  EXPECT_THAT(problem([](Options& o) { o.heartbeat_ns = 0; }), HasSubstr("heartbeat"));
  EXPECT_THAT(problem([](Options& o) { o.clock_error_ppm = 500'000; }), HasSubstr("500000 ppm"));
  EXPECT_THAT(problem([](Options& o) { o.batch_bytes = 0; }), HasSubstr("byte limits"));
  EXPECT_THAT(problem([](Options& o) { o.inflight_bytes = 0; }), HasSubstr("byte limits"));
  EXPECT_THAT(problem([](Options& o) { o.candidacy_step_ns = 0; }), HasSubstr("steps"));
}

// The lease must be over before the shortest grant is, by any two clocks within the bound: L / (1 - e) <= G / (1 + e).
TEST(Options, TheLeaseEndsBeforeAnyGrant) {
  for (const uint32_t ppm : {0u, 1u, 500u, 10'000u, 100'000u, 499'999u})
    for (const int64_t grant : {100'000'000ll, 150'000'000ll, 1'000'000'000ll, 60'000'000'000ll}) {
      const Options options{.self = ReplicaId(1), .grant_ns = grant, .clock_error_ppm = ppm};
      const double e = ppm / 1e6, lease = static_cast<double>(options.lease_ns());
      EXPECT_LE(lease / (1 - e), static_cast<double>(grant) / (1 + e) + 1) << ppm << " " << grant;
      EXPECT_GT(lease, 0.9 * static_cast<double>(grant) * (1 - e) / (1 + e)) << "not needlessly short";
    }
}

}  // namespace
}  // namespace hailstone::paxos
