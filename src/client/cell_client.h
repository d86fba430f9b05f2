// A cell for coroutines of an event loop: files, transactions, locks, watches, and the session they belong to.
#pragma once

#include <deque>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "client/driver.h"
#include "net/task.h"

namespace hailstone::client {

using net::Task;

/// Why a call gave nothing, and what became of it: see core::Verdict. Refused and NotDone: nothing was done; Unknown:
/// it may have been done, or be done yet.
struct CallError {
  core::Verdict verdict = core::Verdict::NotDone;
  Error error;
  bool operator==(const CallError&) const = default;
};
template <class T = void>
using Called = std::expected<T, CallError>;

/// How long a call may take, from when it is made.
struct Within {
  int64_t ms = 10'000;
};

struct PutOptions {
  cell::Put::Mode mode = cell::Put::Mode::Write;
  cell::Put::Life life = cell::Put::Life::Lasting;
  /// Only if the file's content is of this generation, and of this instance; 0: whatever it is. Conflict otherwise.
  uint64_t generation = 0;
  cell::Instance instance;
};
struct LockOptions {
  cell::LockMode mode = cell::LockMode::Exclusive;
  cell::Lock::Wait wait = cell::Lock::Wait::Queue;
  uint32_t delay_ms = 0;  // how long nobody gets it after this session expired holding it
};

class CellClient;

/// Events of one watch, each once and in order. Must not outlive its client. One next() at a time.
class Watch {
 public:
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  /// The next batch. One with `compacted` is the last: read again, and watch from there. Timeout: none yet. Any other
  /// error: the watch has ended.
  Task<Result<cell::EventBatch>> next(Within within);

 private:
  friend class CellClient;
  struct State;
  explicit Watch(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

/// All on the loop's thread. A call ends by its deadline, whatever happens. Coroutines that wait when stop() is called
/// go on with Cancelled. It may be destroyed by a coroutine that it has resumed, not by what was given to on_session()
/// or on_lock_lost().
class CellClient final : private Listener {
 public:
  /// Invalid: options or files that won't do. Connects by itself, and again whenever the connection is lost.
  static Result<std::unique_ptr<CellClient>> make(asio::io_context& loop, Options options, Logger& logger);
  ~CellClient() override;  // stops
  CellClient(const CellClient&) = delete;
  CellClient& operator=(const CellClient&) = delete;

  // ---- the session ----
  /// What writes, locks and caches needs one. Unavailable, with what is wrong with the connection, when there is none
  /// in time: it is still asked for.
  Task<Called<cell::SessionId>> open(Within within);
  /// Ephemeral files go, locks are released.
  Task<Called<>> close(Within within);
  core::Core::State state() const { return driver_->state().state(); }
  cell::SessionId session() const { return driver_->state().session(); }
  /// From now on; on the loop. Jeopardy, Safe, Expired ...
  void on_session(std::function<void(const core::SessionChanged&)> call) { session_listener_ = std::move(call); }
  void on_lock_lost(std::function<void(const cell::Sequencer&)> call) { lock_listener_ = std::move(call); }

  /// For copies that other threads read: see Listener.
  void on_copy_dropped(std::function<void(ByteView path)> call) { dropped_listener_ = std::move(call); }
  void on_copies_end(std::function<void(int64_t ends_ns)> call) { end_listener_ = std::move(call); }
  int64_t copies_end_ns() const { return driver_->state().copies_end_ns(); }
  const Options& options() const { return driver_->options(); }

  // ---- files ----
  /// Linearizable. From memory, without waiting, where the cache has it. No file: Copy::file is empty.
  Task<Called<core::Copy>> get(Bytes path, Within within);
  /// At once, or null: see Core::cached. Valid until anything else is called or the loop goes on.
  const core::Copy* cached(ByteView path) { return driver_->cached(path); }
  Task<Called<cell::FileStat>> put(Bytes path, Bytes content, PutOptions options, Within within);
  /// NotFound when there is none; Conflict when `generation` is not 0 and not that of its content.
  Task<Called<>> remove(Bytes path, uint64_t generation, Within within);
  Task<Called<cell::TxnReply>> txn(cell::Txn txn, Within within);
  /// One page: see cell::List.
  Task<Called<cell::Listing>> list(cell::List list, Within within);
  Task<Called<cell::wire::Answered>> ask(cell::wire::Ask::View view, cell::wire::Query query, Within within);
  /// Any command of the session's: settings, rules.
  Task<Called<cell::Reply>> command(cell::Body body, Within within);
  Task<Called<Bytes>> manage(Bytes request, Within within);

  // ---- locks ----
  /// The sequencer goes along with all that is done on the lock's strength; whoever does it checks that it stands.
  Task<Called<cell::Sequencer>> lock(Bytes path, LockOptions options, Within within);
  Task<Called<>> unlock(Bytes path, Within within);
  Task<Called<bool>> stands(cell::Sequencer sequencer, Within within);

  // ---- events ----
  /// At and beneath a path, behind `after`; none: from now on.
  std::unique_ptr<Watch> watch(Bytes prefix, std::optional<cell::Revision> after);

  void stop();

 private:
  explicit CellClient(asio::io_context& loop);
  void on_session(const core::SessionChanged& change) override;
  void on_lock_lost(const core::LockLost& lost) override;
  void on_link(const core::LinkChanged& change) override;
  void on_copy_dropped(ByteView path) override;
  void on_copies_end(int64_t ends_ns) override;
  template <class Start>
  auto ended(Within within, Start start);

  asio::io_context& loop_;
  std::function<void(const core::SessionChanged&)> session_listener_;
  std::function<void(const cell::Sequencer&)> lock_listener_;
  std::function<void(ByteView)> dropped_listener_;
  std::function<void(int64_t)> end_listener_;
  struct Opening;
  std::shared_ptr<Opening> opening_;  // theirs, too, who wait for a session: they may wake up when this is gone
  std::unique_ptr<Driver> driver_;
};

}  // namespace hailstone::client
