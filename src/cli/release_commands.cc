// release ls, show, diff, tag, untag, hold, unhold, rm, restore, trash.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/changes.h"
#include "cli/context.h"
#include "cli/exit_codes.h"
#include "cli/location.h"

namespace hailstone::cli {
namespace {

std::string release_path(const Location& at, const std::string& what = {}) {
  return volume_path(at.volume, fmt::format("releases/{}{}", *at.release(), what));
}

struct ListArguments {
  std::string volume;
  uint64_t limit = 20, before = 0;
};

Result<int> list(Context& context, const ListArguments& arguments) {
  TRY(const std::string volume, parse_volume(arguments.volume));
  TRY(Api* const api, context.api());
  std::string path = volume_path(volume, "releases");
  add_parameter(path, "limit", std::to_string(arguments.limit));
  if (arguments.before > 0) add_parameter(path, "before", std::to_string(arguments.before));
  Bytes raw;
  TRY(const Json answer, api->get(path, &raw));
  if (context.print_json(raw)) return kExitOk;
  Table table({{"RELEASE", Table::Align::Right},
               {"TIME"},
               {"KEYS", Table::Align::Right},
               {"SIZE", Table::Align::Right},
               {"+", Table::Align::Right},
               {"~", Table::Align::Right},
               {"-", Table::Align::Right},
               {"KIND"},
               {"AUTHOR"},
               {"MESSAGE"}});
  for (const Json& release : answer.value("releases", Json::array()))
    table.row({text_field(release, "release"), format_time(text_field(release, "time")), text_field(release, "keys"),
               format_size(release.value("bytes", uint64_t{0})), text_field(release, "added"),
               text_field(release, "changed"), text_field(release, "removed"), text_field(release, "kind"),
               text_field(release, "author"), text_field(release, "message")});
  if (table.empty()) {
    context.note(fmt::format("no releases yet: 'hailstone publish {}'", volume));
    return kExitOk;
  }
  table.print(context.out());
  if (const std::string next = text_field(answer, "next"); next != "-")
    context.note(fmt::format("older ones: --before {}", next));
  return kExitOk;
}

Result<int> show(Context& context, const std::string& name) {
  TRY(const Location at, parse_release(name));
  TRY(Api* const api, context.api());
  Bytes raw;
  TRY(const Json release, api->get(release_path(at), &raw));
  if (context.print_json(raw)) return kExitOk;
  Table table({{"RELEASE"}, {fmt::format("{}@{}", at.volume, text_field(release, "release"))}});
  table.row({"time", format_time(text_field(release, "time"))});
  for (const char* field : {"kind", "author", "message", "keys"}) table.row({field, text_field(release, field)});
  table.row({"size", format_size(release.value("bytes", uint64_t{0}))});
  for (const char* field :
       {"added", "changed", "removed", "base", "parent", "channels", "tags", "root", "hash", "key_id", "signature"})
    table.row({field, text_field(release, field)});
  for (const Json& hold : release.value("holds", Json::array()))
    table.row({"held by", fmt::format("{}: {}", text_field(hold, "name"), text_field(hold, "reason"))});
  table.print(context.out());
  return kExitOk;
}

// A change of a release that answers with nothing.
Result<int> change(Context& context, const std::string& method, const std::string& name, const std::string& what,
                   const std::string& word, const Json& body, const std::string& done) {
  TRY(const Location at, parse_release(name));
  TRY(Api* const api, context.api());
  Bytes raw;
  TRY_DO(api->send(method, release_path(at, fmt::format("/{}/{}", what, percent_encode(word))), body, &raw));
  if (!context.print_json(raw)) context.note(fmt::format("{} {}", name, done));
  return kExitOk;
}

void add_trash(CLI::App& release, Commands& commands) {
  Context& context = commands.context;
  const auto add = [&](const char* name, const char* help, const char* method, const char* what, const char* done) {
    auto* command = release.add_subcommand(name, help);
    auto named = std::make_shared<std::string>();
    command->add_option("VOLUME@N", *named)->check(checked<parse_release>)->required();
    commands.choose_when_parsed(command, [&context, named, method, what, done]() -> Result<int> {
      TRY(const Location at, parse_release(*named));
      TRY(Api* const api, context.api());
      Bytes raw;
      TRY_DO(api->send(method, release_path(at, what), Json(nullptr), &raw));
      if (!context.print_json(raw)) context.note(fmt::format("{} {}", *named, done));
      return kExitOk;
    });
  };
  add("rm", "Let a release go; it can be restored until the trash is purged", "DELETE", "",
      "is in the trash: 'hailstone release restore' takes it back");
  add("restore", "Take a release back out of the trash", "POST", "/restore", "is there again");

  auto* trash = release.add_subcommand("trash", "Releases in the trash, and until when");
  auto volume = std::make_shared<std::string>();
  trash->add_option("VOLUME", *volume)->check(checked<parse_volume>)->required();
  commands.choose_when_parsed(trash, [&context, volume]() -> Result<int> {
    TRY(const std::string name, parse_volume(*volume));
    TRY(Api* const api, context.api());
    Bytes raw;
    TRY(const Json answer, api->get(volume_path(name, "trash"), &raw));
    if (context.print_json(raw)) return kExitOk;
    Table table({{"RELEASE", Table::Align::Right}, {"SINCE"}, {"UNTIL"}});
    for (const Json& one : answer.value("trash", Json::array()))
      table.row(
          {text_field(one, "release"), format_time(text_field(one, "since")), format_time(text_field(one, "until"))});
    if (table.empty()) {
      context.note("the trash is empty");
    } else {
      table.print(context.out());
    }
    return kExitOk;
  });
}

void add_diff(CLI::App& release, Commands& commands) {
  auto* command = release.add_subcommand("diff", "What changed between two releases (by number, channel or tag)");
  struct DiffArguments {
    std::string volume, from, to;
  };
  auto arguments = std::make_shared<DiffArguments>();
  command->add_option("VOLUME", arguments->volume)->check(checked<parse_volume>)->required();
  command->add_option("FROM", arguments->from, "Number, channel or tag; 0 is the empty state")->required();
  command->add_option("TO", arguments->to, "[current]");
  Context& context = commands.context;
  commands.choose_when_parsed(command, [&context, arguments]() -> Result<int> {
    TRY(const std::string volume, parse_volume(arguments->volume));
    std::string path = volume_path(volume, "diff");
    add_parameter(path, "from", arguments->from);
    if (!arguments->to.empty()) add_parameter(path, "to", arguments->to);
    return print_changes(context, path);
  });
}

}  // namespace

void add_release_commands(CLI::App& app, Commands& commands) {
  Context& context = commands.context;
  auto* release = app.add_subcommand("release", "Immutable, numbered versions of a volume");
  release->require_subcommand(1);

  auto* list_command = release->add_subcommand("ls", "List releases, newest first");
  auto list_arguments = std::make_shared<ListArguments>();
  list_command->add_option("VOLUME", list_arguments->volume)->check(checked<parse_volume>)->required();
  list_command->add_option("--limit", list_arguments->limit, "At most so many [20]")->type_name("N");
  list_command->add_option("--before", list_arguments->before, "Only older than this one")->type_name("N");
  commands.choose_when_parsed(list_command, [&context, list_arguments] { return list(context, *list_arguments); });

  auto* show_command = release->add_subcommand("show", "Show a release");
  auto shown = std::make_shared<std::string>();
  show_command->add_option("VOLUME@N", *shown)->check(checked<parse_release>)->required();
  commands.choose_when_parsed(show_command, [&context, shown] { return show(context, *shown); });

  add_diff(*release, commands);
  add_trash(*release, commands);

  struct ChangeArguments {
    std::string release, word, reason;
  };
  const auto add = [&](const char* name, const char* help, const char* word, const char* method, const char* what,
                       const char* done) {
    auto* command = release->add_subcommand(name, help);
    auto arguments = std::make_shared<ChangeArguments>();
    command->add_option("VOLUME@N", arguments->release)->check(checked<parse_release>)->required();
    command->add_option(word, arguments->word)->required();
    const bool takes_reason = std::string(name) == "hold";
    if (takes_reason) command->add_option("--reason", arguments->reason, "Why, for people");
    commands.choose_when_parsed(command, [&context, arguments, method, what, done, takes_reason] {
      const Json body = takes_reason ? Json{{"reason", arguments->reason}} : Json(nullptr);
      return change(context, method, arguments->release, what, arguments->word, body,
                    fmt::format(fmt::runtime(done), arguments->word));
    });
  };
  add("tag", "Name a release; moves the tag if it is on another one", "TAG", "PUT", "tags", "is tagged {}");
  add("untag", "Take a tag off a release", "TAG", "DELETE", "tags", "is no longer tagged {}");
  add("hold", "Keep a release from being collected", "NAME", "PUT", "holds", "is held by {}");
  add("unhold", "Let a hold go", "NAME", "DELETE", "holds", "is no longer held by {}");
}

}  // namespace hailstone::cli
