#include "flip/live.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>

#include "base/check.h"

namespace hailstone::flip {
namespace {

namespace asio = net::asio;
using net::Task;

constexpr auto kAwait = asio::as_tuple(asio::deferred);
constexpr int64_t kNsPerMs = 1'000'000;

Result<LivePtr> decode(const client::core::Copy& copy, ByteView path) {
  Live live{.file = {}, .flips = {}, .instance = {}, .generation = 0, .revision = copy.revision};
  if (copy.file) {
    auto file = ChannelFile::decode(copy.file->content);
    if (!file) return std::unexpected(std::move(file).error().within(path));
    std::vector<volume::Flip> flips;
    for (const Made& made : file->flips) flips.push_back(made.flip);
    live.flips = std::make_shared<const std::vector<volume::Flip>>(std::move(flips));
    live.file = std::move(*file);
    live.instance = copy.file->stat.instance;
    live.generation = copy.file->stat.generation;
  }
  return std::make_shared<const Live>(std::move(live));
}

}  // namespace

/// Outlives LiveChannels for as long as something of it is under way.
struct LiveChannels::Shared final : std::enable_shared_from_this<Shared> {
  struct Waiter {
    int64_t deadline_ns;
    Done done;
  };
  /// A channel that somebody waits for, or that will be read again.
  struct Pump {
    explicit Pump(std::shared_ptr<LiveEntry> e) : entry(std::move(e)) {}
    const std::shared_ptr<LiveEntry> entry;
    std::vector<Waiter> waiting;          // since the read under way, if there is one, began; guarded by Shared::mutex
    std::shared_ptr<net::Timer> pausing;  // the loop's; between two reads that nobody waits for
  };
  using PumpPtr = std::shared_ptr<Pump>;

  Shared(asio::io_context& l, client::CellClient& c, const Clock& clock, LiveOptions o)
      : loop(l), client(&c), options(o), table(std::make_shared<LiveTable>(clock, o.entries_max)) {}

  asio::io_context& loop;
  client::CellClient* client;  // the loop's; null: it is over
  const LiveOptions options;
  const std::shared_ptr<LiveTable> table;
  std::atomic<uint64_t> waits{0}, failed{0}, reads{0}, invalidations{0}, waiting{0};
  std::atomic<int64_t> confirmed_ns{0};  // the latest end that was told; written by the loop

  std::mutex mutex;  // of those who wait, and for the two below; held for a few instructions
  std::unordered_map<const LiveEntry*, PumpPtr> pumps;
  std::vector<std::shared_ptr<LiveCache>> caches;
  bool closed = false;

  const Clock& clock() const { return table->clock(); }

  // ---- any thread ----

  void resolve(ByteView volume, ByteView channel, Waiter waiter) {
    waits.fetch_add(1, std::memory_order_relaxed);
    if (auto valid = validate_channel(volume, channel); !valid)
      return waiter.done(std::unexpected(std::move(valid).error()));
    if (waiting.load() >= options.waiters_max)
      return fail_with(waiter, fmt::format("{} requests wait for channels already", options.waiters_max));
    const auto entry = table->enter(channel_path(volume, channel));
    if (entry == nullptr)
      return fail_with(waiter, fmt::format("{} channels are waited for already", options.entries_max));
    join(entry, &waiter);
    if (waiter.done) fail_with(waiter, "the node is being stopped");
  }

  /// Takes the waiter, if there is one and it is not too late, and sees to it that the channel is read.
  void join(const std::shared_ptr<LiveEntry>& entry, Waiter* waiter) {
    PumpPtr pump;
    bool fresh = false;
    {
      const std::scoped_lock lock(mutex);
      if (closed || (waiter == nullptr && pumps.size() >= options.rereads_max)) return;
      PumpPtr& place = pumps[entry.get()];
      fresh = place == nullptr;
      if (fresh) place = std::make_shared<Pump>(entry);
      if (!fresh && waiter == nullptr) return;
      const bool first = place->waiting.empty();
      if (waiter != nullptr) {
        place->waiting.push_back(std::move(*waiter));
        waiter->done = nullptr;
        waiting.fetch_add(1);
      }
      if (!fresh && !first) return;  // the first has seen to it
      pump = place;
      entry->busy = true;
    }
    asio::post(loop, [self = shared_from_this(), pump = std::move(pump), fresh] {
      if (fresh)
        asio::co_spawn(self->loop, run(self, pump), asio::detached);
      else if (pump->pausing != nullptr)
        pump->pausing->cancel();
    });
  }

  void fail_with(Waiter& waiter, std::string why) {
    failed.fetch_add(1, std::memory_order_relaxed);
    waiter.done(fail(Code::Unavailable, std::move(why)));
  }

  // ---- the loop ----

  // Both are told before the cell can hear of it.
  void on_copy_dropped(ByteView path) {
    const auto entry = table->drop(path);
    if (entry == nullptr) return;
    invalidations.fetch_add(1, std::memory_order_relaxed);
    // Its readers have it sooner if nobody has to ask first.
    if (entry->used.load(std::memory_order_relaxed)) join(entry, nullptr);
  }
  void on_copies_end(int64_t ends_ns) {
    table->set_lease_end(ends_ns);
    if (ends_ns > confirmed_ns.load()) confirmed_ns = ends_ns;
  }

