#include "client/driver.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cstring>
#include <random>
#include <utility>

namespace hailstone::client {
namespace {

constexpr int kMinTimeoutMs = 1;

Options with_seed(Options options) {
  if (std::ranges::any_of(options.core.seed, [](uint8_t byte) { return byte != 0; })) return options;
  std::random_device device;
  for (uint8_t& byte : options.core.seed) byte = static_cast<uint8_t>(device());
  return options;
}

uint64_t number_of(const core::Options& options) {
  uint64_t out = 0;
  std::memcpy(&out, options.seed.data(), sizeof out);
  return out;
}

}  // namespace

Result<std::unique_ptr<Driver>> Driver::make(asio::io_context& loop, Options options, Listener& listener,
                                             Logger& logger) {
  TRY_DO(options.core.validate());
  if (options.cell.members.empty() && options.cell.domain.empty())
    return fail(Code::Invalid, "cell: no address: write host:port,host:port or srv:DOMAIN");
  net::StreamOptions streams{.tls = options.tls, .plain = options.plain};
  // All that is asked may be sent at once: a full queue would end the connection, again and again.
  streams.queue_bytes_max = std::max(streams.queue_bytes_max, 2 * options.core.call_bytes_max);
  // A member answers keep-alives; the streams' own pings are for what is between them.
  streams.connect_timeout_ms = std::max(kMinTimeoutMs, static_cast<int>(options.core.silence_ms / 2));
  std::unique_ptr<Driver> driver(new Driver(loop, with_seed(std::move(options)), listener, logger));
  TRY(driver->streams_, net::Streams::make(loop, std::move(streams), *driver, logger));
  driver->work_from_call();
  return driver;
}

Driver::Driver(asio::io_context& loop, Options options, Listener& listener, Logger& logger)
    : loop_(loop),
      options_(std::move(options)),
      listener_(listener),
      logger_(logger),
      core_(options_.core, clock_.monotonic_ns()),
      resolver_(options_.resolver),
      draws_(number_of(options_.core)),
      timer_(loop),
      alive_(std::make_shared<Driver*>(this)) {}

Driver::~Driver() {
  stop();
  delivering_ = false;  // the end may come from within a callback: then the rest is told here
  deliver();
  *alive_ = nullptr;
}

// ---- for the caller ----

void Driver::open() {
  if (stopped_) return;
  core_.open(clock_.monotonic_ns());
  work_from_call();
}

core::WatchTag Driver::watch(Bytes prefix, std::optional<cell::Revision> after, OnNews news) {
  const core::WatchTag tag(++last_watch_);
  watches_.emplace(tag, std::move(news));
  if (stopped_) {
    notices_.emplace_back(core::WatchEnded{tag, {Code::Cancelled, "the client was stopped"}});
  } else {
    core_.watch(tag, std::move(prefix), after, {}, clock_.monotonic_ns());
  }
  work_from_call();
  return tag;
}

void Driver::unwatch(core::WatchTag tag) {
  if (watches_.erase(tag) == 0 || stopped_) return;
  core_.unwatch(tag, clock_.monotonic_ns());
  work_from_call();
}

void Driver::taken(core::WatchTag tag, size_t bytes) {
  if (!watches_.contains(tag) || stopped_) return;
  core_.taken(tag, bytes, clock_.monotonic_ns());
  work_from_call();
}

void Driver::stop() {
  if (std::exchange(stopped_, true)) return;
  if (streams_ != nullptr) streams_->stop();
  timer_.cancel();
  tell_copies_end(0);
  // The core knows which of them may have been done.
  const int64_t now_ns = clock_.monotonic_ns();
  std::vector<core::Tag> tags;
  for (const auto& [tag, done] : calls_) tags.push_back(tag);
  for (const core::Tag tag : tags) core_.give_up(tag, now_ns);
  for (core::Notice& notice : core_.output().notices) notices_.push_back(std::move(notice));
  core_.output().clear();
  for (const auto& [tag, news] : watches_)
    notices_.emplace_back(core::WatchEnded{tag, {Code::Cancelled, "the client was stopped"}});
  deliver();
}

void Driver::end_stopped(core::Tag tag) {
  notices_.emplace_back(core::CallEnded{tag, core::Verdict::NotDone, {Code::Cancelled, "the client was stopped"}, {}});
  work_from_call();
}

// ---- what the core wants ----

void Driver::work() {
  if (stopped_) return;
  std::swap(core_.output(), output_);
  if (output_.disconnect && stream_)
    streams_->close(std::exchange(stream_, {}), net::Streams::Close::Now, {Code::Cancelled, "left"});
  for (const Bytes& path : output_.dropped) listener_.on_copy_dropped(path);
  tell_copies_end(core_.copies_end_ns());
  for (const auto& message : output_.messages) streams_->send(stream_, cell::wire::kClientChannel, encode(message));
  for (core::Notice& notice : output_.notices) notices_.push_back(std::move(notice));
  const bool connect = output_.connect;
  output_.clear();
  if (connect) dial();
  arm();
}

void Driver::tell_copies_end(int64_t ends_ns) {
  if (std::exchange(told_copies_end_ns_, ends_ns) != ends_ns) listener_.on_copies_end(ends_ns);
}

void Driver::work_from_call() {
  work();
  if (notices_.empty() || delivering_ || std::exchange(posted_, true)) return;
  asio::post(loop_, [alive = alive_] {
    if (*alive == nullptr) return;
    (*alive)->posted_ = false;
    (*alive)->deliver();
  });
}

void Driver::deliver() {
  if (std::exchange(delivering_, true)) return;
  const auto alive = alive_;
  while (!notices_.empty()) {
    core::Notice notice = std::move(notices_.front());
    notices_.pop_front();
    std::visit([this](auto& each) { take(each); }, notice);
    if (*alive == nullptr) return;  // whoever was told has destroyed this
  }
  delivering_ = false;
}

void Driver::take(core::CallEnded& ended) {
  auto call = calls_.extract(ended.tag);
  if (!call.empty()) call.mapped()(std::move(ended));
}

void Driver::take(core::WatchEvents& events) {
  const auto found = watches_.find(events.watch);
  if (found == watches_.end()) return;
  if (!events.batch.compacted) return found->second(std::move(events));
  auto watch = watches_.extract(found);  // its last
  watch.mapped()(std::move(events));
}

void Driver::take(core::WatchEnded& ended) {
  auto watch = watches_.extract(ended.watch);
  if (!watch.empty()) watch.mapped()(std::move(ended));
}

void Driver::take(core::LinkChanged& change) {
  if (change.welcome)
    logger_.info("cell connected", {{"member", change.welcome->member}, {"at", connecting_to_}});
  else
    logger_.info("cell not connected", {{"code", code_name(change.error.code)}, {"reason", change.error.message}});
  listener_.on_link(change);
}

// ---- connections ----

void Driver::dial() {
  if (addresses_.empty() && options_.cell.members.empty()) return look_up();
  if (addresses_.empty()) {
    // Not everybody goes to the first.
    const auto& members = options_.cell.members;
    const size_t first = draws_++ % members.size();
    for (size_t i = 0; i < members.size(); ++i) addresses_.push_back(members[(first + i) % members.size()]);
  }
  dial_next();
}

void Driver::dial_next() {
  const net::HostPort at = std::move(addresses_.front());
  addresses_.pop_front();
  connecting_to_ = to_string(at);
  stream_ = streams_->connect(at.host, at.port);
}

void Driver::look_up() {
  resolver_.look_up(options_.cell.domain, loop_.get_executor(), [alive = alive_](auto found) {
    Driver* self = *alive;
    if (self == nullptr || self->stopped_) return;
    if (!found) return self->not_connected(found.error());
    for (net::HostPort& at : net::order_by_priority_and_weight(std::move(*found), self->draws_++))
      self->addresses_.push_back(std::move(at));
    self->dial_next();
  });
}

void Driver::not_connected(const Error& error) {
  stream_ = {};
  core_.on_disconnected(error, clock_.monotonic_ns());
  work_from_loop();
}

void Driver::on_open(net::StreamId stream, const net::StreamPeer&) {
  if (stream != stream_) return;
  core_.on_connected(clock_.monotonic_ns());
  work_from_loop();
}

void Driver::on_frame(net::StreamId stream, uint8_t channel, ByteView payload) {
  if (stream != stream_) return;
  auto message = channel == cell::wire::kClientChannel
                     ? cell::wire::decode_member_message(payload)
                     : fail(Code::Unsupported, fmt::format("a frame on channel {}", channel));
  if (!message) {
    streams_->close(stream, net::Streams::Close::Now, message.error());
    return not_connected(std::move(message).error().within(connecting_to_));
  }
  core_.on_message(std::move(*message), clock_.monotonic_ns());
  work_from_loop();
}

void Driver::on_closed(net::StreamId stream, const Error& reason) {
  if (stream == stream_) not_connected(reason);
}

// ---- time ----

// Waking up too early is harmless and rare; moving the timer with each call is not free.
void Driver::arm() {
  const int64_t next_ns = core_.next_wakeup_ns();
  if (next_ns >= armed_ns_ || stopped_) return;
  armed_ns_ = next_ns;
  timer_.expires_after(std::chrono::nanoseconds(std::max<int64_t>(0, next_ns - clock_.monotonic_ns())));
  timer_.async_wait([alive = alive_, next_ns](const net::SocketError& error) {
    if (!error && *alive != nullptr) (*alive)->on_timer(next_ns);
  });
}

void Driver::on_timer(int64_t due_ns) {
  if (stopped_ || due_ns != armed_ns_) return;
  armed_ns_ = core::kNever;
  core_.on_tick(clock_.monotonic_ns());
  work_from_loop();
}

}  // namespace hailstone::client
