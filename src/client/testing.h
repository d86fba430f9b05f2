// For tests only: a cell of one member behind a socket: the service's cores and the state machine, without a log.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "cell/front.h"
#include "cell/machine.h"
#include "cell/master.h"
#include "net/streams.h"
#include "net/task.h"

namespace hailstone::client {

/// On the loop's thread.
class TestMember final : public net::StreamReceiver {
 public:
  explicit TestMember(net::asio::io_context& loop, std::optional<net::TlsFiles> tls = {})
      : timer_(loop),
        streams_(net::Streams::make(loop, {.tls = std::move(tls)}, *this, logger_).value()),
        port_(streams_->listen("127.0.0.1", 0).value()) {
    CHECK(front_.start(now(), *database_).has_value());
    front_.leader(now(), kSelf, front_out_);
    lead();
  }

  uint16_t port() const { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  void disconnect_all() {
    for (const auto& [stream, principal] : principals_)
      streams_->close(stream, net::Streams::Close::Now, {Code::Unavailable, "test"});
  }
  /// The session's lease is over, and another master leads.
  void expire(cell::SessionId session) {
    apply(cell::Command{.time = cell::ClusterTime(now_us()), .body = cell::Expire{{session}}}.encode());
    lead();
  }
  /// As the cell's own.
  void put(const Bytes& path, const Bytes& content) {
    apply(cell::Command{.time = cell::ClusterTime(now_us()), .body = cell::Txn{{}, {cell::Put{path, content}}, {}}}
              .encode());
    front_.applied();
    work();
  }

  bool silent = false;            // takes everything, does it, and says nothing
  bool silent_when_done = false;  // silent as soon as it has done something
  uint64_t messages = 0, connections = 0;
  std::multiset<Bytes> seen;  // principals

 private:
  static constexpr cell::MemberId kSelf{1};

  cell::Time now() const { return {clock_.monotonic_ns()}; }
  uint64_t now_us() const { return static_cast<uint64_t>(clock_.wall().value); }
  cell::View view() const { return {*database_, true}; }

  void lead() {
    if (master_ != nullptr) master_->follow(master_out_);
    work();
    master_ = std::make_unique<cell::Master>();
    CHECK(master_->lead(now(), cell::wire::Epoch(++epoch_), clock_.wall().value, view(), master_out_).has_value());
    work();
  }
  Bytes apply(ByteView command) {
    replica::Batch batch;
    auto reply = machine_.apply(Slot(++slot_), command, *database_, batch);
    CHECK(reply.has_value() && database_->write(batch).has_value());
    return std::move(*reply);
  }

  void on_open(net::StreamId stream, const net::StreamPeer& peer) override {
    ++connections;
    principals_[stream] = peer.principal;
    seen.insert(peer.principal);
    front_.connected(now(), cell::wire::ConnectionId(stream.value), peer.principal);
  }
  void on_frame(net::StreamId stream, uint8_t, ByteView payload) override {
    ++messages;
    auto message = cell::wire::decode_client_message(payload);
    CHECK(message.has_value());
    const cell::wire::ConnectionId connection(stream.value);
    CHECK(front_.receive(now(), connection, std::move(*message), *database_, front_out_).has_value());
    work();
  }
  void on_written(net::StreamId stream, uint64_t queue_bytes) override {
    uint64_t& unwritten = unwritten_[stream];
    const uint64_t written = unwritten - std::min(unwritten, queue_bytes);
    unwritten -= written;
    const cell::wire::ConnectionId connection(stream.value);
    front_.written(now(), connection, written, front_out_);
    work();
  }
  void on_closed(net::StreamId stream, const Error&) override {
    principals_.erase(stream);
    unwritten_.erase(stream);
    front_.closed(cell::wire::ConnectionId(stream.value));
  }

  /// Until nothing is left to carry out.
  void work() {
    if (std::exchange(working_, true)) return;
    bool busy = true;
    while (busy) {
      busy = carry(std::exchange(front_out_, {}));
      busy = carry(std::exchange(master_out_, {})) || busy;
    }
    working_ = false;
    arm();
  }
  bool carry(cell::Front::Output out) {
    for (auto& each : out.clients) {
      const net::StreamId stream(each.connection.value);
      if (!silent && streams_->send(stream, cell::wire::kClientChannel, each.message))
        unwritten_[stream] += each.message.size();
      if (each.then == cell::Front::Output::ToClient::Then::Close)
        streams_->close(stream, net::Streams::Close::WhenWritten, {Code::Cancelled, "goodbye"});
    }
    for (auto& each : out.members)
      if (master_ != nullptr)
        CHECK(master_->receive(now(), kSelf, std::move(each.message), view(), master_out_).has_value());
    for (const uint64_t tag : out.read_points)
      CHECK(front_.read_point(now(), tag, {}, *database_, front_out_).has_value());
    for (auto& each : out.manage) front_.managed(each.connection, each.call, "managed " + each.request, front_out_);
    return !out.members.empty() || !out.read_points.empty() || !out.manage.empty();
  }
  bool carry(cell::Master::Output out) {
    for (auto& each : out.messages) front_.receive(now(), kSelf, std::move(each.message), front_out_);
    for (auto& each : out.proposals) {
      const Bytes reply = apply(each.command);
      silent |= silent_when_done;
      CHECK(master_->outcome(now(), each.tag, reply, view(), master_out_).has_value());
      front_.applied();
    }
    if (out.read_wanted) CHECK(master_->tick(now(), view(), master_out_).has_value());
    return !out.messages.empty() || !out.proposals.empty() || out.read_wanted;
  }
  void arm() {
    const cell::Time wake = std::min(front_.wake(), master_ != nullptr ? master_->wake() : cell::kNever);
    if (wake >= armed_) return;
    armed_ = wake;
    timer_.expires_after(std::chrono::nanoseconds(std::max<int64_t>(0, wake - now())));
    timer_.async_wait([this, wake, alive = std::weak_ptr<bool>(alive_)](const net::SocketError& error) {
      if (error || alive.expired() || wake != armed_) return;
      armed_ = cell::kNever;
      CHECK(front_.tick(now(), *database_, front_out_).has_value());
      CHECK(master_->tick(now(), view(), master_out_).has_value());
      work();
    });
  }

  NullLogger logger_;
  SystemClock clock_;
  std::unique_ptr<replica::Database> database_ = replica::make_memory_database();
  cell::Machine machine_;
  uint64_t slot_ = 0, epoch_ = 0;
  cell::Front front_{{.member = kSelf, .cell = "test"}};
  std::unique_ptr<cell::Master> master_;
  cell::Front::Output front_out_;
  cell::Master::Output master_out_;
  bool working_ = false;
  cell::Time armed_ = cell::kNever;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>();
  net::Timer timer_;
  std::map<net::StreamId, Bytes> principals_;
  std::map<net::StreamId, uint64_t> unwritten_;
  std::unique_ptr<net::Streams> streams_;
  uint16_t port_;
};

}  // namespace hailstone::client
