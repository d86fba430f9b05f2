// A cell on a map in memory, driven command by command, its invariants checked after each: for tests.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/check.h"
#include "cell/invariants.h"
#include "cell/machine.h"
#include "cell/query.h"

namespace hailstone::cell {

inline Nonce nonce_of(uint64_t n) {
  Nonce nonce{};
  for (size_t i = 0; i < 8; ++i) nonce[i] = static_cast<uint8_t>(n >> (8 * i));
  return nonce;
}

inline std::map<Bytes, Bytes> rows_of(const replica::Reader& state) {
  std::map<Bytes, Bytes> rows;
  for (auto at = state.iterate("", "\xff"); at->valid(); at->next()) rows.emplace(at->key(), at->value());
  return rows;
}

/// The first contradiction, or nothing.
inline Bytes broken_invariant(const replica::Reader& state) {
  const auto checked = check_invariants(state);
  return checked ? Bytes() : checked.error().message;
}

class TestCell {
 public:
  Reply apply(const Command& command) { return *Reply::decode(apply_encoded(command.encode())); }
  Bytes apply_encoded(ByteView command) {
    replica::Batch batch;
    auto reply = machine_.apply(Slot(++slot_), command, *database_, batch);
    if (!reply) fmt::print("{}\n", reply.error().message);
    CHECK(reply.has_value());
    CHECK(database_->write(batch).has_value());
    if (const Bytes broken = checks_invariants_ ? broken_invariant(*database_) : Bytes(); !broken.empty()) {
      fmt::print("{}\n", broken);
      CHECK(broken.empty());
    }
    return *std::move(reply);
  }

  SessionId open(const Bytes& principal = "ann", uint32_t lease_ms = 10'000) {
    const Reply reply = as(principal, OpenSession{nonce_of(++nonces_), lease_ms, false});
    CHECK(!reply.refused);
    const SessionId id = std::get<Opened>(reply.outcome).session;
    principals_[id] = principal;
    return id;
  }
  /// The session's next command, all replies before acknowledged.
  Reply in(SessionId session, Body body) { return apply(next(session, std::move(body))); }
  Command next(SessionId session, Body body) {
    const uint64_t number = ++numbers_[session];
    return {.time = now_,
            .principal = principals_[session],
            .session = session,
            .number = CommandNumber(number),
            .got = CommandNumber(number - 1),
            .body = std::move(body)};
  }
  /// Without a session.
  Reply as(const Bytes& principal, Body body) {
    return apply(
        {.time = now_, .principal = principal, .session = {}, .number = {}, .got = {}, .body = std::move(body)});
  }
  Reply cell(Body body) { return as("", std::move(body)); }
  Reply expire(std::vector<SessionId> sessions) { return cell(Expire{std::move(sessions)}); }
  /// Time goes on, and the cell hears of it.
  void pass_ms(uint64_t ms) {
    now_.value += ms * 1000;
    CHECK(!cell(Tick{}).refused);
  }

  Reply put(const Bytes& path, const Bytes& content) { return cell(Txn{{}, {Put{path, content}}, {}}); }
  Reply remove(const Bytes& path) { return cell(Txn{{}, {Delete{path}}, {}}); }
  std::optional<File> file(ByteView path) const { return *read_file(*database_, path); }
  Bytes content(ByteView path) const { return file(path) ? file(path)->content : "(none)"; }
  LockRecord lock(ByteView path) const { return *schema::read_lock(*database_, path); }
  std::vector<SessionId> holders(ByteView path) const {
    std::vector<SessionId> out;
    for (const auto& holder : lock(path).holders) out.push_back(holder.session);
    return out;
  }
  Counters counters() const { return *schema::read_counters(*database_); }
  /// All events that are left, of the namespace and the cell.
  std::vector<Event> events_since(Revision after, ByteView prefix = "/") const {
    std::vector<Event> out;
    for (auto& item : events_after(*database_, after, prefix, 1'000'000)->events) out.push_back(std::move(item.event));
    return out;
  }

  replica::Database& database() { return *database_; }
  ClusterTime now_{1'000'000};
  bool checks_invariants_ = true;  // costs a look at the whole database for each command

 private:
  std::unique_ptr<replica::Database> database_ = replica::make_memory_database();
  Machine machine_;
  uint64_t slot_ = 0;
  uint64_t nonces_ = 0;
  std::map<SessionId, uint64_t> numbers_;
  std::map<SessionId, Bytes> principals_;
};

inline LockReply::Outcome outcome_of(const Reply& reply) { return std::get<LockReply>(reply.outcome).outcome; }
inline LockGeneration generation_of(const Reply& reply) { return std::get<LockReply>(reply.outcome).generation; }
/// Of a reply: that of its refusal, or nothing.
inline std::optional<Code> refusal(const Reply& reply) {
  return reply.refused ? std::optional(reply.refused->code) : std::nullopt;
}
template <class Result>
const Result& result_of(const Reply& reply, size_t operation = 0) {
  return std::get<Result>(std::get<TxnReply>(reply.outcome).results.at(operation));
}

}  // namespace hailstone::cell
