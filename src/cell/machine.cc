#include "cell/machine.h"

#include <fmt/format.h>

#include <algorithm>

#include "cell/access.h"
#include "cell/history.h"
#include "cell/locks.h"
#include "cell/sessions.h"
#include "cell/transaction.h"
#include "cell/work.h"

namespace hailstone::cell {
namespace {

/// Otherwise the machine cannot go on: a record contradicts another, or could not be read.
bool is_refusal(const Work& work, const Error& error) { return error.code != Code::Corrupt && !work.state.failure(); }

/// Of the cell behind the command.
Revision revision_after(const Work& work) { return work.events.empty() ? work.counters.revision : work.revision(); }

Reply refusal(const Work& work, Error error) {
  return {.refused = std::move(error), .revision = revision_after(work), .time = work.now(), .outcome = {}};
}

/// One command's body. Its refusals leave work half done, to be given up.
class Applying {
 public:
  Applying(Work& work, const Command& command, const Permissions& permissions)
      : work_(work), command_(command), permissions_(permissions) {}

  Result<Outcome> run() {
    return std::visit([this](const auto& body) { return apply(body); }, command_.body);
  }

 private:
  Result<void> need_session() const {
    if (command_.session) return {};
    return fail(Code::Invalid, "a command of a session, without one");
  }
  Result<void> need_cell() const {
    if (permissions_.is_cell()) return {};
    return fail(Code::Denied, fmt::format("'{}' is not the cell itself", printable(command_.principal)));
  }
  Result<void> need_lock(ByteView path) const {
    TRY_DO(need_session());
    return validate_path(path);
  }

  Result<Outcome> apply(const OpenSession& c) {
    if (command_.session) return fail(Code::Invalid, "a session cannot open another");
    return open_session(work_, command_.principal, c);
  }
  Result<Outcome> apply(const CloseSession&) {
    TRY_DO(need_session());
    TRY_DO(end_sessions(work_, {&command_.session, 1}, Event::Kind::LockReleased));
    return Outcome();
  }
  Result<Outcome> apply(const Expire& c) {
    TRY_DO(need_cell());
    if (c.sessions.size() > kExpireMax)
      return fail(Code::Invalid, fmt::format("{} sessions in one command, at most {}", c.sessions.size(), kExpireMax));
    TRY(const uint64_t ended, end_sessions(work_, c.sessions, Event::Kind::LockLost));
    return Expired{ended};
  }
  Result<Outcome> apply(const Txn& c) { return run_transaction(work_, permissions_, command_.session, c); }
  Result<Outcome> apply(const Lock& c) {
    TRY_DO(need_lock(c.path));
    TRY_DO(permissions_.check(Right::Lock, c.path));
    return take_lock(work_, command_.session, c);
  }
  // To give up what a session has needs no right: rules may have changed since.
  Result<Outcome> apply(const Unlock& c) {
    TRY_DO(need_lock(c.path));
    TRY_DO(unlock(work_, command_.session, c.path));
    return Outcome();
  }
  Result<Outcome> apply(const Cancel& c) {
    TRY_DO(need_lock(c.path));
    return cancel_wait(work_, command_.session, c.path);
  }
  Result<Outcome> apply(const Tick&) {
    TRY_DO(need_cell());
    return Outcome();
  }
  Result<Outcome> apply(const ChangeSettings& c) {
    TRY_DO(permissions_.check(Right::Admin, "/"));
    TRY_DO(c.settings.validate());
    work_.settings = c.settings;
    Bytes bytes;
    Encoder out(bytes);
    c.settings.encode(out);
    work_.state.put(schema::settings(), std::move(bytes));
    work_.events.push_back({.kind = Event::Kind::Settings, .path = "/"});
    return Outcome();
  }
  Result<Outcome> apply(const SetRules& c) {
    TRY_DO(permissions_.check(Right::Admin, "/"));
    TRY_DO(validate_rules(c.principal, c.rules));
    TRY(const auto before, schema::read_rules(work_.state, c.principal));
    Counters& counters = work_.counters;
    counters.principals = counters.principals - !before.empty() + !c.rules.empty();
    counters.admins = counters.admins - is_admin(before) + is_admin(c.rules);
    if (counters.principals > kPrincipalsMax)
      return fail(Code::Exhausted,
                  fmt::format("rules for {} principals, at most {}", counters.principals, kPrincipalsMax));
    if (counters.principals > 0 && counters.admins == 0)
      return fail(Code::Conflict, "rules of which none gives the admin right on '/': nobody could change them again");
    if (c.rules.empty())
      work_.state.erase(schema::rules(c.principal));
    else
      work_.state.put(schema::rules(c.principal), encode_rules(c.rules));
    work_.events.push_back({.kind = Event::Kind::Rules, .path = "/"});
    return Outcome();
  }

