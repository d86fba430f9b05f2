// What a replica starts with, out of its journal and the place its database has reached.
#pragma once

#include <functional>

#include "paxos/io.h"
#include "replica/journal.h"

namespace hailstone::replica {

/// `at`: where the database is in the chosen log. Calls `apply` for each record behind it that the journal knows to be
/// chosen, in order, and returns what the core goes on with from there.
///
/// A blind group's journal may hold records that others have superseded and a floor that it has forgotten: nothing of
/// it is taken for chosen, and what lies up to `at` counts no more (append_floor). Neither does it where a database
/// that is ahead of the log came from a snapshot: those records need not be the chosen ones, and must not be served.
/// Corrupt where a chosen record does not follow the one before it. Errors of `apply` and of the journal as they are.
Result<paxos::Boot> boot_from_journal(Journal& journal, paxos::GroupId id, paxos::SnapshotMeta at,
                                      const std::function<Result<void>(const paxos::Record&)>& apply);

}  // namespace hailstone::replica
