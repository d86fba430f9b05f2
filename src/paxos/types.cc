#include "paxos/types.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/check.h"
#include "base/codec.h"
#include "base/hash.h"

namespace hailstone::paxos {

Digest digest_of(const Record& record) {
  CHECK(record.data);
  const uint64_t data = xxh3(*record.data, 0x9e3779b97f4a7c15);
  const uint64_t again = xxh3(*record.data, 0xc2b2ae3d27d4eb4f);
  const uint64_t words[] = {record.slot.value,
                            record.origin.round,
                            record.origin.who.value,
                            static_cast<uint64_t>(record.kind) << 56 | record.data->size(),
                            static_cast<uint64_t>(record.time_us),
                            record.parent.low,
                            record.parent.high,
                            data};
  char bytes[sizeof words];  // little-endian
  for (size_t i = 0; i < sizeof bytes; ++i) bytes[i] = static_cast<char>(words[i / 8] >> (8 * (i % 8)));
  const ByteView all(bytes, sizeof bytes);
  const uint64_t low = xxh3(all, again);
  return {.low = low, .high = xxh3(all, again ^ 0x165667b19e3779f9)};
}

bool Config::is_voter(ReplicaId id) const {
  return std::ranges::any_of(voters, [&](const Voter& voter) { return voter.id == id; });
}

bool Config::is_learner(ReplicaId id) const { return std::ranges::find(learners, id) != learners.end(); }

std::string Config::problem() const {
  if (voters.empty()) return "a configuration needs a voter";
  if (voters.size() > kVotersMax) return fmt::format("{} voters, at most {}", voters.size(), kVotersMax);
  if (learners.size() > kLearnersMax) return fmt::format("{} learners, at most {}", learners.size(), kLearnersMax);
  std::set<ReplicaId> seen;
  for (const Voter& voter : voters)
    if (!voter.id || !seen.insert(voter.id).second) return fmt::format("voter {} is 0 or named twice", voter.id.value);
  for (const ReplicaId id : learners)
    if (!id || !seen.insert(id).second) return fmt::format("learner {} is 0 or named twice", id.value);
  if (phase1_quorum() > voters.size() || phase2_quorum() > voters.size() ||
      phase1_quorum() + phase2_quorum() <= voters.size())
    return fmt::format("quorums {} and {} of {} voters do not always meet", phase1_quorum(), phase2_quorum(),
                       voters.size());
  return "";
}

Bytes Config::encode() const {
  Bytes bytes;
  Encoder out(bytes);
  out.u8(1);
  out.varint(epoch);
  out.varint(governs_from.value);
  out.u8(q1);
  out.u8(q2);
  out.varint(voters.size());
  for (const Voter& voter : voters) {
    out.u64(voter.id.value);
    out.u8(voter.priority);
  }
  out.varint(learners.size());
  for (const ReplicaId id : learners) out.u64(id.value);
  return bytes;
}

bool Config::decode(ByteView bytes, Config& out) {
  Decoder in(bytes);
  if (in.u8() != 1) return false;
  Config config;
  config.epoch = in.varint();
  config.governs_from = Slot(in.varint());
  config.q1 = in.u8();
  config.q2 = in.u8();
  const uint64_t voters = in.varint();
  if (!in.ok() || voters > kVotersMax) return false;
  for (uint64_t i = 0; i < voters; ++i) {
    const ReplicaId id(in.u64());
    config.voters.push_back({.id = id, .priority = in.u8()});
  }
  const uint64_t learners = in.varint();
  if (!in.ok() || learners > kLearnersMax) return false;
  for (uint64_t i = 0; i < learners; ++i) config.learners.emplace_back(in.u64());
  if (!in.done() || !config.problem().empty()) return false;
  out = std::move(config);
  return true;
}

bool SnapshotMeta::advance(const Record& record) {
  if (record.slot != upto.next() || record.parent != digest) return false;
  if (record.kind == Kind::Config) {
    Config config;
    if (!record.data || !Config::decode(*record.data, config)) return false;
    configs.push_back(std::move(config));
  }
  upto = record.slot;
  digest = record.digest;
  time_us = record.time_us;
  while (configs.size() > 1 && configs[1].governs_from <= upto.next()) configs.erase(configs.begin());
  return true;
}

const Config& SnapshotMeta::config_at(Slot slot) const {
  CHECK(slot > upto && !configs.empty());
  size_t i = configs.size() - 1;
  while (i > 0 && configs[i].governs_from > slot) --i;
  return configs[i];
}

}  // namespace hailstone::paxos