  Work& work_;
  const Command& command_;
  const Permissions& permissions_;
};

Result<void> check_numbers(const Command& command) {
  if (command.session && !command.number)
    return fail(Code::Invalid, fmt::format("session {}: a command without a number", command.session.value));
  if (!command.session && (command.number || command.got)) return fail(Code::Invalid, "a number without a session");
  if (command.session && command.got >= command.number)
    return fail(Code::Invalid, fmt::format("session {}: command {} says it has got the reply of {}",
                                           command.session.value, command.number.value, command.got.value));
  return {};
}

/// The reply, and in `work` what is to be written.
Result<Reply> execute(Work& work, const Command& command) {
  const Overlay::Changes unchanged = work.state.changes();
  const Counters counters = work.counters;
  const size_t events = work.events.size();

  TRY(const auto permissions, Permissions::read(work.state, work.counters, command.principal));
  auto result = Applying(work, command, permissions).run();
  if (result)
    return Reply{.refused = {}, .revision = revision_after(work), .time = work.now(), .outcome = *std::move(result)};
  if (!is_refusal(work, result.error())) return std::unexpected(std::move(result).error());
  work.state.restore(unchanged);
  work.counters = counters;
  work.events.resize(events);
  return refusal(work, std::move(result).error());
}

/// Of a command that was read, after time has gone on.
Result<Bytes> answer(Work& work, const Command& command) {
  if (command.session) {
    // A repetition, or one out of turn, does nothing but let time go on.
    auto stored = stored_reply(work, command);
    if (!stored && is_refusal(work, stored.error())) return refusal(work, std::move(stored).error()).encode();
    if (!stored) return std::unexpected(std::move(stored).error());
    if (*stored) return **std::move(stored);
  }
  TRY(const Reply reply, execute(work, command));
  Bytes encoded = reply.encode();
  if (command.session) TRY_DO(store_reply(work, command, reply.refused ? reply.encode_kept() : encoded));
  return encoded;
}

}  // namespace

Result<Bytes> Machine::apply(Slot, ByteView encoded, const replica::Reader& state, replica::Batch& out) {
  TRY(const Counters counters, schema::read_counters(state));
  TRY(const Settings settings, schema::read_settings(state));
  Work work{Overlay(state), counters, settings};
  if (encoded.size() > kCommandBytesMax)
    return refusal(work,
                   {Code::Invalid, fmt::format("a command of {} bytes, at most {}", encoded.size(), kCommandBytesMax)})
        .encode();
  auto command = Command::decode(encoded);
  if (!command && command.error().code == Code::Unsupported) return std::unexpected(std::move(command).error());
  if (!command) return refusal(work, std::move(command).error()).encode();
  if (auto checked = check_numbers(*command); !checked) return refusal(work, std::move(checked).error()).encode();

  work.counters.time = std::clamp(command->time, counters.time, kTimeMax);
  TRY_DO(end_delays(work));
  TRY(Bytes reply, answer(work, *command));
  TRY_DO(record_events(work));
  if (work.state.failure()) return std::unexpected(*work.state.failure());
  work.put(schema::counters(), work.counters);
  work.state.move_to(out);
  return reply;
}

}  // namespace hailstone::cell
