// cell ls, cat, put, rm, cas, txn, watch.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "cli/cell_context.h"
#include "cli/exit_codes.h"

namespace hailstone::cli {
namespace {

using OptionsPtr = std::shared_ptr<CellOptions>;

struct FileArguments {
  std::string path = "/";
  std::string content, from;
  bool recursive = false, create = false, replace = false, ephemeral = false;
  uint64_t generation = 0, most = 0, after = 0;
  bool has_after = false;
};
using ArgumentsPtr = std::shared_ptr<FileArguments>;

Result<int> list_files(Context& context, const CellOptions& options, const FileArguments& arguments) {
  TRY(const auto client, connect_cell(context, options, Session::None));
  cell::List request{.path = arguments.path,
                     .depth = arguments.recursive ? cell::List::Depth::Files : cell::List::Depth::Children};
  Json rows = Json::array();
  Table table({{"NAME"},
               {"GENERATION", Table::Align::Right},
               {"CHANGED", Table::Align::Right},
               {"SIZE", Table::Align::Right},
               {"OWNER"}});
  do {
    TRY(const auto page, result_of(client->list(request, options.within())));
    for (const auto& entry : page.entries) {
      if (const auto* stat = std::get_if<cell::FileStat>(&entry.node)) {
        Json row = json_of(*stat);
        row["name"] = entry.name;
        rows.push_back(std::move(row));
        table.row({printable(entry.name), fmt::format("{}", stat->generation), fmt::format("{}", stat->changed.value),
                   format_size(stat->bytes), stat->owner ? fmt::format("session {}", stat->owner.value) : "-"});
      } else {
        const auto& directory = std::get<cell::DirectoryStat>(entry.node);
        rows.push_back({{"name", entry.name + "/"}, {"children", directory.children}});
        table.row({printable(entry.name) + "/", "-", fmt::format("{}", directory.changed.value),
                   fmt::format("{} in it", directory.children), "-"});
      }
    }
    request.after = page.next;
  } while (!request.after.empty());
  if (context.json)
    context.out() << line_of(Json{{"path", arguments.path}, {"entries", rows}}) << '\n';
  else if (!table.empty())
    table.print(context.out());
  return kExitOk;
}

Result<int> print_file(Context& context, const CellOptions& options, const FileArguments& arguments) {
  TRY(const auto client, connect_cell(context, options, Session::None));
  TRY(const auto copy, result_of(client->get(arguments.path, options.within())));
  if (!copy.file) return fail(Code::NotFound, fmt::format("{}: no such file", printable(arguments.path)));
  if (context.json) {
    Json json = json_of(copy.file->stat);
    json["path"] = arguments.path;
    json["revision"] = copy.revision.value;
    add_content(json, copy.file->content);
    context.out() << line_of(json) << '\n';
  } else {
    context.out() << copy.file->content;
    if (::isatty(STDOUT_FILENO) == 1 && !copy.file->content.ends_with('\n')) context.out() << '\n';
  }
  return kExitOk;
}

void print_stat(Context& context, const std::string& path, const cell::FileStat& stat) {
  if (!context.json) return;
  Json json = json_of(stat);
  json["path"] = path;
  context.out() << line_of(json) << '\n';
}

Result<int> hold_until_interrupted(Context& context, client::BlockingClient& client, const CellOptions& options) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  context.note(fmt::format("session {} keeps it until this is interrupted", client.session().value));
  context.out() << std::flush;
  timespec second{.tv_sec = 1, .tv_nsec = 0};
  while (sigtimedwait(&signals, nullptr, &second) < 0)
    if (!client.session()) return fail(Code::Unavailable, "the session has expired: the file is gone");
  static_cast<void>(client.close(options.within()));
  return kExitOk;
}

Result<int> put_file(Context& context, const CellOptions& options, const FileArguments& arguments) {
  Bytes content = arguments.content;
  if (!arguments.from.empty()) {
    TRY(content, read_content(arguments.from));
  }
  if (arguments.ephemeral) {  // before the client's thread is there, which would take the signals
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  }
  TRY(const auto client, connect_cell(context, options, Session::Open));
  client::PutOptions how;
  how.mode = arguments.create    ? cell::Put::Mode::Create
             : arguments.replace ? cell::Put::Mode::Replace
                                 : cell::Put::Mode::Write;
  how.life = arguments.ephemeral ? cell::Put::Life::Ephemeral : cell::Put::Life::Lasting;
  how.generation = arguments.generation;
  TRY(const auto stat, result_of(client->put(arguments.path, std::move(content), how, options.within())));
  print_stat(context, arguments.path, stat);
  if (arguments.ephemeral) return hold_until_interrupted(context, *client, options);
  static_cast<void>(client->close(options.within()));
  return kExitOk;
}

Result<int> remove_files(Context& context, const CellOptions& options, const FileArguments& arguments) {
  TRY(const auto client, connect_cell(context, options, Session::Open));
  uint64_t files = 1;
  if (arguments.recursive) {
    TRY(const auto reply,
        result_of(
            client->txn({.then_operations = {cell::DeleteSubtree{arguments.path, arguments.most}}}, options.within())));
    files = std::get<cell::Deleted>(reply.results.at(0)).files;
  } else {
    TRY_DO(result_of(client->remove(arguments.path, arguments.generation, options.within())));
  }
  static_cast<void>(client->close(options.within()));
  if (context.json)
    context.out() << line_of(Json{{"deleted", files}}) << '\n';
  else if (arguments.recursive)
    context.note(fmt::format("{} files deleted", files));
  return kExitOk;
}

Result<int> run_txn(Context& context, const CellOptions& options, const FileArguments& arguments) {
  TRY(const Bytes text, read_content(arguments.from));
  TRY(auto txn, parse_txn(text));
  TRY(const auto client, connect_cell(context, options, Session::Open));
  TRY(const auto reply, result_of(client->txn(std::move(txn), options.within())));
  static_cast<void>(client->close(options.within()));
  context.out() << json_of(reply).dump(context.json ? -1 : 2) << '\n';
  return reply.branch == cell::TxnReply::Branch::Then ? kExitOk : kExitFailure;
}

Result<int> watch_files(Context& context, const CellOptions& options, const FileArguments& arguments) {
  TRY(const auto client, connect_cell(context, options, Session::None));
  std::optional<cell::Revision> after;
  if (arguments.has_after) after = cell::Revision(arguments.after);
  const auto watch = client->watch(arguments.path, after);
  while (true) {
    const auto batch = watch->next({.ms = 3600'000});
    if (!batch && batch.error().code == Code::Timeout) continue;
    if (!batch) return std::unexpected(batch.error());
    for (const auto& item : batch->events) {
      const Json json = json_of(item);
      if (context.json) {
        context.out() << line_of(json) << '\n';
        continue;
      }
      std::string more;
      if (item.event.session)
        more = fmt::format("  session {} generation {}", item.event.session.value, item.event.lock_generation.value);
      else if (item.event.instance)
        more = fmt::format("  generation {}", item.event.generation);
      context.out() << fmt::format("{:>8}  {:<13} {}{}\n", item.revision.value, json["event"].get<std::string>(),
                                   printable(item.event.path), more);
    }
    context.out() << std::flush;
    if (batch->compacted)
      return fail(
          Code::Conflict,
          fmt::format("events up to revision {} are forgotten: read what you watch again, and watch on with --after",
                      batch->compacted->value));
  }
}

}  // namespace

void add_cell_file_commands(CLI::App& cell, Commands& commands, const OptionsPtr& options) {
  Context& context = commands.context;
  const auto add = [&](const char* name, const char* what, auto action) {
    auto* command = cell.add_subcommand(name, what);
    const auto arguments = std::make_shared<FileArguments>();
    commands.choose_when_parsed(
        command, [&context, options, arguments, action] { return action(context, *options, *arguments); });
    return std::pair(command, arguments);
  };
  const auto path = [](auto& made, bool required) {
    auto* option = made.first->add_option("PATH", made.second->path, "Of a file or directory: /a/b");
    if (required) option->required();
  };

  auto ls = add("ls", "List a directory", list_files);
  path(ls, false);
  ls.first->add_flag("--recursive,-R", ls.second->recursive, "All files beneath");

  auto cat = add("cat", "Print a file", print_file);
  path(cat, true);

  auto put = add("put", "Write a file", put_file);
  path(put, true);
  put.first->add_option("CONTENT", put.second->content, "What is to be in it");
  put.first->add_option("--file,-f", put.second->from, "Take the content from a file, or with - from standard input")
      ->type_name("FILE")
      ->excludes("CONTENT");
  put.first->add_flag("--create", put.second->create, "Only if it is not there");
  put.first->add_flag("--replace", put.second->replace, "Only if it is there")->excludes("--create");
  put.first->add_flag("--ephemeral", put.second->ephemeral,
                      "It goes with this command, which keeps it until it is interrupted");

  auto cas = add("cas", "Write a file if its content is of that generation", put_file);
  path(cas, true);
  cas.first->add_option("GENERATION", cas.second->generation, "As `cat --json` and `ls` show it")
      ->required()
      ->check(CLI::PositiveNumber);
  cas.first->add_option("CONTENT", cas.second->content, "What is to be in it");
  cas.first->add_option("--file,-f", cas.second->from, "Take the content from a file, or with - from standard input")
      ->type_name("FILE")
      ->excludes("CONTENT");

  auto rm = add("rm", "Delete a file, or with -r what is beneath a directory", remove_files);
  path(rm, true);
  rm.second->most = 1000;
  rm.first->add_flag("--recursive,-r", rm.second->recursive, "All files beneath PATH");
  rm.first->add_option("--most", rm.second->most, "Delete nothing if there are more files than this")
      ->capture_default_str();
  rm.first->add_option("--generation", rm.second->generation, "Only if its content is of that generation")
      ->excludes("--recursive");

  auto txn = add("txn", "Run a transaction (exit code 1: its else branch)", run_txn);
  txn.second->from = "-";
  txn.first->add_option("FILE", txn.second->from, "JSON; - is standard input")->capture_default_str();
  txn.first->footer(R"({"if": [{"absent": "/a"}], "then": [{"put": "/a", "content": "1"}], "else": [{"get": "/a"}]})"
                    "\nConditions: exists, absent, instance, generation, sha256, lock, sequencer. Operations: put, "
                    "delete, delete_subtree, get, list.");

  auto watch = add("watch", "Print what happens at and beneath a path, until interrupted", watch_files);
  path(watch, true);
  auto* after = watch.first->add_option("--after", watch.second->after,
                                        "Begin behind that revision; otherwise with what happens from now on");
  after->each([arguments = watch.second](const std::string&) { arguments->has_after = true; });
}

}  // namespace hailstone::cli
