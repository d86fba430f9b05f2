#include "net/rpc.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <random>

#include "base/check.h"

namespace hailstone::net {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kResendEvery = std::chrono::milliseconds(10);

/// A call of an earlier life of this process must not be answered by what that life asked.
uint64_t random_start() {
  std::random_device device;
  return (uint64_t{device()} << 32 | device()) >> 1;
}

}  // namespace

Rpc::Rpc(const RpcOptions& options, Logger& logger) : options_(options), logger_(logger), next_id_(random_start()) {}

Rpc::~Rpc() { stop(); }

void Rpc::serve(uint16_t method, Handler handler) {
  CHECK(transport_ == nullptr && !handlers_.contains(method));
  handlers_.emplace(method, std::move(handler));
}

void Rpc::watch(Watcher watcher) {
  CHECK(transport_ == nullptr);
  watchers_.push_back(std::move(watcher));
}

void Rpc::start(Transport& transport) {
  CHECK(transport_ == nullptr);
  transport_ = &transport;
  threads_.emplace_back([this] { watch_deadlines(); });
  if (handlers_.empty()) return;
  for (size_t i = 0; i < options_.workers; ++i) threads_.emplace_back([this] { work(); });
}

// ---- calling ----

Result<Rpc::CallId> Rpc::call(NodeId to, uint16_t method, Bytes body, Milliseconds patience, Done done) {
  CHECK(transport_ != nullptr);
  if (body.size() > kRpcBodyBytesMax)
    return fail(Code::Invalid, fmt::format("call {} of {} bytes: at most {}", method, body.size(), kRpcBodyBytesMax));
  patience = std::clamp(patience, Milliseconds(1), Milliseconds(INT32_MAX));
  CallId id = 0;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return fail(Code::Cancelled, "this node is stopping");
    id = next_id_++;
    const Time deadline = Clock::now() + patience;
    calls_.emplace(id, Call{to, std::move(done), deadline});
    const bool first = deadlines_.emplace(deadline, id).first == deadlines_.begin();
    if (first) deadlines_changed_.notify_one();
    ++metrics_.calls;
  }
  append_trailer(body, {.id = id, .patience_ms = static_cast<uint32_t>(patience.count()), .method = method});
  if (transport_->send(to, options_.channel, std::move(body))) return id;
  // Without it here, somebody has called done() already: then it is answered, however that came.
  if (!take(id, to)) return id;
  return fail(Code::Unavailable, fmt::format("{}: not connected, or too much waits to be sent to it", node_name(to)));
}

Result<Bytes> Rpc::call_and_wait(NodeId to, uint16_t method, Bytes body, Milliseconds patience) {
  auto answer = std::make_shared<std::promise<Result<Bytes>>>();
  auto future = answer->get_future();
  TRY_DO(call(to, method, std::move(body), patience,
              [answer](Result<Bytes> result) { answer->set_value(std::move(result)); }));
  return future.get();
}

void Rpc::cancel(CallId id) {
  NodeId to;
  {
    const std::lock_guard lock(mutex_);
    const auto found = calls_.find(id);
    if (found == calls_.end()) return;
    to = found->second.to;
  }
  auto call = take(id, to);
  if (!call) return;
  Bytes frame;
  append_trailer(frame, {.id = id, .kind = RpcKind::Cancel});
  (void)transport_->send(to, options_.channel, std::move(frame));
  call->done(fail(Code::Cancelled, "not wanted any more"));
}

/// The call of that id, if it was made to `from`; it is nobody else's then.
std::optional<Rpc::Call> Rpc::take(CallId id, NodeId from) {
  const std::lock_guard lock(mutex_);
  const auto found = calls_.find(id);
  if (found == calls_.end() || found->second.to != from) return std::nullopt;
  std::optional<Call> out(std::move(found->second));
  deadlines_.erase({out->deadline, id});
  calls_.erase(found);
  return out;
}

