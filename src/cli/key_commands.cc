// key create, ls, rm.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/context.h"
#include "cli/exit_codes.h"

namespace hailstone::cli {
namespace {

struct CreateArguments {
  std::string name, role = "reader";
  std::vector<std::string> volumes;
};

Result<int> create(Context& context, const CreateArguments& arguments) {
  Json body{{"name", arguments.name}, {"role", arguments.role}};
  body["volumes"] = arguments.volumes.empty() ? std::vector<std::string>{"*"} : arguments.volumes;
  TRY(Api* const api, context.api());
  Bytes raw;
  TRY(const Json key, api->send("POST", "/api/v1/keys", body, &raw));
  if (context.print_json(raw)) return kExitOk;
  context.out() << fmt::format("{}:{}\n", text_field(key, "id"), text_field(key, "secret"));
  context.note(
      "that is KEYID:SECRET, for --key or HAILSTONE_KEY; for S3 it is access key and secret key. It is not shown "
      "again.");
  return kExitOk;
}

Result<int> list(Context& context) {
  TRY(Api* const api, context.api());
  Bytes raw;
  TRY(const Json answer, api->get("/api/v1/keys", &raw));
  if (context.print_json(raw)) return kExitOk;
  Table table({{"KEY"}, {"NAME"}, {"ROLE"}, {"VOLUMES"}, {"CREATED"}});
  for (const Json& key : answer.value("keys", Json::array()))
    table.row({text_field(key, "id"), text_field(key, "name"), text_field(key, "role"), text_field(key, "volumes"),
               format_time(text_field(key, "created"))});
  table.print(context.out());
  return kExitOk;
}

Result<int> remove(Context& context, const std::string& id) {
  TRY(Api* const api, context.api());
  Bytes raw;
  TRY_DO(api->send("DELETE", "/api/v1/keys/" + percent_encode(id), nullptr, &raw));
  if (!context.print_json(raw)) context.note(fmt::format("key {} opens nothing any more", id));
  return kExitOk;
}

}  // namespace

void add_key_commands(CLI::App& app, Commands& commands) {
  Context& context = commands.context;
  auto* key = app.add_subcommand("key", "Access keys");
  key->require_subcommand(1);

  auto* create_command = key->add_subcommand("create", "Make an access key; its secret is shown once");
  auto arguments = std::make_shared<CreateArguments>();
  create_command->add_option("NAME", arguments->name, "Who or what it is for")->required();
  create_command->add_option("--role", arguments->role, "reader, writer, publisher or admin [reader]")
      ->check(CLI::IsMember({"reader", "writer", "publisher", "admin"}));
  create_command->add_option("--volume", arguments->volumes, "Volume it is good for, may be repeated [all]")
      ->type_name("NAME")
      ->allow_extra_args(false);
  commands.choose_when_parsed(create_command, [&context, arguments] { return create(context, *arguments); });

  auto* list_command = key->add_subcommand("ls", "List access keys");
  commands.choose_when_parsed(list_command, [&context] { return list(context); });

  auto* remove_command = key->add_subcommand("rm", "Remove an access key: it stops working at once");
  auto id = std::make_shared<std::string>();
  remove_command->add_option("KEYID", *id)->required();
  commands.choose_when_parsed(remove_command, [&context, id] { return remove(context, *id); });
}

}  // namespace hailstone::cli
