// publish, rollback, revert.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <optional>

#include "cli/context.h"
#include "cli/exit_codes.h"
#include "cli/location.h"
#include "cli/published.h"

namespace hailstone::cli {

void print_published(const Context& context, const Json& answer) {
  Table table({{"RELEASE"},
               {"CHANNELS"},
               {"ADDED", Table::Align::Right},
               {"CHANGED", Table::Align::Right},
               {"REMOVED", Table::Align::Right}});
  for (const Json& release : answer.value("releases", Json::array())) {
    std::string name = fmt::format("{}@{}", text_field(release, "volume"), text_field(release, "release"));
    if (release.value("unchanged", false)) name += " (unchanged)";
    table.row({name, text_field(release, "channels"), text_field(release, "added"), text_field(release, "changed"),
               text_field(release, "removed")});
  }
  table.print(context.out());
  for (const Json& release : answer.value("releases", Json::array())) print_warnings(context, release);
  if (answer.value("dry_run", false)) context.note("dry run: nothing was published");
}

namespace {

struct PublishArguments {
  std::vector<std::string> items, channels;
  std::string message, author;
  bool dry_run = false;
};

Result<int> publish(Context& context, const PublishArguments& arguments) {
  Json items = Json::array();
  for (const std::string& text : arguments.items) {
    TRY(const Location at, parse_published(text));
    Json item{{"volume", at.volume}, {"message", arguments.message}};
    item["draft"] = at.draft() ? Json(*at.draft()) : Json(nullptr);
    items.push_back(std::move(item));
  }
  Json body{{"items", std::move(items)}, {"author", arguments.author}, {"dry_run", arguments.dry_run}};
  if (!arguments.channels.empty()) body["channels"] = arguments.channels;
  TRY(Api* const api, context.api());
  Bytes raw;
  TRY(const Json answer, api->send("POST", "/api/v1/publish", body, &raw));
  if (!context.print_json(raw)) print_published(context, answer);
  return kExitOk;
}

struct RollbackArguments {
  std::string target;
  std::optional<uint64_t> to;
};

Result<int> rollback(Context& context, const RollbackArguments& arguments) {
  TRY(const Location at, parse_target(arguments.target));
  Json body{{"volume", at.volume}, {"channel", at.ref.empty() ? "current" : at.ref}};
  body["to"] = arguments.to ? Json(*arguments.to) : Json(nullptr);
  TRY(Api* const api, context.api());
  Bytes raw;
  TRY(const Json answer, api->send("POST", "/api/v1/rollback", body, &raw));
  if (context.print_json(raw)) return kExitOk;
  context.out() << fmt::format("{}@{}: {} -> {}\n", at.volume, text_field(answer, "channel"),
                               text_field(answer, "from"), text_field(answer, "to"));
  print_warnings(context, answer);
  return kExitOk;
}

struct RevertArguments {
  std::string volume, message;
  uint64_t to = 0;
  std::vector<std::string> channels;
};

Result<int> revert(Context& context, const RevertArguments& arguments) {
  TRY(const std::string volume, parse_volume(arguments.volume));
  Json body{{"volume", volume}, {"to", arguments.to}, {"message", arguments.message}};
  if (!arguments.channels.empty()) body["channels"] = arguments.channels;
  TRY(Api* const api, context.api());
  Bytes raw;
  TRY(const Json answer, api->send("POST", "/api/v1/revert", body, &raw));
  if (!context.print_json(raw)) print_published(context, answer);
  return kExitOk;
}

}  // namespace

void add_publish_commands(CLI::App& app, Commands& commands) {
  Context& context = commands.context;

  auto* publish_command =
      app.add_subcommand("publish", "Publish heads and drafts, all in one step: readers see all or nothing");
  auto publish_arguments = std::make_shared<PublishArguments>();
  publish_command
      ->add_option("TARGET", publish_arguments->items, "VOLUME (its head) or VOLUME@draft-N, several at once")
      ->check(checked<parse_published>)
      ->required();
  publish_command->add_option("--channel", publish_arguments->channels, "Channel to flip, may be repeated [current]")
      ->type_name("NAME")
      ->allow_extra_args(false);
  publish_command->add_option("-m,--message", publish_arguments->message, "For people");
  publish_command->add_option("--author", publish_arguments->author, "Instead of the access key's name");
  publish_command->add_flag("-n,--dry-run", publish_arguments->dry_run,
                            "Run the checks, show what would change, publish nothing");
  commands.choose_when_parsed(publish_command,
                              [&context, publish_arguments] { return publish(context, *publish_arguments); });

  auto* rollback_command = app.add_subcommand("rollback", "Point a channel back to the release it named before");
  auto rollback_arguments = std::make_shared<RollbackArguments>();
  rollback_command->add_option("TARGET", rollback_arguments->target, "VOLUME (channel current) or VOLUME@CHANNEL")
      ->check(checked<parse_target>)
      ->required();
  rollback_command->add_option("--to", rollback_arguments->to, "A certain release")->type_name("N");
  commands.choose_when_parsed(rollback_command,
                              [&context, rollback_arguments] { return rollback(context, *rollback_arguments); });

  auto* revert_command = app.add_subcommand(
      "revert", "Publish an old release's content as a new one (clients that ignore older dates follow)");
  auto revert_arguments = std::make_shared<RevertArguments>();
  revert_command->add_option("VOLUME", revert_arguments->volume)->check(checked<parse_volume>)->required();
  revert_command->add_option("--to", revert_arguments->to, "The release whose content comes back")
      ->required()
      ->type_name("N");
  revert_command->add_option("--channel", revert_arguments->channels, "Channel to flip, may be repeated [current]")
      ->type_name("NAME")
      ->allow_extra_args(false);
  revert_command->add_option("-m,--message", revert_arguments->message, "For people");
  commands.choose_when_parsed(revert_command,
                              [&context, revert_arguments] { return revert(context, *revert_arguments); });
}

}  // namespace hailstone::cli
