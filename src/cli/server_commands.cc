// serve, status, config, version, completion.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/completion.h"
#include "cli/context.h"
#include "cli/exit_codes.h"

namespace hailstone::cli {
namespace {

Result<int> show_status(Context& context) {
  TRY(Api* const api, context.api());
  Bytes raw;
  TRY(const Json status, api->get("/api/v1/status", &raw));
  const bool healthy = !status.contains("healthy") || status["healthy"] == true;
  const int exit = healthy ? kExitOk : kExitFailure;
  if (context.print_json(raw)) return exit;
  Table table({{"STATUS"}, {""}});
  const Json store = status.value("store", Json::object());
  table.row({"server", context.url()});
  table.row({"node", text_field(status, "node")});
  table.row({"version", text_field(status, "version")});
  table.row({"healthy", healthy ? "yes" : "NO: see the server's log"});
  table.row({"up", format_duration(std::chrono::seconds(status.value("uptime_seconds", uint64_t{0})))});
  table.row({"volumes", text_field(status, "volumes")});
  table.row(
      {"log slot", fmt::format("{} (applied {})", text_field(status, "log_slot"), text_field(status, "applied_slot"))});
  table.row({"free", fmt::format("{} of {}", format_size(status.value("free_bytes", uint64_t{0})),
                                 format_size(status.value("total_bytes", uint64_t{0})))});
  table.row({"chunks", fmt::format("{}, {} ({} before compression)", text_field(store, "chunks"),
                                   format_size(store.value("stored_bytes", uint64_t{0})),
                                   format_size(store.value("uncompressed_bytes", uint64_t{0})))});
  table.row({"quarantined", text_field(store, "quarantined")});
  table.print(context.out());
  return exit;
}

struct ConfigArguments {
  bool sample = false;
  std::string check;
};

Result<int> show_config(Context& context, const ConfigArguments& arguments) {
  const Hooks& hooks = context.hooks();
  if (arguments.sample) {
    if (!hooks.sample_config) return fail(Code::Unsupported, "this program was built without the server");
    context.out() << hooks.sample_config();
    return kExitOk;
  }
  if (!arguments.check.empty()) {
    if (!hooks.check_config) return fail(Code::Unsupported, "this program was built without the server");
    TRY_DO(hooks.check_config(arguments.check));
    context.out() << (context.json ? "{\"valid\":true}\n" : arguments.check + ": fine\n");
    return kExitOk;
  }
  TRY(Api* const api, context.api());
  Bytes raw;
  TRY(const Json config, api->get("/api/v1/config", &raw));
  if (!context.print_json(raw)) context.out() << config.dump(2) << '\n';
  return kExitOk;
}

void add_completion(CLI::App& app, Commands& commands) {
  auto* command = app.add_subcommand("completion", "Print a completion script for a shell");
  auto shell = std::make_shared<std::string>();
  command->add_option("SHELL", *shell, "bash, zsh or fish")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->footer(
      "bash: source <(hailstone completion bash)\nzsh:  source <(hailstone completion zsh)\n"
      "fish: hailstone completion fish | source");
  Context& context = commands.context;
  commands.choose_when_parsed(command, [&context, &app, shell]() -> Result<int> {
    context.out() << completion_script(app, *shell);
    return kExitOk;
  });
}

}  // namespace

void add_server_commands(CLI::App& app, Commands& commands) {
  Context& context = commands.context;

  auto* serve = app.add_subcommand("serve", "Run the server");
  auto serve_arguments = std::make_shared<ServeArguments>();
  serve->add_option("--config,-c", serve_arguments->config, "Configuration file (TOML)")
      ->type_name("FILE")
      ->check(CLI::ExistingFile);
  serve->add_option("--data", serve_arguments->data, "Directory of everything this node keeps")->type_name("DIR");
  serve->add_option("--listen", serve_arguments->listen, "Address and port to listen on")->type_name("ADDRESS:PORT");
  serve->add_option("--set", serve_arguments->set, "One setting over the file's, may be repeated")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  commands.choose_when_parsed(serve, [&context, serve_arguments]() -> Result<int> {
    if (!context.hooks().serve) return fail(Code::Unsupported, "this program was built without the server");
    return context.hooks().serve(*serve_arguments);
  });

  auto* status = app.add_subcommand("status", "How the server is doing (exit code 1 when it is not healthy)");
  commands.choose_when_parsed(status, [&context] { return show_status(context); });

  auto* config = app.add_subcommand("config", "Show the server's configuration, a sample, or check a file");
  auto config_arguments = std::make_shared<ConfigArguments>();
  auto* sample = config->add_flag("--default", config_arguments->sample,
                                  "Print a commented sample with every key and its default");
  config->add_option("--check", config_arguments->check, "Check a configuration file")
      ->type_name("FILE")
      ->check(CLI::ExistingFile)
      ->excludes(sample);
  commands.choose_when_parsed(config, [&context, config_arguments] { return show_config(context, *config_arguments); });

  auto* version = app.add_subcommand("version", "Print this program's version");
  commands.choose_when_parsed(version, [&context]() -> Result<int> {
    if (context.json) {
      context.out() << Json{{"version", context.hooks().version}}.dump() << '\n';
    } else {
      context.out() << "hailstone " << context.hooks().version << '\n';
    }
    return kExitOk;
  });

  add_completion(app, commands);
}

}  // namespace hailstone::cli
