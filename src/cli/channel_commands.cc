// channel ls, set, rm.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <optional>

#include "cli/context.h"
#include "cli/exit_codes.h"
#include "cli/location.h"

namespace hailstone::cli {
namespace {

Result<int> list(Context& context, const std::string& name) {
  TRY(const std::string volume, parse_volume(name));
  TRY(Api* const api, context.api());
  Bytes raw;
  TRY(const Json answer, api->get(volume_path(volume, "channels"), &raw));
  if (context.print_json(raw)) return kExitOk;
  Table table({{"CHANNEL"}, {"RELEASE", Table::Align::Right}, {"SINCE"}, {"BEFORE THAT"}});
  for (const Json& channel : answer.value("channels", Json::array())) {
    std::string history;
    const Json flips = channel.value("history", Json::array());
    for (size_t i = 1; i < std::min<size_t>(flips.size(), 6); ++i)
      history += fmt::format("{}{}", history.empty() ? "" : ", ", text_field(flips[i], "release"));
    table.row({fmt::format("{}@{}", volume, text_field(channel, "name")), text_field(channel, "release"),
               format_time(text_field(channel, "since")), history});
  }
  if (table.empty()) {
    context.note(fmt::format("no channels yet: 'hailstone publish {}' makes 'current'", volume));
  } else {
    table.print(context.out());
  }
  return kExitOk;
}

Result<int> send_flips(Context& context, Json flips) {
  TRY(Api* const api, context.api());
  Bytes raw;
  TRY(const Json answer, api->send("POST", "/api/v1/flip", {{"flips", std::move(flips)}}, &raw));
  if (context.print_json(raw)) return kExitOk;
  for (const Json& flip : answer.value("flips", Json::array())) {
    const std::string release = text_field(flip, "release");
    context.out() << fmt::format("{}@{} {}\n", text_field(flip, "volume"), text_field(flip, "channel"),
                                 release == "-" ? "is gone" : "= " + release);
  }
  return kExitOk;
}

}  // namespace

void add_channel_commands(CLI::App& app, Commands& commands) {
  Context& context = commands.context;
  auto* channel = app.add_subcommand("channel", "Named pointers to releases");
  channel->require_subcommand(1);

  auto* list_command = channel->add_subcommand("ls", "List a volume's channels");
  auto volume = std::make_shared<std::string>();
  list_command->add_option("VOLUME", *volume)->check(checked<parse_volume>)->required();
  commands.choose_when_parsed(list_command, [&context, volume] { return list(context, *volume); });

  struct SetArguments {
    std::vector<std::string> flips;
    std::optional<uint64_t> expect;
  };
  auto* set_command = channel->add_subcommand("set", "Point channels to releases, all in one step");
  auto set_arguments = std::make_shared<SetArguments>();
  set_command->add_option("FLIP", set_arguments->flips, "VOLUME@CHANNEL=RELEASE; several flip together")
      ->check(checked<parse_flip>)
      ->required();
  set_command
      ->add_option("--expect", set_arguments->expect, "Only if the channel names this release now (0: is absent)")
      ->type_name("N");
  commands.choose_when_parsed(set_command, [&context, set_arguments]() -> Result<int> {
    Json flips = Json::array();
    for (const std::string& text : set_arguments->flips) {
      TRY(const FlipName name, parse_flip(text));
      Json flip{{"volume", name.volume}, {"channel", name.channel}, {"release", name.release}};
      if (set_arguments->expect) flip["expect"] = *set_arguments->expect;
      flips.push_back(std::move(flip));
    }
    if (set_arguments->expect && flips.size() != 1) return fail(Code::Invalid, "--expect goes with one channel only");
    return send_flips(context, std::move(flips));
  });

  auto* remove_command = channel->add_subcommand("rm", "Remove channels, all in one step; their releases stay");
  auto names = std::make_shared<std::vector<std::string>>();
  remove_command->add_option("VOLUME@CHANNEL", *names)->check(checked<parse_channel>)->required();
  commands.choose_when_parsed(remove_command, [&context, names]() -> Result<int> {
    Json flips = Json::array();
    for (const std::string& text : *names) {
      TRY(const Location at, parse_channel(text));
      flips.push_back({{"volume", at.volume}, {"channel", at.ref}, {"release", nullptr}});
    }
    return send_flips(context, std::move(flips));
  });
}

}  // namespace hailstone::cli
