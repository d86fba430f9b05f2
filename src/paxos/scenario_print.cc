#include "paxos/scenario_print.h"

#include <fmt/format.h>

namespace hailstone::paxos {

std::string join(std::span<const std::string> parts, std::string_view between) {
  std::string text;
  for (const std::string& part : parts) {
    if (!text.empty()) text += between;
    text += part;
  }
  return text;
}

std::string to_text(Ballot ballot) { return fmt::format("{}.{}", ballot.round, ballot.who.value); }

std::string to_text(const Config& config) {
  std::string text = "voters";
  for (const Config::Voter& voter : config.voters) text += fmt::format(" {}", voter.id.value);
  if (!config.learners.empty()) text += ", learners";
  for (const ReplicaId id : config.learners) text += fmt::format(" {}", id.value);
  if (config.q1 || config.q2)
    text += fmt::format(", quorums {} and {}", config.phase1_quorum(), config.phase2_quorum());
  return text;
}

std::string duration_text(int64_t ns) {
  if (ns % 1'000'000'000 == 0) return fmt::format("{}s", ns / 1'000'000'000);
  return fmt::format("{:.6g}ms", static_cast<double>(ns) / 1e6);
}

std::string ScenarioPrinter::value(const Record& record) const {
  if (record.kind == Kind::Noop) return "noop";
  if (record.kind == Kind::Config) {
    Config config;
    if (record.data && Config::decode(*record.data, config)) return fmt::format("configuration {}", config.epoch);
  } else if (record.data) {
    return record.data->size() > 24 ? fmt::format("{}*{}", record.data->front(), record.data->size()) : *record.data;
  }
  const auto found = values_.find(record.digest);
  return found == values_.end() ? "?" : found->second;
}

void ScenarioPrinter::learn(const Record& record) {
  if (record.data) values_.insert_or_assign(record.digest, value(record));
}

std::string ScenarioPrinter::records(std::span<const Record> list, std::optional<Ballot> context) const {
  std::vector<std::string> parts;
  const auto same = [](const Record& a, const Record& b) {
    return a.kind == Kind::Noop && b.kind == Kind::Noop && a.ballot == b.ballot && a.origin == b.origin &&
           b.slot == a.slot.next() && !a.data == !b.data;
  };
  for (size_t i = 0; i < list.size(); ++i) {
    const size_t first = i;
    while (i + 1 < list.size() && same(list[i], list[i + 1])) ++i;
    const Record& record = list[i];
    std::string text = first == i ? fmt::format("{} {}", record.slot.value, value(record))
                                  : fmt::format("{}..{} noop", list[first].slot.value, record.slot.value);
    if (context && record.ballot != *context) text += " under " + to_text(record.ballot);
    if (context && record.origin != record.ballot) text += " of " + to_text(record.origin);
    parts.push_back(record.data ? text : "(" + text + ")");
  }
  return join(parts);
}

std::string ScenarioPrinter::body(const Body& body) const {
  struct Text {
    const ScenarioPrinter& print;
    std::string operator()(const Probe& m) const {
      return fmt::format("Probe {}, chosen {}", to_text(m.ballot), m.chosen.value);
    }
    std::string operator()(const ProbeReply& m) const {
      std::string text = fmt::format("ProbeReply {}: {}", to_text(m.ballot), m.would ? "would" : "would not");
      if (m.removed) text += ", you are no member";
      if (m.grant_left_ns > 0) text += fmt::format(", granted for {}", duration_text(m.grant_left_ns));
      if (!m.would && m.promised > m.ballot) text += ", promised " + to_text(m.promised);
      return text;
    }
    std::string operator()(const Prepare& m) const {
      return fmt::format("Prepare {} from {}", to_text(m.ballot), m.from.value);
    }
    std::string operator()(const Promise& m) const {
      std::string text = fmt::format("Promise {}: chosen {}", to_text(m.ballot), m.chosen.value);
      return m.headers.empty() ? text : text + ", " + print.records(m.headers, Ballot{});
    }
    std::string operator()(const Fetch& m) const {
      std::string text = fmt::format("Fetch {}:", to_text(m.ballot));
      for (const Slot slot : m.slots) text += fmt::format(" {}", slot.value);
      return text;
    }
    std::string operator()(const Values& m) const {
      return fmt::format("Values {}: {}", to_text(m.ballot), print.records(m.records, {}));
    }
    std::string operator()(const Accept& m) const {
      std::string text = fmt::format("Accept {} #{}: {}", to_text(m.ballot), m.stamp,
                                     m.records.empty() ? "nothing" : print.records(m.records, m.ballot));
      text += fmt::format("; chosen {} of {}", m.chosen.value, m.end.value);
      if (m.resent_for) text += ", all sent again";
      if (m.checked) text += fmt::format(", checksum at {}", m.checked.value);
      return text;
    }
    std::string operator()(const Accepted& m) const {
      std::string text =
          fmt::format("Accepted {} #{}: up to {}, chosen {}", to_text(m.ballot), m.stamp, m.upto.value, m.chosen.value);
      if (m.missing) text += fmt::format(", missing {}", m.missing.value);
      return m.blind ? text + ", blind" : text;
    }
    std::string operator()(const Refuse& m) const { return "Refuse, promised " + to_text(m.promised); }
    std::string operator()(const Learn& m) const { return fmt::format("Learn {}..{}", m.first.value, m.last.value); }
    std::string operator()(const Chosen& m) const { return "Chosen " + print.records(m.records, {}); }
    std::string operator()(const SnapshotOffer& m) const { return fmt::format("SnapshotOffer {}", m.meta.upto.value); }
    std::string operator()(const ReadRequest& m) const { return fmt::format("ReadRequest {}", m.id.value); }
    std::string operator()(const ReadReply& m) const {
      return m.ok ? fmt::format("ReadReply {}: at {}", m.id.value, m.index.value)
                  : fmt::format("ReadReply {}: not now", m.id.value);
    }
    std::string operator()(const Handoff& m) const {
      return fmt::format("Handoff {} to {}", to_text(m.ballot), m.to.value);
    }
    std::string operator()(const Rest& m) const { return fmt::format("Rest {} #{}", to_text(m.ballot), m.stamp); }
    std::string operator()(const Resting& m) const { return fmt::format("Resting {} #{}", to_text(m.ballot), m.stamp); }
  };
  return std::visit(Text{*this}, body);
}

std::string ScenarioPrinter::write(const Write& write, HardState& last) const {
  std::vector<std::string> parts;
  if (write.has_hard) {
    if (write.hard.promised != last.promised) parts.push_back("promise " + to_text(write.hard.promised));
    if (write.hard.chosen != last.chosen) parts.push_back(fmt::format("chosen {}", write.hard.chosen.value));
    last = write.hard;
  }
  if (!write.records.empty()) {
    const Ballot ballot = write.records.front().ballot;
    parts.push_back(records(write.records, ballot) + " under " + to_text(ballot));
  }
  return parts.empty() ? "nothing new" : join(parts);
}

std::string ScenarioPrinter::event(ReplicaId self, const Event& event) const {
  struct Text {
    uint64_t self;
    std::string operator()(const RoleChange& e) const {
      switch (e.role) {
        case Role::Leader: return fmt::format("{} leads under {}", self, to_text(e.ballot));
        case Role::Candidate: return fmt::format("{} is a candidate", self);
        case Role::Removed: return fmt::format("{} is removed", self);
        case Role::Stopped: return fmt::format("{} has stopped", self);
        case Role::Follower: break;
      }
      return e.leader ? fmt::format("{} follows {}", self, e.leader.value) : fmt::format("{} follows nobody", self);
    }
    std::string operator()(const Trim& e) const { return fmt::format("{} may trim up to {}", self, e.upto.value); }
    std::string operator()(const ServeLearn& e) const {
      return fmt::format("{} must serve {} slots {}..{} from storage", self, e.to.value, e.first.value, e.last.value);
    }
    std::string operator()(const FetchSnapshot& e) const {
      return fmt::format("{} must fetch snapshot {} from {}", self, e.meta.upto.value, e.from.value);
    }
    std::string operator()(const ConfigActive& e) const {
      return fmt::format("{} knows: configuration {} governs ({})", self, e.config.epoch, to_text(e.config));
    }
    std::string operator()(const ConfigRetired& e) const {
      return fmt::format("{} knows: configuration {} is retired", self, e.epoch);
    }
    std::string operator()(const Healed&) const { return fmt::format("{} is healed", self); }
    std::string operator()(const Fault& e) const { return fmt::format("{} fault: {}", self, e.text); }
  };
  return std::visit(Text{self.value}, event);
}

}  // namespace hailstone::paxos
