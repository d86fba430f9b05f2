#include "cell/client_tickets.h"

#include <fmt/format.h>

#include "base/check.h"

namespace hailstone::cell::client {

hailstone::Result<void> Tickets::admit(size_t bytes) const {
  if (tickets_.size() >= calls_max_)
    return fail(Code::Exhausted,
                fmt::format("{} calls have not ended, at most {} (calls_max)", tickets_.size(), calls_max_));
  if (bytes > bytes_max_ - bytes_)
    return fail(Code::Exhausted, fmt::format("a call of {} bytes beside {} that have not ended, at most {} "
                                             "(call_bytes_max)",
                                             bytes, bytes_, bytes_max_));
  return {};
}

void Tickets::open(Tag tag, Ticket ticket) {
  bytes_ += ticket.bytes;
  if (ticket.deadline_ns != kNever) deadlines_.emplace(ticket.deadline_ns, tag);
  const bool is_new = tickets_.emplace(tag, std::move(ticket)).second;
  CHECK(tag && is_new);
}

std::optional<Tickets::Ticket> Tickets::close(Tag tag) {
  const auto at = tickets_.find(tag);
  if (at == tickets_.end()) return std::nullopt;
  Ticket ticket = std::move(at->second);
  tickets_.erase(at);
  deadlines_.erase({ticket.deadline_ns, tag});
  bytes_ -= ticket.bytes;
  return ticket;
}

Tag Tickets::overdue(int64_t now_ns) const { return next_ns() <= now_ns ? deadlines_.begin()->second : Tag(); }

}  // namespace hailstone::cell::client
