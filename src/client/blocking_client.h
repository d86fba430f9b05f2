// A cell for programs without an event loop: each call waits for its end; a thread of its own does the rest.
#pragma once

#include <functional>
#include <memory>
#include <thread>

#include "client/cell_client.h"

namespace hailstone::client {

class BlockingClient;

class BlockingWatch {
 public:
  ~BlockingWatch();
  BlockingWatch(const BlockingWatch&) = delete;
  BlockingWatch& operator=(const BlockingWatch&) = delete;
  /// See Watch::next.
  Result<cell::EventBatch> next(Within within);

 private:
  friend class BlockingClient;
  BlockingWatch(BlockingClient& client, std::unique_ptr<Watch> watch) : client_(client), watch_(std::move(watch)) {}
  BlockingClient& client_;
  std::unique_ptr<Watch> watch_;  // the loop's
};

/// From any thread, many at once, but not from the listener. What each does: see CellClient. Watches must be gone
/// before it.
class BlockingClient {
 public:
  /// On the client's thread: must not call it.
  using SessionListener = std::function<void(const core::SessionChanged&)>;
  static Result<std::unique_ptr<BlockingClient>> make(Options options, SessionListener listener = {});
  ~BlockingClient();
  BlockingClient(const BlockingClient&) = delete;
  BlockingClient& operator=(const BlockingClient&) = delete;

  Called<cell::SessionId> open(Within within);
  Called<> close(Within within);
  core::Core::State state();
  cell::SessionId session();

  Called<core::Copy> get(Bytes path, Within within);
  Called<cell::FileStat> put(Bytes path, Bytes content, PutOptions options, Within within);
  Called<> remove(Bytes path, uint64_t generation, Within within);
  Called<cell::TxnReply> txn(cell::Txn txn, Within within);
  Called<cell::Listing> list(cell::List list, Within within);
  Called<cell::wire::Answered> ask(cell::wire::Ask::View view, cell::wire::Query query, Within within);
  Called<cell::Reply> command(cell::Body body, Within within);
  Called<Bytes> manage(Bytes request, Within within);
  Called<cell::Sequencer> lock(Bytes path, LockOptions options, Within within);
  Called<> unlock(Bytes path, Within within);
  Called<bool> stands(cell::Sequencer sequencer, Within within);
  std::unique_ptr<BlockingWatch> watch(Bytes prefix, std::optional<cell::Revision> after);

 private:
  friend class BlockingWatch;
  BlockingClient() = default;
  template <class T>
  T wait(Task<T> task);
  /// What `work` gives, on the loop.
  template <class Work>
  auto on_loop(Work work);

  NullLogger logger_;
  asio::io_context loop_{1};
  std::unique_ptr<CellClient> client_;
  std::thread thread_;
};

}  // namespace hailstone::client
