// put, get, ls, rm, cp, search.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <map>

#include "base/hash.h"
#include "cli/context.h"
#include "cli/exit_codes.h"
#include "cli/location.h"
#include "mirror/system.h"

namespace hailstone::cli {
namespace {

constexpr size_t kPieceBytes = 256u << 10;
constexpr size_t kEditsPerBatch = 10'000;

std::string base_name(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

Json key_json(const Bytes& key) {
  // Json::dump is the library's judge of what is UTF-8.
  try {
    (void)Json(key).dump();
    return {{"key", key}};
  } catch (const Json::exception&) {
    return {{"key_base64", to_base64(key)}};
  }
}

struct PutArguments {
  std::string file, object, content_type, if_match, if_none_match;
};

Result<int> put(Context& context, const PutArguments& arguments) {
  TRY(Location to, parse_location(arguments.object));
  const bool from_stdin = arguments.file == "-";
  if (to.path.empty() || to.path.ends_with('/')) {
    if (from_stdin) return fail(Code::Invalid, "standard input has no name: give the whole key");
    to.path += base_name(arguments.file);
  }
  std::string path = target_path(to.target(), "content");
  add_parameter(path, "key", to.path);
  if (!arguments.content_type.empty()) add_parameter(path, "content_type", arguments.content_type);
  std::vector<std::pair<std::string, std::string>> fields;
  if (!arguments.if_match.empty()) fields.emplace_back("If-Match", arguments.if_match);
  if (!arguments.if_none_match.empty()) fields.emplace_back("If-None-Match", arguments.if_none_match);

  const mirror::Fd file(from_stdin ? ::dup(STDIN_FILENO) : ::open(arguments.file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return mirror::system_fail(errno, "open", arguments.file);
  struct stat st{};
  if (::fstat(file.get(), &st) != 0) return mirror::system_fail(errno, "stat", arguments.file);
  if (S_ISDIR(st.st_mode))
    return fail(Code::Invalid, fmt::format("{} is a directory: use 'hailstone import'", arguments.file));
  std::optional<uint64_t> length;
  if (S_ISREG(st.st_mode)) length = static_cast<uint64_t>(st.st_size);
  Progress progress(context.err(), context.progress(), "sending", length.value_or(0));
  bool started = false;
  uint64_t sent = 0;
  const auto make_pull = [&]() -> Result<BodyPull> {
    if (started && ::lseek(file.get(), 0, SEEK_SET) != 0)
      return fail(Code::Unavailable, "the connection broke and standard input can't be read again");
    started = true;
    sent = 0;
    return BodyPull([&](Bytes& out) -> Result<bool> {
      const size_t before = out.size();
      out.resize(before + kPieceBytes);
      const ssize_t n = ::read(file.get(), out.data() + before, kPieceBytes);
      out.resize(before + static_cast<size_t>(n > 0 ? n : 0));
      if (n < 0) return mirror::system_fail(errno, "read", arguments.file);
      sent += static_cast<uint64_t>(n);
      progress.update(sent);
      return n > 0;
    });
  };
  TRY(Api* const api, context.api());
  Bytes raw;
  TRY(const Json entry,
      api->upload("PUT", path, "application/octet-stream", length, make_pull, std::move(fields), &raw));
  progress.finish();
  if (!context.print_json(raw))
    context.note(fmt::format("{}: {}, sha256 {}", printable(to.path), format_size(sent), text_field(entry, "sha256")));
  return kExitOk;
}

struct GetArguments {
  std::string object, file;
};

// Into a temporary file that takes its name when the content has proved right; standard output gets it as it comes.
Result<int> get(Context& context, const GetArguments& arguments) {
  TRY(const Location from, parse_object(arguments.object));
  TRY(Api* const api, context.api());
  std::string entry_path = target_path(from.target(), "entry");
  add_parameter(entry_path, "key", from.path);
  TRY(const Json entry, api->get(entry_path));
  const bool to_stdout = arguments.file == "-";
  std::string file = arguments.file.empty() ? base_name(from.path) : arguments.file;
  struct stat st{};
  if (!to_stdout && ::stat(file.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) file += "/" + base_name(from.path);
  if (file.empty() || file == "." || file == "..")
    return fail(Code::Invalid, fmt::format("'{}' is no file name: give one", printable(from.path)));
  const std::string temporary = file + ".hailstone-part";
  mirror::Fd out;
  if (!to_stdout) {
    out = mirror::Fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666));
    if (!out) return mirror::system_fail(errno, "create", temporary);
  }
  Progress progress(context.err(), context.progress(), "receiving", entry.value("size", uint64_t{0}));
  Hasher hasher(Hasher::Kind::Sha256);
  uint64_t received = 0;
  std::string path = target_path(from.target(), "content");
  add_parameter(path, "key", from.path);
  const auto taken = api->download("GET", path, nullptr, [&](ByteView bytes) -> Result<void> {
    hasher.update(bytes);
    if (to_stdout) {
      context.out().write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
      if (!context.out()) return fail(Code::Io, "standard output is closed");
    } else if (const int error_number = mirror::write_all(out.get(), bytes, received)) {
      return mirror::system_fail(error_number, "write", temporary);
    }
    received += bytes.size();
    progress.update(received);
    return {};
  });
  progress.finish();
  const Bytes sha256 = to_hex(hasher.finish());
  Result<void> verdict;
  if (!taken) {
    verdict = std::unexpected(taken.error());
  } else if (sha256 != entry.value("sha256", "")) {
    verdict = fail(Code::Conflict, fmt::format("{} changed while it was fetched (sha256 {} != {})",
                                               printable(from.path), sha256, text_field(entry, "sha256")));
  }
  if (!to_stdout) {
    if (verdict && ::rename(temporary.c_str(), file.c_str()) != 0) verdict = mirror::system_fail(errno, "create", file);
    if (!verdict) ::unlink(temporary.c_str());
  }
  TRY_DO(std::move(verdict));
  if (to_stdout) {
    context.out().flush();
  } else if (!context.print_json(entry.dump(-1, ' ', false, Json::error_handler_t::replace))) {
    context.note(fmt::format("{}: {}", file, format_size(received)));
  }
  return kExitOk;
}

struct ListArguments {
  std::string location;
  bool recursive = false;
  uint64_t limit = 0;  // 0: all
};

void print_page(const Json& page, Table& table) {
  for (const Json& entry : page.value("entries", Json::array())) {
    const std::string kind = text_field(entry, "kind");
    table.row({kind == "file" ? "" : kind, format_size(entry.value("size", uint64_t{0})),
               format_time(text_field(entry, "modified")), printable(bytes_field(entry, "key"))});
  }
  for (const Json& prefix : page.value("prefixes", Json::array()))
    table.row({"prefix", "", "", printable(prefix.get<std::string>())});
  for (const Json& prefix : page.value("prefixes_base64", Json::array())) {
    Bytes bytes;
    if (from_base64(prefix.get<std::string>(), bytes)) table.row({"prefix", "", "", printable(bytes)});
  }
}

Result<int> list(Context& context, const ListArguments& arguments) {
  TRY(const Location at, parse_location(arguments.location));
  TRY(Api* const api, context.api());
  Bytes start_after;
  uint64_t left = arguments.limit;
  while (true) {
    std::string path = target_path(at.target(), "list");
    add_parameter(path, "prefix", at.path);
    if (!arguments.recursive) add_parameter(path, "delimiter", "/");
    if (!start_after.empty()) add_parameter(path, "start_after", start_after);
    if (arguments.limit > 0) add_parameter(path, "limit", std::to_string(std::min<uint64_t>(left, 10'000)));
    Bytes raw;
    TRY(const Json page, api->get(path, &raw));
    if (!context.print_json(raw)) {
      Table table({{"KIND"}, {"SIZE", Table::Align::Right}, {"MODIFIED"}, {"KEY"}});
      print_page(page, table);
      if (!table.empty()) table.print(context.out());
    }
    start_after = bytes_field(page, "next");
    if (start_after.empty()) return kExitOk;
    if (arguments.limit > 0) {
      const uint64_t got = page.value("entries", Json::array()).size() + page.value("prefixes", Json::array()).size();
      if (got >= left) return kExitOk;
      left -= got;
    }
  }
}

struct RemoveArguments {
  std::vector<std::string> objects;
  bool recursive = false;
  bool dry_run = false;
};

Result<std::vector<Bytes>> keys_below(Api& api, const Location& at) {
  std::vector<Bytes> keys;
  Bytes start_after;
  while (true) {
    std::string path = target_path(at.target(), "list");
    add_parameter(path, "prefix", at.path);
    add_parameter(path, "limit", "10000");
    if (!start_after.empty()) add_parameter(path, "start_after", start_after);
    TRY(const Json page, api.get(path));
    for (const Json& entry : page.value("entries", Json::array())) keys.push_back(bytes_field(entry, "key"));
    start_after = bytes_field(page, "next");
    if (start_after.empty()) return keys;
  }
}

Result<int> remove(Context& context, const RemoveArguments& arguments) {
  // Everything is looked up before anything is removed.
  TRY(Api* const api, context.api());
  std::map<std::string, std::vector<Bytes>> by_target;
  for (const std::string& text : arguments.objects) {
    TRY(const Location at, arguments.recursive ? parse_location(text) : parse_object(text));
    if (arguments.recursive) {
      TRY(auto keys, keys_below(*api, at));
      auto& all = by_target[at.target()];
      all.insert(all.end(), keys.begin(), keys.end());
    } else {
      std::string path = target_path(at.target(), "entry");
      add_parameter(path, "key", at.path);
      TRY_DO(api->get(path));
      by_target[at.target()].push_back(at.path);
    }
  }
  uint64_t removed = 0;
  Bytes raw;
  for (auto& [target, keys] : by_target) {
    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
    for (size_t from = 0; from < keys.size(); from += kEditsPerBatch) {
      Json edits = Json::array();
      for (size_t i = from; i < std::min(keys.size(), from + kEditsPerBatch); ++i) {
        if (arguments.dry_run && !context.json)
          context.out() << "delete " << target << "/" << printable(keys[i]) << '\n';
        Json edit = key_json(keys[i]);
        edit["delete"] = true;
        edits.push_back(std::move(edit));
      }
      removed += edits.size();
      if (!arguments.dry_run)
        TRY_DO(api->send("POST", target_path(target, "batch"), {{"edits", std::move(edits)}}, &raw));
    }
  }
  if (context.json) {
    context.out() << Json{{"deleted", arguments.dry_run ? 0 : removed}, {"would_delete", removed}}.dump() << '\n';
  } else {
    context.note(fmt::format("{} {}", removed, arguments.dry_run ? "would be deleted" : "deleted"));
  }
  return kExitOk;
}

Result<int> copy(Context& context, const std::string& from_text, const std::string& to_text) {
  TRY(const Location from, parse_object(from_text));
  TRY(Location to, parse_location(to_text));
  if (to.path.empty() || to.path.ends_with('/')) to.path += base_name(from.path);
  Json edit = key_json(to.path);
  edit["copy_from"] = key_json(from.path);
  edit["copy_from"]["target"] = from.target();
  TRY(Api* const api, context.api());
  Bytes raw;
  TRY_DO(api->send("POST", target_path(to.target(), "batch"), {{"edits", Json::array({edit})}}, &raw));
  if (!context.print_json(raw)) context.note(fmt::format("{} -> {}/{}", from_text, to.target(), printable(to.path)));
  return kExitOk;
}

Result<int> search(Context& context, const std::string& target, const std::string& words, uint64_t limit) {
  TRY(const Location at, parse_target(target));
  std::string path = target_path(at.target(), "search");
  add_parameter(path, "q", words);
  if (limit > 0) add_parameter(path, "limit", std::to_string(limit));
  TRY(Api* const api, context.api());
  Bytes raw;
  TRY(const Json answer, api->get(path, &raw));
  if (context.print_json(raw)) return kExitOk;
  Table table({{"KEY"}, {"PACKAGE"}, {"VERSION"}, {"ARCH"}});
  for (const Json& hit : answer.value("hits", Json::array())) {
    const Json package = hit.value("package", Json::object());
    table.row({printable(bytes_field(hit, "key")), text_field(package, "name"), text_field(package, "version"),
               text_field(package, "architecture")});
  }
  if (!table.empty()) table.print(context.out());
  if (table.empty()) context.note(fmt::format("nothing found in release {}", text_field(answer, "release")));
  if (answer.value("more", false)) context.note("there is more: use --limit, or more words");
  return kExitOk;
}

}  // namespace

void add_object_commands(CLI::App& app, Commands& commands) {
  Context& context = commands.context;

  auto* put_command = app.add_subcommand("put", "Write one object from a file, or '-' for standard input");
  auto put_arguments = std::make_shared<PutArguments>();
  put_command->add_option("FILE", put_arguments->file)->required();
  put_command->add_option("TARGET/KEY", put_arguments->object, "A key that ends with '/' gets the file's name")
      ->check(checked<parse_location>)
      ->required();
  put_command->add_option("--content-type", put_arguments->content_type, "Instead of the one by file name")
      ->type_name("TYPE");
  put_command->add_option("--if-match", put_arguments->if_match, "Only if the object has this ETag")->type_name("ETAG");
  put_command->add_option("--if-none-match", put_arguments->if_none_match, "'*': only if there is no object yet")
      ->type_name("ETAG");
  commands.choose_when_parsed(put_command, [&context, put_arguments] { return put(context, *put_arguments); });

  auto* get_command = app.add_subcommand("get", "Fetch one object and check its SHA-256");
  auto get_arguments = std::make_shared<GetArguments>();
  get_command->add_option("TARGET/KEY", get_arguments->object)->check(checked<parse_object>)->required();
  get_command->add_option("FILE", get_arguments->file,
                          "File or directory, '-' for standard output [the key's last part]");
  commands.choose_when_parsed(get_command, [&context, get_arguments] { return get(context, *get_arguments); });

  auto* list_command = app.add_subcommand("ls", "List keys (with --json: one document a page)");
  auto list_arguments = std::make_shared<ListArguments>();
  list_command->add_option("TARGET[/PREFIX]", list_arguments->location)->check(checked<parse_location>)->required();
  list_command->add_flag("-r,--recursive", list_arguments->recursive, "All keys below, not one level");
  list_command->add_option("--limit", list_arguments->limit, "At most so many")->type_name("N");
  commands.choose_when_parsed(list_command, [&context, list_arguments] { return list(context, *list_arguments); });

  auto* remove_command = app.add_subcommand("rm", "Remove objects, each target's in one commit");
  auto remove_arguments = std::make_shared<RemoveArguments>();
  remove_command->add_option("TARGET/KEY", remove_arguments->objects)->check(checked<parse_location>)->required();
  remove_command->add_flag("-r,--recursive", remove_arguments->recursive, "Everything whose key begins so");
  remove_command->add_flag("-n,--dry-run", remove_arguments->dry_run, "Only say what would be removed");
  commands.choose_when_parsed(remove_command,
                              [&context, remove_arguments] { return remove(context, *remove_arguments); });

  auto* copy_command =
      app.add_subcommand("cp", "Copy an object at the server, within or between targets (no data moves)");
  auto names = std::make_shared<std::pair<std::string, std::string>>();
  copy_command->add_option("FROM", names->first, "TARGET/KEY")->check(checked<parse_object>)->required();
  copy_command->add_option("TO", names->second, "TARGET/KEY or TARGET/DIRECTORY/")
      ->check(checked<parse_location>)
      ->required();
  commands.choose_when_parsed(copy_command, [&context, names] { return copy(context, names->first, names->second); });

  auto* search_command = app.add_subcommand("search", "Search the index of a release");
  struct SearchArguments {
    std::string target;
    std::vector<std::string> words;
    uint64_t limit = 0;
  };
  auto search_arguments = std::make_shared<SearchArguments>();
  search_command->add_option("TARGET", search_arguments->target)->check(checked<parse_target>)->required();
  search_command->add_option("WORDS", search_arguments->words)->required();
  search_command->add_option("--limit", search_arguments->limit, "At most so many")->type_name("N");
  commands.choose_when_parsed(search_command, [&context, search_arguments] {
    std::string words;
    for (const auto& word : search_arguments->words) words += (words.empty() ? "" : " ") + word;
    return search(context, search_arguments->target, words, search_arguments->limit);
  });
}

}  // namespace hailstone::cli
