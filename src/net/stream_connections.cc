// How streams come to be, and the deadlines that end them.
#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <utility>

#include "net/stream_table.h"

namespace hailstone::net {
namespace {

constexpr auto kAwait = asio::as_tuple(asio::deferred);
constexpr auto kAcceptPause = std::chrono::milliseconds(50);

std::chrono::milliseconds ms(int64_t n) { return std::chrono::milliseconds(n); }

}  // namespace

// ---- coming in ----

Task<void> StreamTable::accept(Self, std::shared_ptr<Acceptor> acceptor) {
  while (acceptor->is_open()) {
    auto [error, socket] = co_await acceptor->async_accept(kAwait);
    if (!acceptor->is_open()) break;
    if (!error) {
      admit(std::move(socket));
      continue;
    }
    logger_.warn("net accept failed", {{"error", error.message()}});
    Timer pause(loop_);
    pause.expires_after(kAcceptPause);
    co_await pause.async_wait(kAwait);
  }
}

void StreamTable::displace(StreamId stranger) {
  close(stranger, Streams::Close::Now, {Code::Exhausted, "a newer connection took its place"});
  strangers_.erase(stranger);
  handshaking_.erase(stranger);
}

void StreamTable::admit(Socket socket) {
  ++metrics_.accepted;
  SocketError error;
  const auto remote = socket.remote_endpoint(error).address();
  std::string problem;
  if (error) {
    problem = error.message();
  } else if (!is_allowed(remote)) {
    problem = "plain, and not from loopback";
  } else if (const auto found = remotes_.find(remote);
             found != remotes_.end() && found->second >= options_.connections_per_address_max) {
    problem = fmt::format("{} connections from that address", found->second);
  } else if (accepted_ >= options_.connections_max) {
    // Who has authenticated and spoken stays; of the others the newest have the better chance.
    if (strangers_.empty())
      problem = fmt::format("{} connections", accepted_);
    else
      displace(*strangers_.begin());
  }
  if (problem.empty() && handshaking_.size() >= options_.handshakes_max) displace(*handshaking_.begin());
  if (!problem.empty()) {
    ++metrics_.refused;
    logger_.warn("net stream refused", {{"remote", remote_of(socket)}, {"reason", problem}});
    return;
  }
  const StreamPtr stream = add_stream(std::move(socket), Side::Accepted, options_.handshake_timeout_ms);
  stream->remote = remote;
  ++remotes_[remote];
  ++accepted_;
  strangers_.insert(stream->id);
  if (tls_ != nullptr) handshaking_.insert(stream->id);
  stream->link->prepare();
  asio::co_spawn(loop_, serve(shared_from_this(), stream), asio::detached);
}

Task<void> StreamTable::serve(Self, StreamPtr stream) {
  const std::string remote = remote_of(stream->link->socket());
  Error why = co_await converse(stream);
  if (stream->link->closed()) why = stream->link->reason();
  const bool refused = !stream->open || strangers_.contains(stream->id);
  if (refused) ++metrics_.refused;
  const bool odd = why.code == Code::Denied || why.code == Code::Unsupported || why.code == Code::Corrupt;
  if (!stopped_)
    logger_.log(odd ? Level::Warn : Level::Debug, refused ? "net stream refused" : "net stream ended",
                {{"remote", remote}, {"code", code_name(why.code)}, {"reason", why.message}});
  end(stream, std::move(why));
}

// ---- going out ----

Task<void> StreamTable::dial(Self, StreamPtr stream, std::string host, uint16_t port) {
  const auto wanted = [this, stream] { return !stopped_ && !stream->closing; };
  const auto endpoints =
      co_await resolve(stream->lookup, host, port, SteadyClock::now() + ms(options_.connect_timeout_ms), wanted);
  Error why = endpoints ? Error{Code::Unavailable, "no address"} : endpoints.error();
  for (size_t i = 0; endpoints && i < endpoints->size() && wanted() && !stream->open; ++i) {
    if (i > 0) stream->link = new_link(Socket(loop_), Side::Dialled, options_.connect_timeout_ms);
    why = co_await reach(stream, (*endpoints)[i]);
    stream->link->close(why);
    why = stream->link->reason();
  }
  end(stream, std::move(why).within(fmt::format("{}:{}", host, port)));
}

/// Returns why it failed, or has ended.
Task<Error> StreamTable::reach(StreamPtr stream, Tcp::endpoint endpoint) {
  if (!is_allowed(endpoint.address()))
    co_return Error{Code::Denied,
                    fmt::format("{} is not on loopback, and there is no TLS", endpoint.address().to_string())};
  const std::shared_ptr<Link> link = stream->link;
  link->deadline = SteadyClock::now() + ms(options_.connect_timeout_ms);
  const auto [error] = co_await link->socket().async_connect(endpoint, kAwait);
  if (link->closed()) co_return link->reason();
  if (error) co_return Error{Code::Unavailable, error.message()};
  link->prepare();
  co_return co_await converse(stream);
}

// ---- deadlines ----

void StreamTable::begin_sweeping() {
  if (!std::exchange(sweeping_, true)) asio::co_spawn(loop_, sweep(shared_from_this()), asio::detached);
}

Task<void> StreamTable::sweep(Self) {
  const auto period = ms(std::clamp(std::min({options_.ping_after_ms, options_.dead_after_ms,
                                              options_.handshake_timeout_ms, options_.connect_timeout_ms}) /
                                        4,
                                    1, 1000));
  const auto late = ms(options_.dead_after_ms / 2);
  SteadyTime last = SteadyClock::now();
  while (!stopped_) {
    sweep_timer_.expires_after(period);
    co_await sweep_timer_.async_wait(kAwait);
    const SteadyTime now = SteadyClock::now();
    // If it was us who slept, nothing is known about the others.
    const auto slept = now - last > period + late ? now - last - period : SteadyClock::duration(0);
    last = now;
    for (const auto& [id, stream] : streams_) {
      if (slept.count() > 0) excuse(*stream->link, now, slept);
      sweep_stream(*stream, now);
    }
  }
}

void StreamTable::excuse(Link& link, SteadyTime now, SteadyClock::duration slept) {
  link.received_at = link.drained_at = now;
  if (link.deadline != SteadyTime::max()) link.deadline += slept;
}

void StreamTable::sweep_stream(Stream& stream, SteadyTime now) {
  Link& link = *stream.link;
  if (link.closed()) return;
  if (now > link.deadline) {
    link.close({Code::Timeout, stream.open ? "no frame, or no end, in time" : "not connected in time"});
  } else if (!stream.open) {
    return;
  } else if (link.pinged) {
    if (now - std::max({link.pinged_at, link.received_at, link.drained_at}) <= ms(options_.dead_after_ms)) return;
    ++metrics_.cut;
    link.close({Code::Timeout, fmt::format("no answer to a ping within {} ms", options_.dead_after_ms)});
  } else if (now - link.received_at >= ms(options_.ping_after_ms) * (link.side() == Side::Accepted ? 3 : 2) / 2) {
    link.pinged = true;
    link.pinged_at = now;
    link.append(encode_frame(FrameType::Ping, 0, ""));
    flush_soon(stream.link);
  }
}

}  // namespace hailstone::net
