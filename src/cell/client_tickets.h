// Calls of the application that have not ended: each ends once, at its deadline at the latest, and they are bounded.
#pragma once

#include <set>
#include <unordered_map>

#include "cell/client_requests.h"

namespace hailstone::cell::client {

class Tickets {
 public:
  struct Ticket {
    enum class Kind : uint8_t { Request, Read, Lock } kind = Kind::Request;
    int64_t deadline_ns = kNever;
    size_t bytes = 0;
    RequestId request{};  // Request: what was asked
    Bytes path{};         // Read, Lock: whom it waits for
  };

  Tickets(size_t calls_max, size_t bytes_max) : calls_max_(calls_max), bytes_max_(bytes_max) {}

  /// Exhausted when there is no room for one more.
  hailstone::Result<void> admit(size_t bytes) const;
  /// The tag is not among them (the driver's promise, CHECKed).
  void open(Tag tag, Ticket ticket);
  /// Nothing: it has ended before.
  std::optional<Ticket> close(Tag tag);
  /// One whose deadline has come, or 0.
  Tag overdue(int64_t now_ns) const;

  int64_t next_ns() const { return deadlines_.empty() ? kNever : deadlines_.begin()->first; }
  size_t size() const { return tickets_.size(); }

 private:
  size_t calls_max_, bytes_max_;
  size_t bytes_ = 0;
  std::unordered_map<Tag, Ticket> tickets_;
  std::set<std::pair<int64_t, Tag>> deadlines_;
};

}  // namespace hailstone::cell::client
