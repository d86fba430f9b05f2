// Runs a golden trace: several replicas driven by hand in one thread, with manual time, and what each command caused.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hailstone::paxos {

/// What came of a trace file. `text` is the file with the lines below each command written anew.
struct ScenarioResult {
  std::string text;
  size_t commands = 0;
  /// What must never be, whatever the file expects: two values in a slot, an acknowledgement of what is not durable,
  /// a commit out of order, a command that cannot be read.
  std::vector<std::string> violations;
};

/// Lines of a trace: `> COMMAND`, `# explanation`, blank, or (any other) what the command above caused. The commands
/// are listed in testdata/README.md.
ScenarioResult run_scenario(std::string_view trace);

}  // namespace hailstone::paxos
