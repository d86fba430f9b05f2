// Locks of the session: asked for, waited for, held, given up; each path once.
#pragma once

#include <map>

#include "cell/client_requests.h"
#include "cell/client_watches.h"

namespace hailstone::cell::client {

/// A lock() ends with the sequencer, or the lock is not held. When it ends otherwise after the request may have reached
/// the cell (a deadline, give_up(), a watch refused) the place in the queue is given up by Cancel, and a grant that
/// came meanwhile by Unlock: both are sent until they are decided, and who asks for the same path again waits for that.
/// An unlock() that ends at its deadline is carried out all the same.
class Locks {
 public:
  Locks(size_t locks_max, Requests& requests, Watches& watches)
      : locks_max_(locks_max), requests_(requests), watches_(watches) {}

  struct Wish {
    LockMode mode = LockMode::Exclusive;
    Lock::Wait wait = Lock::Wait::Try;
    uint32_t delay_ms = 0;
    Tag tag;
    int64_t deadline_ns = kNever;
  };
  /// Refused at once: Conflict when the path is held or asked for already, Exhausted.
  hailstone::Result<void> lock(ByteView path, const Wish& wish);
  /// Refused at once: NotFound when it is not held.
  hailstone::Result<void> unlock(ByteView path, Tag tag);

  /// Ends a call that has not ended. The verdict for it.
  Requests::Abandoned give_up(ByteView path, Tag tag, int64_t now_ns);

  struct End {
    Tag tag;
    Verdict verdict = Verdict::Done;
    Error error;
    CallEnded::Value value;
  };
  void on_ended(const Requests::Ended& ended, SessionId session);
  /// Of a watch of ours.
  void on_events(ByteView path, const EventBatch& batch, SessionId session);
  void on_watch_refused(ByteView path, const Error& error);
  /// All is gone; what was held.
  std::vector<Sequencer> session_ended(const Error& why);

  size_t size() const { return entries_.size(); }
  std::vector<End> ends;  // emptied by the owner of this

 private:
  enum class Step : uint8_t {
    Asking,      // Lock is under way
    Waiting,     // in the queue; the watch tells when it is granted
    Held,        //
    Cancelling,  // Cancel is under way
    Unlocking,   // Unlock is under way
  };
  struct Entry {
    Step step = Step::Asking;
    Wish wish;                    // tag 0: nobody waits for what is under way
    bool queued = false;          // the cell has a place in the queue for it
    LockGeneration generation{};  // Held
    RequestId request{};          // under way
    Watches::Key watch{};
    std::optional<Wish> next{};  // asked for while it was being given up
  };
  using Table = std::map<Bytes, Entry, std::less<>>;

  void ask(const Bytes& path, Entry& entry);
  void give_back(const Bytes& path, Entry& entry);
  void granted(const Bytes& path, Entry& entry, LockGeneration generation);
  void gone(Table::iterator at);
  void on_asked(Table::iterator at, const Requests::Ended& ended, SessionId session);
  void end(Entry& entry, Verdict verdict, Error error, CallEnded::Value value = {});

  size_t locks_max_;
  Requests& requests_;
  Watches& watches_;
  Table entries_;
};

}  // namespace hailstone::cell::client
