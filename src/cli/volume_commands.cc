// volume create, ls, show, set, rm, clone.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <optional>

#include "cli/context.h"
#include "cli/exit_codes.h"
#include "cli/location.h"

namespace hailstone::cli {
namespace {

// Only what was given is sent: the server keeps or defaults the rest.
struct SettingsArguments {
  std::optional<bool> overlay, public_read, cookie_pin, compress;
  std::optional<uint64_t> grace_seconds, chunk_average_bytes, keep_releases, keep_seconds, trash_seconds;
  std::optional<std::string> checks, description;

  void add_to(CLI::App* command) {
    const auto flag = [&](const std::string& name, std::optional<bool>& out, const std::string& help) {
      command->add_option("--" + name, out, help)->type_name("true|false");
    };
    flag("overlay", overlay, "Paths that the current release lacks resolve in the releases still in grace");
    flag("public", public_read, "Releases may be read without a key");
    flag("cookie-pin", cookie_pin, "Browsers stay on the release they started with");
    flag("compress", compress, "Compress chunks where it pays");
    command->add_option("--grace", grace_seconds, "How long a replaced release still resolves")->type_name("SECONDS");
    command->add_option("--keep-releases", keep_releases, "The newest so many stay; 0: no bound by count")
        ->type_name("N");
    command->add_option("--keep", keep_seconds, "Releases replaced no longer ago stay; 0: no bound by age")
        ->type_name("SECONDS");
    command->add_option("--trash", trash_seconds, "How long a release that was let go can be restored")
        ->type_name("SECONDS");
    command->add_option("--chunk-average", chunk_average_bytes, "Average chunk of large contents")->type_name("BYTES");
    command->add_option("--checks", checks, "What a publish does about findings")
        ->check(CLI::IsMember({"refuse", "warn", "off"}));
    command->add_option("--description", description, "For people");
  }

