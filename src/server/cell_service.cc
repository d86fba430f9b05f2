#include "server/cell_service.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <boost/asio/post.hpp>
#include <future>

#include "base/hash.h"
#include "cell/query.h"

namespace hailstone::server {
namespace {

using cell::MemberId;
using cell::Time;
namespace wire = cell::wire;

constexpr int64_t kUpkeepNs = 500'000'000;
constexpr int64_t kRetryNs = 20'000'000;
constexpr auto kGoodbyeTime =
    std::chrono::milliseconds(50);  // nobody is master meanwhile: no longer for those that do not read

net::NodeId node_of(MemberId member) { return net::NodeId(member.value); }
MemberId member_of(net::NodeId node) { return MemberId(node.value); }

/// Files of this process that clients may have. The rest is the log's and the database's, which fail without.
size_t connections_max() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return SIZE_MAX;
  return std::max<size_t>(limit.rlim_cur / 2, 1);
}

}  // namespace

/// The view was taken after the inputs had arrived; its right to read first, then the time, then its state.
struct CellService::Turn {
  Time now;
  bool may_read;
  std::unique_ptr<replica::Reader> state;
  cell::Front::Output front;
  cell::Master::Output master;
  cell::View view() const { return {.state = *state, .may_read = may_read}; }
};

Result<std::unique_ptr<CellService>> CellService::open(GroupHost& groups, Clock& clock, const std::string& directory,
                                                       Logger& logger) {
  std::unique_ptr<CellService> service(new CellService(groups, clock, logger));
  CellService* const self = service.get();
  CellMember::Events events;
  events.applied = [self] { self->look(); };
  events.role = [self](const paxos::RoleChange&) { self->look(); };
  events.failed = [self](const Error& cause) { self->fail_with(cause); };
  groups.set_receiver(self);
  TRY(service->member_, CellMember::open(groups, directory, std::move(events), logger));
  return service;
}

Result<void> CellService::start() {
  // Connections are named so that no two lives of this member have one in common.
  const uint64_t life = member_->host().life().value;
  life_ = xxh3({reinterpret_cast<const char*>(&life), sizeof life}) & UINT32_MAX;
  front_.emplace(cell::FrontOptions{.member = MemberId(config_.id), .cell = config_.name});
  manage_.emplace(*member_, clock_, [this](std::function<void()> run) { push(Work{std::move(run)}); });
  net::StreamOptions options{.tls = config_.tls()};
  options.plain =
      config_.plain_anywhere ? net::StreamOptions::Plain::Anywhere : net::StreamOptions::Plain::LoopbackOnly;
  options.payload_bytes_max = wire::kMessageBytesMax;
  options.connections_max = std::min(options.connections_max, connections_max());
  options.queue_bytes_max = 64u << 20;  // the front cuts off sooner who reads too little
  TRY(streams_, net::Streams::make(loop_, options, *this, logger_));
  timer_.emplace(loop_);
  TRY_DO(front_->start(Time{clock_.monotonic_ns()}, member_->state()));
  TRY(port_, streams_->listen(config_.address, config_.port));
  thread_ = std::thread([this] {
    const auto work = net::asio::make_work_guard(loop_);
    look();
    loop_.run();
  });
  return {};
}

CellService::~CellService() {
  if (thread_.joinable()) {
    loop_.stop();
    thread_.join();
  }
  streams_.reset();
  if (manage_) manage_->forget_snapshots();  // the member answers it to the last, and takes the state with it
  groups_.halt();
}

void CellService::stop() {
  const std::lock_guard once(stop_mutex_);
  if (std::exchange(stopped_, true) || !thread_.joinable()) return;
  push(Work{[this] { send_away(); }});
  left_.get_future().wait_for(kGoodbyeTime);  // clients go before the leader changes
}

