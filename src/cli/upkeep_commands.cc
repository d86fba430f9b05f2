// gc, compact, scrub, why, audit: what keeps the store in order, and what it says of itself.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <thread>

#include "cli/context.h"
#include "cli/exit_codes.h"
#include "cli/location.h"

namespace hailstone::cli {
namespace {

constexpr const char* kUpkeep = "/api/v1/upkeep";

uint64_t count(const Json& object, const char* name) {
  const auto it = object.find(name);
  return it != object.end() && it->is_number_unsigned() ? it->get<uint64_t>() : 0;
}

/// Asks for a chore; with `wait` until it is done, and gives what it found.
Result<Json> ask(Context& context, const std::string& chore, Json body, bool wait) {
  TRY(Api* const api, context.api());
  body["chore"] = chore;
  TRY(const Json asked, api->send("POST", kUpkeep, body));
  if (!wait) return asked;
  for (;;) {
    TRY(const Json all, api->get(kUpkeep));
    const Json state = all.value(chore, Json::object());
    if (count(state, "finished") >= count(asked, "ticket")) {
      const Json error = state.value("error", Json(nullptr));
      if (error.is_string()) return fail(Code::Io, fmt::format("{}: {}", chore, error.get<std::string>()));
      return state.value("result", Json::object());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
}

Result<int> print(Context& context, const Json& result, const std::string& text) {
  if (context.json) {
    context.out() << result.dump() << '\n';
  } else {
    context.out() << text << '\n';
  }
  return kExitOk;
}

std::string compacted_text(const Json& done) {
  return fmt::format("compacted {} segments: {} given back, {} written again{}", count(done, "segments"),
                     format_size(count(done, "freed_bytes")), format_size(count(done, "moved_bytes")),
                     count(done, "kept_damaged") > 0 ? ", some kept because damaged chunks are in them" : "");
}

std::string collected_text(const Json& done, bool dry_run) {
  std::string out;
  const Json releases = done.value("releases", Json::object());
  for (const char* what : {"trashed", "purged"})
    for (const auto& [volume, numbers] : releases.value(what, Json::object()).items())
      out += fmt::format("{}releases {} of {}: {}\n", dry_run ? "would be: " : "", what, volume,
                         numbers.get<std::string>());
  out += fmt::format(
      "{} chunks {} ({}), {} more in the trash since now, {} held by open writers, {} named by unsealed edits",
      count(done, "erased"), dry_run ? "would be erased" : "erased", format_size(count(done, "erased_bytes")),
      count(done, "trashed"), count(done, "held"), count(done, "pinned"));
  const Json compacted = done.value("compacted", Json(nullptr));
  if (compacted.is_object()) out += "\n" + compacted_text(compacted);
  const Json blocked = done.value("blocked", Json(nullptr));
  if (blocked.is_string()) out += "\nnothing more could be erased: " + blocked.get<std::string>();
  return out;
}

struct GcArguments {
  bool dry_run = false, now = false, verify = false, wait = false;
};

Result<int> collect(Context& context, const GcArguments& arguments) {
  if (arguments.verify) {
    TRY(const Json done, ask(context, "verify", Json::object(), true));
    return print(context, done,
                 fmt::format("{} counts are right: {} chunks reachable ({}), {} in the trash ({}), {} on disk",
                             count(done, "counts"), count(done, "reachable_chunks"),
                             format_size(count(done, "reachable_bytes")), count(done, "trash_chunks"),
                             format_size(count(done, "trash_bytes")), format_size(count(done, "disk_bytes"))));
  }
  const bool wait = arguments.wait || arguments.dry_run;
  TRY(const Json done, ask(context, "collect", {{"dry_run", arguments.dry_run}, {"skip_window", arguments.now}}, wait));
  return print(context, done, wait ? collected_text(done, arguments.dry_run) : "started: see 'hailstone gc --status'");
}

Result<int> show_status(Context& context, const char* chore) {
  TRY(Api* const api, context.api());
  Bytes raw;
  TRY(const Json all, api->get(kUpkeep, &raw));
  if (context.print_json(raw)) return kExitOk;
  const Json state = all.value(chore, Json::object());
  Table table({{"UPKEEP"}, {chore}});
  for (const char* field : {"running", "runs", "took_ms", "error"}) table.row({field, text_field(state, field)});
  table.row({"last", format_time(text_field(state, "last"))});
  for (const auto& [name, value] : state.value("result", Json::object()).items())
    if (!value.is_structured()) table.row({name, text_field(state["result"], name)});
  if (std::string(chore) == "scrub") {
    const Json at = state.value("position", Json::object());
    table.row({"position", fmt::format("segment {} at {}", text_field(at, "segment"), text_field(at, "offset"))});
    for (const char* field : {"passes", "bytes", "damaged"}) table.row({field, text_field(state, field)});
  }
  table.print(context.out());
  return kExitOk;
}

/// CHUNK is 64 hex digits; VOLUME@REL or VOLUME a release; VOLUME/KEY and VOLUME@X/KEY a key.
Result<int> why(Context& context, const std::string& what, uint64_t limit) {
  std::string path;
  const size_t slash = what.find('/');
  if (what.size() == 64 && what.find_first_not_of("0123456789abcdef") == std::string::npos) {
    path = "/api/v1/chunks/" + what + "/why";
  } else if (slash == std::string::npos) {
    path = target_path(what, "why");
  } else {
    path = target_path(what.substr(0, slash), "why");
    add_parameter(path, "key", what.substr(slash + 1));
  }
  add_parameter(path, "limit", std::to_string(limit));
  TRY(Api* const api, context.api());
  Bytes raw;
  TRY(const Json answer, api->get(path, &raw));
  if (context.print_json(raw)) return kExitOk;
  const auto print_reasons = [&](const Json& of, const std::string& indent) {
    const Json reasons = of.value("reasons", Json::array());
    for (const Json& reason : reasons) context.out() << indent << reason.get<std::string>() << '\n';
    if (reasons.empty()) context.out() << indent << "nothing refers to it\n";
  };
  if (!answer.contains("chunks")) {
    if (answer.contains("problem")) context.out() << answer["problem"].get<std::string>() << '\n';
    print_reasons(answer, "");
    return kExitOk;
  }
  if (answer.value("inline", false)) context.out() << "its content is kept in its entry\n";
  for (const Json& chunk : answer["chunks"]) {
    context.out() << text_field(chunk, "chunk") << "  " << format_size(count(chunk, "stored_bytes")) << '\n';
    print_reasons(chunk, "  ");
  }
  return kExitOk;
}

Result<int> audit(Context& context, uint64_t limit, uint64_t before) {
  std::string path = "/api/v1/audit";
  add_parameter(path, "limit", std::to_string(limit));
  if (before > 0) add_parameter(path, "before", std::to_string(before));
  TRY(Api* const api, context.api());
  Bytes raw;
  TRY(const Json answer, api->get(path, &raw));
  if (context.print_json(raw)) return kExitOk;
  Table table({{"SLOT", Table::Align::Right}, {"TIME"}, {"AUTHOR"}, {"ACTION"}, {"OBJECT"}});
  for (const Json& record : answer.value("records", Json::array()))
    table.row({text_field(record, "slot"), format_time(text_field(record, "time")), text_field(record, "author"),
               text_field(record, "action"), text_field(record, "object")});
  table.print(context.out());
  if (const std::string next = text_field(answer, "next"); next != "-")
    context.note(fmt::format("older ones: --before {}", next));
  return kExitOk;
}

}  // namespace

void add_upkeep_commands(CLI::App& app, Commands& commands) {
  Context& context = commands.context;

  auto* gc = app.add_subcommand("gc", "Let go what retention and deletions left behind, and give its space back");
  auto gc_arguments = std::make_shared<GcArguments>();
  auto gc_status = std::make_shared<bool>(false);
  gc->add_flag("--dry-run", gc_arguments->dry_run, "Say what would go; nothing is let go or erased");
  gc->add_flag("--now", gc_arguments->now, "What is in the trash goes too, however young");
  gc->add_flag("--wait", gc_arguments->wait, "Until it is done");
  gc->add_flag("--verify", gc_arguments->verify, "Compare all counts of references with a recount, and sum up");
  gc->add_flag("--status", *gc_status, "What the last one did");
  commands.choose_when_parsed(gc, [&context, gc_arguments, gc_status] {
    return *gc_status ? show_status(context, "collect") : collect(context, *gc_arguments);
  });

  auto* compact = app.add_subcommand("compact", "Rewrite segment files that are mostly dead, now");
  auto compact_wait = std::make_shared<bool>(false);
  compact->add_flag("--wait", *compact_wait, "Until it is done");
  commands.choose_when_parsed(compact, [&context, compact_wait]() -> Result<int> {
    TRY(const Json done, ask(context, "compact", Json::object(), *compact_wait));
    return print(context, done, *compact_wait ? compacted_text(done) : "started");
  });

  auto* scrub = app.add_subcommand("scrub", "How far verification of all chunks is; or verify them all now");
  auto scrub_now = std::make_shared<bool>(false);
  auto scrub_status = std::make_shared<bool>(false);
  scrub->add_flag("--now", *scrub_now, "Read and verify every chunk, and wait for it (exit code 1 if any is damaged)");
  scrub->add_flag("--status", *scrub_status, "[the default]");
  commands.choose_when_parsed(scrub, [&context, scrub_now]() -> Result<int> {
    if (!*scrub_now) return show_status(context, "scrub");
    TRY(const Json done, ask(context, "scrub", Json::object(), true));
    TRY_DO(print(context, done,
                 fmt::format("{} chunks read ({}), {} damaged", count(done, "chunks"),
                             format_size(count(done, "bytes")), count(done, "damaged"))));
    return count(done, "damaged") > 0 ? kExitFailure : kExitOk;
  });

  auto* why_command = app.add_subcommand("why", "What keeps a chunk, a key's chunks, or a release");
  auto what = std::make_shared<std::string>();
  auto limit = std::make_shared<uint64_t>(20);
  why_command->add_option("WHAT", *what, "CHUNK (64 hex digits), VOLUME@REL, or VOLUME[@REL]/KEY")->required();
  why_command->add_option("--limit", *limit, "At most so many reasons [20]")->type_name("N");
  commands.choose_when_parsed(why_command, [&context, what, limit] { return why(context, *what, *limit); });

  auto* audit_command = app.add_subcommand("audit", "Who did what, newest first");
  auto audit_limit = std::make_shared<uint64_t>(50);
  auto before = std::make_shared<uint64_t>(0);
  audit_command->add_option("--limit", *audit_limit, "At most so many [50]")->type_name("N");
  audit_command->add_option("--before", *before, "Only older than this, as an earlier page said")
      ->type_name("MICROSECONDS");
  commands.choose_when_parsed(audit_command,
                              [&context, audit_limit, before] { return audit(context, *audit_limit, *before); });
}

}  // namespace hailstone::cli
