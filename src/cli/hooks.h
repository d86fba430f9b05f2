// What the command line needs from the server module, handed in by main(): the one place where the two meet.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/error.h"

namespace hailstone::cli {

/// `hailstone serve`, as given; empty means "as configured".
struct ServeArguments {
  std::string config;            // --config FILE
  std::string data;              // --data DIR
  std::string listen;            // --listen ADDRESS:PORT
  std::vector<std::string> set;  // --set KEY=VALUE, in order, over the file
};

struct Hooks {
  /// Runs until told to stop; the process's exit code.
  std::function<int(const ServeArguments&)> serve;
  /// The commented sample that `config --default` prints.
  std::function<std::string()> sample_config;
  /// Invalid with line, key and what to do.
  std::function<Result<void>(const std::string& path)> check_config;
  /// Puts a saved state into the data directory of a node with that id; what it is, for people.
  std::function<Result<std::string>(const std::string& file, const std::string& data, uint64_t id)> restore_cell;
  std::string version = "0.1.0";
};

}  // namespace hailstone::cli