void CellService::fail_with(const Error& error) {
  if (failed_.exchange(true)) return;
  logger_.error("cell_failed", {{"error", error.message}});
  // Its supervisor starts it again, and what is damaged is given again by the others. Alone, what is served besides
  // goes on.
  if (config_.supervised()) _exit(1);
  look();
}

// ---- from any thread ----

void CellService::push(Input input) {
  {
    const std::lock_guard hold(mutex_);
    inbox_.push_back(std::move(input));
    if (std::exchange(posted_, true)) return;
  }
  net::asio::post(loop_, [this] { run_turn(); });
}

void CellService::look() {
  if (!looking_.exchange(true)) push(Look{});
}

void CellService::on_frame(net::NodeId from, uint8_t channel, ByteView payload) {
  push(PeerFrame{from, channel, Bytes(payload)});
}
void CellService::on_up(net::NodeId peer) { push(PeerLost{peer}); }
void CellService::on_down(net::NodeId peer, const Error&) { push(PeerLost{peer}); }

// ---- the service's thread ----

void CellService::on_open(net::StreamId stream, const net::StreamPeer& peer) { push(Opened{stream, peer.principal}); }
void CellService::on_frame(net::StreamId stream, uint8_t channel, ByteView payload) {
  push(Frame{stream, channel, Bytes(payload)});
}
void CellService::on_written(net::StreamId stream, uint64_t queue_bytes) { push(Written{stream, queue_bytes}); }
void CellService::on_closed(net::StreamId stream, const Error&) {
  push(Closed{stream});
  tell_left();
}

/// Clients go to another member, or hear that nobody is here.
void CellService::send_away() {
  if (std::exchange(stopping_, true)) return;
  streams_->stop_listening();
  cell::Front::Output out;
  front_->stop(out);
  for (auto& message : out.clients) {
    const net::StreamId stream = stream_of(message.connection);
    streams_->send(stream, wire::kClientChannel, std::move(message.message));
    streams_->close(stream, net::Streams::Close::WhenWritten, Error{Code::Unavailable, "the member stops"});
  }
  tell_left();
}

void CellService::tell_left() {
  if (stopping_ && streams_->metrics().open == 0 && !std::exchange(left_told_, true)) left_.set_value();
}

void CellService::run_turn() {
  inputs_.clear();
  {
    const std::lock_guard hold(mutex_);
    inputs_.swap(inbox_);
    posted_ = false;
  }
  looking_ = false;  // before the view is taken: what is applied from here on is another look
  if (failed_) {
    send_away();
    const std::lock_guard hold(figures_mutex_);
    figures_ = {};
    return;
  }
  const bool may_read = member_->group().may_read();
  // Taken after the right to read: what waits from the begin of an epoch must not have begun to before it was there.
  Turn turn{.now = Time{clock_.monotonic_ns()}, .may_read = may_read, .state = nullptr, .front = {}, .master = {}};
  const Slot applied = member_->group().applied_slot();  // no later than what the state shows
  turn.state = member_->state().snapshot();
  const auto done = [&]() -> Result<void> {
    TRY_DO(follow_leader(turn));
    for (Input& input : inputs_) TRY_DO(take(turn, input));
    if (std::exchange(told_applied_, applied) != applied) front_->applied();
    if (front_->wake() <= turn.now) TRY_DO(front_->tick(turn.now, *turn.state, turn.front));
    if (master_.leads() && (master_.wake() <= turn.now || turn.may_read))
      TRY_DO(master_.tick(turn.now, turn.view(), turn.master));
    return deliver(turn);
  }();
  if (!done) return fail_with(done.error());
  if (turn.now.ns >= upkeep_ns_) upkeep();
  sleep_until_wanted();
}

