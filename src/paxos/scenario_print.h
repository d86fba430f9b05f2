// Messages, writes and events of golden traces as short lines; values are shown by name wherever only a digest is
// known.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "paxos/io.h"

namespace hailstone::paxos {

class ScenarioPrinter {
 public:
  /// Names what was proposed, so that a header can be shown by its value.
  void learn(const Record& record);

  /// "2 a, 3 b". Runs of no-ops are one item. A ballot other than `context` is named: "2 a under 1.1"; an origin other
  /// than the ballot too: "2 a of 1.1". A record without data stands in parentheses.
  std::string records(std::span<const Record> records, std::optional<Ballot> context) const;
  std::string body(const Body& body) const;
  /// What of `write` is new since `last`, which is updated.
  std::string write(const Write& write, HardState& last) const;
  std::string event(ReplicaId self, const Event& event) const;

 private:
  std::string value(const Record& record) const;

  std::map<Digest, std::string> values_;
};

std::string to_text(Ballot ballot);
std::string to_text(const Config& config);
/// "5ms", "1.01s".
std::string duration_text(int64_t ns);
std::string join(std::span<const std::string> parts, std::string_view between = ", ");

}  // namespace hailstone::paxos
