// What the client asks of the cell: numbered, sent, sent again, until it is decided or nobody wants it any more.
#pragma once

#include <map>
#include <set>
#include <unordered_map>

#include "cell/client_reads.h"

namespace hailstone::cell::client {

/// A command of the session.
struct Numbered {
  Body body;
};
/// Sent until it is answered: its nonce makes it happen once.
struct Opening {
  OpenSession open;
};
/// A command without a session: sent on one connection only.
struct Once {
  Body body;
};
struct Asking {
  wire::Ask::View view;
  wire::Query query;
};
/// Of a file: fetched while the session lives and caches, else asked for.
struct Reading {
  Bytes path;
};
/// Sent on one connection only: what it does is not known here.
struct Managing {
  Bytes request;
};
using Payload = std::variant<Numbered, Opening, Once, Asking, Reading, Managing>;

/// What a result gave; nothing when it was refused by the member.
using Given = std::variant<std::monostate, Reply, wire::Result::Answered, wire::Result::Fetched, wire::Result::Managed>;

/// More than what it takes in a message.
size_t bytes_of(const Payload& payload);

/// **Numbers.** A command gets its number when it is first sent, so numbers are without gaps in the order of the calls.
/// A number once given must be used up by a command in the cell, or all behind it are refused for ever. So it is sent
/// again, after a lost connection or a refusal, until a reply comes. When nobody wants the command any more (its
/// deadline, or a refusal that ends it) an empty transaction takes its place under the same number. Whichever of the
/// two reaches the log first uses it up; the other gets its reply. Both are right: who gave the command up was told
/// "unknown" if a copy may still be on its way, and "not done" only when each copy that was sent has been answered with
/// NotDone, which is final for that copy. A reply uses the number up: the refusals by which a number would not be (a
/// gap, too many replies) cannot come, as the master proposes in order, and kWindow and the bytes that replies may have
/// keep within what the machine keeps.
class Requests {
 public:
  enum class Owner : uint8_t { Nobody, Application, Open, Close, Lock, Read };
  /// A request's end, to be routed by its owner.
  struct Ended {
    Owner owner = Owner::Nobody;
    Tag tag;
    Payload payload;
    Verdict verdict = Verdict::Done;
    Error error;
    Given given;  // of the payload's kind if done or refused by a Reply
  };

  /// `deadline_ns` is only what members are told: to end the call then is the caller's (abandon).
  RequestId add(Payload payload, Owner owner, Tag tag, int64_t deadline_ns);

  struct Abandoned {
    Verdict verdict = Verdict::NotDone;    // or Unknown
    int64_t unanswered_since_ns = kNever;  // set: it is sent on this connection, since then
  };
  /// Nobody wants it any more. It ends without Ended. What fills its number is sent when the command is answered or
  /// lost, but not later than kPatienceNs from now.
  Abandoned abandon(RequestId id, int64_t now_ns);

  struct Sending {
    int64_t now_ns;
    SessionId session;  // 0: none yet
    bool caching;       // it may Fetch
    bool cache_lease_runs;
    Reads& reads;
    std::vector<wire::ClientMessage>& out;
  };
  /// Sends what is due and may be sent.
  void flush(const Sending& sending);

  enum class Taken : uint8_t {
    Yes,
    Doubtful,  // a beat sent from now on decides: settle_doubts()
    Nonsense,  // an answer of the wrong kind
  };
  /// `lease_runs`, `last_beat`: of the session. See Doubt.
  Taken on_result(wire::Result result, int64_t now_ns, bool lease_runs, wire::Beat last_beat);
  /// The session was alive when this beat was answered.
  void settle_doubts(wire::Beat answered);
  void on_disconnected();
  void session_ended(const Error& why);
  void advance(int64_t now_ns);  // retries that are due

  int64_t next_ns() const { return retries_.empty() ? kNever : retries_.begin()->first; }
  CommandNumber got() const { return got_; }

  std::vector<Ended> ended;  // emptied by the owner of this

 private:
  static constexpr int64_t kPatienceNs = 2'000 * kNsPerMs;

  /// NotFound and Denied may be of the command, done and refused, or of the session: it has ended, the command may have
  /// been done before. While the lease runs the session lives. Otherwise the refusal is kept back until the master
  /// answers a beat that was sent after it came.
  struct Doubt {
    Reply reply;
    wire::Beat settled_by;
  };
  struct Request {
    Payload payload;
    Owner owner = Owner::Nobody;
    Tag tag;
    int64_t deadline_ns = kNever;
    wire::CallId out{};      // on this connection; 0: not sent on it, or answered
    int64_t sent_ns = 0;     // last
    CommandNumber number{};  // given when first sent
    bool sent = false;
    bool open = false;     // of a copy that was sent it is not known that it will not be done
    uint8_t attempts = 0;  // refused ones
    std::optional<Doubt> doubt{};
    bool is_numbered() const { return std::holds_alternative<Numbered>(payload); }
    bool only_once() const {
      return std::holds_alternative<Once>(payload) || std::holds_alternative<Managing>(payload);
    }
  };
  using Table = std::map<RequestId, Request>;

  void send(RequestId id, Request& request, const Sending& sending);
  wire::ClientMessage message_of(const Request& request, uint32_t deadline_ms, const Sending& sending) const;
  void on_reply(Table::iterator at, Reply reply, bool lease_runs, wire::Beat last_beat, Taken& taken);
  void on_refused(Table::iterator at, wire::Result::Refused refused, int64_t now_ns);
  void retry(RequestId id, Request& request, int64_t now_ns);
  void unschedule(RequestId id);
  void finish(Table::iterator at, Verdict verdict, Error error, Given given);
  void fill(Request& request);
  void give_number(Request& request);
  void decided(CommandNumber number);
  bool window_open() const;
  Table::iterator erase(Table::iterator at);

  Table requests_;
  std::set<RequestId> ready_;                          // to be sent now; numbered ones have their number
  std::set<RequestId> fresh_;                          // numbered ones without a number
  std::set<std::pair<int64_t, RequestId>> retries_;    // when to be ready
  std::unordered_map<wire::CallId, RequestId> calls_;  // out on this connection
  std::vector<RequestId> doubts_;
  RequestId last_;
  wire::CallId last_call_;

  CommandNumber last_number_, got_;
  uint64_t decided_ = 0;                       // bit i: number got_ + 1 + i
  std::array<uint32_t, kWindow> reply_max_{};  // by number modulo kWindow: bytes its reply may have
  uint64_t reply_bytes_ = 0;                   // the sum, of the numbers behind got_
};

}  // namespace hailstone::cell::client