// Leading begins for the master when the lease is here: then all that was proposed before is in the state.
Result<void> CellService::follow_leader(Turn& turn) {
  const paxos::ReplicaId leader = member_->group().leader();
  if (leader != told_leader_) {
    told_leader_ = leader;
    front_->leader(turn.now, MemberId(leader.value), turn.front);
  }
  const bool leads = leader == member_->self() && !stopping_;
  const uint64_t epoch = member_->lead_ballot().round;  // known before its lease is
  // Between two leaderships that look like one from here another member may have led.
  if (master_.leads() && (!leads || master_.epoch().value != epoch)) master_.follow(turn.master);
  if (!leads || !turn.may_read || epoch == 0 || master_.leads()) return {};
  return master_.lead(turn.now, wire::Epoch(epoch), static_cast<int64_t>(clock_.wall().value), turn.view(),
                      turn.master);
}

Result<void> CellService::take(Turn& turn, Input& input) {
  if (auto* opened = std::get_if<Opened>(&input)) {
    front_->connected(turn.now, connection_of(opened->stream), opened->principal);
  } else if (auto* frame = std::get_if<Frame>(&input)) {
    return take_frame(turn, *frame);
  } else if (auto* written = std::get_if<Written>(&input)) {
    uint64_t& before = unwritten_[written->stream];
    if (written->queue_bytes >= before) return {};
    const uint64_t left = before - written->queue_bytes;
    before = written->queue_bytes;
    front_->written(turn.now, connection_of(written->stream), left, turn.front);
  } else if (auto* closed = std::get_if<Closed>(&input)) {
    unwritten_.erase(closed->stream);
    front_->closed(connection_of(closed->stream));
  } else if (auto* peer = std::get_if<PeerFrame>(&input)) {
    if (peer->channel == kManageChannel) manage_->on_frame(peer->from, peer->payload);
    if (peer->channel != wire::kMasterChannel) return {};
    auto message = wire::decode_peer_message(peer->payload);
    if (message) return take_peer_message(turn, peer->from, *std::move(message));
    logger_.warn("cell_peer_message", {{"from", peer->from.value}, {"error", message.error().message}});
  } else if (auto* lost = std::get_if<PeerLost>(&input)) {
    front_->link_lost(turn.now, member_of(lost->peer), turn.front);
  } else if (auto* outcome = std::get_if<Outcome>(&input)) {
    return master_.outcome(turn.now, outcome->tag, std::move(outcome->reply), turn.view(), turn.master);
  } else if (auto* point = std::get_if<ReadPoint>(&input)) {
    return front_->read_point(turn.now, point->tag, std::move(point->reached), *turn.state, turn.front);
  } else if (auto* work = std::get_if<Work>(&input)) {
    work->run();
  }
  return {};
}

Result<void> CellService::take_frame(Turn& turn, Frame& frame) {
  const auto connection = connection_of(frame.stream);
  if (frame.channel != wire::kClientChannel) {
    front_->malformed(connection, Error{Code::Invalid, fmt::format("no such channel: {}", frame.channel)}, turn.front);
    return {};
  }
  auto message = wire::decode_client_message(frame.payload);
  if (message) return front_->receive(turn.now, connection, *std::move(message), *turn.state, turn.front);
  front_->malformed(connection, std::move(message).error(), turn.front);
  return {};
}

Result<void> CellService::take_peer_message(Turn& turn, net::NodeId from, wire::PeerMessage message) {
  if (std::holds_alternative<wire::Relay>(message))
    return master_.receive(turn.now, member_of(from), std::move(message), turn.view(), turn.master);
  front_->receive(turn.now, member_of(from), std::move(message), turn.front);
  return {};
}

