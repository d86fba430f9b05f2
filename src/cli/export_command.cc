// export TARGET[/PREFIX] DIR
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "cli/context.h"
#include "cli/exit_codes.h"
#include "cli/location.h"
#include "cli/wire_reader.h"
#include "mirror/restore.h"

namespace hailstone::cli {
namespace {

constexpr uint64_t kFetchBytes = 64u << 20;  // of one request, and
constexpr size_t kFetchKeys = 10'000;        // its keys: the server takes bodies up to 8 MiB

struct ExportArguments {
  std::string target, directory, reuse = "link";
  bool in_place = false, no_owner = false;
  unsigned keep = 1;
};

// A channel may move between the manifest and the contents: it is resolved once, to the release it names.
Result<void> pin_channel(Api& api, Location& at) {
  if (at.ref.empty() || at.release() || at.draft()) return {};
  TRY(const Json answer, api.get(target_path(at.target(), "token")));
  if (answer.contains("release") && answer["release"].is_number_unsigned())
    at.ref = std::to_string(answer["release"].get<uint64_t>());
  return {};
}

// Streams the contents of `keys` into the restore. Nothing is wrong with contents that did not come: they are asked for
// again.
Result<void> fetch(Api& api, const std::string& target, const std::vector<Bytes>& keys, mirror::Restore& restore,
                   const std::function<void(uint64_t)>& received) {
  const Json body{{"keys", keys_json(keys)}};
  bool open = false;
  auto result =
      read_wire(api, "POST", target_path(target, "fetch"), &body, [&](mirror::WireEvent& event) -> Result<void> {
        if (auto* put = std::get_if<mirror::WirePut>(&event)) {
          TRY_DO(restore.begin_content(put->key));
          open = true;
          if (!put->inlined) return {};
          TRY_DO(restore.write(*put->inlined));
          open = false;
          received(put->inlined->size());
          return restore.finish_content();
        }
        if (auto* data = std::get_if<mirror::WireData>(&event)) {
          received(data->bytes.size());
          return restore.write(data->bytes);
        }
        if (std::holds_alternative<mirror::WireDone>(event)) {
          open = false;
          return restore.finish_content();
        }
        if (std::holds_alternative<mirror::WireAbandon>(event)) {
          open = false;
          restore.abandon_content();
        }
        return {};
      });
  if (!result && open) restore.abandon_content();
  return result;
}

Result<void> fetch_all(Context& context, Api& api, const std::string& target, mirror::Restore& restore) {
  Progress progress(context.err(), context.progress(), "receiving", restore.wanted_bytes());
  uint64_t received = 0;
  const auto count = [&](uint64_t bytes) { progress.update(received += bytes); };
  unsigned attempts_left = 5;
  for (auto missing = restore.missing(kFetchKeys, kFetchBytes); !missing.empty();) {
    const auto fetched = fetch(api, target, missing, restore, count);
    auto still = restore.missing(kFetchKeys, kFetchBytes);
    // Progress is progress, even if the connection broke in the middle of it.
    if (still.size() == missing.size() && still.front() == missing.front() && --attempts_left == 0) {
      if (!fetched) return fetched;
      return fail(Code::Conflict,
                  fmt::format("{}: the content does not come: was it changed meanwhile?", printable(still.front())));
    }
    if (!fetched && fetched.error().code != Code::Unavailable && fetched.error().code != Code::Timeout &&
        fetched.error().code != Code::Io && fetched.error().code != Code::Corrupt)
      return fetched;
    missing = std::move(still);
  }
  return {};
}

Result<int> run(Context& context, const ExportArguments& arguments) {
  TRY(Location at, parse_location(arguments.target));
  if (!at.path.empty() && !at.path.ends_with('/')) at.path += '/';
  TRY(Api* const api, context.api());
  const std::string named = at.target();
  TRY_DO(pin_channel(*api, at));
  TRY(auto entries, fetch_manifest(*api, at.target(), at.path));
  if (entries.empty() && !at.path.empty())
    return fail(Code::NotFound, fmt::format("{} has nothing under {}", at.target(), printable(at.path)));

  mirror::RestoreOptions options;
  options.directory = arguments.directory;
  options.prefix = at.path;
  options.place = arguments.in_place ? mirror::Place::InPlace : mirror::Place::NewTree;
  options.reuse = arguments.reuse == "reflink" ? mirror::Reuse::Reflink
                  : arguments.reuse == "copy"  ? mirror::Reuse::Copy
                                               : mirror::Reuse::HardLink;
  options.owners = ::geteuid() == 0 && !arguments.no_owner ? mirror::Owners::Restore : mirror::Owners::Ignore;
  options.keep = arguments.keep;
  options.origin = fmt::format("{} {}/{}", context.url(), at.volume, at.path);
  options.release = at.release().value_or(0);
  const auto disk = disk::make_real_disk();
  const uint64_t keys = entries.size();
  TRY(const auto restore, mirror::Restore::begin(*disk, std::move(options), std::move(entries)));
  TRY_DO(fetch_all(context, *api, at.target(), *restore));
  TRY(const mirror::RestoreReport report, restore->commit());

  for (const std::string& text : report.warnings.texts()) context.note("warning: " + text);
  if (report.warnings.total() > report.warnings.texts().size())
    context.note(fmt::format("and {} more warnings", report.warnings.total() - report.warnings.texts().size()));
  if (context.json) {
    Json out{{"keys", keys},
             {"fetched", report.fetched},
             {"fetched_bytes", report.fetched_bytes},
             {"reused", report.reused},
             {"removed", report.removed},
             {"tree", report.tree},
             {"target", at.target()},
             {"warnings", report.warnings.total()}};
    context.out() << out.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
  } else {
    context.out() << fmt::format("{} -> {}: {} keys, {} fetched ({}), {} files reused\n", at.target(),
                                 arguments.directory, keys, report.fetched, format_size(report.fetched_bytes),
                                 report.reused);
  }
  return kExitOk;
}

}  // namespace

void add_export_command(CLI::App& app, Commands& commands) {
  auto* command = app.add_subcommand(
      "export", "Write a target as a directory tree: only what changed is fetched, all appears at once");
  auto arguments = std::make_shared<ExportArguments>();
  command->add_option("TARGET[/PREFIX]", arguments->target)->check(checked<parse_location>)->required();
  command
      ->add_option("DIR", arguments->directory, "Becomes a symlink to a tree beside it, flipped when the tree is whole")
      ->required();
  auto* in_place = command->add_flag("--in-place", arguments->in_place, "Update a real directory, file by file");
  command
      ->add_option("--reuse", arguments->reuse,
                   "How unchanged files come from the previous export: link (shared, do not write into them), reflink, "
                   "copy [link]")
      ->check(CLI::IsMember({"link", "reflink", "copy"}))
      ->excludes(in_place);
  command->add_flag_callback("--copy", [arguments] { arguments->reuse = "copy"; }, "Same as --reuse copy");
  command->add_option("--keep", arguments->keep, "Former trees to keep [1]")->type_name("N");
  command->add_flag("--no-owner", arguments->no_owner, "Do not set owners (they need root anyway)");
  Context& context = commands.context;
  commands.choose_when_parsed(command, [&context, arguments] { return run(context, *arguments); });
}

}  // namespace hailstone::cli
