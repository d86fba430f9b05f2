// `hailstone serve`: from command line to a serving node, and back to a clean stop.
#pragma once

#include <string>
#include <vector>

namespace hailstone::server {

struct ServeArguments {
  std::string config;            // file; empty: defaults
  std::string data;              // overrides the file's
  std::string listen;            // ADDRESS:PORT, [V6]:PORT, or PORT
  std::vector<std::string> set;  // KEY=VALUE, as in the file ("http.port=8080"), in order
};

/// Runs until SIGTERM or SIGINT. The process's exit code: 0 after a clean stop, 1 when it could not start, 2 on bad
/// arguments.
int serve_main(const ServeArguments& arguments);

}  // namespace hailstone::server
