// Reads of files that may be kept: who waits for which, and when a copy may go into the cache and must leave it.
#pragma once

#include <map>

#include "cell/client_cache.h"

namespace hailstone::cell::client {

/// A copy that was fetched is kept when the master says so and all holds from the sending of the Fetch to its answer:
/// the cache lease ran, no newer epoch was heard of, and no Invalidate that was sent after the copy was made named it.
/// Then nobody can have completed a write to it since, for that waits for our Dropped or for the end of our lease.
class Reads {
 public:
  /// `dropped`: see Cache.
  Reads(const Options& options, std::vector<Bytes>* dropped)
      : cache_(options.cache_entries_max, options.cache_bytes_max, dropped) {}

  /// Whether there is a copy, not whether the lease runs.
  const Copy* find(ByteView path) { return cache_.find(path); }
  /// Whether the cache lease is worth its keep-alives.
  bool need_lease() const { return cache_.entries() > 0; }

  wire::Epoch epoch() const { return epoch_; }
  /// Newer than all before: everything is dropped, true.
  bool heard(wire::Epoch epoch);
  /// The cache lease is over, or the session, or the session is to be closed: everything is dropped.
  void lapse();
  /// Also, Invalidates are counted anew: theirs are of a session.
  void session_ended();
  /// Of this session and of epoch(): drops what it names and says what to answer.
  wire::Dropped invalidate(const wire::Invalidate& invalidate);

  /// True: nobody waits for this file yet: add a request, tell which.
  bool join(ByteView path, Tag tag);
  void requested(ByteView path, RequestId request);
  /// The request that nobody waits for any more, or 0.
  RequestId leave(ByteView path, Tag tag);
  enum class Way : uint8_t { Ask, Fetch };
  /// The request for this file is being sent: its answer will do for all who wait now. For those who join later only if
  /// the copy may be kept: it may be older than their call otherwise.
  void depart(ByteView path, Way way, bool cache_lease_runs);
  struct Arrived {
    std::vector<Tag> served;
    bool again = false;  // others still wait: send another request
  };
  /// What was fetched, or asked (`fetched.keep` is false then).
  Arrived arrived(ByteView path, const wire::Result::Fetched& fetched, bool cache_lease_runs);
  /// It was refused for good: all who wait.
  std::vector<Tag> refused(ByteView path);

  bool waiting() const { return !flights_.empty(); }
  const Cache& cache() const { return cache_; }

 private:
  struct Flight {
    RequestId request{};
    std::vector<Tag> aboard{}, late{};
    bool fetch = false, leased = false;  // when it was sent
    uint64_t lapses = 0;                 // likewise
    uint64_t touched = 0;                // newest Invalidate since then that names the file
  };

  Cache cache_;
  std::map<Bytes, Flight, std::less<>> flights_;
  wire::Epoch epoch_;
  uint64_t processed_ = 0;  // newest Invalidate of this epoch
  uint64_t lapses_ = 0;
};

}  // namespace hailstone::cell::client
