// Changes to the namespace: writing and deleting whole files, and the directories that come and go with them.
#pragma once

#include "cell/command.h"
#include "cell/work.h"

namespace hailstone::cell {

/// Paths have been validated. Errors are refusals, but for Corrupt and Io; after one the work is to be given up.
Result<FileStat> put_file(Work& work, SessionId session, const Put& put);
Result<void> delete_file(Work& work, ByteView path);
/// How many.
Result<uint64_t> delete_subtree(Work& work, const DeleteSubtree& subtree);

/// The file, if there is one, shows that its lock was granted.
Result<void> note_grant(Work& work, ByteView path, LockGeneration generation);

}  // namespace hailstone::cell
