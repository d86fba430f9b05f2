#include <fmt/core.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>

#include "chunk/cluster_store.h"
#include "chunk/remote_wire.h"
#include "chunk/stored.h"

namespace hailstone::chunk {
namespace {

using Answer = std::future<Result<Bytes>>;

/// An answer to wait for, whatever becomes of the call.
Answer call(net::Rpc& rpc, net::NodeId to, RemoteMethod method, Bytes body, std::chrono::milliseconds patience) {
  auto promise = std::make_shared<std::promise<Result<Bytes>>>();
  auto future = promise->get_future();
  const auto sent = rpc.call(to, static_cast<uint16_t>(method), std::move(body), patience,
                             [promise](Result<Bytes> answer) { promise->set_value(std::move(answer)); });
  if (!sent) promise->set_value(std::unexpected(sent.error()));
  return future;
}

std::vector<ChunkId> pick(std::span<const ChunkId> ids, std::span<const size_t> which) {
  std::vector<ChunkId> out;
  out.reserve(which.size());
  for (const size_t i : which) out.push_back(ids[i]);
  return out;
}

/// Answers to several calls, in the order in which they come.
class Answers {
 public:
  void add(size_t call, Result<Bytes> answer) {
    const std::lock_guard lock(mutex_);
    answers_.emplace_back(call, std::move(answer));
    came_.notify_one();
  }
  /// Each call has a deadline, so one comes for each.
  std::pair<size_t, Result<Bytes>> next() {
    std::unique_lock lock(mutex_);
    came_.wait(lock, [&] { return !answers_.empty(); });
    auto out = std::move(answers_.front());
    answers_.pop_front();
    return out;
  }

