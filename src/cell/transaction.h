// Transactions: conditions and operations on files, checked whole before the first change.
#pragma once

#include "cell/access.h"
#include "cell/command.h"
#include "cell/reply.h"
#include "cell/work.h"

namespace hailstone::cell {

/// What it is refused for whatever the files are: its form, and the rights for both branches.
Result<void> check_transaction(const Permissions& permissions, const Txn& txn);
/// Errors are refusals, but for Corrupt and Io; those of an operation name it by its place. After one the work is to be
/// given up.
Result<TxnReply> run_transaction(Work& work, const Permissions& permissions, SessionId session, const Txn& txn);

}  // namespace hailstone::cell
