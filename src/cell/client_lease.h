// A client's view of the leases of its session: they end by its clock before they end by the master's.
#pragma once

#include <array>

#include "cell/client_types.h"

namespace hailstone::cell::client {

/// A lease of L counts from when the beat that it answers was sent, for L (1 - e) by a clock whose rate is within
/// 1 +- e: it ends at most L after the sending in true time. The master counts L (1 + e) from the receipt: at least L.
class LeaseView {
 public:
  explicit LeaseView(uint32_t clock_error_ppm) : error_ppm_(clock_error_ppm) {}

  /// Of a session just opened. `since_ns`: when its opening was first asked for: the cell may have opened it then.
  void begin(int64_t since_ns, uint32_t lease_ms);
  /// No session, no leases. Beats rise on.
  void end();
  /// Until the next Lease.
  void end_cache() { cache_ends_ns_ = 0; }
  /// What was sent on the last connection will not be answered.
  void reconnected();

  wire::Beat send(int64_t now_ns);
  /// Takes what a Lease (of this session and epoch, with lease_ms > 0) gives. False: its beat was never sent, or is too
  /// old to be known.
  bool answered(const wire::Lease& lease);

  bool runs(int64_t now_ns) const { return now_ns < ends_ns_; }
  bool cache_runs(int64_t now_ns) const { return now_ns < cache_ends_ns_; }
  int64_t ends_ns() const { return ends_ns_; }
  int64_t cache_ends_ns() const { return cache_ends_ns_; }  // 0: there is none, or it was ended
  bool may_cache() const { return cache_ms_ > 0; }          // a Lease of this session gave a cache lease
  wire::Beat last_beat() const { return last_; }
  bool in_flight() const { return unanswered_since_ns_ != kNever; }
  /// When the oldest beat of this connection was sent after which none was answered; kNever: there is none.
  int64_t unanswered_since_ns() const { return unanswered_since_ns_; }

  /// A beat is wanted at once, be one in flight or not.
  void hurry() { hurried_ = true; }
  /// When to send the next: a third of the shortest lease that is needed after the last answered one was sent; when
  /// one is in flight, half of that after it, 500 ms at most.
  int64_t next_beat_ns(bool cache_needed) const;

 private:
  struct Sent {
    wire::Beat beat;
    int64_t at_ns = 0;
  };
  int64_t shortened_ns(uint32_t ms) const {
    return int64_t{ms} * (1'000'000 - static_cast<int64_t>(error_ppm_));  // 1 ms = 1e6 ns
  }

  uint32_t error_ppm_;
  uint32_t lease_ms_ = 0, cache_ms_ = 0;
  int64_t ends_ns_ = 0, cache_ends_ns_ = 0;
  wire::Beat last_;
  std::array<Sent, 8> sent_{};
  int64_t renewed_ns_ = 0;  // when the beat that was answered last was sent
  int64_t unanswered_since_ns_ = kNever;
  int64_t last_sent_ns_ = 0;
  bool hurried_ = false;
};

}  // namespace hailstone::cell::client
