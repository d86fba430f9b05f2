// Carries out a bucket's lifecycle rules: expires versions and aborts uploads, and clears what uploads left behind.
#pragma once

#include <functional>

#include "volume/repository.h"

namespace hailstone::s3 {

struct LifecycleOptions {
  size_t batch = 500;              // changes in one transaction
  uint32_t stale_upload_days = 0;  // uploads begun before are aborted without a rule; 0: never
};

struct LifecycleReport {
  uint64_t expired = 0;   // current objects removed, or hidden under a delete marker
  uint64_t versions = 0;  // former versions removed for good
  uint64_t markers = 0;   // delete markers with nothing beneath them
  uint64_t uploads = 0;   // aborted
  uint64_t parts = 0;     // of uploads that are gone
  uint64_t locked = 0;    // versions left because of object lock
  uint64_t total() const { return expired + versions + markers + uploads + parts; }
};

/// One pass over a volume. What changed since it was looked at is left to the next one. Ends early, with nothing half
/// done, when `stop` says so. Memory: a batch, and 2 MiB for parts.
Result<LifecycleReport> run_lifecycle(volume::Repository& repository, std::shared_ptr<const volume::Volume> volume,
                                      const LifecycleOptions& options, const std::function<bool()>& stop);

}  // namespace hailstone::s3
