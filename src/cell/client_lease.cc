#include "cell/client_lease.h"

#include <algorithm>

namespace hailstone::cell::client {

void LeaseView::begin(int64_t since_ns, uint32_t lease_ms) {
  end();
  lease_ms_ = lease_ms;
  renewed_ns_ = since_ns;
  ends_ns_ = since_ns + shortened_ns(lease_ms);
}

void LeaseView::end() {
  sent_ = {};  // answers to beats of another session say nothing about this one
  lease_ms_ = cache_ms_ = 0;
  ends_ns_ = cache_ends_ns_ = renewed_ns_ = last_sent_ns_ = 0;
  unanswered_since_ns_ = kNever;
  hurried_ = false;
}

void LeaseView::reconnected() { unanswered_since_ns_ = kNever; }

wire::Beat LeaseView::send(int64_t now_ns) {
  last_ = last_.next();
  sent_[last_.value % sent_.size()] = {last_, now_ns};
  last_sent_ns_ = now_ns;
  if (!in_flight()) unanswered_since_ns_ = now_ns;
  hurried_ = false;
  return last_;
}

bool LeaseView::answered(const wire::Lease& lease) {
  const Sent& sent = sent_[lease.beat.value % sent_.size()];
  if (!lease.beat || sent.beat != lease.beat) return false;
  lease_ms_ = lease.lease_ms;
  // None is given while something is to be dropped: not now, but as long as before the next time.
  if (lease.cache_ms > 0) cache_ms_ = lease.cache_ms;
  // Answers may come out of order: an older one takes nothing back.
  renewed_ns_ = std::max(renewed_ns_, sent.at_ns);
  ends_ns_ = std::max(ends_ns_, sent.at_ns + shortened_ns(lease.lease_ms));
  if (lease.cache_ms > 0) cache_ends_ns_ = std::max(cache_ends_ns_, sent.at_ns + shortened_ns(lease.cache_ms));
  if (lease.beat == last_) {
    unanswered_since_ns_ = kNever;
  } else if (in_flight()) {
    const Sent& next = sent_[(lease.beat.value + 1) % sent_.size()];
    unanswered_since_ns_ = std::max(unanswered_since_ns_, next.at_ns);
  }
  return true;
}

int64_t LeaseView::next_beat_ns(bool cache_needed) const {
  if (hurried_) return 0;
  const uint32_t shortest = cache_needed && cache_ms_ > 0 ? std::min(lease_ms_, cache_ms_) : lease_ms_;
  const int64_t interval_ns = int64_t{shortest} * kNsPerMs / 3;
  if (in_flight()) return last_sent_ns_ + std::min(interval_ns / 2, 500 * kNsPerMs);
  return renewed_ns_ + interval_ns;
}

}  // namespace hailstone::cell::client