  /// Reads the channel for those who wait, again for those who came meanwhile, and for nobody until it may be kept.
  static Task<void> run(std::shared_ptr<Shared> self, PumpPtr pump) {
    const Bytes& path = pump->entry->path;
    uint32_t pause_ms = self->options.reread_ms_min;
    bool kept = false;
    while (self->client != nullptr) {
      std::vector<Waiter> batch = self->board(*pump, kept);
      if (batch.empty() && kept) co_return;
      auto copy = co_await self->client->get(path, {self->patience_ms(batch)});
      self->reads.fetch_add(1, std::memory_order_relaxed);
      self->waiting.fetch_sub(batch.size());
      kept = copy ? self->arrived(*pump, *copy, batch) : self->not_arrived(*pump, copy.error(), batch);
      if (kept) continue;
      {
        const std::scoped_lock lock(self->mutex);
        if (!pump->waiting.empty()) continue;
        // Nobody reads what is not there, or has never been asked for: it is read again when somebody does.
        if (!pump->entry->used.load() || pause_ms > self->options.reread_ms_max) {
          self->end(*pump);
          co_return;
        }
        pump->pausing = std::make_shared<net::Timer>(self->loop);
      }
      const auto timer = pump->pausing;
      timer->expires_after(std::chrono::milliseconds(std::exchange(pause_ms, pause_ms * 2)));
      co_await timer->async_wait(kAwait);
      pump->pausing = nullptr;
    }
  }

  /// Those who wait now: the read that begins after this serves them. Nobody, and nothing to be read: the end.
  std::vector<Waiter> board(Pump& pump, bool kept) {
    const std::scoped_lock lock(mutex);
    if (pump.waiting.empty() && kept) end(pump);
    return std::exchange(pump.waiting, {});
  }
  void end(Pump& pump) {
    pump.entry->busy = false;
    pumps.erase(pump.entry.get());
  }

  /// Until the first of them wants to give up.
  int64_t patience_ms(const std::vector<Waiter>& batch) const {
    constexpr int64_t kPatienceMs = 1'000;  // where nobody waits
    if (batch.empty()) return kPatienceMs;
    const int64_t ends_ns = std::ranges::min_element(batch, {}, &Waiter::deadline_ns)->deadline_ns;
    return std::max<int64_t>(1, (ends_ns - clock().monotonic_ns() + kNsPerMs - 1) / kNsPerMs);
  }

  /// Whether memory says it now.
  bool arrived(Pump& pump, const client::core::Copy& copy, std::vector<Waiter>& batch) {
    auto live = decode(copy, pump.entry->path);
    // What was read may have been called back since; what the client has in its cache now has not.
    const client::core::Copy* cached = client != nullptr ? client->cached(pump.entry->path) : nullptr;
    const bool kept = live && cached != nullptr && *cached == copy;
    if (kept) table->put(*pump.entry, *live);
    for (Waiter& waiter : batch) waiter.done(live);
    return kept;
  }

  /// Those who have time wait on, unless it is over.
  bool not_arrived(Pump& pump, const client::CallError& error, std::vector<Waiter>& batch) {
    const int64_t now_ns = clock().monotonic_ns();
    const auto late = std::ranges::partition(batch, [&](const Waiter& waiter) {
      return client != nullptr && error.error.code == Code::Timeout && waiter.deadline_ns > now_ns;
    });
    for (Waiter& waiter : late)
      fail_with(waiter,
                fmt::format("{}: no member of the cell says what it is at: {}", pump.entry->path, error.error.message));
    batch.erase(late.begin(), late.end());
    const std::scoped_lock lock(mutex);
    waiting.fetch_add(batch.size());
    std::ranges::move(batch, std::back_inserter(pump.waiting));
    return false;
  }

  void close() {
    client->on_copy_dropped(std::function<void(ByteView)>());
    client->on_copies_end(std::function<void(int64_t)>());
    client = nullptr;
    table->set_lease_end(0);
    table->drop_all();
    std::vector<Waiter> left;
    {
      const std::scoped_lock lock(mutex);
      closed = true;
      for (auto& [entry, pump] : pumps) {
        std::ranges::move(pump->waiting, std::back_inserter(left));
        pump->waiting.clear();
        if (pump->pausing != nullptr) pump->pausing->cancel();
      }
      pumps.clear();
    }
    waiting.fetch_sub(left.size());
    for (Waiter& waiter : left) fail_with(waiter, "the node is being stopped");
  }
};

LiveChannels::LiveChannels(asio::io_context& loop, client::CellClient& client, const Clock& clock, LiveOptions options)
    : shared_(std::make_shared<Shared>(loop, client, clock, options)) {
  CHECK(client.options().core.drops == client::core::Options::Drops::Told);
  client.on_copy_dropped([shared = shared_.get()](ByteView path) { shared->on_copy_dropped(path); });
  client.on_copies_end([shared = shared_.get()](int64_t ends_ns) { shared->on_copies_end(ends_ns); });
  shared_->on_copies_end(client.copies_end_ns());
}

LiveChannels::~LiveChannels() { shared_->close(); }

std::shared_ptr<LiveCache> LiveChannels::make_cache() {
  auto cache = std::make_shared<LiveCache>(shared_->table);
  const std::scoped_lock lock(shared_->mutex);
  shared_->caches.push_back(cache);
  return cache;
}

void LiveChannels::resolve(ByteView volume, ByteView channel, int64_t deadline_ns, Done done) {
  shared_->resolve(volume, channel, {deadline_ns, std::move(done)});
}

int64_t LiveChannels::confirmed_until_ns() const { return shared_->confirmed_ns; }

LiveFigures LiveChannels::figures() const {
  LiveFigures out{.waits = shared_->waits,
                  .failed = shared_->failed,
                  .reads = shared_->reads,
                  .invalidations = shared_->invalidations,
                  .entries = shared_->table->size(),
                  .waiting = shared_->waiting};
  const std::scoped_lock lock(shared_->mutex);
  for (const auto& cache : shared_->caches) out.hits += cache->hits();
  return out;
}

}  // namespace hailstone::flip
