// draft open, ls, show, drop, diff.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <optional>

#include "cli/changes.h"
#include "cli/context.h"
#include "cli/exit_codes.h"
#include "cli/location.h"

namespace hailstone::cli {
namespace {

std::string draft_path(const Location& at) { return volume_path(at.volume, fmt::format("drafts/{}", *at.draft())); }

struct OpenArguments {
  std::string volume, message;
  std::optional<uint64_t> base;
};

Result<int> open(Context& context, const OpenArguments& arguments) {
  TRY(const std::string volume, parse_volume(arguments.volume));
  TRY(Api* const api, context.api());
  Json body{{"message", arguments.message}};
  body["base"] = arguments.base ? Json(*arguments.base) : Json(nullptr);
  Bytes raw;
  TRY(const Json draft, api->send("POST", volume_path(volume, "drafts"), body, &raw));
  if (!context.print_json(raw)) context.out() << fmt::format("{}@draft-{}\n", volume, text_field(draft, "draft"));
  return kExitOk;
}

void add_row(Table& table, const std::string& volume, const Json& draft) {
  table.row({fmt::format("{}@draft-{}", volume, text_field(draft, "draft")), text_field(draft, "base"),
             format_time(text_field(draft, "opened")), format_time(text_field(draft, "active")),
             text_field(draft, "author"), text_field(draft, "message")});
}

Table draft_table() {
  return Table({{"DRAFT"}, {"BASE", Table::Align::Right}, {"OPENED"}, {"ACTIVE"}, {"AUTHOR"}, {"MESSAGE"}});
}

Result<int> list(Context& context, const std::string& name) {
  TRY(const std::string volume, parse_volume(name));
  TRY(Api* const api, context.api());
  Bytes raw;
  TRY(const Json answer, api->get(volume_path(volume, "drafts"), &raw));
  if (context.print_json(raw)) return kExitOk;
  Table table = draft_table();
  for (const Json& draft : answer.value("drafts", Json::array())) add_row(table, volume, draft);
  if (table.empty()) {
    context.note(fmt::format("no drafts: open one with 'hailstone draft open {}'", volume));
  } else {
    table.print(context.out());
  }
  return kExitOk;
}

Result<int> show(Context& context, const std::string& name) {
  TRY(const Location at, parse_draft(name));
  TRY(Api* const api, context.api());
  Bytes raw;
  TRY(const Json draft, api->get(draft_path(at), &raw));
  if (context.print_json(raw)) return kExitOk;
  Table table = draft_table();
  add_row(table, at.volume, draft);
  table.print(context.out());
  return kExitOk;
}

Result<int> drop(Context& context, const std::string& name) {
  TRY(const Location at, parse_draft(name));
  TRY(Api* const api, context.api());
  Bytes raw;
  TRY_DO(api->send("DELETE", draft_path(at), nullptr, &raw));
  if (!context.print_json(raw)) context.note(fmt::format("{} is gone", name));
  return kExitOk;
}

}  // namespace

void add_draft_commands(CLI::App& app, Commands& commands) {
  Context& context = commands.context;
  auto* draft = app.add_subcommand("draft", "Isolated sets of changes on a release");
  draft->require_subcommand(1);

  auto* open_command = draft->add_subcommand("open", "Open a draft and print its name");
  auto open_arguments = std::make_shared<OpenArguments>();
  open_command->add_option("VOLUME", open_arguments->volume)->check(checked<parse_volume>)->required();
  open_command->add_option("--base", open_arguments->base, "Release to start from [the current one]")->type_name("N");
  open_command->add_option("-m,--message", open_arguments->message, "For people");
  commands.choose_when_parsed(open_command, [&context, open_arguments] { return open(context, *open_arguments); });

  const auto add = [&](const char* name, const char* help, const char* argument,
                       Result<int> (*action)(Context&, const std::string&)) {
    auto* command = draft->add_subcommand(name, help);
    auto text = std::make_shared<std::string>();
    const bool volume = std::string(argument) == "VOLUME";
    command->add_option(argument, *text)->required()->check(volume ? checked<parse_volume> : checked<parse_draft>);
    commands.choose_when_parsed(command, [&context, text, action] { return action(context, *text); });
  };
  add("ls", "List a volume's drafts", "VOLUME", list);
  add("show", "Show a draft", "VOLUME@draft-N", show);
  add("drop", "Give a draft up: its changes are lost", "VOLUME@draft-N", drop);
  add("diff", "What a draft changes", "VOLUME@draft-N", [](Context& c, const std::string& name) -> Result<int> {
    TRY(const Location at, parse_draft(name));
    return print_changes(c, draft_path(at) + "/diff");
  });
}

}  // namespace hailstone::cli
