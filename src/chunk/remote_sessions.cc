#include "chunk/remote_sessions.h"

#include <fmt/core.h>

#include <algorithm>

namespace hailstone::chunk {

Result<void> RemoteSessions::heard(net::NodeId from, const WriterMark& mark, Hold hold) {
  const std::lock_guard lock(mutex_);
  Node& node = nodes_[from];
  if (mark.term == 0 || mark.term < node.fence)
    return fail(Code::Denied, fmt::format("{} writes in term {}, and those below {} are over: restart it",
                                          net::node_name(from), mark.term, node.fence));
  if (node.first.term == 0) node.first = {mark.term, mark.generation};
  Term& term = node.terms[mark.term];
  term.ended = std::max(term.ended, mark.ended);
  // Late ones may name a generation that is over.
  if (hold == Hold::Yes && mark.generation > term.ended && !term.held.contains(mark.generation))
    term.held.emplace(mark.generation, store_.begin_writes());
  term.held.erase(term.held.begin(), term.held.upper_bound(term.ended));
  return {};
}

void RemoteSessions::fence(net::NodeId id, uint64_t terms_below) {
  const std::lock_guard lock(mutex_);
  Node& node = nodes_[id];
  node.fence = std::max(node.fence, terms_below);
  node.terms.erase(node.terms.begin(), node.terms.lower_bound(node.fence));
}

void RemoteSessions::set_writers(std::vector<net::NodeId> nodes) {
  const std::lock_guard lock(mutex_);
  told_writers_ = true;
  writers_ = std::move(nodes);
}

Result<void> RemoteSessions::ready_to_collect() const {
  const std::lock_guard lock(mutex_);
  if (!told_writers_) return fail(Code::Unavailable, "collection waits: who may write is not known yet");
  for (const net::NodeId id : writers_) {
    const auto found = nodes_.find(id);
    const First first = found == nodes_.end() ? First() : found->second.first;
    const uint64_t fence = found == nodes_.end() ? 0 : found->second.fence;
    if (id == self_ && fence > 0) continue;  // this process holds its own sessions; earlier ones are fenced
    if (first.term == 0 || fence < first.term)
      return fail(Code::Unavailable,
                  fmt::format("collection waits for {}: {}", net::node_name(id),
                              first.term == 0 && id != self_ ? "not heard of since this store was opened"
                                                             : "its earlier terms are not fenced yet"));
    if (fence > first.term) continue;
    const auto term = found->second.terms.find(first.term);
    if (term == found->second.terms.end() || term->second.ended < first.generation)
      return fail(Code::Unavailable,
                  fmt::format("collection waits for {}: it has write sessions from before this store was opened",
                              net::node_name(id)));
  }
  return {};
}

size_t RemoteSessions::held() const {
  const std::lock_guard lock(mutex_);
  size_t out = 0;
  for (const auto& [id, node] : nodes_)
    for (const auto& [number, term] : node.terms) out += term.held.size();
  return out;
}

}  // namespace hailstone::chunk