  Json json() const {
    Json out = Json::object();
    const auto put = [&](const char* name, const auto& value) {
      if (value) out[name] = *value;
    };
    put("overlay", overlay);
    put("public", public_read);
    put("cookie_pin", cookie_pin);
    put("compress", compress);
    put("grace_seconds", grace_seconds);
    put("keep_releases", keep_releases);
    put("keep_seconds", keep_seconds);
    put("trash_seconds", trash_seconds);
    put("chunk_average_bytes", chunk_average_bytes);
    put("checks", checks);
    put("description", description);
    return out;
  }
};

std::string channels_text(const Json& volume) {
  std::string out;
  for (const auto& [name, release] : volume.value("channels", Json::object()).items())
    out += fmt::format("{}{}={}", out.empty() ? "" : " ", name, release.dump());
  return out.empty() ? "-" : out;
}

void print_volume(const Context& context, const Json& volume) {
  Table table({{"VOLUME"}, {text_field(volume, "name")}});
  table.row({"created", format_time(text_field(volume, "created"))});
  table.row({"releases", text_field(volume, "releases")});
  table.row({"channels", channels_text(volume)});
  table.row({"keys (current)", text_field(volume, "keys")});
  table.row({"size (current)", format_size(volume.value("bytes", uint64_t{0}))});
  if (volume.contains("head"))
    table.row({"head", fmt::format("{} keys, {}, {} edits not sealed", text_field(volume["head"], "keys"),
                                   format_size(volume["head"].value("bytes", uint64_t{0})),
                                   text_field(volume["head"], "unsealed_edits"))});
  const Json settings = volume.value("settings", Json::object());
  for (const auto& [name, value] : settings.items()) table.row({name, text_field(settings, name)});
  table.print(context.out());
}

Result<int> list_volumes(Context& context) {
  TRY(Api* const api, context.api());
  Bytes raw;
  TRY(const Json answer, api->get("/api/v1/volumes", &raw));
  if (context.print_json(raw)) return kExitOk;
  Table table({{"VOLUME"},
               {"RELEASES", Table::Align::Right},
               {"KEYS", Table::Align::Right},
               {"SIZE", Table::Align::Right},
               {"CHANNELS"}});
  for (const Json& volume : answer.value("volumes", Json::array()))
    table.row({text_field(volume, "name"), text_field(volume, "releases"), text_field(volume, "keys"),
               format_size(volume.value("bytes", uint64_t{0})), channels_text(volume)});
  if (table.empty()) {
    context.note("no volumes yet: make one with 'hailstone volume create NAME'");
  } else {
    table.print(context.out());
  }
  return kExitOk;
}

Result<int> call_and_show(Context& context, const std::string& method, const std::string& path, const Json& body) {
  TRY(Api* const api, context.api());
  Bytes raw;
  TRY(const Json volume, method == "GET" ? api->get(path, &raw) : api->send(method, path, body, &raw));
  if (!context.print_json(raw)) print_volume(context, volume);
  return kExitOk;
}

void add_create(CLI::App& volume, Commands& commands) {
  auto* command = volume.add_subcommand("create", "Make a new, empty volume");
  auto name = std::make_shared<std::string>();
  auto settings = std::make_shared<SettingsArguments>();
  command->add_option("NAME", *name, "3 to 63 characters a-z 0-9 . -, as an S3 bucket")->required();
  settings->add_to(command);
  Context& context = commands.context;
  commands.choose_when_parsed(command, [&context, name, settings] {
    return call_and_show(context, "POST", "/api/v1/volumes", {{"name", *name}, {"settings", settings->json()}});
  });
}

void add_set(CLI::App& volume, Commands& commands) {
  auto* command = volume.add_subcommand("set", "Change settings of a volume");
  auto name = std::make_shared<std::string>();
  auto settings = std::make_shared<SettingsArguments>();
  command->add_option("VOLUME", *name)->check(checked<parse_volume>)->required();
  settings->add_to(command);
  Context& context = commands.context;
  commands.choose_when_parsed(command, [&context, name, settings]() -> Result<int> {
    TRY(const std::string volume_name, parse_volume(*name));
    const Json changes = settings->json();
    if (changes.empty())
      return fail(Code::Invalid, "nothing to change: name at least one setting (see 'hailstone volume set --help')");
    return call_and_show(context, "PATCH", volume_path(volume_name), {{"settings", changes}});
  });
}

void add_remove(CLI::App& volume, Commands& commands) {
  auto* command = volume.add_subcommand("rm", "Remove a volume with its head, drafts and releases");
  auto name = std::make_shared<std::string>();
  auto confirm = std::make_shared<std::string>();
  command->add_option("VOLUME", *name)->check(checked<parse_volume>)->required();
  command->add_option("--confirm", *confirm, "The volume's name once more")->type_name("NAME");
  Context& context = commands.context;
  commands.choose_when_parsed(command, [&context, name, confirm]() -> Result<int> {
    TRY(const std::string volume_name, parse_volume(*name));
    if (*confirm != volume_name)
      return fail(Code::Invalid,
                  fmt::format("this removes everything in '{0}': add --confirm {0} if you mean it", volume_name));
    TRY(Api* const api, context.api());
    std::string path = volume_path(volume_name);
    add_parameter(path, "confirm", volume_name);
    Bytes raw;
    TRY_DO(api->send("DELETE", path, nullptr, &raw));
    if (!context.print_json(raw)) context.note(fmt::format("volume {} is gone", volume_name));
    return kExitOk;
  });
}

void add_clone(CLI::App& volume, Commands& commands) {
  auto* command = volume.add_subcommand(
      "clone", "Make a new volume that starts as another one's release (instant, shares all data)");
  auto source = std::make_shared<std::string>();
  auto name = std::make_shared<std::string>();
  auto settings = std::make_shared<SettingsArguments>();
  command->add_option("SOURCE", *source, "VOLUME (its current release) or VOLUME@NUMBER")
      ->check(checked<parse_target>)
      ->required();
  command->add_option("NAME", *name, "The new volume")->required();
  settings->add_to(command);
  Context& context = commands.context;
  commands.choose_when_parsed(command, [&context, source, name, settings]() -> Result<int> {
    TRY(const Location from, parse_target(*source));
    if (!from.ref.empty() && !from.release())
      return fail(Code::Invalid, fmt::format("'{}': clone takes VOLUME or VOLUME@NUMBER", *source));
    Json body{
        {"name", *name},
        {"clone", {{"volume", from.volume}, {"release", from.release() ? Json(*from.release()) : Json(nullptr)}}}};
    if (const Json changes = settings->json(); !changes.empty()) body["settings"] = changes;
    return call_and_show(context, "POST", "/api/v1/volumes", body);
  });
}

}  // namespace

void add_volume_commands(CLI::App& app, Commands& commands) {
  auto* volume = app.add_subcommand("volume", "Make, list, change and remove volumes");
  volume->require_subcommand(1);
  Context& context = commands.context;
  add_create(*volume, commands);
  auto* list = volume->add_subcommand("ls", "List volumes");
  commands.choose_when_parsed(list, [&context] { return list_volumes(context); });
  auto* show = volume->add_subcommand("show", "Show a volume");
  auto name = std::make_shared<std::string>();
  show->add_option("VOLUME", *name)->check(checked<parse_volume>)->required();
  commands.choose_when_parsed(show, [&context, name]() -> Result<int> {
    TRY(const std::string volume_name, parse_volume(*name));
    return call_and_show(context, "GET", volume_path(volume_name), nullptr);
  });
  add_set(*volume, commands);
  add_remove(*volume, commands);
  add_clone(*volume, commands);
}

}  // namespace hailstone::cli
