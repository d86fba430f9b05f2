// cluster status, nodes, drain, undrain, remove, replace.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <thread>

#include "cli/context.h"
#include "cli/exit_codes.h"

namespace hailstone::cli {
namespace {

constexpr const char* kCluster = "/api/v1/cluster";

struct ClusterArguments {
  uint64_t node = 0, by = 0;
  std::string address;
  bool lost = false;
  uint64_t wait_s = 600;
};

Json list_of(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_array() ? *found : Json::array();
}

/// "1 2 3"
std::string words(const Json& list) {
  std::string out;
  for (const Json& one : list) {
    if (!out.empty()) out += ' ';
    out += one.is_string() ? printable(one.get<std::string>()) : one.dump();
  }
  return out.empty() ? "-" : out;
}

bool flag(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && *found == true;
}

uint64_t number(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
}

std::string size_field(const Json& object, const char* name) {
  return object.contains(name) ? format_size(number(object, name)) : "-";
}

void print_nodes(Context& context, const Json& status) {
  Table table(
      {{"NODE", Table::Align::Right}, {"STATE"}, {"VOTES"}, {"ROLES"}, {"HTTP"}, {"PLACE"}, {"VERSION"}, {"UP"}});
  for (const Json& node : list_of(status, "nodes")) {
    const bool registered = flag(node, "registered"), answers = flag(node, "answers");
    table.row({text_field(node, "id"),
               !registered              ? "GONE"
               : !answers               ? "SILENT"
               : !flag(node, "healthy") ? "FAILED"
                                        : "up",
               flag(node, "votes") ? "yes" : "no", words(list_of(node, "roles")), printable(text_field(node, "http")),
               printable(text_field(node, "place")), printable(text_field(node, "version")),
               answers ? format_duration(std::chrono::seconds(number(node, "uptime_seconds"))) : "-"});
  }
  table.print(context.out());
}

void print_stores(Context& context, const Json& status) {
  Table table({{"STORE", Table::Align::Right},
               {"STATE"},
               {"WEIGHT", Table::Align::Right},
               {"CHUNKS", Table::Align::Right},
               {"BYTES", Table::Align::Right},
               {"FREE", Table::Align::Right},
               {"LACKS", Table::Align::Right},
               {"DAMAGED", Table::Align::Right}});
  for (const Json& store : list_of(status, "stores"))
    table.row({text_field(store, "node"), text_field(store, "state") + (flag(store, "up") ? "" : ", DOWN"),
               text_field(store, "weight"), text_field(store, "chunks"), size_field(store, "stored_bytes"),
               size_field(store, "free_bytes"), text_field(store, "missing_copies"), text_field(store, "quarantined")});
  table.print(context.out());
}

void print_groups(Context& context, const Json& status) {
  Table table({{"GROUP", Table::Align::Right},
               {"LEADER"},
               {"VOTERS"},
               {"LEARNERS"},
               {"CHOSEN", Table::Align::Right},
               {"APPLIED"}});
  for (const Json& group : list_of(status, "groups")) {
    std::string applied;
    for (const Json& at : list_of(group, "applied"))
      applied += fmt::format("{}{}:{}", applied.empty() ? "" : " ", number(at, "node"), number(at, "slot"));
    table.row({number(group, "id") == 0 ? "cell" : text_field(group, "id"),
               number(group, "leader") == 0 ? "NOBODY" : text_field(group, "leader"), words(list_of(group, "voters")),
               words(list_of(group, "learners")), text_field(group, "chosen"), applied});
  }
  table.print(context.out());
}

void print_channels(Context& context, const Json& channels) {
  const Json unsettled = list_of(channels, "unsettled");
  if (unsettled.empty()) {
    context.out() << fmt::format("channels: {}, all shown as decided\n", number(channels, "count"));
    return;
  }
  Table table({{"CHANNEL"}, {"DECIDED", Table::Align::Right}, {"SHOWN", Table::Align::Right}, {"NOT BY NODES"}});
  for (const Json& channel : unsettled) {
    const Json shown = channel.value("shown", Json(nullptr));
    table.row({printable(text_field(channel, "volume") + "@" + text_field(channel, "channel")),
               text_field(channel.value("decided", Json::object()), "release"),
               shown.is_object() ? text_field(shown, "release") : "UNKNOWN", words(list_of(channel, "excluded"))});
  }
  table.print(context.out());
}

/// 1 when something is wrong, so that a script need not read.
int exit_of(const Json& status) { return list_of(status, "problems").empty() ? kExitOk : kExitFailure; }

Result<int> show_status(Context& context, const ClusterArguments&) {
  TRY(Api* const api, context.api());
  Bytes raw;
  TRY(const Json status, api->get(kCluster, &raw));
  if (context.print_json(raw)) return exit_of(status);
  const auto texts = [&](const char* name, const char* mark) {
    for (const Json& text : list_of(status, name))
      if (text.is_string()) context.out() << mark << printable(text.get<std::string>()) << '\n';
  };
  print_nodes(context, status);
  context.out() << '\n';
  print_stores(context, status);
  context.out() << '\n';
  print_groups(context, status);
  context.out() << '\n';
  print_channels(context, status.value("channels", Json::object()));
  context.out() << '\n';
  texts("problems", "WRONG    ");
  texts("pending", "pending  ");
  if (list_of(status, "problems").empty()) context.out() << "nothing is wrong\n";
  return exit_of(status);
}

Result<int> show_nodes(Context& context, const ClusterArguments&) {
  TRY(Api* const api, context.api());
  TRY(const Json status, api->get(kCluster));
  if (context.json)
    context.out() << list_of(status, "nodes").dump() << '\n';
  else
    print_nodes(context, status);
  return kExitOk;
}

Result<int> use_store(Context& context, const ClusterArguments& arguments, const char* state, const std::string& note) {
  TRY(Api* const api, context.api());
  Bytes raw;
  TRY_DO(api->send("PUT", fmt::format("{}/stores/{}", kCluster, arguments.node), {{"state", state}}, &raw));
  if (!context.print_json(raw)) context.note(note);
  return kExitOk;
}

Result<int> drain(Context& context, const ClusterArguments& arguments) {
  return use_store(
      context, arguments, "draining",
      fmt::format("store {} gets no new copies; 'hailstone cluster status' tells when it is empty", arguments.node));
}
Result<int> undrain(Context& context, const ClusterArguments& arguments) {
  return use_store(context, arguments, "in", fmt::format("store {} gets copies again", arguments.node));
}

Result<int> remove_node(Context& context, const ClusterArguments& arguments) {
  TRY(Api* const api, context.api());
  std::string path = fmt::format("{}/nodes/{}", kCluster, arguments.node);
  if (arguments.lost) add_parameter(path, "lost", "true");
  TRY_DO(api->send("DELETE", path, nullptr));
  if (context.json)
    context.out() << Json{{"removed", arguments.node}}.dump() << '\n';
  else
    context.note(fmt::format("node {} is forgotten; its number must not be given again", arguments.node));
  return kExitOk;
}

/// The server does a step at a time: this asks until it is done, and may be run again if it is cut short.
Result<int> replace_node(Context& context, const ClusterArguments& arguments) {
  TRY(Api* const api, context.api());
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(arguments.wait_s);
  Json request{{"by", arguments.by}};
  if (!arguments.address.empty()) request["address"] = arguments.address;
  std::string told;
  while (true) {
    TRY(const Json step, api->send("POST", fmt::format("{}/nodes/{}/replace", kCluster, arguments.node), request));
    const std::string what = text_field(step, "step");
    if (flag(step, "done")) {
      if (context.json)
        context.out() << step.dump() << '\n';
      else
        context.note(what);
      return kExitOk;
    }
    if (!context.json && what != std::exchange(told, what)) context.note(what + " ...");
    if (std::chrono::steady_clock::now() > deadline)
      return fail(Code::Timeout, fmt::format("after {} s: {}; run it again to go on", arguments.wait_s, what));
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
}

}  // namespace

void add_cluster_commands(CLI::App& app, Commands& commands) {
  Context& context = commands.context;
  auto* cluster = app.add_subcommand("cluster", "The nodes of the cell: how they are, and who is there");
  cluster->require_subcommand(1);
  const auto arguments = std::make_shared<ClusterArguments>();
  const auto add = [&](const char* name, const char* help, Result<int> (*action)(Context&, const ClusterArguments&)) {
    auto* command = cluster->add_subcommand(name, help);
    commands.choose_when_parsed(command, [&context, arguments, action] { return action(context, *arguments); });
    return command;
  };
  const auto add_for_node = [&](const char* name, const char* help, auto action) {
    auto* command = add(name, help, action);
    command->add_option("NODE", arguments->node, "Its id")->required()->check(CLI::PositiveNumber);
    return command;
  };
  add("status", "Nodes, stores, groups, channels; what is pending and what is wrong (then the exit code is 1)",
      show_status);
  add("nodes", "Who is there", show_nodes);
  add_for_node("drain", "A node's store gets no new copies; others fetch what it has", drain);
  add_for_node("undrain", "It gets copies again", undrain);
  add_for_node("remove", "Forget a node that has been drained and stopped, or is lost", remove_node)
      ->add_flag("--lost", arguments->lost, "Its store will not come back: do without it");
  auto* replace = add_for_node("replace", "A new node votes in place of one whose disk is lost", replace_node);
  replace->add_option("NEW", arguments->by, "The new node's id; it runs with cell.join = true")
      ->required()
      ->check(CLI::PositiveNumber);
  replace->add_option("--address", arguments->address, "Where other members reach it [where they reached NODE]")
      ->type_name("HOST:MEMBERPORT");
  replace->add_option("--wait", arguments->wait_s, "Seconds until giving up [600]")->type_name("SECONDS");
}

}  // namespace hailstone::cli
