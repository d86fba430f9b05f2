#include "cli/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli/exit_codes.h"

namespace hailstone::cli {
namespace {

constexpr const char* kFooter =
    "\nTARGET is VOLUME (its head), VOLUME@draft-7, VOLUME@42, VOLUME@CHANNEL or VOLUME@TAG.\n"
    "Environment: HAILSTONE_URL, HAILSTONE_KEY, HAILSTONE_CA_FILE, HAILSTONE_DATA (for admin.key).\n\n";

void report(const Context& context, const Error& error) {
  if (context.json) {
    // The same form as the server's, so that a script reads one kind of error.
    const Json body{{"error", {{"code", code_name(error.code)}, {"message", error.message}}}};
    context.err() << body.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
    return;
  }
  context.err() << "hailstone: " << error.message << '\n';
  if (const auto hint = advice(error.code); !hint.empty()) context.err() << "  (" << hint << ")\n";
}

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

// "unknown command 'creat': did you mean 'create'?", or what there is.
std::string missing_command(const CLI::App& app, const std::string& given) {
  std::string nearest, all;
  size_t best = 3;  // further away it is no typing mistake
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    all += (all.empty() ? "" : ", ") + command->get_name();
    if (const size_t distance = edit_distance(given, command->get_name()); distance < best) {
      best = distance;
      nearest = command->get_name();
    }
  }
  if (given.empty()) return "a command is missing: one of " + all;
  if (!nearest.empty()) return fmt::format("unknown command '{}': did you mean '{}'?", printable(given), nearest);
  return fmt::format("unknown command '{}': there are {}", printable(given), all);
}

int usage_error(const CLI::App& app, const CLI::ParseError& error, const std::vector<std::string>& arguments,
                Context& context) {
  if (error.get_exit_code() == 0) return app.exit(error, context.out(), context.err());
  // The help of the command that was meant says more than that of the whole.
  const CLI::App* meant = &app;
  std::string path;
  while (!meant->get_subcommands().empty()) {
    meant = meant->get_subcommands().front();
    path += " " + meant->get_name();
  }
  std::string what = error.what();
  const bool has_commands = !meant->get_subcommands([](const CLI::App*) { return true; }).empty();
  if (has_commands && (error.get_name() == "RequiredError" || error.get_name() == "ExtrasError")) {
    auto at = arguments.begin();
    if (meant != &app) at = std::find(arguments.begin(), arguments.end(), meant->get_name()) + 1;
    at = std::find_if(at, arguments.end(), [](const std::string& word) { return !word.starts_with('-'); });
    what = missing_command(*meant, at == arguments.end() ? "" : *at);
  }
  context.err() << "hailstone" << path << ": " << what << "\n  (see 'hailstone" << path << " --help')\n";
  return kExitUsage;
}

}  // namespace

void Commands::choose_when_parsed(CLI::App* command, Action action) {
  command->callback([this, action = std::move(action)] { chosen = action; });
}

int run(const std::vector<std::string>& arguments, Environment& environment, const Hooks& hooks) {
  Context context(environment, hooks);
  Commands commands{context, {}};
  CLI::App app("Hailstone: a replicated repository server. Prepare a whole new state, publish it in one step.",
               "hailstone");
  app.require_subcommand(1);
  app.fallthrough();
  app.get_formatter()->label("REQUIRED", "");
  app.set_version_flag("--version", "hailstone " + hooks.version);
  app.add_flag("--json", context.json, "Print the server's JSON instead of text");
  app.add_option("--url", context.url_option, "Server [http://127.0.0.1:8080, or $HAILSTONE_URL]")->type_name("URL");
  app.add_option("--key", context.key_option,
                 "Access key KEYID:SECRET [$HAILSTONE_KEY, or admin.key of a local server]")
      ->type_name("KEY");
  app.add_option("--ca-file", context.ca_file, "Certificates to trust instead of the system's [$HAILSTONE_CA_FILE]")
      ->type_name("FILE");
  add_server_commands(app, commands);
  add_volume_commands(app, commands);
  add_object_commands(app, commands);
  add_import_command(app, commands);
  add_export_command(app, commands);
  add_draft_commands(app, commands);
  add_publish_commands(app, commands);
  add_release_commands(app, commands);
  add_channel_commands(app, commands);
  add_key_commands(app, commands);
  add_upkeep_commands(app, commands);
  add_log_commands(app, commands);
  add_cert_commands(app, commands);
  add_cell_commands(app, commands);
  add_cluster_commands(app, commands);
  add_demo_commands(app, commands);
  app.footer(kFooter + exit_code_table());  // after the commands, which would inherit it
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // as CLI11 takes them
    app.parse(std::move(reversed));
  } catch (const CLI::ParseError& error) {
    return usage_error(app, error, arguments, context);
  }
  if (!commands.chosen) return kExitUsage;
  const auto result = commands.chosen();
  if (result) return *result;
  report(context, result.error());
  return exit_code_of(result.error().code);
}

}  // namespace hailstone::cli
