#include "cell/files.h"

#include <fmt/format.h>

#include "cell/sessions.h"

namespace hailstone::cell {
namespace {

/// Counts a child of `path`'s directory; directories that are missing come with it.
Result<void> add_child(Work& work, ByteView path) {
  while (path != "/") {
    path = parent_of(path);
    TRY(const auto node, schema::read_node(work.state, path));
    if (node && std::holds_alternative<FileStat>(*node))
      return fail(Code::Conflict, fmt::format("'{}' is a file", printable(path)));
    auto directory = node ? std::get<DirectoryStat>(*node) : DirectoryStat{};
    ++directory.children;
    directory.changed = work.revision();
    work.put_directory(path, directory);
    if (node) return {};
  }
  return {};
}

/// The opposite; directories left with nothing beneath go with it.
Result<void> remove_child(Work& work, ByteView path) {
  while (path != "/") {
    path = parent_of(path);
    TRY(const auto node, schema::read_node(work.state, path));
    const auto* found = node ? std::get_if<DirectoryStat>(&*node) : nullptr;
    if (!found || found->children == 0)
      return fail(Code::Corrupt, fmt::format("directory '{}' has no record of its children", printable(path)));
    auto directory = *found;
    if (--directory.children > 0) {
      directory.changed = work.revision();
      work.put_directory(path, directory);
      return {};
    }
    work.state.erase(schema::node(path));
  }
  return {};
}

Result<void> check_room(const Work& work, ByteView path, uint64_t old_bytes, uint64_t new_bytes) {
  const Settings& limits = work.settings;
  if (new_bytes > limits.file_bytes_max)
    return fail(Code::Invalid, fmt::format("'{}': {} bytes, at most {} (setting file_bytes_max)", printable(path),
                                           new_bytes, limits.file_bytes_max));
  const uint64_t bytes = work.counters.content_bytes - old_bytes + new_bytes;
  if (new_bytes > old_bytes && bytes > limits.bytes_max)
    return fail(Code::Exhausted,
                fmt::format("the files would have {} bytes, at most {} (setting bytes_max)", bytes, limits.bytes_max));
  return {};
}

Result<FileStat> create(Work& work, SessionId session, const Put& put) {
  if (put.mode == Put::Mode::Replace) return fail(Code::NotFound, fmt::format("no file '{}'", printable(put.path)));
  if (work.counters.files >= work.settings.files_max)
    return fail(Code::Exhausted,
                fmt::format("{} files, at most {} (setting files_max)", work.counters.files, work.settings.files_max));
  TRY_DO(check_room(work, put.path, 0, put.content.size()));
  TRY_DO(add_child(work, put.path));
  FileStat stat;
  stat.instance = work.counters.last_instance = work.counters.last_instance.next();
  stat.generation = 1;
  stat.created = stat.changed = work.revision();
  stat.bytes = put.content.size();
  TRY(const LockRecord lock, schema::read_lock(work.state, put.path));
  if (!lock.holders.empty()) stat.lock_generation = lock.holders.back().generation;
  if (put.life == Put::Life::Ephemeral) {
    if (!session) return fail(Code::Invalid, fmt::format("ephemeral file '{}' without a session", printable(put.path)));
    stat.owner = session;
    TRY_DO(add_hold(work, session, Hold::Ephemeral, put.path));
  }
  ++work.counters.files;
  work.events.push_back({.kind = Event::Kind::Created, .path = put.path, .instance = stat.instance, .generation = 1});
  return stat;
}

Result<FileStat> overwrite(Work& work, SessionId session, const Put& put, FileStat stat) {
  const auto conflict = [&](std::string_view why) {
    return fail(Code::Conflict, fmt::format("'{}' {}", printable(put.path), why));
  };
  if (put.mode == Put::Mode::Create) return fail(Code::Exists, fmt::format("'{}' exists", printable(put.path)));
  if (put.mode == Put::Mode::Write) {
    if (put.life == Put::Life::Lasting && stat.owner)
      return conflict(fmt::format("is ephemeral, of session {}", stat.owner.value));
    if (put.life == Put::Life::Ephemeral && !stat.owner) return conflict("is there and not ephemeral");
    if (put.life == Put::Life::Ephemeral && stat.owner != session)
      return conflict(fmt::format("is of session {}", stat.owner.value));
  }
  TRY_DO(check_room(work, put.path, stat.bytes, put.content.size()));
  work.counters.content_bytes -= stat.bytes;
  ++stat.generation;
  stat.changed = work.revision();
  stat.bytes = put.content.size();
  work.events.push_back(
      {.kind = Event::Kind::Changed, .path = put.path, .instance = stat.instance, .generation = stat.generation});
  return stat;
}

Result<void> remove(Work& work, ByteView path, const FileStat& stat) {
  work.state.erase(schema::node(path));
  if (stat.bytes > kInlineContentBytes) work.state.erase(schema::content(path));
  if (stat.owner) TRY_DO(drop_hold(work, stat.owner, Hold::Ephemeral, path));
  TRY_DO(remove_child(work, path));
  --work.counters.files;
  work.counters.content_bytes -= stat.bytes;
  work.events.push_back(
      {.kind = Event::Kind::Deleted, .path = Bytes(path), .instance = stat.instance, .generation = stat.generation});
  return {};
}

}  // namespace

Result<FileStat> put_file(Work& work, SessionId session, const Put& put) {
  TRY(const auto node, schema::read_node(work.state, put.path));
  if (put.path == "/" || (node && std::holds_alternative<DirectoryStat>(*node)))
    return fail(Code::Conflict, fmt::format("'{}' is a directory", printable(put.path)));
  TRY(const FileStat stat,
      node ? overwrite(work, session, put, std::get<FileStat>(*node)) : create(work, session, put));
  work.counters.content_bytes += stat.bytes;
  work.state.put(schema::node(put.path), schema::file_record(stat, put.content));
  if (stat.bytes > kInlineContentBytes)
    work.state.put(schema::content(put.path), put.content);
  else if (node && std::get<FileStat>(*node).bytes > kInlineContentBytes)
    work.state.erase(schema::content(put.path));
  return stat;
}

Result<void> delete_file(Work& work, ByteView path) {
  TRY(const auto node, schema::read_node(work.state, path));
  if (!node) return fail(Code::NotFound, fmt::format("no file '{}'", printable(path)));
  if (const auto* directory = std::get_if<DirectoryStat>(&*node))
    return fail(Code::Conflict, fmt::format("'{}' is a directory that is not empty: it has {} entries", printable(path),
                                            directory->children));
  return remove(work, path, std::get<FileStat>(*node));
}

Result<uint64_t> delete_subtree(Work& work, const DeleteSubtree& subtree) {
  const auto [begin, end] = schema::nodes_beneath(subtree.path);
  std::vector<std::pair<Bytes, FileStat>> files;
  const auto beneath = work.state.iterate(begin, end);
  for (; beneath->valid(); beneath->next()) {
    TRY(const auto record, schema::decode_node_record(beneath->key(), beneath->value()));
    if (const auto* stat = std::get_if<FileStat>(&record.node)) {
      if (files.size() == subtree.files_max)
        return fail(Code::Conflict, fmt::format("'{}' is not empty: it has more than {} files beneath",
                                                printable(subtree.path), subtree.files_max));
      files.emplace_back(schema::path_of_node(beneath->key()), *stat);
      work.subtree_path_bytes += files.back().first.size();
      if (++work.subtree_files > work.settings.subtree_files_max || work.subtree_path_bytes > kSubtreePathBytesMax)
        return fail(Code::Exhausted,
                    fmt::format("'{}': more than {} files (setting subtree_files_max) or {} bytes of paths to delete "
                                "in one transaction: delete them in parts",
                                printable(subtree.path), work.settings.subtree_files_max, kSubtreePathBytesMax));
    }
  }
  TRY_DO(beneath->status());
  for (const auto& [path, stat] : files) TRY_DO(remove(work, path, stat));
  return files.size();
}

Result<void> note_grant(Work& work, ByteView path, LockGeneration generation) {
  TRY(const auto bytes, work.state.get(schema::node(path)));
  if (!bytes) return {};
  TRY(auto record, schema::decode_node_record(path, *bytes));
  auto* stat = std::get_if<FileStat>(&record.node);
  if (!stat) return {};
  stat->lock_generation = generation;
  work.state.put(schema::node(path), schema::file_record(*stat, record.content));
  return {};
}

}  // namespace hailstone::cell
