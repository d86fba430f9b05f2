// Requests and responses over a transport: calls with a deadline, answered by handlers on a pool of threads.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/logger.h"
#include "net/rpc_frame.h"
#include "net/transport.h"

namespace hailstone::net {

struct RpcOptions {
  uint8_t channel = 1;                           // frames on others are not looked at
  size_t workers = 16;                           // threads that run handlers
  size_t queued_max = 1024;                      // requests that wait for a worker; more are refused
  size_t queued_bytes_max = 256u << 20;          // of these
  size_t unsent_bytes_max = 64u << 20;           // answers that wait until their caller can be reached
  std::chrono::milliseconds unsent_for{10'000};  // and for how long at most
};

struct RpcMetrics {
  uint64_t calls = 0, answered = 0, timed_out = 0, lost = 0;  // lost: the peer went away before it answered
  uint64_t served = 0, refused = 0;                           // refused: no room in the queue
  uint64_t expired = 0;                                       // not begun: the caller had gone
  uint64_t unsent_dropped = 0;
};

/// The receiver of a transport of its own. In this order: construct, serve() and watch(), construct the transport,
/// start(), set_peers(). And back: stop(), stop the transport, destroy whom handlers and callbacks use.
///
/// Invariants: done() is called once for each call() that succeeded, whatever happens, at its deadline at the latest.
/// A request is handled at most once. An answer is given to none but the call it belongs to, in this life of the
/// process.
class Rpc final : public Receiver {
 public:
  using CallId = uint64_t;
  using Milliseconds = std::chrono::milliseconds;
  /// On a worker; may block. An error becomes a refusal, which the caller gets with its code and message.
  using Handler = std::function<Result<Bytes>(NodeId from, ByteView body)>;
  /// On a thread of the transport or of this object; must not block.
  using Done = std::function<void(Result<Bytes>)>;
  using Watcher = std::function<void(NodeId peer, bool up)>;

  Rpc(const RpcOptions& options, Logger& logger);
  ~Rpc() override;
  Rpc(const Rpc&) = delete;
  Rpc& operator=(const Rpc&) = delete;

  void serve(uint16_t method, Handler handler);
  /// Called when a peer can be reached, and not any more; like Done.
  void watch(Watcher watcher);
  void start(Transport& transport);

  /// From any thread. An error, Unavailable or Cancelled, says that nothing was sent; `done` is not called then. Else
  /// it is, from another thread, and gets the answer, or the peer's refusal, or Timeout: whether the peer did it is not
  /// known, because the deadline passed or the peer was lost. `body` should have room for kRpcTrailerBytes more.
  Result<CallId> call(NodeId to, uint16_t method, Bytes body, Milliseconds patience, Done done);
  /// The same, waiting. Not from a Done, Watcher or the transport's thread.
  Result<Bytes> call_and_wait(NodeId to, uint16_t method, Bytes body, Milliseconds patience);
  /// The answer is not wanted any more: done() gets Cancelled, unless it was called already; a peer that has not begun
  /// need not.
  void cancel(CallId id);

  bool connected(NodeId peer) const;
  RpcMetrics metrics() const;

  /// Calls that wait get Cancelled; returns when handlers and callbacks have returned. Not from one of them.
  void stop();

  void on_frame(NodeId from, uint8_t channel, ByteView payload) override;
  void on_up(NodeId peer) override;
  void on_down(NodeId peer, const Error& reason) override;

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Call {
    NodeId to;
    Done done;
    Time deadline;
  };
  struct Request {
    NodeId from;
    RpcTrailer trailer;
    Bytes body;
    Time deadline;
  };
  struct Unsent {
    NodeId to;
    Bytes frame;
    Time deadline;
  };

  std::optional<Call> take(CallId id, NodeId from);
  void finish(std::vector<Call> calls, const Error& why);
  void admit(NodeId from, const RpcFrame& frame);
  void answer(const Request& request, Result<Bytes> result);
  void send_answer(NodeId to, Bytes frame, const RpcTrailer& trailer);
  void work();
  void watch_deadlines();
  void resend(std::unique_lock<std::mutex>& lock);

  const RpcOptions options_;
  Logger& logger_;
  std::map<uint16_t, Handler> handlers_;  // fixed from start() on, like watchers_ and transport_
  std::vector<Watcher> watchers_;
  Transport* transport_ = nullptr;

  mutable std::mutex mutex_;  // of all below: calls come from any thread; held for bookkeeping only
  CallId next_id_;
  std::unordered_map<CallId, Call> calls_;
  std::set<std::pair<Time, CallId>> deadlines_;
  std::set<NodeId> connected_;
  std::deque<Request> queue_;
  size_t queue_bytes_ = 0;
  std::deque<Unsent> unsent_;
  size_t unsent_bytes_ = 0;
  bool stopping_ = false;
  RpcMetrics metrics_;
  std::condition_variable work_there_;
  std::condition_variable deadlines_changed_;
  std::vector<std::thread> threads_;
};

}  // namespace hailstone::net
