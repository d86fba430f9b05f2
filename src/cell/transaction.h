// Transactions: conditions and operations on files, checked whole before the first change.
#pragma once

#include "cell/access.h"
#include "cell/command.h"
#include "cell/reply.h"
#include "cell/work.h"

namespace hailstone::cell {

/// Errors are refusals, but for Corrupt and Io; those of an operation name it by its place. After one the work is to be
/// given up.
Result<TxnReply> run_transaction(Work& work, const Permissions& permissions, SessionId session, const Txn& txn);

}  // namespace hailstone::cell
