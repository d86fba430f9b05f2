// One simulated node's real log: replica::Journal over a simulated disk that crashes, fails, fills up and rots.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/logger.h"
#include "disk/sim_disk.h"
#include "paxos/io.h"
#include "replica/journal.h"
#include "sim/random.h"

namespace hailstone::sim {

/// What a node wants of its log: all that waits when a sync begins shares it, as in the host.
struct LogJob {
  std::vector<std::pair<paxos::GroupId, paxos::Write>> writes;
  std::vector<std::pair<paxos::GroupId, Slot>> floors;
  std::vector<paxos::GroupId> healed;
  std::vector<std::pair<paxos::GroupId, Slot>> trims;
  std::vector<std::pair<paxos::GroupId, paxos::ServeLearn>> serves;
  size_t begun = 0;  // of writes, floors and healed, in this order: appended already
  bool empty() const { return writes.empty() && floors.empty() && healed.empty() && trims.empty() && serves.empty(); }
};

class NodeLog {
 public:
  /// How a process ends. Killed: the kernel keeps what it wrote. PowerCut: any part of what was not synced is lost.
  enum class End : uint8_t { Killed, PowerCut };
  /// What rots. Log: a segment. Promises: the copy beside it, or the file that says which log counts. Both.
  enum class Rot : uint8_t { Log, Promises, Both };

  NodeLog();

  Result<void> open();
  bool is_open() const { return journal_ != nullptr; }
  replica::Journal& journal() { return *journal_; }

  /// Appends what is left of the job and syncs. Exhausted: no room; to be called again. Any other error is final.
  Result<void> persist(LogJob& job);
  /// Ends the process in the middle of `job`, or between two.
  void end(End how, LogJob* job, Random& random);
  /// An operation of the disk that is to come fails.
  void fail_soon(Random& random);
  void fail_no_more();
  /// No room for new files from now on, or again as much as wanted.
  void set_full(bool full);
  /// Damages durable bytes: flips some, or puts a block where it does not belong. Says what; empty where there was
  /// nothing to damage.
  std::string rot(Rot what, Random& random);
  /// The disk is replaced by a new one.
  void lose();
  /// Something was made to fail since the last process ended.
  bool disturbed() const { return disturbed_; }

 private:
  std::string damage_file(const std::string& path, bool blocks, Random& random);
  void set_byte(const std::string& path, uint64_t offset, char from, char to);

  NullLogger logger_;
  std::unique_ptr<disk::SimDisk> disk_;
  std::unique_ptr<replica::Journal> journal_;
  bool disturbed_ = false;
};

}  // namespace hailstone::sim
