// What the checks of one run share: the two releases, the options and the growing report.
#pragma once

#include <string>
#include <utility>

#include "publish/checks.h"

namespace hailstone::publish {

struct CheckContext {
  const ReleaseView& parent;
  const ReleaseView& release;
  const CheckOptions& options;
  CheckReport& report;

  void add(Finding::Severity severity, std::string check, ByteView key, std::string message) const;
  void refuse(std::string check, ByteView key, std::string message) const {
    add(Finding::Severity::Refuse, std::move(check), key, std::move(message));
  }
  void warn(std::string check, ByteView key, std::string message) const {
    add(Finding::Severity::Warn, std::move(check), key, std::move(message));
  }

  /// Whether the path leads to the same bytes in both releases (nothing in both counts as the same).
  Result<bool> unchanged(ByteView path) const;
  /// Compares an entry with what `index` says of it; on a difference adds a finding and returns false.
  bool same_bytes(std::string check, ByteView key, const volume::Entry& entry, std::optional<uint64_t> bytes,
                  const std::optional<Hash256>& sha256, ByteView index) const;
};

/// How much of a repository to look at.
enum class Extent : uint8_t {
  Changed,  // indexes that differ from the parent's
  Whole,    // every index: packages were removed or replaced, and any of them may still name those
};

/// `directory` holds Release or InRelease ("dists/stable"). Does nothing when it has neither.
Result<void> check_apt(const CheckContext& context, ByteView directory, Extent extent);

/// `root` is the directory that holds repodata/. Does nothing when that has no repomd.xml.
Result<void> check_rpm(const CheckContext& context, ByteView root, Extent extent);

}  // namespace hailstone::publish
