// cell status, sessions, members, locks, rules, settings, snapshot.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <thread>

#include "cell/snapshot_file.h"
#include "cli/cell_context.h"
#include "cli/exit_codes.h"
#include "disk/disk.h"

namespace hailstone::cli {
namespace {

namespace wire = cell::wire;

struct AdminArguments {
  uint64_t id = 0, old_id = 0, to = 0;
  std::string address, path, file, data, principal;
  std::vector<std::string> values;
  uint64_t wait_s = 600;
};

void print_members(Context& context, const Json& status) {
  Table table({{"NODE", Table::Align::Right},
               {"STANDING"},
               {"ROLE"},
               {"ADDRESS"},
               {"CONNECTED"},
               {"ROUND TRIP", Table::Align::Right}});
  for (const Json& member : status.value("members", Json::array())) {
    const bool self = member.value("self", false);
    const uint64_t id = member.value("id", uint64_t{0});
    table.row({fmt::format("{}", id), text_field(member, "standing"),
               id == status.value("leader", uint64_t{0}) ? "leader" : "-", printable(text_field(member, "address")),
               self                               ? "(asked)"
               : member.value("connected", false) ? "yes"
                                                  : "NO",
               self || !member.contains("round_trip_us")
                   ? "-"
                   : fmt::format("{} us", member.value("round_trip_us", uint64_t{0}))});
  }
  table.print(context.out());
}

Result<int> show_status(Context& context, const CellOptions& options, const AdminArguments&) {
  TRY(const auto client, connect_cell(context, options, Session::None));
  TRY(const Json status, manage_cell(*client, options, {{"op", "status"}}));
  const uint64_t leader = status.value("leader", uint64_t{0});
  const int exit = leader ? kExitOk : kExitFailure;
  if (context.json) {
    context.out() << line_of(status) << '\n';
    return exit;
  }
  Table table({{"CELL"}, {printable(text_field(status, "cell"))}});
  table.row({"asked", "node " + text_field(status, "member")});
  table.row({"leader", leader ? fmt::format("node {}", leader) : "NOBODY: no majority is up"});
  table.row({"revision", text_field(status, "revision")});
  table.row({"applied", fmt::format("{} of {}", text_field(status, "applied"), text_field(status, "chosen"))});
  table.row({"sessions", text_field(status, "sessions")});
  table.row({"files", text_field(status, "files")});
  table.print(context.out());
  context.out() << '\n';
  print_members(context, status);
  return exit;
}

Result<int> list_members(Context& context, const CellOptions& options, const AdminArguments&) {
  TRY(const auto client, connect_cell(context, options, Session::None));
  TRY(const Json status, manage_cell(*client, options, {{"op", "status"}}));
  if (context.json)
    context.out() << line_of(status.value("members", Json::array())) << '\n';
  else
    print_members(context, status);
  return kExitOk;
}

Result<int> manage_and_note(Context& context, const CellOptions& options, const Json& request,
                            const std::string& note) {
  TRY(const auto client, connect_cell(context, options, Session::None));
  TRY(const Json answer, manage_cell(*client, options, request));
  if (context.json)
    context.out() << line_of(answer) << '\n';
  else
    context.note(note);
  return kExitOk;
}

Result<int> add_member(Context& context, const CellOptions& options, const AdminArguments& arguments) {
  return manage_and_note(
      context, options, {{"op", "members.add"}, {"id", arguments.id}, {"address", arguments.address}},
      fmt::format("node {} learns; `hailstone cell members promote {}` gives it a vote", arguments.id, arguments.id));
}
Result<int> remove_member(Context& context, const CellOptions& options, const AdminArguments& arguments) {
  return manage_and_note(context, options, {{"op", "members.remove"}, {"id", arguments.id}},
                         fmt::format("node {} is no member any more: it may be switched off", arguments.id));
}

/// Until it has caught up, for that is what a vote takes.
Result<void> promote(client::BlockingClient& client, const CellOptions& options, uint64_t id, uint64_t wait_s) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(wait_s);
  while (true) {
    const auto answer = manage_cell(client, options, {{"op", "members.promote"}, {"id", id}});
    if (answer) return {};
    const bool later = answer.error().code == Code::Unavailable || answer.error().code == Code::Conflict;
    if (!later || std::chrono::steady_clock::now() > deadline) return std::unexpected(answer.error());
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
}

Result<int> promote_member(Context& context, const CellOptions& options, const AdminArguments& arguments) {
  TRY(const auto client, connect_cell(context, options, Session::None));
  TRY_DO(promote(*client, options, arguments.id, arguments.wait_s));
  if (!context.json) context.note(fmt::format("node {} votes", arguments.id));
  return kExitOk;
}

Result<int> replace_member(Context& context, const CellOptions& options, const AdminArguments& arguments) {
  TRY(const auto client, connect_cell(context, options, Session::None));
  TRY_DO(manage_cell(*client, options, {{"op", "members.add"}, {"id", arguments.id}, {"address", arguments.address}}));
  TRY_DO(promote(*client, options, arguments.id, arguments.wait_s));
  TRY_DO(manage_cell(*client, options, {{"op", "members.remove"}, {"id", arguments.old_id}}));
  if (!context.json) context.note(fmt::format("node {} votes in place of node {}", arguments.id, arguments.old_id));
  return kExitOk;
}

Result<int> resign(Context& context, const CellOptions& options, const AdminArguments& arguments) {
  return manage_and_note(context, options, {{"op", "resign"}, {"to", arguments.to}}, "the leader hands over");
}

Result<int> list_sessions(Context& context, const CellOptions& options, const AdminArguments&) {
  TRY(const auto client, connect_cell(context, options, Session::None));
  Json rows = Json::array();
  Table table({{"SESSION", Table::Align::Right},
               {"PRINCIPAL"},
               {"LEASE"},
               {"HOLDS", Table::Align::Right},
               {"CACHES"},
               {"OPENED"}});
  cell::SessionId after;
  while (true) {
    TRY(const auto answered,
        result_of(client->ask(wire::Ask::View::Linearizable, wire::GetSessions{.after = after}, options.within())));
    const auto& page = std::get<std::vector<wire::SessionInfo>>(answered.answer);
    if (page.empty()) break;
    for (const auto& session : page) {
      const std::string opened = format_iso8601(UnixMicros(session.opened.value));
      rows.push_back({{"session", session.id.value},
                      {"principal", session.principal},
                      {"lease_ms", session.lease_ms},
                      {"caching", session.caching},
                      {"holds", session.holds},
                      {"opened", opened}});
      table.row({fmt::format("{}", session.id.value), printable(session.principal),
                 fmt::format("{} s", session.lease_ms / 1000), fmt::format("{}", session.holds),
                 session.caching ? "yes" : "no", format_time(opened)});
    }
    after = page.back().id;
  }
  if (context.json)
    context.out() << line_of(rows) << '\n';
  else
    table.print(context.out());
  return kExitOk;
}

Result<int> show_lock(Context& context, const CellOptions& options, const AdminArguments& arguments) {
  TRY(const auto client, connect_cell(context, options, Session::None));
  TRY(const auto answered,
      result_of(client->ask(wire::Ask::View::Linearizable, wire::GetLock{arguments.path}, options.within())));
  const auto& lock = std::get<cell::LockRecord>(answered.answer);
  const char* mode = lock.mode == cell::LockMode::Exclusive ? "exclusive" : "shared";
  Json json{{"path", arguments.path}, {"holders", Json::array()}, {"waiters", Json::array()}};
  Table table({{"SESSION", Table::Align::Right}, {"HAS IT"}, {"GENERATION", Table::Align::Right}});
  for (const auto& holder : lock.holders) {
    json["holders"].push_back(
        {{"session", holder.session.value}, {"generation", holder.generation.value}, {"mode", mode}});
    table.row({fmt::format("{}", holder.session.value), mode, fmt::format("{}", holder.generation.value)});
  }
  for (const auto& waiter : lock.waiters) {
    const char* wanted = waiter.mode == cell::LockMode::Exclusive ? "exclusive" : "shared";
    json["waiters"].push_back({{"session", waiter.session.value}, {"mode", wanted}});
    table.row({fmt::format("{}", waiter.session.value), fmt::format("waits, {}", wanted), "-"});
  }
  if (lock.delayed_until) json["delayed_until"] = format_iso8601(UnixMicros(lock.delayed_until.value));
  if (context.json) {
    context.out() << line_of(json) << '\n';
  } else {
    table.print(context.out());
    if (lock.delayed_until)
      context.note("its holder died: nobody gets it before " + format_time(json["delayed_until"]));
  }
  return kExitOk;
}

// "read,write:/path"
Result<cell::Rule> parse_rule(const std::string& text) {
  const size_t colon = text.find(':');
  if (colon == text.npos) return fail(Code::Invalid, fmt::format("rule '{}': write RIGHT[,RIGHT..]:/PREFIX", text));
  cell::Rule rule{.prefix = text.substr(colon + 1)};
  std::string names = text.substr(0, colon) + ",";
  for (size_t at = 0, comma = 0; (comma = names.find(',', at)) != names.npos; at = comma + 1) {
    const std::string name = names.substr(at, comma - at);
    uint8_t found = name == "all" ? cell::kAllRights : 0;
    for (const auto right : {cell::Right::Read, cell::Right::Write, cell::Right::Lock, cell::Right::Admin})
      if (cell::right_name(right) == name) found = static_cast<uint8_t>(right);
    if (!found)
      return fail(Code::Invalid,
                  fmt::format("rule '{}': '{}' is no right; there are read, write, lock, admin and all", text, name));
    rule.rights |= found;
  }
  return rule;
}

std::string rights_text(uint8_t rights) {
  std::string out;
  for (const auto right : {cell::Right::Read, cell::Right::Write, cell::Right::Lock, cell::Right::Admin})
    if (rights & static_cast<uint8_t>(right)) out += (out.empty() ? "" : ",") + std::string(cell::right_name(right));
  return out;
}

Result<int> show_rules(Context& context, const CellOptions& options, const AdminArguments& arguments) {
  TRY(const auto client, connect_cell(context, options, Session::None));
  TRY(const auto answered,
      result_of(client->ask(wire::Ask::View::Linearizable, wire::GetRules{arguments.principal}, options.within())));
  Json rows = Json::array();
  Table table({{"PREFIX"}, {"RIGHTS"}});
  for (const auto& rule : std::get<std::vector<cell::Rule>>(answered.answer)) {
    rows.push_back({{"prefix", rule.prefix}, {"rights", rights_text(rule.rights)}});
    table.row({printable(rule.prefix), rights_text(rule.rights)});
  }
  if (context.json)
    context.out() << line_of(rows) << '\n';
  else
    table.print(context.out());
  return kExitOk;
}

Result<int> set_rules(Context& context, const CellOptions& options, const AdminArguments& arguments) {
  cell::SetRules command{.principal = arguments.principal};
  for (const std::string& text : arguments.values) {
    TRY(auto rule, parse_rule(text));
    command.rules.push_back(std::move(rule));
  }
  TRY(const auto client, connect_cell(context, options, Session::Open));
  TRY_DO(result_of(client->command(std::move(command), options.within())));
  static_cast<void>(client->close(options.within()));
  return kExitOk;
}

// ---- snapshots ----

/// Whole and durable under its name, or not there.
class NewFile {
 public:
  static Result<NewFile> create(const std::string& path) {
    const std::string part = path + ".part";
    const int fd = ::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return fail(Code::Io, fmt::format("{}: cannot be made", part));
    return NewFile(path, fd);
  }
  NewFile(NewFile&& other) noexcept : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}
  ~NewFile() {
    if (fd_ < 0) return;
    ::close(fd_);
    ::unlink((path_ + ".part").c_str());
  }
  Result<void> write(ByteView bytes) {
    while (!bytes.empty()) {
      const ssize_t put = ::write(fd_, bytes.data(), bytes.size());
      if (put <= 0) return fail(Code::Io, fmt::format("{}.part: cannot be written", path_));
      bytes.remove_prefix(static_cast<size_t>(put));
    }
    return {};
  }
  Result<void> finish() {
    if (::fsync(fd_) != 0) return fail(Code::Io, fmt::format("{}.part: cannot be made durable", path_));
    ::close(std::exchange(fd_, -1));
    const auto disk = disk::make_real_disk();
    TRY_DO(disk->rename(path_ + ".part", path_));
    return disk->sync_directory(disk::parent_directory(path_));
  }

