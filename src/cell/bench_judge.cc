#include "cell/bench_judge.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"

namespace hailstone::cell::bench {

void Judge::violation(const std::string& what) {
  if (report_.violations.size() < 20)
    report_.violations.push_back(fmt::format("{:.3f} s: {}", static_cast<double>(now_ns_) / 1e9, what));
}

std::vector<SessionId> Judge::chosen(ByteView encoded) {
  const auto command = Command::decode(encoded);
  CHECK(command.has_value());
  std::vector<SessionId> expired;
  if (const auto* expire = std::get_if<Expire>(&command->body); expire && command->principal.empty())
    for (const SessionId id : expire->sessions)
      if (*schema::read_session(*state_, id)) expired.push_back(id);

  replica::Batch batch;
  CHECK(machine_.apply(Slot(++slot_), encoded, *state_, batch).has_value());
  CHECK(state_->write(batch).has_value());
  const Revision before = revision_;
  revision_ = schema::read_counters(*state_)->revision;
  if (revision_ == before) return expired;
  const auto fresh = decode_events(**state_->get(schema::events(revision_)));
  for (const Event& event : *fresh) {
    events_.push_back({revision_, event});
    if (event.kind > Event::Kind::Deleted) continue;
    auto& versions = versions_[event.path];
    if (versions.empty()) versions.push_back({Revision(), std::nullopt});
    if (event.kind == Event::Kind::Deleted) {
      versions.push_back({revision_, std::nullopt});
      continue;
    }
    Bytes content;
    for (const Operation& operation : std::get<Txn>(command->body).then_operations)
      if (const auto* put = std::get_if<Put>(&operation); put && put->path == event.path) content = put->content;
    if (++writes_[content] > 1) violation(fmt::format("'{}' was written to {} twice", content, event.path));
    versions.push_back({revision_, content});
  }
  return expired;
}

Revision Judge::floor(const Bytes& path) const {
  const auto at = known_.find(path);
  return at == known_.end() ? Revision() : at->second;
}

void Judge::known(const Bytes& path, Revision revision) { known_[path] = std::max(known_[path], revision); }

void Judge::read(const Bytes& path, Revision floor, const std::optional<Bytes>& content, std::string_view how) {
  ++report_.counts[fmt::format("{} reads", how)];
  const auto at = versions_.find(path);
  if (at == versions_.end()) {
    if (content) violation(fmt::format("{} read of {}: '{}', which nobody wrote", how, path, *content));
    return;
  }
  const auto& versions = at->second;
  for (size_t i = 0; i < versions.size(); ++i) {
    const bool outlived = i + 1 < versions.size() && versions[i + 1].revision <= floor;
    if (outlived || versions[i].content != content) continue;
    return known(path, versions[i].revision);
  }
  violation(fmt::format("{} read of {}: '{}', but revision {} was known and wrote something newer", how, path,
                        content.value_or("(none)"), floor.value));
}

void Judge::write_done(const Bytes& path, const Bytes& content, Revision revision) {
  ++report_.counts["writes"];
  if (!writes_.contains(content)) violation(fmt::format("'{}' is said to be written, and is not", content));
  known(path, revision);
}

std::vector<EventBatch::Item> Judge::expected(ByteView prefix, Revision after, Revision upto) const {
  std::vector<EventBatch::Item> out;
  const auto begin = std::ranges::upper_bound(events_, after, {}, &EventBatch::Item::revision);
  for (auto at = begin; at != events_.end() && at->revision <= upto; ++at)
    if (covers(prefix, at->event.path)) out.push_back(*at);
  return out;
}

void Judge::events(ByteView prefix, Revision after, const EventBatch& batch) {
  report_.counts["events"] += batch.events.size();
  const auto should = expected(prefix, after, batch.upto);
  if (should != batch.events)
    violation(fmt::format("watch of {}: {} events from {} to {}, there were {}", prefix, batch.events.size(),
                          after.value, batch.upto.value, should.size()));
}

void Judge::watch_ends(ByteView prefix, Revision upto) {
  if (const auto missing = expected(prefix, upto, revision_); !missing.empty())
    violation(fmt::format("watch of {}: {} events behind {} were never told", prefix, missing.size(), upto.value));
}

void Judge::granted(const Sequencer& sequencer) {
  ++report_.counts["grants"];
  LockGeneration& newest = grants_[sequencer.path];
  if (sequencer.generation <= newest)
    violation(fmt::format("lock {}: generation {} after {}", sequencer.path, sequencer.generation.value, newest.value));
  newest = std::max(newest, sequencer.generation);
}

void Judge::finish() {
  for (const Bytes& content : not_done_)
    if (writes_.contains(content)) violation(fmt::format("'{}' is said not to be written, and is", content));
}

}  // namespace hailstone::cell::bench
