// What every command gets: where to print, how to reach the server, what main() handed in.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "cli/api.h"
#include "cli/hooks.h"
#include "cli/output.h"

namespace CLI {
class App;
}

namespace hailstone::cli {

/// The outside of a run; tests replace it.
struct Environment {
  std::ostream& out;
  std::ostream& err;
  bool terminal = false;                             // err is one: progress may be drawn
  std::function<const char*(const char*)> variable;  // getenv
  /// make_transport but in tests.
  std::function<Result<std::unique_ptr<Transport>>(const Server& server)> connect;
  std::function<void(std::chrono::milliseconds)> sleep;  // null: really
};

class Context {
 public:
  Context(Environment& environment, const Hooks& hooks) : environment_(environment), hooks_(hooks) {}

  // Global options, filled by the parser.
  bool json = false;
  std::string url_option;
  std::string key_option;
  std::string ca_file;

  std::ostream& out() const { return environment_.out; }
  std::ostream& err() const { return environment_.err; }
  const Hooks& hooks() const { return hooks_; }
  Progress::Output progress() const {
    return environment_.terminal && !json ? Progress::Output::Terminal : Progress::Output::Silent;
  }
  std::string variable(const char* name) const;

  /// A new connection, for this thread alone.
  Result<std::unique_ptr<Api>> new_api() const;
  /// The command's own connection, made when first asked for.
  Result<Api*> api();
  std::string url() const;

  /// With --json prints `raw` as the server sent it and says true: the caller prints nothing else.
  bool print_json(const Bytes& raw) const;
  void note(const std::string& text) const { err() << text << '\n'; }

 private:
  std::string key() const;

  Environment& environment_;
  const Hooks& hooks_;
  std::unique_ptr<Api> api_;
};

/// What a command does when the line has been parsed. The value is the exit code.
using Action = std::function<Result<int>()>;

/// Collects the action of the command that was given.
struct Commands {
  Context& context;
  Action chosen;

  /// A command of `parent`: `setup` adds its options; `action` runs after parsing, if this one was named.
  void choose_when_parsed(CLI::App* command, Action action);
};

// One function a noun, each adding its commands to the parser.
void add_server_commands(CLI::App& app, Commands& commands);  // serve status config version completion
void add_volume_commands(CLI::App& app, Commands& commands);  // volume ...
void add_object_commands(CLI::App& app, Commands& commands);  // put get ls rm cp search
void add_import_command(CLI::App& app, Commands& commands);
void add_export_command(CLI::App& app, Commands& commands);
void add_draft_commands(CLI::App& app, Commands& commands);    // draft ...
void add_publish_commands(CLI::App& app, Commands& commands);  // publish rollback revert
void add_release_commands(CLI::App& app, Commands& commands);  // release ...
void add_channel_commands(CLI::App& app, Commands& commands);  // channel ...
void add_key_commands(CLI::App& app, Commands& commands);      // key ...
void add_log_commands(CLI::App& app, Commands& commands);      // log inspect
void add_cert_commands(CLI::App& app, Commands& commands);     // cert ...
void add_cell_commands(CLI::App& app, Commands& commands);     // cell ...
void add_cluster_commands(CLI::App& app, Commands& commands);  // cluster ...
void add_demo_commands(CLI::App& app, Commands& commands);     // demo ...
void add_upkeep_commands(CLI::App& app, Commands& commands);   // gc compact scrub why audit

/// Prints warnings of an answer ("warnings": texts or findings) for people.
void print_warnings(const Context& context, const Json& answer);

}  // namespace hailstone::cli
