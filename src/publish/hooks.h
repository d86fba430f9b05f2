// External checks: runs a command over the changed keys of a publish, and takes its exit code as the verdict.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"

namespace hailstone::publish {

inline constexpr size_t kHookOutputBytesMax = 64u << 10;

struct HookCommand {
  /// Program (absolute path) and arguments, given to the kernel as they are: there is no shell in between.
  std::vector<std::string> argv;
  /// Added to PATH=/usr/local/bin:/usr/bin:/bin and LANG=C.UTF-8, which they may replace. Nothing else of this
  /// process's environment reaches the command: it may hold secrets.
  std::vector<std::pair<std::string, std::string>> environment;
  std::string working_directory = "/";
  uint32_t timeout_ms = 10 * 60'000;  // wall time; then the whole process group is killed

  /// Invalid: no program, a relative one, NUL in a string, a variable's name empty or with '='.
  Result<void> validate() const;
};

struct HookOutcome {
  enum class Verdict : uint8_t { Passed, Refused, TimedOut };
  Verdict verdict = Verdict::Refused;
  /// For people: why it did not pass, ending with the last lines that the command wrote. Empty when passed.
  std::string message;
  /// The last kHookOutputBytesMax bytes of standard output and error together.
  Bytes output;
  uint64_t output_bytes = 0;  // written in all
};

/// Keys for the command's standard input, one at a time; nothing at the end.
using KeySource = std::function<Result<std::optional<Bytes>>()>;

/// Runs the command in its own process group and waits for it. Standard input has one changed key a line,
/// percent-encoded as in the depot's URLs (so a key can't break a line); a command may exit without reading it.
/// Whatever the command leaves running in its group is killed. Blocking. Safe from any thread; SIGPIPE needs no
/// handling by the caller. Errors: Invalid; Io when the command can't be started; an error of `next_key` (the command
/// is killed).
Result<HookOutcome> run_hook(const HookCommand& command, const KeySource& next_key);

}  // namespace hailstone::publish