 private:
  NewFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  std::string path_;
  int fd_;
};

Result<int> save_snapshot(Context& context, const CellOptions& options, const AdminArguments& arguments) {
  TRY(const auto client, connect_cell(context, options, Session::None));
  TRY(const Json begun, manage_cell(*client, options, {{"op", "snapshot.begin"}}));
  const uint64_t id = begun.value("snapshot", uint64_t{0});
  TRY(auto file, NewFile::create(arguments.file));
  cell::SnapshotWriter writer;
  uint64_t entries = 0, bytes = 0;
  const auto put = [&](const Bytes& piece) {
    bytes += piece.size();
    return file.write(piece);
  };
  TRY_DO(put(writer.begin(
      {.cell = begun.value("cell", ""), .revision = cell::Revision(begun.value("revision", uint64_t{0}))})));
  Bytes after;
  for (bool last = false; !last;) {
    const Json request{{"op", "snapshot.read"}, {"snapshot", id}, {"after", to_hex(after)}};
    TRY(Bytes piece, result_of(client->manage(line_of(request), options.within())));
    if (piece.empty()) return fail(Code::Corrupt, "the member sent an empty piece");
    last = piece.back() == 1;
    piece.pop_back();
    if (piece.empty()) break;
    TRY(const auto block, cell::decode_snapshot_block(piece));
    after = block.back().first;
    entries += block.size();
    TRY_DO(put(writer.add(piece)));
  }
  TRY_DO(put(writer.end()));
  TRY_DO(file.finish());
  static_cast<void>(client->manage(line_of(Json{{"op", "snapshot.end"}, {"snapshot", id}}), options.within()));
  if (context.json)
    context.out() << line_of({{"file", arguments.file},
                              {"revision", begun.value("revision", uint64_t{0})},
                              {"records", entries},
                              {"bytes", bytes}})
                  << '\n';
  else
    context.note(fmt::format("{}: revision {}, {} records, {}", arguments.file, begun.value("revision", uint64_t{0}),
                             entries, format_size(bytes)));
  return kExitOk;
}

Result<int> restore_snapshot(Context& context, const CellOptions&, const AdminArguments& arguments) {
  const auto& restore = context.hooks().restore_cell;
  if (!restore) return fail(Code::Unsupported, "this program was built without the server");
  TRY(const std::string what, restore(arguments.file, arguments.data, arguments.id));
  context.note(fmt::format("{}: {}; start it with --data {} --set cell.id={}, then add members", arguments.data, what,
                           arguments.data, arguments.id));
  return kExitOk;
}

}  // namespace

