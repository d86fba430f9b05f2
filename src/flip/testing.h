// For tests only: a cell of one member on a thread of its own, and nodes with their clients and threads around it.
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_future.hpp>
#include <future>
#include <thread>
#include <utility>

#include "client/testing.h"
#include "flip/flipper.h"
#include "flip/live.h"

namespace hailstone::flip {

inline constexpr Within kSoon{60'000};  // a failed test's wait, never a passing one's

/// An event loop and its thread.
class LoopThread {
 public:
  LoopThread() : thread_([this] { loop.run(); }) {}
  ~LoopThread() { join(); }
  void join() {
    guard_.reset();
    if (thread_.joinable()) thread_.join();
  }
  /// What `work` gives, on the loop.
  template <class Work>
  auto run(Work work) {
    return net::asio::post(loop, std::packaged_task<decltype(work())()>(std::move(work))).get();
  }
  template <class T>
  T wait(Task<T> task) {
    return net::asio::co_spawn(loop, std::move(task), net::asio::use_future).get();
  }

  net::asio::io_context loop{1};

 private:
  net::asio::executor_work_guard<net::asio::io_context::executor_type> guard_ = net::asio::make_work_guard(loop);
  std::thread thread_;
};

class TestCell {
 public:
  TestCell() {
    thread_.run([this] { member_ = std::make_unique<client::TestMember>(thread_.loop); });
    address_ = member_->address();
  }
  ~TestCell() {
    thread_.run([this] { member_.reset(); });
    thread_.loop.stop();
  }
  const std::string& address() const { return address_; }
  void cut_connections() {
    thread_.run([this] { member_->disconnect_all(); });
  }
  void new_master() {
    thread_.run([this] { member_->expire(cell::SessionId(UINT32_MAX)); });  // nobody's
  }
  void set_silent(bool silent) {
    thread_.run([this, silent] { member_->silent = silent, member_->silent_when_done = false; });
  }
  void silence_when_done() {
    thread_.run([this] { member_->silent_when_done = true; });
  }
  bool silent() {
    return thread_.run([this] { return member_->silent; });
  }

 private:
  LoopThread thread_;
  std::unique_ptr<client::TestMember> member_;
  std::string address_;
};

/// What a process has of the cell.
class TestNode {
 public:
  explicit TestNode(const TestCell& cell, LiveOptions options = {}) {
    client::Options cell_options;
    cell_options.cell = net::CellAddress::parse(cell.address()).value();
    cell_options.core.caching = client::core::Options::Caching::On;
    cell_options.core.drops = client::core::Options::Drops::Told;
    cell_options.core.reopen = client::core::Options::Reopen::AtOnce;
    thread.run([&] {
      client = client::CellClient::make(thread.loop, std::move(cell_options), logger_).value();
      flipper = std::make_unique<Flipper>(*client, clock);
      live = std::make_unique<LiveChannels>(thread.loop, *client, clock, options);
    });
    CHECK(thread.wait(client->open(kSoon)).has_value());
  }
  ~TestNode() {
    thread.run([&] { live.reset(); });
    thread.run([&] { client->stop(); });  // whoever waits goes on once more
    thread.run([&] { flipper.reset(), client.reset(); });
    thread.loop.stop();
  }

  Result<std::vector<Flipped>> flip(std::vector<Change> changes, std::vector<net::NodeId> excluded = {},
                                    Within within = kSoon) {
    return BlockingFlipper(thread.loop, *flipper).flip(std::move(changes), std::move(excluded), within);
  }
  BlockingFlipper blocking() { return {thread.loop, *flipper}; }
  /// From memory or by asking, as an edge does.
  Result<LivePtr> resolve(LiveCache& cache, ByteView volume, ByteView channel, Within within = kSoon) {
    if (const LivePtr& live_now = cache.get(volume, channel)) return live_now;
    return ask(volume, channel, within);
  }
  Result<LivePtr> ask(ByteView volume, ByteView channel, Within within = kSoon) {
    auto answer = std::make_shared<std::promise<Result<LivePtr>>>();
    auto future = answer->get_future();
    live->resolve(volume, channel, clock.monotonic_ns() + within.ms * 1'000'000,
                  [answer](Result<LivePtr> given) { answer->set_value(std::move(given)); });
    return future.get();
  }

  SystemClock clock;
  LoopThread thread;
  std::unique_ptr<client::CellClient> client;
  std::unique_ptr<Flipper> flipper;
  std::unique_ptr<LiveChannels> live;

 private:
  NullLogger logger_;
};

}  // namespace hailstone::flip
