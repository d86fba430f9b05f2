#include "cell/client_locks.h"

#include <fmt/format.h>

namespace hailstone::cell::client {

hailstone::Result<void> Locks::lock(ByteView path, const Wish& wish) {
  if (const auto at = entries_.find(path); at != entries_.end()) {
    Entry& entry = at->second;
    const bool leaving = entry.step == Step::Cancelling || entry.step == Step::Unlocking;
    if (!leaving || entry.next)
      return fail(Code::Conflict, fmt::format("lock '{}': this session {} it already", printable(path),
                                              entry.step == Step::Held ? "holds" : "asks for"));
    entry.next = wish;
    return {};
  }
  if (entries_.size() >= locks_max_)
    return fail(Code::Exhausted, fmt::format("lock '{}': {} locks held or asked for, at most {} (locks_max)",
                                             printable(path), entries_.size(), locks_max_));
  const auto at = entries_.emplace(Bytes(path), Entry{.wish = wish}).first;
  ask(at->first, at->second);
  return {};
}

void Locks::ask(const Bytes& path, Entry& entry) {
  entry.step = Step::Asking;
  entry.request = requests_.add(Numbered{Lock{path, entry.wish.mode, entry.wish.wait, entry.wish.delay_ms}},
                                Requests::Owner::Lock, {}, entry.wish.deadline_ns);
}

hailstone::Result<void> Locks::unlock(ByteView path, Tag tag) {
  const auto at = entries_.find(path);
  if (at == entries_.end() || at->second.step != Step::Held)
    return fail(Code::NotFound, fmt::format("unlock '{}': this session does not hold it", printable(path)));
  Entry& entry = at->second;
  entry.step = Step::Unlocking;
  entry.wish.tag = tag;
  entry.request = requests_.add(Numbered{Unlock{at->first}}, Requests::Owner::Lock, {}, kNever);
  return {};
}

/// The cell may have a place in the queue for it, or may have granted it.
void Locks::give_back(const Bytes& path, Entry& entry) {
  entry.wish.tag = {};
  entry.step = Step::Cancelling;
  watches_.remove(entry.watch);
  entry.watch = {};
  entry.request = requests_.add(Numbered{Cancel{path}}, Requests::Owner::Lock, {}, kNever);
}

Requests::Abandoned Locks::give_up(ByteView path, Tag tag, int64_t now_ns) {
  const auto at = entries_.find(path);
  if (at == entries_.end()) return {};
  Entry& entry = at->second;
  if (entry.next && entry.next->tag == tag) {
    entry.next.reset();
    return {};
  }
  if (entry.wish.tag != tag) return {};
  if (entry.step == Step::Unlocking) {
    entry.wish.tag = {};
    return {.verdict = Verdict::Unknown};
  }
  Requests::Abandoned abandoned;
  if (entry.step == Step::Asking) {
    abandoned = requests_.abandon(entry.request, now_ns);
    if (abandoned.verdict == Verdict::NotDone && !entry.queued) {
      entries_.erase(at);
      return abandoned;
    }
  }
  give_back(at->first, entry);
  abandoned.verdict = Verdict::NotDone;
  return abandoned;
}

void Locks::end(Entry& entry, Verdict verdict, Error error, CallEnded::Value value) {
  if (entry.wish.tag) ends.push_back({entry.wish.tag, verdict, std::move(error), std::move(value)});
  entry.wish.tag = {};
}

void Locks::granted(const Bytes& path, Entry& entry, LockGeneration generation) {
  watches_.remove(entry.watch);
  entry.watch = {};
  entry.step = Step::Held;
  entry.generation = generation;
  end(entry, Verdict::Done, {}, Sequencer{path, entry.wish.mode, generation});
}

/// Nothing of it is left in the cell.
void Locks::gone(Table::iterator at) {
  const auto next = at->second.next;
  if (!next) {
    entries_.erase(at);
    return;
  }
  at->second = Entry{.wish = *next};
  ask(at->first, at->second);
}

void Locks::on_ended(const Requests::Ended& ended, SessionId session) {
  const Body& body = std::get<Numbered>(ended.payload).body;
  const auto path_of = [](const auto& b) -> ByteView {
    if constexpr (requires { b.path; }) return b.path;
    return {};
  };
  const auto at = entries_.find(std::visit(path_of, body));
  if (at == entries_.end()) return;  // the session has ended
  Entry& entry = at->second;
  switch (entry.step) {
    case Step::Asking: return on_asked(at, ended, session);
    case Step::Waiting:
    case Step::Held: return;
    case Step::Cancelling: {
      const auto* reply = std::get_if<Reply>(&ended.given);
      const auto* outcome = reply && !reply->refused ? std::get_if<LockReply>(&reply->outcome) : nullptr;
      if (!outcome || outcome->outcome != LockReply::Outcome::Granted) return gone(at);
      entry.step = Step::Unlocking;
      entry.request = requests_.add(Numbered{Unlock{at->first}}, Requests::Owner::Lock, {}, kNever);
      return;
    }
    case Step::Unlocking: {
      // NotFound: the cell does not know of it, so it is free all the same, but not by this.
      end(entry, ended.verdict, ended.error);
      return gone(at);
    }
  }
}

void Locks::on_asked(Table::iterator at, const Requests::Ended& ended, SessionId session) {
  Entry& entry = at->second;
  const auto* reply = std::get_if<Reply>(&ended.given);
  const auto* answer = reply && !reply->refused ? std::get_if<LockReply>(&reply->outcome) : nullptr;
  if (!answer) {
    end(entry, ended.verdict == Verdict::Done ? Verdict::NotDone : ended.verdict, ended.error);
    if (entry.queued) return give_back(at->first, entry);
    return gone(at);
  }
  switch (answer->outcome) {
    case LockReply::Outcome::Granted: return granted(at->first, entry, answer->generation);
    case LockReply::Outcome::Queued:
      entry.step = Step::Waiting;
      entry.queued = true;
      entry.watch = watches_.add({}, at->first, reply->revision, session);
      return;
    case LockReply::Outcome::Busy:
    case LockReply::Outcome::Cancelled:
      end(entry, Verdict::Refused,
          {Code::Unavailable, fmt::format("lock '{}': somebody else has it, or waits for it", printable(at->first))});
      return gone(at);
  }
}

void Locks::on_events(ByteView path, const EventBatch& batch, SessionId session) {
  const auto at = entries_.find(path);
  if (at == entries_.end() || at->second.step != Step::Waiting) return;
  Entry& entry = at->second;
  if (batch.compacted) {
    // The grant may be among what is forgotten: asking again tells, and takes no other place.
    entry.watch = {};
    return ask(at->first, entry);
  }
  for (const auto& [revision, event] : batch.events)
    if (event.kind == Event::Kind::LockAcquired && event.session == session && event.path == path)
      return granted(at->first, entry, event.lock_generation);
}

void Locks::on_watch_refused(ByteView path, const Error& error) {
  const auto at = entries_.find(path);
  if (at == entries_.end() || at->second.step != Step::Waiting) return;
  end(at->second, Verdict::Refused, error);
  give_back(at->first, at->second);
}

std::vector<Sequencer> Locks::session_ended(const Error& why) {
  std::vector<Sequencer> held;
  for (auto& [path, entry] : entries_) {
    if (entry.step == Step::Held) held.push_back({path, entry.wish.mode, entry.generation});
    if (entry.next) ends.push_back({entry.next->tag, Verdict::NotDone, why, {}});
    end(entry, entry.step == Step::Unlocking ? Verdict::Unknown : Verdict::NotDone, why);
    watches_.remove(entry.watch);
  }
  entries_.clear();
  return held;
}

}  // namespace hailstone::cell::client
