// Locks: granted at once or in order of arrival, released, lost, and withheld for a while after a loss.
#pragma once

#include "cell/command.h"
#include "cell/reply.h"
#include "cell/work.h"

namespace hailstone::cell {

/// Paths have been validated, the session is there. Errors are refusals, but for Corrupt and Io.
Result<LockReply> take_lock(Work& work, SessionId session, const Lock& lock);
Result<void> unlock(Work& work, SessionId session, ByteView path);
Result<LockReply> cancel_wait(Work& work, SessionId session, ByteView path);

/// Takes the lock from its holder and grants it to whom it can be granted then; not what the session's own records say
/// of it. `kind`: LockReleased, or LockLost, which starts the delay that the holder asked for.
Result<void> drop_lock(Work& work, SessionId session, ByteView path, Event::Kind kind);
/// Where somebody has left the queue.
Result<void> grant_waiters(Work& work, ByteView path);

/// Grants locks whose delays have ended by now.
Result<void> end_delays(Work& work);

}  // namespace hailstone::cell
