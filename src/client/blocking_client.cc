#include "client/blocking_client.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/packaged_task.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_future.hpp>
#include <future>
#include <utility>

namespace hailstone::client {

/// All tasks end by their deadlines, so this does.
template <class T>
T BlockingClient::wait(Task<T> task) {
  return asio::co_spawn(loop_, std::move(task), asio::use_future).get();
}

template <class Work>
auto BlockingClient::on_loop(Work work) {
  return asio::post(loop_, std::packaged_task<decltype(work())()>(std::move(work))).get();
}

Result<std::unique_ptr<BlockingClient>> BlockingClient::make(Options options, SessionListener listener) {
  std::unique_ptr<BlockingClient> client(new BlockingClient());
  TRY(client->client_, CellClient::make(client->loop_, std::move(options), client->logger_));
  client->client_->on_session(std::move(listener));
  client->thread_ = std::thread([loop = &client->loop_] { loop->run(); });
  return client;
}

BlockingClient::~BlockingClient() {
  if (!thread_.joinable()) return;
  asio::post(loop_, [this] { client_->stop(); });
  thread_.join();  // once it is stopped nothing keeps the loop
}

Called<cell::SessionId> BlockingClient::open(Within within) { return wait(client_->open(within)); }
Called<> BlockingClient::close(Within within) { return wait(client_->close(within)); }
core::Core::State BlockingClient::state() {
  return on_loop([this] { return client_->state(); });
}
cell::SessionId BlockingClient::session() {
  return on_loop([this] { return client_->session(); });
}
Called<core::Copy> BlockingClient::get(Bytes path, Within within) {
  return wait(client_->get(std::move(path), within));
}
Called<cell::FileStat> BlockingClient::put(Bytes path, Bytes content, PutOptions options, Within within) {
  return wait(client_->put(std::move(path), std::move(content), options, within));
}
Called<> BlockingClient::remove(Bytes path, uint64_t generation, Within within) {
  return wait(client_->remove(std::move(path), generation, within));
}
Called<cell::TxnReply> BlockingClient::txn(cell::Txn txn, Within within) {
  return wait(client_->txn(std::move(txn), within));
}
Called<cell::Listing> BlockingClient::list(cell::List list, Within within) {
  return wait(client_->list(std::move(list), within));
}
Called<cell::wire::Answered> BlockingClient::ask(cell::wire::Ask::View view, cell::wire::Query query, Within within) {
  return wait(client_->ask(view, std::move(query), within));
}
Called<cell::Reply> BlockingClient::command(cell::Body body, Within within) {
  return wait(client_->command(std::move(body), within));
}
Called<Bytes> BlockingClient::manage(Bytes request, Within within) {
  return wait(client_->manage(std::move(request), within));
}
Called<cell::Sequencer> BlockingClient::lock(Bytes path, LockOptions options, Within within) {
  return wait(client_->lock(std::move(path), options, within));
}
Called<> BlockingClient::unlock(Bytes path, Within within) { return wait(client_->unlock(std::move(path), within)); }
Called<bool> BlockingClient::stands(cell::Sequencer sequencer, Within within) {
  return wait(client_->stands(std::move(sequencer), within));
}
std::unique_ptr<BlockingWatch> BlockingClient::watch(Bytes prefix, std::optional<cell::Revision> after) {
  return on_loop([&] {
    return std::unique_ptr<BlockingWatch>(new BlockingWatch(*this, client_->watch(std::move(prefix), after)));
  });
}

BlockingWatch::~BlockingWatch() {
  client_.on_loop([this] {
    watch_.reset();
    return 0;
  });
}
Result<cell::EventBatch> BlockingWatch::next(Within within) { return client_.wait(watch_->next(within)); }

}  // namespace hailstone::client
