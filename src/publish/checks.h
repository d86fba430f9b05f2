// Built-in checks of a release before it is published: is what its repositories promise really there, and whole?
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/ids.h"
#include "publish/release_view.h"

namespace hailstone::publish {

struct Finding {
  enum class Severity : uint8_t { Refuse, Warn };
  Severity severity = Severity::Refuse;
  std::string check;    // "apt.index", "rpm.package" ...: stable, listed in README.md
  Bytes key;            // the file concerned, there or missing
  std::string message;  // what is wrong and what to do
  bool operator==(const Finding&) const = default;
};

struct CheckOptions {
  UnixMicros now;
  size_t findings_max = 1000;             // kept; all are counted
  uint64_t index_bytes_max = 8ull << 30;  // of one index, decompressed: a bigger one is refused
  size_t directories_max = 100'000;       // looked at in one run: bounds memory
  /// Refuse: an index that Release lists must exist in some form. Warn: where nothing of a listed directory exists
  /// (an architecture or component that a partial mirror leaves out), say so only.
  Finding::Severity absent_directory = Finding::Severity::Refuse;
};

struct CheckReport {
  std::vector<Finding> findings;  // in the order found; at most findings_max
  uint64_t refused = 0, warned = 0;
  bool refuses() const { return refused > 0; }
};

/// Checks the part of `release` that differs from `parent`, and the indexes that speak of it. Cost: the difference,
/// plus one lookup per package of each changed index; memory: the difference's directories, and one paragraph or
/// element. Files are judged by the hashes in their entries, not read; only the indexes are. Errors are those of the
/// stores: what is wrong with the repository is a finding.
Result<CheckReport> check_release(const ReleaseView& parent, const ReleaseView& release, const CheckOptions& options);

}  // namespace hailstone::publish
