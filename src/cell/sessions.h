// Sessions: opened once per nonce, ended with all they hold, and the replies they may ask for again.
#pragma once

#include <span>

#include "cell/command.h"
#include "cell/reply.h"
#include "cell/work.h"

namespace hailstone::cell {

// Replies of a session that its client has not acknowledged: all are kept, and with as many there are no new commands.
inline constexpr size_t kRepliesMax = 64;
inline constexpr uint64_t kRepliesBytesMax = 4ull << 20;

/// Errors are refusals, but for Corrupt and Io.
Result<Opened> open_session(Work& work, ByteView principal, const OpenSession& open);
/// Those of `sessions` that are there; how many. `kind` is what becomes of their locks: LockReleased or LockLost.
Result<uint64_t> end_sessions(Work& work, std::span<const SessionId> sessions, Event::Kind kind);

/// One more thing that a session has. Exhausted beyond holds_max.
Result<void> add_hold(Work& work, SessionId session, Hold kind, ByteView path);
Result<void> drop_hold(Work& work, SessionId session, Hold kind, ByteView path);

/// The stored reply of a repetition; nothing for the session's next command. NotFound: no such session. Denied: another
/// principal's. Conflict: numbers were left out, or the reply was acknowledged. Exhausted: too many replies kept.
Result<std::optional<Bytes>> stored_reply(Work& work, const Command& command);
/// For the session's next command, after stored_reply() found none, if the session is still there.
Result<void> store_reply(Work& work, const Command& command, Bytes reply);

}  // namespace hailstone::cell
