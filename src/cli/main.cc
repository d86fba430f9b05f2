// The `hailstone` program: hands the server's entry points to the command line.
#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <iostream>

#include "cli/command_line.h"
#include "server/cell_restore.h"
#include "server/config.h"
#include "server/serve.h"
#include "server/version.h"

int main(int argc, char** argv) {
  using namespace hailstone;
  // A closed pipe is an error of write(2), not the end of the process.
  ::signal(SIGPIPE, SIG_IGN);
  cli::Environment environment{
      std::cout,           std::cerr, ::isatty(STDERR_FILENO) == 1, [](const char* name) { return std::getenv(name); },
      cli::make_transport, nullptr};
  cli::Hooks hooks;
  hooks.serve = [](const cli::ServeArguments& a) { return server::serve_main({a.config, a.data, a.listen, a.set}); };
  hooks.sample_config = server::sample_config;
  hooks.check_config = [](const std::string& path) -> Result<void> {
    TRY_DO(server::load_config(path));
    return {};
  };
  hooks.restore_cell = [](const std::string& file, const std::string& data, uint64_t id) -> Result<std::string> {
    const auto disk = disk::make_real_disk();
    TRY(const auto header, server::restore_cell(*disk, file, data, id));
    return fmt::format("cell '{}' at revision {}", header.cell, header.revision.value);
  };
  hooks.version = server::kVersion;
  return cli::run(std::vector<std::string>(argv + 1, argv + argc), environment, hooks);
}