// What one says to the other on this node is heard in the same turn.
Result<void> CellService::deliver(Turn& turn) {
  const net::NodeId self(config_.id);
  while (true) {
    auto relayed = std::exchange(turn.front.members, {});
    auto reversed = std::exchange(turn.master.messages, {});
    auto points = std::exchange(turn.front.read_points, {});
    if (relayed.empty() && reversed.empty() && points.empty()) break;
    for (auto& [to, message] : relayed) {
      if (node_of(to) == self)
        TRY_DO(take_peer_message(turn, self, std::move(message)));
      else
        send(to, message);
    }
    for (auto& [to, message] : reversed) {
      if (node_of(to) == self)
        TRY_DO(take_peer_message(turn, self, std::move(message)));
      else
        send(to, message);
    }
    for (const uint64_t tag : points) {
      if (turn.may_read)
        TRY_DO(front_->read_point(turn.now, tag, {}, *turn.state, turn.front));
      else
        member_->group().read([this, tag](Result<void> reached) { push(ReadPoint{tag, std::move(reached)}); });
    }
  }
  for (auto& proposal : turn.master.proposals) propose(std::move(proposal));
  for (auto& request : turn.front.manage)
    manage_->handle(request.principal, request.request,
                    [this, connection = request.connection, call = request.call](Result<Bytes> response) {
                      push(Work{[this, connection, call, response = std::move(response)] {
                        cell::Front::Output out;
                        front_->managed(connection, call, response, out);
                        for (auto& message : out.clients)
                          if (streams_->send(stream_of(message.connection), wire::kClientChannel, message.message))
                            unwritten_[stream_of(message.connection)] += message.message.size();
                      }});
                    });
  for (auto& message : turn.front.clients) {
    const net::StreamId stream = stream_of(message.connection);
    const size_t bytes = message.message.size();
    if (!message.message.empty() && streams_->send(stream, wire::kClientChannel, std::move(message.message)))
      unwritten_[stream] += bytes;
    if (message.then == cell::Front::Output::ToClient::Then::Close)
      streams_->close(stream, net::Streams::Close::WhenWritten, Error{Code::Cancelled, "ended by the cell"});
  }
  if (turn.master.read_wanted && !std::exchange(read_asked_, true))
    member_->group().read([this](Result<void> reached) {
      push(Work{[this, reached = reached.has_value()] {
        read_asked_ = false;
        if (!reached) look_again_ns_ = clock_.monotonic_ns() + kRetryNs;
      }});
    });
  return {};
}

void CellService::send(MemberId to, const wire::PeerMessage& message) {
  if (!member_->net().send(node_of(to), wire::kMasterChannel, wire::encode(message))) push(PeerLost{node_of(to)});
}

void CellService::propose(cell::Master::Output::Proposal proposal) {
  // What it rests on, copies and leases, is of this epoch.
  const paxos::Ballot epoch{master_.epoch().value, member_->self()};
  member_->group().propose_in(epoch, std::move(proposal.command), [this, tag = proposal.tag](Result<Bytes> reply) {
    push(Outcome{tag, std::move(reply)});
  });
}

void CellService::sleep_until_wanted() {
  int64_t at = std::min({front_->wake().ns, upkeep_ns_, std::exchange(look_again_ns_, INT64_MAX)});
  if (master_.leads()) at = std::min(at, master_.wake().ns);
  const int64_t wait = std::max<int64_t>(at - clock_.monotonic_ns(), 0);
  timer_->expires_after(std::chrono::nanoseconds(wait));
  timer_->async_wait([this](const auto& error) {
    if (!error) look();
  });
}

void CellService::upkeep() {
  upkeep_ns_ = clock_.monotonic_ns() + kUpkeepNs;
  member_->refresh_members();
  manage_->on_tick();
  CellFigures figures{.front = front_->figures(), .streams = streams_->metrics(), .peers = member_->net().metrics()};
  figures.leads = master_.leads();
  if (figures.leads) figures.master = master_.figures();
  figures.leader = told_leader_.value;
  figures.applied = member_->group().applied_slot().value;
  if (const auto counters = cell::schema::read_counters(member_->state())) {
    figures.revision = counters->revision.value;
    figures.sessions = counters->sessions;
    figures.files = counters->files;
    figures.content_bytes = counters->content_bytes;
  }
  const std::lock_guard hold(figures_mutex_);
  figures_ = std::move(figures);
}

CellFigures CellService::figures() const {
  const std::lock_guard hold(figures_mutex_);
  return figures_;
}

}  // namespace hailstone::server
