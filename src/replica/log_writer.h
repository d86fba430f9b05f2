// The thread that owns a process's journal: makes what the groups decided durable, and reads it for members that are
// behind.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/logger.h"
#include "paxos/io.h"
#include "replica/journal.h"

namespace hailstone::replica {

/// What one turn of the host wants of the log.
struct LogJob {
  using GroupId = paxos::GroupId;
  std::vector<std::pair<GroupId, paxos::Write>> writes;
  std::vector<std::pair<GroupId, Slot>> floors;  // a snapshot takes the place of records up to there
  std::vector<GroupId> healed;
  std::vector<std::pair<GroupId, Slot>> trims;
  std::vector<std::pair<GroupId, paxos::ServeLearn>> serves;
  bool empty() const { return writes.empty() && floors.empty() && healed.empty() && trims.empty() && serves.empty(); }
};

/// Everything that waits when a sync begins shares it.
class LogWriter {
 public:
  /// On the log's thread; keep them short.
  struct Events {
    std::function<void(std::vector<LogJob>)> done;  // all of it is durable
    std::function<void(const Error&)> failed;       // what is durable is not known; nothing more is done
    /// The disk is full: what was decided waits for room. Called for as long as it waits.
    std::function<void(bool full)> full;
    /// Chosen records for a member that asked, or none where the log has them no more.
    std::function<void(paxos::GroupId, const paxos::ServeLearn&, paxos::Chosen)> learned;
  };

  LogWriter(Journal& journal, Events events, Logger& logger);
  /// Does what was submitted, unless abandon() was called.
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  void submit(LogJob job);
  /// From now on nothing waits for room on a full disk: it fails.
  void wait_no_more();
  /// What is not begun is not done either.
  void abandon();

 private:
  void run();
  Result<void> do_jobs(const std::vector<LogJob>& jobs);
  Result<void> write(paxos::GroupId group, const paxos::Write& write);
  Result<void> sync();
  Result<void> retried(const std::function<Result<void>()>& step);
  bool wait_for_room(const Error& error);
  void serve(paxos::GroupId group, const paxos::ServeLearn& wanted);

  Journal& journal_;  // this thread only
  const Events events_;
  Logger& logger_;
  bool full_ = false;  // this thread only

  std::mutex mutex_;  // between the host's thread and this one
  std::condition_variable wake_;
  std::vector<LogJob> jobs_;
  bool stop_ = false, abandoned_ = false, waits_ = true;
  std::thread thread_;
};

}  // namespace hailstone::replica