void add_cell_admin_commands(CLI::App& cell, Commands& commands, const std::shared_ptr<CellOptions>& options) {
  Context& context = commands.context;
  const auto add = [&](CLI::App* to, const char* name, const char* what, auto action) {
    auto* command = name ? to->add_subcommand(name, what) : to;
    const auto arguments = std::make_shared<AdminArguments>();
    commands.choose_when_parsed(
        command, [&context, options, arguments, action] { return action(context, *options, *arguments); });
    return std::pair(command, arguments);
  };
  add(&cell, "status", "How the cell is doing (exit code 1: nobody leads)", show_status);
  add(&cell, "sessions", "Who has a session", list_sessions);
  auto locks = add(&cell, "holders", "Who holds a lock and who waits for it", show_lock);
  locks.first->add_option("PATH", locks.second->path, "The lock's")->required();
  auto resigning = add(&cell, "resign", "The leader hands over", resign);
  resigning.first->add_option("--to", resigning.second->to, "To that node; otherwise to the best placed");

  auto* members = cell.add_subcommand("members", "List, add, promote, replace and remove members");
  members->require_subcommand(0, 1);
  const auto id = [](auto& made, const char* what) {
    made.first->add_option("ID", made.second->id, what)->required()->check(CLI::PositiveNumber);
  };
  auto adding = add(members, "add", "Add a learner: a node that runs with cell.join = true", add_member);
  id(adding, "Of the node: one that was never in this cell");
  adding.first->add_option("ADDRESS", adding.second->address, "HOST:MEMBER_PORT")->required();
  auto promoting = add(members, "promote", "Give a learner a vote, as soon as it has caught up", promote_member);
  id(promoting, "Of the learner");
  promoting.first->add_option("--wait", promoting.second->wait_s, "Seconds")->capture_default_str();
  auto removing = add(members, "remove", "Take a member out", remove_member);
  id(removing, "Of the member");
  auto replacing = add(members, "replace", "Add a node, wait until it has caught up, give it a vote, remove another",
                       replace_member);
  replacing.first->add_option("OLD_ID", replacing.second->old_id, "Of the member that goes")
      ->required()
      ->check(CLI::PositiveNumber);
  id(replacing, "Of the node that comes: one that was never in this cell");
  replacing.first->add_option("ADDRESS", replacing.second->address, "HOST:MEMBER_PORT")->required();
  replacing.first->add_option("--wait", replacing.second->wait_s, "Seconds")->capture_default_str();
  members->final_callback([&context, &commands, options, members] {
    if (members->get_subcommands().empty())
      commands.chosen = [&context, options] { return list_members(context, *options, {}); };
  });

  auto* rules = cell.add_subcommand("rules", "Who may do what: show or set a principal's rules");
  rules->require_subcommand(1);
  auto showing = add(rules, "show", "Rules of a principal", show_rules);
  showing.first->add_option("PRINCIPAL", showing.second->principal, "A certificate's name; * is everybody")->required();
  auto setting = add(rules, "set", "Replace the rules of a principal; none: remove them", set_rules);
  setting.first->add_option("PRINCIPAL", setting.second->principal, "A certificate's name; * is everybody")->required();
  setting.first->add_option("RULE", setting.second->values,
                            "RIGHT[,RIGHT..]:/PREFIX; rights are read, write, lock, admin, all");
  rules->footer(
      "Without any rule in the cell everybody may do everything. The first rules must give somebody `admin:/`.");

  auto* snapshot = cell.add_subcommand("snapshot", "Save the whole state, or begin a new cell with it");
  snapshot->require_subcommand(1);
  auto saving = add(snapshot, "save", "Write the state at this moment to a file", save_snapshot);
  saving.first->add_option("FILE", saving.second->file, "Made, or replaced")->required();
  auto restoring = add(snapshot, "restore", "Put a state into a data directory without a cell", restore_snapshot);
  restoring.first->add_option("FILE", restoring.second->file, "As saved")->required()->check(CLI::ExistingFile);
  restoring.first->add_option("--data", restoring.second->data, "Data directory of a node that does not run")
      ->required()
      ->type_name("DIR");
  restoring.second->id = 1;
  restoring.first->add_option("--id", restoring.second->id, "Of the node: the new cell's only member")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
}

void add_cell_commands(CLI::App& app, Commands& commands) {
  auto* cell = app.add_subcommand("cell", "Coordination: files, locks, elections, members");
  cell->require_subcommand(1);
  const auto options = std::make_shared<CellOptions>();
  cell->add_option("--cell", options->address, "HOST:PORT,.. of members, or srv:DOMAIN (HAILSTONE_CELL)")
      ->type_name("ADDRESS");
  cell->add_option("--ca", options->ca, "PEM: whom to trust (HAILSTONE_CELL_CA)")->type_name("FILE");
  cell->add_option("--cert", options->certificate, "PEM: who this is (HAILSTONE_CELL_CERT)")->type_name("FILE");
  cell->add_option("--cert-key", options->key, "PEM: its key (HAILSTONE_CELL_KEY)")->type_name("FILE");
  cell->add_option("--timeout", options->timeout_s, "Seconds")->capture_default_str()->check(CLI::PositiveNumber);
  cell->add_flag("--plain-anywhere", options->plain_anywhere, "Without TLS beyond loopback, too");
  add_cell_file_commands(*cell, commands, options);
  add_cell_lock_commands(*cell, commands, options);
  add_cell_admin_commands(*cell, commands, options);
}

}  // namespace hailstone::cli