 private:
  std::mutex mutex_;
  std::condition_variable came_;
  std::deque<std::pair<size_t, Result<Bytes>>> answers_;
};

bool takes_copies(const Placement& placement, net::NodeId node) {
  const StoreInfo* store = placement.find(node);
  return store != nullptr && store->state == StoreState::In && store->weight > 0;
}

std::unexpected<Error> unsure(const ChunkId& id, size_t copies, size_t quorum) {
  return fail(
      Code::Unavailable,
      fmt::format("chunk {}: {} of the {} copies needed are known, and some stores do not answer: see that they "
                  "run, and try again",
                  id.brief(), copies, quorum));
}

}  // namespace

/// Asks each store about those of `ids` that are listed for it, all at once. A store that is slow is not waited for
/// once enough others have said that they have them all.
void ClusterStore::ask_some(RemoteMethod method, std::span<const ChunkId> ids,
                            const std::map<net::NodeId, std::vector<size_t>>& questions, size_t enough_copies,
                            Counts& counts) {
  const auto now = placement();
  struct Asked {
    net::NodeId node;
    std::vector<size_t> which;
    WriterMark mark;
  };
  std::vector<Asked> asked;
  const auto answers = std::make_shared<Answers>();
  for (const auto& [node, which] : questions) {
    if (node == options_.self) continue;
    for (size_t from = 0; from < which.size(); from += kRemoteIdsMax) {
      const auto part = std::span(which).subspan(from, std::min(kRemoteIdsMax, which.size() - from));
      const auto some = pick(ids, part);
      const WriterMark mark = method == RemoteMethod::Touch ? mark_for(node) : WriterMark();
      Bytes body = method == RemoteMethod::Touch ? encode_touch(mark, some) : encode_ids(some);
      const size_t number = asked.size();
      asked.push_back({node, {part.begin(), part.end()}, mark});
      const auto sent = rpc_.call(node, static_cast<uint16_t>(method), std::move(body), options_.patience,
                                  [answers, number](Result<Bytes> answer) { answers->add(number, std::move(answer)); });
      if (!sent) answers->add(number, std::unexpected(sent.error()));
    }
  }
  const auto note = [&](net::NodeId node, std::span<const size_t> which, const Result<std::vector<bool>>& present) {
    const bool counts_as_copy = takes_copies(*now, node);
    for (size_t k = 0; k < which.size(); ++k) {
      const size_t i = which[k];
      if (!present) {
        counts.unanswered[i] += counts_as_copy;
      } else if (present->at(k)) {
        counts.copies[i] += counts_as_copy;
        counts.somewhere[i] = true;
      }
    }
  };
  if (const auto mine = questions.find(options_.self); mine != questions.end() && local_ != nullptr) {
    const auto some = pick(ids, mine->second);
    auto present = method == RemoteMethod::Touch ? local_->touch(some) : local_->has(some);
    // As a peer's answer: what is there is durable.
    if (present && method == RemoteMethod::Touch && std::ranges::find(*present, true) != present->end())
      if (auto synced = local_->sync(); !synced) present = std::unexpected(std::move(synced).error());
    note(options_.self, mine->second, present);
  }
  const auto enough = [&] {
    return std::ranges::all_of(counts.copies, [&](size_t copies) { return copies >= enough_copies; });
  };
  for (size_t left = asked.size(); left > 0 && !enough(); --left) {
    const auto [number, answer] = answers->next();
    const Asked& each = asked[number];
    auto present = [&]() -> Result<std::vector<bool>> {
      if (!answer) return std::unexpected(answer.error());
      return read_presence(*answer, each.which.size());
    }();
    if (present && method == RemoteMethod::Touch) confirmed(each.node, each.mark);
    note(each.node, each.which, present);
  }
}

/// First the targets; about what too few of them have, all others.
ClusterStore::Counts ClusterStore::ask(RemoteMethod method, std::span<const ChunkId> ids) {
  const auto now = placement();
  Counts counts{.copies = std::vector<size_t>(ids.size()),
                .unanswered = std::vector<size_t>(ids.size()),
                .somewhere = std::vector<bool>(ids.size())};
  std::map<net::NodeId, std::vector<size_t>> targets, others;
  for (size_t i = 0; i < ids.size(); ++i)
    for (const net::NodeId node : now->targets(ids[i])) targets[node].push_back(i);
  ask_some(method, ids, targets, now->quorum(), counts);
  for (size_t i = 0; i < ids.size(); ++i) {
    if (counts.copies[i] >= now->quorum()) continue;
    const auto mine = now->targets(ids[i]);
    for (const StoreInfo& store : now->stores())
      if (now->readable(store.id) && std::ranges::find(mine, store.id) == mine.end()) others[store.id].push_back(i);
  }
  if (!others.empty()) ask_some(method, ids, others, now->quorum(), counts);
  return counts;
}

Result<std::vector<bool>> ClusterStore::here(std::span<const ChunkId> ids) {
  if (local_ == nullptr) return std::vector<bool>(ids.size());
  TRY(auto present, local_->has(ids));
  if (std::ranges::find(present, true) != present.end()) TRY_DO(local_->sync());
  return present;
}

Result<Stat> ClusterStore::stat_here(const ChunkId& id) {
  if (local_ == nullptr) return fail(Code::Unsupported, "this node has no store");
  return local_->stat(id);
}

Result<std::vector<bool>> ClusterStore::on_all_targets(std::span<const ChunkId> ids) {
  const auto now = placement();
  Counts counts{.copies = std::vector<size_t>(ids.size()),
                .unanswered = std::vector<size_t>(ids.size()),
                .somewhere = std::vector<bool>(ids.size())};
  std::map<net::NodeId, std::vector<size_t>> questions;
  std::vector<size_t> needed(ids.size());
  for (size_t i = 0; i < ids.size(); ++i)
    for (const net::NodeId node : now->targets(ids[i]))
      if (node != options_.self) questions[node].push_back(i), ++needed[i];
  ask_some(RemoteMethod::Touch, ids, questions, now->copies(), counts);
  std::vector<bool> out(ids.size());
  for (size_t i = 0; i < ids.size(); ++i) out[i] = needed[i] > 0 && counts.copies[i] == needed[i];
  return out;
}

/// Rounds: each chunk is asked of the next store that may have it, those of one store in one request, all stores at
/// once.
Result<ClusterStore::Filled> ClusterStore::fill(std::span<const ChunkId> ids) {
  if (local_ == nullptr) return fail(Code::Unsupported, "this node has no store");
  TRY(const auto present, local_->has(ids));
  struct Wanted {
    ChunkId id;
    std::vector<net::NodeId> stores;
    size_t next = 0;
    bool unreachable = false;
  };
  std::vector<Wanted> wanted;
  for (size_t i = 0; i < ids.size(); ++i)
    if (!present[i]) wanted.push_back({.id = ids[i], .stores = read_order(ids[i])});
  Filled out;
  while (!wanted.empty()) {
    std::map<net::NodeId, std::vector<size_t>> questions;
    for (size_t i = 0; i < wanted.size(); ++i) {
      Wanted& each = wanted[i];
      if (each.next < each.stores.size()) {
        questions[each.stores[each.next]].push_back(i);
      } else {
        (each.unreachable ? out.not_reached : out.lost).push_back(each.id);
      }
    }
    std::vector<std::pair<const std::vector<size_t>*, Answer>> asked;
    for (const auto& [node, which] : questions) {
      std::vector<ChunkId> some;
      for (const size_t i : which) some.push_back(wanted[i].id);
      asked.emplace_back(&which, call(rpc_, node, RemoteMethod::Get, encode_ids(some), options_.patience));
    }
    std::vector<bool> again(wanted.size());
    for (auto& [which, coming] : asked) {
      const auto answer = coming.get();
      auto chunks = [&]() -> Result<std::vector<GetAnswer>> {
        if (!answer) return std::unexpected(answer.error());
        return read_get_answers(*answer, which->size());
      }();
      // Fewer than asked: the rest is asked of the same store again; none at all would be asked for ever.
      if (chunks && chunks->empty()) chunks = fail(Code::Corrupt, "an empty answer");
      for (size_t k = 0; k < which->size(); ++k) {
        const size_t i = (*which)[k];
        again[i] = true;
        if (chunks && k >= chunks->size()) continue;
        const auto good = [&]() -> Result<StoredView> {
          if (!chunks) return std::unexpected(chunks.error());
          TRY(const StoredView chunk, (*chunks)[k].chunk);
          TRY_DO(verify(compressor_, wanted[i].id, chunk));
          return chunk;
        }();
        if (good) {
          TRY_DO(local_->put_stored(wanted[i].id, *good));
          ++out.chunks;
          out.bytes += good->payload.size();
          again[i] = false;
          continue;
        }
        ++wanted[i].next;
        const Code code = good.error().code;
        wanted[i].unreachable |= code != Code::NotFound && code != Code::Corrupt && code != Code::Invalid;
      }
    }
    size_t kept = 0;
    for (size_t i = 0; i < wanted.size(); ++i)
      if (again[i]) wanted[kept++] = std::move(wanted[i]);
    wanted.resize(kept);
  }
  TRY_DO(local_->sync());
  return out;
}

Result<std::vector<bool>> ClusterStore::has(std::span<const ChunkId> ids) {
  if (alone()) return local_->has(ids);
  const size_t quorum = placement()->quorum();
  const Counts counts = ask(RemoteMethod::Has, ids);
  std::vector<bool> out(ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    out[i] = counts.copies[i] >= quorum || replicator_.find(ids[i]) != nullptr;
    if (!out[i] && counts.copies[i] + counts.unanswered[i] >= quorum) return unsure(ids[i], counts.copies[i], quorum);
  }
  return out;
}

Result<std::vector<bool>> ClusterStore::touch(std::span<const ChunkId> ids) {
  if (alone()) return local_->touch(ids);
  // One on its way is under the session of whoever put it: the caller's must be told of, too.
  if (std::ranges::any_of(ids, [&](const ChunkId& id) { return replicator_.find(id) != nullptr; })) TRY_DO(sync());
  const size_t quorum = placement()->quorum();
  const Counts counts = ask(RemoteMethod::Touch, ids);
  std::vector<bool> out(ids.size());
  bool copied = false;
  for (size_t i = 0; i < ids.size(); ++i) {
    out[i] = counts.copies[i] >= quorum;
    if (out[i]) continue;
    if (counts.somewhere[i]) {
      TRY_DO(copy_again(ids[i]));
      out[i] = copied = true;
    } else if (counts.unanswered[i] >= quorum) {
      return unsure(ids[i], 0, quorum);
    }
  }
  if (copied) TRY_DO(sync());
  return out;
}

/// Puts a chunk that too few stores have to where it should be.
Result<void> ClusterStore::copy_again(const ChunkId& id) {
  auto stored = get_stored(id);
  if (!stored) return std::unexpected(std::move(stored).error());
  return put_stored(id, stored->view());
}

Result<Stat> ClusterStore::stat(const ChunkId& id) {
  if (local_ != nullptr) {
    auto stat = local_->stat(id);
    if (stat || alone()) return stat;
  }
  if (const auto chunk = replicator_.find(id))
    return Stat{
        .bytes = chunk->bytes, .stored_bytes = static_cast<uint32_t>(chunk->payload.size()), .zstd = chunk->zstd};
  Error unreachable;
  for (const net::NodeId node : read_order(id)) {
    const auto answer = call(rpc_, node, RemoteMethod::Stat, encode_ids({&id, 1}), options_.patience).get();
    if (answer) return read_stat(*answer);
    if (answer.error().code != Code::NotFound && answer.error().code != Code::Corrupt) unreachable = answer.error();
  }
  if (!unreachable.message.empty())
    return fail(Code::Unavailable,
                fmt::format("chunk {}: not every store could be asked: {}", id.brief(), unreachable.message));
  return fail(Code::NotFound, fmt::format("chunk {}: in no store", id.brief()));
}

Result<std::vector<ChunkId>> ClusterStore::list(const ChunkId& after, size_t limit) {
  if (alone()) return local_->list(after, limit);
  TRY_DO(sync());
  limit = std::min(limit, kRemoteIdsMax);
  const auto now = placement();
  std::vector<Answer> answers;
  const ListRequest request{.after = after, .limit = static_cast<uint32_t>(limit)};
  for (const StoreInfo& store : now->stores())
    if (now->readable(store.id) && store.id != options_.self)
      answers.push_back(call(rpc_, store.id, RemoteMethod::List, encode_listing(request), options_.patience));
  std::vector<ChunkId> out;
  if (local_ != nullptr) {
    TRY(out, local_->list(after, limit));
  }
  size_t unanswered = 0;
  for (Answer& each : answers) {
    const auto answer = each.get();
    if (!answer) {
      ++unanswered;
      continue;
    }
    TRY(const IdsRequest listed, read_ids(*answer));
    out.insert(out.end(), listed.ids.begin(), listed.ids.end());
  }
  // What is durable is on a quorum, so that one of them has answered when fewer than that did not.
  if (unanswered >= now->quorum())
    return fail(Code::Unavailable, fmt::format("list: {} stores do not answer: see that they run", unanswered));
  std::ranges::sort(out);
  out.erase(std::unique(out.begin(), out.end()), out.end());
  if (out.size() > limit) out.resize(limit);
  return out;
}

}  // namespace hailstone::chunk
