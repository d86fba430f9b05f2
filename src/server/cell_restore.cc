#include "server/cell_restore.h"

#include <fmt/format.h>

#include "cell/machine.h"
#include "replica/place.h"
#include "replica/rocks_database.h"
#include "server/cell_member.h"
#include "server/data_directory.h"

namespace hailstone::server {
namespace {

constexpr size_t kBatchBytes = 4u << 20;

Result<void> remove_tree(disk::Disk& disk, const std::string& directory) {
  TRY(const bool there, disk.is_directory(directory));
  if (!there) return {};
  TRY(const auto names, disk.list(directory));
  for (const std::string& name : names) {
    const std::string path = directory + "/" + name;
    TRY(const bool inner, disk.is_directory(path));
    TRY_DO(inner ? remove_tree(disk, path) : disk.remove(path));
  }
  return disk.remove_directory(directory);
}

/// Members of the former cell are none of this one: the first of it names itself when it leads.
Result<void> forget_members(replica::Database& database) {
  cell::Machine machine;
  replica::Batch batch;
  const cell::Command forget{
      .body = cell::Txn{.then_operations = {cell::DeleteSubtree{.path = Bytes(kMembersPath), .files_max = 1000}}}};
  TRY(const Bytes reply, machine.apply(Slot(1), forget.encode(), database, batch));
  TRY(const auto decoded, cell::Reply::decode(reply));
  if (decoded.refused) return std::unexpected(*decoded.refused);
  return database.write(batch);
}

// The place is behind a record that no log has: whoever joins must take the state, and can't begin at the log's start.
Bytes place_of(uint64_t id, const cell::SnapshotHeader& header) {
  replica::Place place;
  place.at.upto = Slot(1);
  place.at.digest = {.low = xxh3(header.cell), .high = header.revision.value};
  place.at.configs = {{.epoch = 1, .governs_from = Slot(1), .voters = {{.id = paxos::ReplicaId(id)}}}};
  return place.encode();
}

Result<cell::SnapshotHeader> fill(disk::Disk& disk, const std::string& path, const std::string& directory,
                                  uint64_t id) {
  TRY(const auto file, disk.open(path, disk::OpenMode::Read));
  TRY_DO(disk.make_directories(directory));
  TRY(const auto database, replica::open_rocks_database(disk, {.directory = directory + "/state"}));
  replica::Batch batch;
  uint64_t at = 0;
  size_t bytes = 0;
  const cell::SnapshotSource source = [&](size_t size) -> Result<Bytes> {
    Bytes piece(size, '\0');
    TRY(const size_t got, file->read_at(at, std::span(piece.data(), size)));
    piece.resize(got);
    at += got;
    return piece;
  };
  TRY(const auto header, cell::read_snapshot_file(source, [&](cell::SnapshotEntry entry) -> Result<void> {
        bytes += entry.first.size() + entry.second.size();
        batch.put(std::move(entry.first), std::move(entry.second));
        if (bytes < kBatchBytes) return {};
        TRY_DO(database->write(batch));
        batch.clear();
        bytes = 0;
        return {};
      }));
  TRY_DO(database->write(batch));
  TRY_DO(forget_members(*database));
  replica::Batch last;
  last.put(Bytes(replica::kAppliedKey), place_of(id, header));
  TRY_DO(database->write(last));
  TRY_DO(database->flush());
  return header;
}

}  // namespace

Result<cell::SnapshotHeader> restore_cell(disk::Disk& disk, const std::string& file, const std::string& data,
                                          uint64_t id) {
  TRY(const DataDirectory directory, DataDirectory::open(disk, data));
  const std::string target = data + "/cell", part = data + "/cell.part";
  TRY(const bool there, disk.is_directory(target));
  if (there)
    return fail(Code::Exists, fmt::format("{}: there is a cell already; choose another data directory", target));
  TRY_DO(remove_tree(disk, part));
  auto header = fill(disk, file, part, id);
  if (!header) {
    static_cast<void>(remove_tree(disk, part));
    return std::unexpected(std::move(header).error().within(file));
  }
  TRY_DO(disk.rename(part, target));
  TRY_DO(disk.sync_directory(data));
  return header;
}

}  // namespace hailstone::server
