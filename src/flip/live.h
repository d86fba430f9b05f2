// Channels as a gateway sees them: resolved from memory while the cell promises that it counts, else by asking the
// cell.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "client/cell_client.h"
#include "flip/live_table.h"

namespace hailstone::flip {

struct LiveOptions {
  /// Channels in memory. The client's cache should have room for more (core::Options::cache_entries_max).
  size_t entries_max = 4096;
  /// Requests waiting for the cell, all together.
  size_t waiters_max = 65'536;
  /// Of what a reader will ask again: from the first re-read after an Invalidate on, until the copy may be kept again.
  uint32_t reread_ms_min = 1, reread_ms_max = 64;
  size_t rereads_max = 64;  // channels read at a time beyond which nothing is read unasked
};

struct LiveFigures {
  uint64_t hits = 0;           // answered from memory
  uint64_t waits = 0;          // that asked the cell
  uint64_t failed = 0;         // of these, those it gave no answer
  uint64_t reads = 0;          // of files; one serves many waits
  uint64_t invalidations = 0;  // copies that counted and were called back, or ended with the lease
  uint64_t entries = 0;
  uint64_t waiting = 0;
};

/// Made, and destroyed, on the loop's thread or while no other uses it; before the client, which caches, tells of drops
/// (core::Options::Drops::Told) and has no other listener for them. Everything else: any thread.
///
/// A request that starts when a flip has been acknowledged, or when any reader on any node has seen it, gets it or a
/// later one: from memory, see LiveTable; by a read, because it began after the request did and is linearizable. While
/// a flip is under way the cell tells what the channel is at, and that it may not be kept.
class LiveChannels {
 public:
  /// On the client's thread, or on the caller's where nothing has to be asked; must not wait.
  using Done = std::move_only_function<void(Result<LivePtr>)>;

  /// `clock`: as the client's own, CLOCK_BOOTTIME.
  LiveChannels(net::asio::io_context& loop, client::CellClient& client, const Clock& clock, LiveOptions options = {});
  ~LiveChannels();  // who waits gets Unavailable
  LiveChannels(const LiveChannels&) = delete;
  LiveChannels& operator=(const LiveChannels&) = delete;

  /// For each thread that serves, once. May outlive this: it then gives nothing.
  std::shared_ptr<LiveCache> make_cache();

  /// For what the thread's LiveCache does not give. Unavailable: nobody could confirm what the channel is at before
  /// `deadline_ns` (monotonic_ns), or too many wait. Invalid: no such names. Corrupt, Unsupported: the channel's file.
  /// A deadline is kept to the instant as long as all callers allow about the same time; it may be passed over by as
  /// much as another's wait is longer.
  void resolve(ByteView volume, ByteView channel, int64_t deadline_ns, Done done);

  LiveFigures figures() const;
  /// By monotonic_ns: until then copies counted, as far as was ever promised. Past: the cell has confirmed nothing for
  /// as long as its cache lease.
  int64_t confirmed_until_ns() const;

 private:
  struct Shared;
  const std::shared_ptr<Shared> shared_;
};

}  // namespace hailstone::flip
