// Runs the client core of a cell on an event loop: connections, addresses, codec, clock; completions as callbacks.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/logger.h"
#include "cell/client.h"
#include "net/discover.h"
#include "net/streams.h"

namespace hailstone::client {

namespace asio = boost::asio;
namespace core = cell::client;

struct Options {
  net::CellAddress cell;             // where its members are
  std::optional<net::TlsFiles> tls;  // the certificate names the principal; none: plain, on loopback
  net::StreamOptions::Plain plain = net::StreamOptions::Plain::LoopbackOnly;
  core::Options core;             // a seed of zeros: a random one is taken
  net::ResolverOptions resolver;  // of "srv:" addresses
};

/// Told on the loop; may call the client.
class Listener {
 public:
  virtual ~Listener() = default;
  virtual void on_session(const core::SessionChanged& change) = 0;
  virtual void on_lock_lost(const core::LockLost& lost) = 0;
  virtual void on_link(const core::LinkChanged& change) = 0;
  /// Both for who lets other threads read copies, see core::Core::copies_end_ns(). They are told at once, also from
  /// within a call: they must not call the client. Nothing is sent before they return.
  /// With core::Options::Drops::Told: this copy must not be read any more.
  virtual void on_copy_dropped(ByteView /*path*/) {}
  /// Copies that are not dropped may be read until then, by the clock of Clock::monotonic_ns(); 0: not at all.
  virtual void on_copies_end(int64_t /*ends_ns*/) {}
};

/// All on the loop's thread. Callbacks come from the loop, never from within a call, but stop()'s.
class Driver final : public net::StreamReceiver {
 public:
  using Done = std::move_only_function<void(core::CallEnded)>;
  using WatchNews = std::variant<core::WatchEvents, core::WatchEnded>;
  using OnNews = std::move_only_function<void(WatchNews)>;

  /// Invalid: options or files that won't do. `loop`, `listener` and `logger` outlive it.
  static Result<std::unique_ptr<Driver>> make(asio::io_context& loop, Options options, Listener& listener,
                                              Logger& logger);
  ~Driver() override;  // stops
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  /// `start(core, tag, deadline_ns, now_ns)` makes the one call of that tag; `done` is called once, by the deadline.
  template <class Start>
  void call(int64_t timeout_ms, Start start, Done done) {
    const core::Tag tag(++last_tag_);
    calls_.emplace(tag, std::move(done));
    if (stopped_) return end_stopped(tag);
    const int64_t now_ns = clock_.monotonic_ns();
    start(core_, tag, now_ns + timeout_ms * core::kNsPerMs, now_ns);
    work_from_call();
  }
  /// Asks for a session; the listener hears what became of it.
  void open();
  core::WatchTag watch(Bytes prefix, std::optional<cell::Revision> after, OnNews news);
  void unwatch(core::WatchTag tag);
  void taken(core::WatchTag tag, size_t bytes);

  const core::Core& state() const { return core_; }
  const Options& options() const { return options_; }
  /// See Core::cached: at once, and valid until anything else is called or the loop goes on.
  const core::Copy* cached(ByteView path) { return core_.cached(path, clock_.monotonic_ns()); }

  /// Ends every call and watch with Cancelled, without a word to the cell: the session ends by its lease.
  void stop();

 private:
  Driver(asio::io_context& loop, Options options, Listener& listener, Logger& logger);

  // net::StreamReceiver.
  void on_open(net::StreamId stream, const net::StreamPeer& peer) override;
  void on_frame(net::StreamId stream, uint8_t channel, ByteView payload) override;
  void on_written(net::StreamId, uint64_t) override {}
  void on_closed(net::StreamId stream, const Error& reason) override;

  void work();
  void tell_copies_end(int64_t ends_ns);
  void work_from_call();
  void work_from_loop() {
    work();
    deliver();
  }
  void deliver();
  void take(core::CallEnded& ended);
  void take(core::SessionChanged& change) { listener_.on_session(change); }
  void take(core::LockLost& lost) { listener_.on_lock_lost(lost); }
  void take(core::WatchEvents& events);
  void take(core::WatchEnded& ended);
  void take(core::LinkChanged& change);
  void end_stopped(core::Tag tag);

  void dial();
  void dial_next();
  void look_up();
  void not_connected(const Error& error);
  void arm();
  void on_timer(int64_t due_ns);

  asio::io_context& loop_;
  const Options options_;
  Listener& listener_;
  Logger& logger_;
  SystemClock clock_;
  core::Core core_;
  core::Output output_;  // being carried out; keeps its memory
  std::unique_ptr<net::Streams> streams_;
  net::StreamId stream_;                 // 0: none
  std::deque<net::HostPort> addresses_;  // to be tried, in order
  net::SrvResolver resolver_;
  uint64_t draws_ = 0;  // of an order from DNS
  std::string connecting_to_;
  net::Timer timer_;
  int64_t armed_ns_ = core::kNever;
  int64_t told_copies_end_ns_ = 0;
  std::deque<core::Notice> notices_;
  bool delivering_ = false, posted_ = false, stopped_ = false;
  uint64_t last_tag_ = 0, last_watch_ = 0;
  std::unordered_map<core::Tag, Done> calls_;
  std::unordered_map<core::WatchTag, OnNews> watches_;
  std::shared_ptr<Driver*> alive_;  // for what may come back later than this lives
};

}  // namespace hailstone::client