void Rpc::finish(std::vector<Call> calls, const Error& why) {
  for (Call& call : calls) {
    Error error = why;
    call.done(std::unexpected(std::move(error).within(node_name(call.to))));
  }
}

void Rpc::on_up(NodeId peer) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    connected_.insert(peer);
    deadlines_changed_.notify_one();
  }
  for (const Watcher& watcher : watchers_) watcher(peer, true);
}

void Rpc::on_down(NodeId peer, const Error& reason) {
  std::vector<Call> lost;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    connected_.erase(peer);
    for (auto it = calls_.begin(); it != calls_.end();) {
      if (it->second.to != peer) {
        ++it;
        continue;
      }
      deadlines_.erase({it->second.deadline, it->first});
      lost.push_back(std::move(it->second));
      it = calls_.erase(it);
    }
    metrics_.lost += lost.size();
  }
  finish(std::move(lost), {Code::Timeout, "lost before it answered, outcome unknown: " + reason.message});
  for (const Watcher& watcher : watchers_) watcher(peer, false);
}

bool Rpc::connected(NodeId peer) const {
  const std::lock_guard lock(mutex_);
  return connected_.contains(peer);
}

RpcMetrics Rpc::metrics() const {
  const std::lock_guard lock(mutex_);
  return metrics_;
}

void Rpc::watch_deadlines() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const auto now = Clock::now();
    std::vector<Call> late;
    while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
      const auto found = calls_.find(deadlines_.begin()->second);
      deadlines_.erase(deadlines_.begin());
      late.push_back(std::move(found->second));
      calls_.erase(found);
    }
    if (!late.empty()) {
      metrics_.timed_out += late.size();
      lock.unlock();
      finish(std::move(late), {Code::Timeout, "no answer before the deadline, outcome unknown"});
      lock.lock();
      continue;
    }
    resend(lock);
    if (stopping_) return;
    Time until = deadlines_.empty() ? Time::max() : deadlines_.begin()->first;
    if (!unsent_.empty()) until = std::min(until, now + kResendEvery);
    if (until == Time::max()) {
      deadlines_changed_.wait(lock);
    } else {
      deadlines_changed_.wait_until(lock, until);
    }
  }
}

// ---- answering ----

void Rpc::on_frame(NodeId from, uint8_t channel, ByteView payload) {
  if (channel != options_.channel) return;
  const auto frame = read_rpc(payload);
  if (!frame) {
    logger_.warn("rpc frame not understood", {{"peer", node_name(from)}, {"reason", frame.error().message}});
    return;
  }
  const RpcTrailer& trailer = frame->trailer;
  if (trailer.kind == RpcKind::Request) return admit(from, *frame);
  if (trailer.kind == RpcKind::Cancel) {
    const std::lock_guard lock(mutex_);
    const auto it = std::ranges::find_if(
        queue_, [&](const Request& request) { return request.from == from && request.trailer.id == trailer.id; });
    if (it == queue_.end()) return;
    queue_bytes_ -= it->body.size();
    queue_.erase(it);
    ++metrics_.expired;
    return;
  }
  auto call = take(trailer.id, from);
  if (!call) return;  // it was told long ago that nobody knows
  {
    const std::lock_guard lock(mutex_);
    ++metrics_.answered;
  }
  if (trailer.kind == RpcKind::Response) return call->done(Bytes(frame->body));
  call->done(std::unexpected(read_refusal(frame->body).within(node_name(from))));
}

