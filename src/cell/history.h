// The event history: one record for each revision, the newest kept within bounds.
#pragma once

#include "cell/work.h"

namespace hailstone::cell {

inline constexpr int kForgottenPerCommandMax = 1024;  // revisions: more than one command ever adds

/// Gives the command its revision, if it made events, and writes them down; forgets the oldest beyond the settings'
/// bounds.
Result<void> record_events(Work& work);

}  // namespace hailstone::cell
