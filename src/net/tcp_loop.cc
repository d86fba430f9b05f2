#include "net/tcp_loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>

#include "base/codec.h"
#include "net/resolve.h"

namespace hailstone::net {
namespace {

constexpr auto kAwait = asio::as_tuple(asio::deferred);
// Connections that have not said hello: a port scan gets no further, and the newest are served.
constexpr size_t kStrangersMax = 64;
constexpr auto kAcceptPause = std::chrono::milliseconds(50);

std::chrono::milliseconds ms(int64_t n) { return std::chrono::milliseconds(n); }

}  // namespace

TcpLoop::Running::~Running() {
  if (--loop_.running_ == 0) loop_.context_.stop();
}

TcpLoop::TcpLoop(TcpOptions options, Receiver& receiver, Logger& logger)
    : options_(std::move(options)),
      receiver_(receiver),
      logger_(logger),
      scratch_(std::make_unique_for_overwrite<char[]>(Link::kScratchBytes)),
      acceptor_(context_),
      sweep_timer_(context_),
      accept_timer_(context_) {}

// ---- from any thread ----

Result<void> TcpLoop::listen() {
  SocketError error;
  const auto address = asio::ip::make_address(options_.listen_host, error);
  if (error)
    return fail(Code::Invalid, fmt::format("net: listen_host '{}': not a numeric address", options_.listen_host));
  if (options_.tls) {
    auto loaded = TlsContext::load(*options_.tls, options_.self);
    if (!loaded) return std::unexpected(std::move(loaded).error().within("net"));
    tls_ = std::move(*loaded);
  }
  if (!is_allowed(address))
    return fail(Code::Denied, fmt::format("net: listening on {} without TLS would let anybody speak for any node: give "
                                          "certificates, or allow plain connections",
                                          options_.listen_host));
  const Tcp::endpoint endpoint(address, options_.listen_port);
  acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (error)
    return fail(Code::Io,
                fmt::format("net: listen on {}:{}: {}", options_.listen_host, options_.listen_port, error.message()));
  return {};
}

uint16_t TcpLoop::port() const { return acceptor_.local_endpoint().port(); }

bool TcpLoop::send(NodeId to, uint8_t channel, Bytes payload) {
  {
    const std::shared_lock lock(outboxes_mutex_);
    const auto found = outboxes_.find(to);
    if (found == outboxes_.end()) return false;
    const auto pushed = found->second->push(channel, std::move(payload));
    if (pushed != Outbox::Pushed::First) return pushed == Outbox::Pushed::Queued;
  }
  // Runs after the call that is under way on the loop's thread, if any: everything sent in it leaves at once.
  asio::post(context_, [this, to] {
    if (const auto found = peers_.find(to); found != peers_.end() && found->second->out != nullptr)
      found->second->out->flush();
  });
  return true;
}

void TcpLoop::post(std::function<void()> work) {
  asio::post(context_, [this, work = std::move(work)] {
    if (!cut_) work();
  });
}

Result<void> TcpLoop::set_peers(std::vector<PeerAddress> peers) {
  if (std::string problem = problem_of(peers); !problem.empty()) return fail(Code::Invalid, "net: " + problem);
  std::erase_if(peers, [&](const PeerAddress& peer) { return peer.id == options_.self; });
  for (const PeerAddress& peer : peers) {
    SocketError not_numeric;
    const auto address = asio::ip::make_address(peer.host, not_numeric);
    if (!not_numeric && !is_allowed(address))
      return fail(Code::Denied, fmt::format("net: {} at {}:{} is not on loopback, and there is no TLS",
                                            node_name(peer.id), peer.host, peer.port));
  }
  const std::scoped_lock order(peers_mutex_);
  std::map<NodeId, std::shared_ptr<Outbox>> outboxes;
  {
    const std::unique_lock lock(outboxes_mutex_);
    for (const PeerAddress& peer : peers) {
      const auto found = outboxes_.find(peer.id);
      outboxes[peer.id] = found != outboxes_.end() ? found->second : std::make_shared<Outbox>(options_.queue_bytes_max);
    }
    outboxes_ = outboxes;
  }
  asio::post(context_, [this, peers = std::move(peers), outboxes = std::move(outboxes)]() mutable {
    if (!stopping_) apply_peers(peers, outboxes);
  });
  return {};
}

std::vector<PeerMetrics> TcpLoop::metrics() const {
  const std::shared_lock lock(outboxes_mutex_);
  std::vector<PeerMetrics> out;
  for (const auto& [id, outbox] : outboxes_) out.push_back(outbox->metrics(id));
  return out;
}

TcpMetrics TcpLoop::tcp_metrics() const { return {accepted_.load(), refused_.load(), corrupt_.load()}; }

void TcpLoop::request_stop() {
  asio::post(context_, [this] { begin_stop(); });
}

// ---- the thread ----

void TcpLoop::run() {
  asio::co_spawn(context_, accept(), asio::detached);
  asio::co_spawn(context_, sweep(), asio::detached);
  context_.run();
}

bool TcpLoop::is_allowed(const asio::ip::address& address) const {
  return tls_ != nullptr || options_.plain == TcpOptions::Plain::Anywhere || is_loopback(address);
}

Hello TcpLoop::hello(HelloKind kind, NodeId to) const {
  return {.kind = kind, .from = options_.self, .to = to, .incarnation = options_.incarnation, .cell = options_.cell};
}

TcpLoop::LinkPtr TcpLoop::new_link(Socket socket, Side side) {
  auto link = std::make_shared<Link>(std::move(socket), tls_.get(), side, scratch_.get());
  link->deadline = SteadyClock::now() + ms(options_.connect_timeout_ms);
  links_.push_back(link);
  return link;
}

void TcpLoop::forget(const LinkPtr& link) { std::erase(links_, link); }

void TcpLoop::apply_peers(const std::vector<PeerAddress>& wanted,
                          const std::map<NodeId, std::shared_ptr<Outbox>>& outboxes) {
  std::erase_if(peers_, [&](const auto& item) {
    const auto& [id, peer] = item;
    const auto kept = outboxes.find(id);
    if (kept != outboxes.end() && kept->second == peer->outbox) return false;
    drop_peer(*peer, {Code::Cancelled, fmt::format("{} was removed from the peers", node_name(id))});
    return true;
  });
  for (const PeerAddress& address : wanted) {
    PeerPtr& peer = peers_[address.id];
    if (peer == nullptr) {
      peer = std::make_shared<Peer>(context_, outboxes.at(address.id));
      peer->address = address;
      asio::co_spawn(context_, dial(peer), asio::detached);
    } else if (peer->address != address) {
      peer->address = address;
      if (peer->out != nullptr) peer->out->close({Code::Unavailable, "its address has changed"});
      peer->timer.cancel();
    }
  }
}

// The dialling coroutine and that of the incoming link end by themselves, soon.
void TcpLoop::drop_peer(Peer& peer, const Error& reason) {
  peer.removed = true;
  if (peer.out != nullptr) peer.out->close(reason);
  if (peer.in != nullptr) peer.in->close(reason);
  peer.timer.cancel();
  tell_down(peer, reason);
}

// ---- outgoing ----

Task<void> TcpLoop::dial(PeerPtr peer) {
  const Running running(*this);
  int64_t backoff_ms = options_.backoff_min_ms;
  while (!peer->removed && !stopping_) {
    const SteadyTime begun = SteadyClock::now();
    const Error why = co_await attempt(peer);
    if (peer->removed) break;
    tell_down(*peer, stopping_ ? Error{Code::Cancelled, "this node is stopping"} : why);
    if (stopping_) break;
    // One that ends soon is no success, whatever it began like.
    if (SteadyClock::now() - begun > ms(options_.connect_timeout_ms + options_.backoff_max_ms))
      backoff_ms = options_.backoff_min_ms;
    const auto random = static_cast<int64_t>(random_());
    peer->timer.expires_after(ms(backoff_ms / 2 + random % (backoff_ms - backoff_ms / 2 + 1)));
    co_await peer->timer.async_wait(kAwait);
    backoff_ms = std::min<int64_t>(2 * backoff_ms, options_.backoff_max_ms);
  }
}

/// Ends when all addresses have failed, or when a connection that was made has ended.
Task<Error> TcpLoop::attempt(PeerPtr peer) {
  const std::string name =
      fmt::format("{} at {}:{}", node_name(peer->address.id), peer->address.host, peer->address.port);
  const auto endpoints = co_await resolve({peer, &peer->timer}, peer->address.host, peer->address.port,
                                          SteadyClock::now() + ms(options_.connect_timeout_ms),
                                          [this, peer = peer.get()] { return !peer->removed && !stopping_; });
  Error why = endpoints ? Error{Code::Unavailable, "no address"} : endpoints.error();
  for (size_t i = 0; endpoints && i < endpoints->size() && !peer->removed && !stopping_; ++i) {
    const Tcp::endpoint& endpoint = (*endpoints)[i];
    if (!is_allowed(endpoint.address())) {
      why = {Code::Denied, fmt::format("{} is not on loopback, and there is no TLS", endpoint.address().to_string())};
      continue;
    }
    const LinkPtr link = new_link(Socket(context_), Side::Dialled);
    peer->out = link;
    link->close(co_await converse(peer, link, endpoint));
    why = link->reason();
    forget(link);
    peer->out = nullptr;
    if (peer->up) break;
  }
  co_return std::move(why).within(name);
}

Task<Error> TcpLoop::converse(PeerPtr peer, LinkPtr link, Tcp::endpoint endpoint) {
  const auto [error] = co_await link->socket().async_connect(endpoint, kAwait);
  if (link->closed()) co_return link->reason();
  if (error) co_return Error{Code::Unavailable, "connect: " + error.message()};
  link->prepare();
  const auto introduced = co_await introduce(peer, link);
  if (link->closed()) co_return link->reason();
  if (!introduced) co_return introduced.error();
  tell_up(*peer, link, *introduced);
  while (!link->closed()) {
    FrameView frame;
    const auto length = read_frame(link->input(), frame);
    if (!length) {
      add(corrupt_, 1);
      co_return length.error();
    }
    if (*length == 0) {
      const auto more = co_await link->receive();
      if (!more) co_return more.error();
      continue;
    }
    if (frame.type != FrameType::Pong) co_return Error{Code::Corrupt, "answers with more than pongs"};
    pong(*peer, *link, frame.payload);
    link->consume(*length);
  }
  co_return link->reason();
}

Task<Result<Hello>> TcpLoop::receive_hello(LinkPtr link) {
  while (true) {
    Hello hello;
    CO_TRY(const size_t length, read_hello(link->input(), hello));
    if (length > 0) {
      link->consume(length);
      co_return hello;
    }
    CO_TRY_DO(co_await link->receive());
  }
}

Task<Result<Hello>> TcpLoop::introduce(PeerPtr peer, LinkPtr link) {
  const NodeId id = peer->address.id;
  if (link->secure()) {
    CO_TRY_DO(co_await link->handshake());
    if (!link->tls().peer_is(id))
      co_return fail(Code::Denied, fmt::format("its certificate is for '{}'", link->tls().peer_name()));
  }
  const Hello mine = hello(HelloKind::Hello, id);
  link->append(encode_hello(mine));
  link->flush();
  CO_TRY(const Hello answer, co_await receive_hello(link));
  if (answer.kind == HelloKind::Refusal)
    co_return std::unexpected(error_of({answer.refusal, "refused: " + printable(answer.text)}));
  if (const auto refused = judge(answer, mine, id)) co_return std::unexpected(error_of(*refused));
  if (answer.kind != HelloKind::Welcome) co_return fail(Code::Corrupt, "answers a hello with a hello");
  co_return answer;
}

void TcpLoop::pong(Peer& peer, Link& link, ByteView payload) {
  Decoder in(payload);
  const auto sent_ns = static_cast<int64_t>(in.u64());
  if (!link.pinged || !in.done() || sent_ns != link.pinged_at.time_since_epoch().count()) return;
  link.pinged = false;
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(SteadyClock::now() - link.pinged_at).count();
  const uint64_t now_us = std::max<uint64_t>(1, static_cast<uint64_t>(took));
  const uint64_t before = peer.outbox->counters.round_trip_us.load();
  peer.outbox->counters.round_trip_us = before == 0 ? now_us : (7 * before + now_us) / 8;
}

void TcpLoop::tell_up(Peer& peer, const LinkPtr& link, const Hello& welcome) {
  link->deadline = SteadyTime::max();
  link->pinged_at = SteadyTime();  // so that the first ping goes at the next sweep
  link->attach(peer.outbox);
  add(peer.outbox->counters.connections, 1);
  peer.outbox->counters.incarnation = welcome.incarnation;
  if (stopping_) return;
  peer.outbox->open();
  peer.up = true;
  peer.told.clear();
  logger_.info("net peer up", {{"peer", peer.address.id.value}, {"remote", remote_of(link->socket())}});
  receiver_.on_up(peer.address.id);
}

void TcpLoop::tell_down(Peer& peer, const Error& reason) {
  peer.outbox->close();
  if (!peer.up && peer.told == reason.message) return;
  peer.up = false;
  peer.told = reason.message;
  const bool expected = reason.code == Code::Cancelled;
  logger_.log(expected ? Level::Info : Level::Warn, "net peer down",
              {{"peer", peer.address.id.value}, {"code", code_name(reason.code)}, {"reason", reason.message}});
  receiver_.on_down(peer.address.id, reason);
}

// ---- incoming ----

Task<void> TcpLoop::accept() {
  const Running running(*this);
  while (!stopping_) {
    auto [error, socket] = co_await acceptor_.async_accept(kAwait);
    if (stopping_) break;
    if (error) {
      logger_.warn("net accept failed", {{"error", error.message()}});
      accept_timer_.expires_after(kAcceptPause);
      co_await accept_timer_.async_wait(kAwait);
      continue;
    }
    add(accepted_, 1);
    const auto is_stranger = [](const LinkPtr& link) {
      return link->side() == Side::Accepted && link->deadline != SteadyTime::max() && !link->closed();
    };
    if (std::ranges::count_if(links_, is_stranger) >= static_cast<ptrdiff_t>(kStrangersMax))
      (*std::ranges::find_if(links_, is_stranger))->close({Code::Exhausted, "too many connections without a hello"});
    const LinkPtr link = new_link(std::move(socket), Side::Accepted);
    link->prepare();
    asio::co_spawn(context_, serve(link), asio::detached);
  }
}

Task<void> TcpLoop::serve(LinkPtr link) {
  const Running running(*this);
  const std::string remote = remote_of(link->socket());
  auto admitted = co_await admit(link);
  if (!admitted) {
    const Error why = link->closed() ? link->reason() : admitted.error();
    link->close(why);
    forget(link);
    add(refused_, 1);
    const bool telling = why.code == Code::Denied || why.code == Code::Unsupported;
    logger_.log(telling ? Level::Warn : Level::Debug, "net connection refused",
                {{"remote", remote}, {"code", code_name(why.code)}, {"reason", why.message}});
    co_return;
  }
  const PeerPtr peer = *admitted;
  link->close(co_await listen_to(peer, link));
  const Error& why = link->reason();
  forget(link);
  if (why.code == Code::Corrupt || why.code == Code::Unsupported) add(corrupt_, 1);
  const bool odd = why.code == Code::Corrupt || why.code == Code::Unsupported || why.code == Code::Timeout;
  logger_.log(odd ? Level::Warn : Level::Info, "net peer not heard any more",
              {{"peer", peer->address.id.value}, {"code", code_name(why.code)}, {"reason", why.message}});
  if (peer->in != link) co_return;
  peer->in = nullptr;
  peer->outbox->counters.heard = false;
}

std::optional<Refused> TcpLoop::judge_incoming(const Hello& theirs, const Link& link) const {
  if (auto refused = judge(theirs, hello(HelloKind::Welcome, theirs.from), NodeId())) return refused;
  if (link.secure() && !link.tls().peer_is(theirs.from))
    return Refused{Refusal::Name,
                   fmt::format("{} shows a certificate for '{}'", node_name(theirs.from), link.tls().peer_name())};
  if (!peers_.contains(theirs.from))
    return Refused{Refusal::Stranger,
                   fmt::format("{} is not among the peers of {}", node_name(theirs.from), node_name(options_.self))};
  return std::nullopt;
}

Task<Result<TcpLoop::PeerPtr>> TcpLoop::admit(LinkPtr link) {
  SocketError error;
  const auto remote = link->socket().remote_endpoint(error);
  if (error) co_return fail(Code::Io, error.message());
  if (!is_allowed(remote.address())) co_return fail(Code::Denied, "plain, and not from loopback");
  if (link->secure()) CO_TRY_DO(co_await link->handshake());
  CO_TRY(const Hello theirs, co_await receive_hello(link));
  if (link->closed()) co_return std::unexpected(link->reason());
  if (theirs.kind != HelloKind::Hello) co_return fail(Code::Corrupt, "begins with something else than a hello");
  if (const auto refused = judge_incoming(theirs, *link)) {
    Hello refusal = hello(HelloKind::Refusal, theirs.from);
    refusal.refusal = refused->refusal;
    refusal.text = refused->text;
    link->append(encode_hello(refusal));
    link->flush();
    co_return std::unexpected(error_of(*refused));
  }
  const PeerPtr peer = peers_.at(theirs.from);
  if (peer->in != nullptr) peer->in->close({Code::Unavailable, "replaced by a newer connection"});
  peer->in = link;
  peer->outbox->counters.heard = true;
  peer->outbox->counters.incarnation = theirs.incarnation;
  link->deadline = SteadyTime::max();
  link->append(encode_hello(hello(HelloKind::Welcome, theirs.from)));
  link->flush();
  if (!peer->up) peer->timer.cancel();  // it lives: dial now
  co_return peer;
}

Task<Error> TcpLoop::listen_to(PeerPtr peer, LinkPtr link) {
  PeerCounters& counters = peer->outbox->counters;
  while (!link->closed()) {
    FrameView frame;
    const auto length = read_frame(link->input(), frame);
    if (!length) co_return length.error();
    if (*length == 0) {
      const auto more = co_await link->receive();
      if (!more) co_return more.error();
      continue;
    }
    add(counters.bytes_in, *length);
    if (frame.type == FrameType::Data) {
      add(counters.frames_in, 1);
      receiver_.on_frame(peer->address.id, frame.channel, frame.payload);
    } else if (frame.type == FrameType::Ping) {
      // A peer that doesn't read its pongs gets no more of them.
      if (link->flushed()) link->append(encode_frame(FrameType::Pong, 0, frame.payload));
      link->flush();
    } else {
      co_return Error{Code::Corrupt, "a pong that nobody asked for"};
    }
    link->consume(*length);
  }
  co_return link->reason();
}

// ---- deadlines and the end ----

Task<void> TcpLoop::sweep() {
  const Running running(*this);
  const auto period = ms(std::clamp(
      std::min({options_.heartbeat_ms, options_.dead_after_ms / 4, options_.connect_timeout_ms / 4}), 1, 100));
  const auto late = ms(options_.dead_after_ms / 2);
  SteadyTime last = SteadyClock::now();
  while (true) {
    sweep_timer_.expires_after(stopping_ ? ms(1) : period);
    co_await sweep_timer_.async_wait(kAwait);
    const SteadyTime now = SteadyClock::now();
    // If it was us who slept, nothing is known about the others.
    const bool slept = now - last > period + late;
    last = now;
    for (const LinkPtr& link : std::vector<LinkPtr>(links_)) {
      if (slept) link->received_at = link->drained_at = now;
      sweep_link(*link, now);
    }
    if (!stopping_) continue;
    if (!drained() && now < stop_deadline_) continue;
    end_stop();
    co_return;
  }
}

void TcpLoop::sweep_link(Link& link, SteadyTime now) {
  if (link.closed()) return;
  if (link.deadline != SteadyTime::max()) {
    if (now > link.deadline)
      link.close({Code::Timeout, fmt::format("not connected within {} ms", options_.connect_timeout_ms)});
    return;
  }
  if (link.side() == Side::Accepted) {
    if (now - link.received_at > ms(options_.dead_after_ms))
      link.close({Code::Timeout, fmt::format("silent for {} ms", options_.dead_after_ms)});
    return;
  }
  if (link.pinged) {
    if (now - std::max(link.pinged_at, link.drained_at) > ms(options_.dead_after_ms))
      link.close({Code::Timeout, fmt::format("no answer to a ping within {} ms", options_.dead_after_ms)});
  } else if (now - link.pinged_at >= ms(options_.heartbeat_ms)) {
    link.pinged = true;
    link.pinged_at = now;
    Bytes stamp;
    Encoder(stamp).u64(static_cast<uint64_t>(now.time_since_epoch().count()));
    link.append(encode_frame(FrameType::Ping, 0, stamp));
    link.flush();
  }
}

void TcpLoop::begin_stop() {
  if (std::exchange(stopping_, true)) return;
  stop_deadline_ = SteadyClock::now() + ms(options_.stop_timeout_ms);
  SocketError ignored;
  acceptor_.close(ignored);
  accept_timer_.cancel();
  for (auto& [id, peer] : peers_) {
    peer->outbox->seal();
    peer->timer.cancel();
    if (peer->out != nullptr && !peer->up) peer->out->close({Code::Cancelled, "this node is stopping"});
  }
  sweep_timer_.cancel();
}

// A link that has written all says that nothing follows, and is done when the peer closes: until then a close of ours
// could take back what the peer has not read.
bool TcpLoop::drained() {
  bool all = true;
  for (auto& [id, peer] : peers_) {
    if (peer->out == nullptr || peer->out->closed()) continue;
    all = false;
    if (peer->outbox->queue_bytes() == 0 && peer->out->flushed()) peer->out->shutdown_send();
  }
  return all;
}

void TcpLoop::end_stop() {
  cut_ = true;
  const Error why{Code::Cancelled, "this node is stopping"};
  for (auto& [id, peer] : peers_) drop_peer(*peer, why);
  for (const LinkPtr& link : std::vector<LinkPtr>(links_)) link->close(why);
}

}  // namespace hailstone::net