/// Takes a request in for a worker, or refuses it.
void Rpc::admit(NodeId from, const RpcFrame& frame) {
  const RpcTrailer& trailer = frame.trailer;
  Request request{from, trailer, {}, Clock::now() + Milliseconds(trailer.patience_ms)};
  if (!handlers_.contains(trailer.method))
    return answer(request, fail(Code::Unsupported, fmt::format("method {} is not served here", trailer.method)));
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    const bool room = queue_.empty() || (queue_.size() < options_.queued_max &&
                                         queue_bytes_ + frame.body.size() <= options_.queued_bytes_max);
    if (room) {
      request.body = Bytes(frame.body);
      queue_bytes_ += request.body.size();
      queue_.push_back(std::move(request));
      work_there_.notify_one();
      return;
    }
    ++metrics_.refused;
  }
  answer(request,
         fail(Code::Unavailable, fmt::format("{} requests wait here already: try again later", options_.queued_max)));
}

void Rpc::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    work_there_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
    if (stopping_) return;
    const Request request = std::move(queue_.front());
    queue_.pop_front();
    queue_bytes_ -= request.body.size();
    if (request.deadline <= Clock::now()) {
      ++metrics_.expired;
      continue;
    }
    ++metrics_.served;
    lock.unlock();
    answer(request, handlers_.at(request.trailer.method)(request.from, request.body));
    lock.lock();
  }
}

void Rpc::answer(const Request& request, Result<Bytes> result) {
  RpcTrailer trailer{.id = request.trailer.id, .method = request.trailer.method, .kind = RpcKind::Response};
  if (result && result->size() > kRpcBodyBytesMax)
    result = fail(Code::Exhausted, fmt::format("an answer of {} bytes: at most {}", result->size(), kRpcBodyBytesMax));
  if (!result) trailer.kind = RpcKind::Refusal;
  Bytes frame = result ? std::move(*result) : encode_refusal(result.error());
  append_trailer(frame, trailer);
  send_answer(request.from, std::move(frame), trailer);
}

/// Whoever asked was heard, and may still have to be reached: its answer waits for that. One that does not fit into the
/// queue to it is lost, and a word about that waits in its place.
void Rpc::send_answer(NodeId to, Bytes frame, const RpcTrailer& trailer) {
  std::unique_lock lock(mutex_);
  if (stopping_) return;
  if (connected_.contains(to)) {
    lock.unlock();
    if (transport_->send(to, options_.channel, std::move(frame))) return;
    frame = encode_refusal({Code::Timeout, "done, and its answer could not be sent: too much waits"});
    RpcTrailer refusal = trailer;
    refusal.kind = RpcKind::Refusal;
    append_trailer(frame, refusal);
    lock.lock();
  }
  if (unsent_bytes_ + frame.size() > options_.unsent_bytes_max) {
    ++metrics_.unsent_dropped;
    return;
  }
  unsent_bytes_ += frame.size();
  unsent_.push_back({to, std::move(frame), Clock::now() + options_.unsent_for});
  deadlines_changed_.notify_one();
}

/// Sends what waits for a peer that is connected now.
void Rpc::resend(std::unique_lock<std::mutex>& lock) {
  for (size_t left = unsent_.size(); left > 0 && !stopping_; --left) {
    Unsent one = std::move(unsent_.front());
    unsent_.pop_front();
    unsent_bytes_ -= one.frame.size();
    if (one.deadline <= Clock::now()) {
      ++metrics_.unsent_dropped;
      continue;
    }
    if (connected_.contains(one.to)) {
      lock.unlock();
      Bytes copy = one.frame;
      const bool sent = transport_->send(one.to, options_.channel, std::move(copy));
      lock.lock();
      if (sent) continue;
    }
    unsent_bytes_ += one.frame.size();
    unsent_.push_back(std::move(one));
  }
}

void Rpc::stop() {
  std::vector<Call> calls;
  std::vector<std::thread> threads;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (auto& [id, call] : calls_) calls.push_back(std::move(call));
    calls_.clear();
    deadlines_.clear();
    threads.swap(threads_);
    work_there_.notify_all();
    deadlines_changed_.notify_all();
  }
  finish(std::move(calls), {Code::Cancelled, "this node is stopping"});
  for (std::thread& thread : threads) thread.join();
}

}  // namespace hailstone::net
