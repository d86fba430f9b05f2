#include "mirror/restore.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "base/check.h"
#include "mirror/fingerprint.h"
#include "mirror/restore_paths.h"

namespace hailstone::mirror {
namespace {

constexpr uint64_t kManifestBytesMax = 16ull << 30;

bool before(const KeyEntry& item, ByteView key) { return item.key < key; }

}  // namespace

Restore::Restore(disk::Disk& disk, RestoreOptions options, std::vector<KeyEntry> entries, RestoreLayout layout)
    : disk_(disk), options_(std::move(options)), entries_(std::move(entries)), layout_(std::move(layout)) {}

Restore::~Restore() {
  writer_.reset();
  if (!tree_is_kept_ && options_.place == Place::NewTree && !tree_path_.empty()) (void)remove_tree(tree_path_);
}

Result<std::unique_ptr<Restore>> Restore::begin(disk::Disk& disk, RestoreOptions options,
                                                std::vector<KeyEntry> entries) {
  TRY_DO(check_paths(entries, options.prefix));
  TRY(RestoreLayout layout, open_layout(options.directory, options.place));
  std::unique_ptr<Restore> restore(new Restore(disk, std::move(options), std::move(entries), std::move(layout)));
  TRY_DO(restore->prepare());
  return restore;
}

Result<void> Restore::checkpoint(std::string_view step) {
  if (!options_.checkpoint) return {};
  auto result = options_.checkpoint(step);
  if (!result) tree_is_kept_ = true;  // a crash cleans nothing up
  return result;
}

const KeyEntry* Restore::find(ByteView key) const {
  const auto at = std::lower_bound(entries_.begin(), entries_.end(), key, before);
  return at != entries_.end() && at->key == key ? &*at : nullptr;
}

Result<void> Restore::create_root() {
  tree_path_ = options_.place == Place::InPlace ? layout_.directory : layout_.tree_path(layout_.next);
  if (::mkdir(tree_path_.c_str(), 0700) != 0 && (options_.place == Place::NewTree || errno != EEXIST))
    return system_fail(errno, "create directory", tree_path_);
  report_.tree = tree_path_;
  TRY(writer_, TreeWriter::open(tree_path_, options_.place, options_.owners));
  return {};
}

// A missing or damaged manifest costs a full fetch, nothing else.
void Restore::load_previous() {
  const bool in_place = options_.place == Place::InPlace;
  if (!in_place && !layout_.current) return;
  const std::string path = in_place ? layout_.in_place_manifest_path() : layout_.manifest_path(*layout_.current);
  const auto bytes = disk::read_file(disk_, path, kManifestBytesMax);
  if (!bytes) return;
  auto manifest = ExportManifest::decode(*bytes);
  if (!manifest || manifest->origin != options_.origin) return;
  auto tree = Directories::open(in_place ? layout_.directory : layout_.tree_path(*layout_.current));
  if (!tree) return;
  previous_ = std::move(*manifest);
  previous_tree_ = std::move(*tree);
}

Result<void> Restore::prepare() {
  load_previous();
  // From here on a manifest of the directory in place would no longer be true, until commit() writes it anew.
  if (options_.place == Place::InPlace && previous_) TRY_DO(disk_.remove(layout_.in_place_manifest_path()));
  TRY_DO(create_root());
  TRY_DO(remove_stale(Stale::InTheWay));
  for (const KeyEntry& item : entries_) TRY_DO(create(item));
  arrived_.assign(wanted_.size(), false);
  return {};
}

bool Restore::is_hard_link(const KeyEntry& item) const {
  if (!item.entry.posix || item.entry.posix->link.empty()) return false;
  const KeyEntry* first = find(item.entry.posix->link);
  // Someone may have rewritten one of the names since: then they are two files.
  return first != nullptr && first->key < item.key && first->entry.kind == item.entry.kind && first->entry.posix &&
         first->entry.posix->link.empty() && first->entry.content.sha256 == item.entry.content.sha256 &&
         first->entry.content.bytes == item.entry.content.bytes;
}

Result<void> Restore::create(const KeyEntry& item) {
  const ByteView path = path_of(item.key, options_.prefix);
  if (is_directory(item)) return writer_->directory(path, &item.entry);
  if (is_hard_link(item)) {
    links_.push_back(&item);
    return {};
  }
  switch (item.entry.kind) {
    case volume::Kind::File: return create_file(item);
    case volume::Kind::Symlink:
      if (item.entry.content.bytes > PATH_MAX)
        return fail(Code::Invalid,
                    fmt::format("{}: symlink target of {} bytes", printable(item.key), item.entry.content.bytes));
      return create_file(item);
    default: return writer_->node(path, item.entry);
  }
}

Result<void> Restore::create_file(const KeyEntry& item) {
  const chunk::Content& content = item.entry.content;
  if (item.entry.kind == volume::Kind::File) {
    TRY(const bool reused, reuse_file(item, path_of(item.key, options_.prefix)));
    if (reused) {
      ++report_.reused;
      return {};
    }
  }
  if (content.refs.empty() && content.inlined.size() == content.bytes) return write_whole(item, content.inlined);
  wanted_.push_back(item.key);
  wanted_bytes_ += content.bytes;
  return {};
}

Result<bool> Restore::reuse_file(const KeyEntry& item, ByteView path) {
  if (!previous_) return false;
  const ExportRecord* record = previous_->find(item.key);
  if (record == nullptr || record->kind != volume::Kind::File || record->bytes != item.entry.content.bytes ||
      record->sha256 != item.entry.content.sha256)
    return false;
  // Touched by someone since the export: not ours to trust.
  if (TreeWriter::stat_file(*previous_tree_, path) != TreeWriter::FileStat{record->bytes, record->modified_ns})
    return false;
  const bool same = record->fingerprint == fingerprint(item.entry);
  if (options_.place == Place::InPlace) {
    if (!same) TRY_DO(writer_->metadata(path, item.entry));
    return true;
  }
  return writer_->take_from(*previous_tree_, path, item.entry, options_.reuse,
                            same ? TreeWriter::Shares::Inode : TreeWriter::Shares::ContentOnly);
}

Result<void> Restore::write_whole(const KeyEntry& item, ByteView content) {
  const ByteView path = path_of(item.key, options_.prefix);
  if (item.entry.kind == volume::Kind::Symlink) {
    if (sha256(content) != item.entry.content.sha256)
      return fail(Code::Corrupt, fmt::format("{}: symlink target does not match its SHA-256", printable(item.key)));
    return writer_->symlink(path, item.entry, content);
  }
  TRY_DO(writer_->begin_file(path, item.entry));
  if (auto written = writer_->write(content); !written) {
    writer_->abandon_file();
    return written;
  }
  return writer_->finish_file();
}

std::vector<Bytes> Restore::missing(size_t keys_max, uint64_t bytes_max) const {
  std::vector<Bytes> out;
  uint64_t bytes = 0;
  // Contents mostly arrive in order: all before this have.
  size_t at = static_cast<size_t>(std::find(arrived_.begin(), arrived_.end(), false) - arrived_.begin());
  for (; at < wanted_.size() && out.size() < keys_max && bytes < bytes_max; ++at) {
    if (arrived_[at]) continue;
    out.push_back(wanted_[at]);
    bytes += find(wanted_[at])->entry.content.bytes;
  }
  return out;
}

Result<void> Restore::begin_content(ByteView key) {
  CHECK(current_ == nullptr);
  const auto at = std::lower_bound(wanted_.begin(), wanted_.end(), key);
  if (at == wanted_.end() || *at != key || arrived_[static_cast<size_t>(at - wanted_.begin())])
    return fail(Code::NotFound, fmt::format("{}: not wanted", printable(key)));
  const KeyEntry* item = find(key);
  CHECK(item != nullptr);
  link_target_.clear();
  if (item->entry.kind == volume::Kind::File)
    TRY_DO(writer_->begin_file(path_of(item->key, options_.prefix), item->entry));
  current_ = item;
  return {};
}

Result<void> Restore::write(ByteView bytes) {
  CHECK(current_ != nullptr);
  if (current_->entry.kind == volume::Kind::File) return writer_->write(bytes);
  if (link_target_.size() + bytes.size() > PATH_MAX)
    return fail(Code::Corrupt, fmt::format("{}: symlink target too long", printable(current_->key)));
  link_target_ += bytes;
  return {};
}

Result<void> Restore::finish_content() {
  CHECK(current_ != nullptr);
  const KeyEntry& item = *std::exchange(current_, nullptr);
  if (item.entry.kind == volume::Kind::File) {
    TRY_DO(writer_->finish_file());
  } else {
    TRY_DO(write_whole(item, link_target_));
  }
  const auto at = std::lower_bound(wanted_.begin(), wanted_.end(), item.key);
  arrived_[static_cast<size_t>(at - wanted_.begin())] = true;
  ++report_.fetched;
  report_.fetched_bytes += item.entry.content.bytes;
  return {};
}

void Restore::abandon_content() {
  current_ = nullptr;
  writer_->abandon_file();
}

Result<void> Restore::make_hard_links() {
  for (const KeyEntry* item : links_)
    TRY_DO(writer_->hard_link(path_of(item->key, options_.prefix), path_of(item->entry.posix->link, options_.prefix)));
  return {};
}

// Whether `path` names a directory among the entries, by its own key or by one below it.
bool Restore::wants_directory(ByteView path) const {
  const Bytes directory = Bytes(options_.prefix).append(path).append("/");
  const auto at = std::lower_bound(entries_.begin(), entries_.end(), directory, before);
  return at != entries_.end() && at->key.starts_with(directory);
}

// A name of the previous export whose place something of another kind takes now.
bool Restore::is_in_the_way(const ExportRecord& record) const {
  const ByteView path = path_of(record.key, options_.prefix);
  for (size_t end = path.find('/'); end != ByteView::npos; end = path.find('/', end + 1))
    if (find(Bytes(options_.prefix).append(path.substr(0, end))) != nullptr) return true;
  if (record.kind != volume::Kind::Directory) return wants_directory(path);
  return find(Bytes(options_.prefix).append(path)) != nullptr;
}

Result<void> Restore::remove_stale(Stale which) {
  if (options_.place != Place::InPlace || !previous_) return {};
  // Reverse order: what lies in a directory before the directory.
  for (auto record = previous_->records.rbegin(); record != previous_->records.rend(); ++record) {
    const ByteView path = path_of(record->key, options_.prefix);
    if (path.empty() || find(record->key) != nullptr) continue;
    if ((which == Stale::InTheWay) != is_in_the_way(*record)) continue;
    if (record->kind == volume::Kind::Directory && wants_directory(path)) continue;
    TRY_DO(writer_->remove(path));
    ++report_.removed;
  }
  return {};
}

Result<void> Restore::write_manifest() {
  ExportManifest manifest;
  manifest.origin = options_.origin;
  manifest.release = options_.release;
  manifest.records.reserve(entries_.size());
  for (const KeyEntry& item : entries_) {
    const chunk::Content& content = item.entry.content;
    manifest.records.push_back(
        {item.key, item.entry.kind, content.bytes, item.entry.modified_ns, fingerprint(item.entry), content.sha256});
  }
  const bool in_place = options_.place == Place::InPlace;
  return disk::write_file_atomic(
      disk_, in_place ? layout_.in_place_manifest_path() : layout_.manifest_path(layout_.next), manifest.encode());
}

Result<void> Restore::flip() {
  const std::string link = layout_.flip_path();
  ::unlink(link.c_str());  // of a crashed export
  if (::symlink(layout_.tree_name(layout_.next).c_str(), link.c_str()) != 0)
    return system_fail(errno, "create symlink", link);
  TRY_DO(checkpoint("rename"));
  if (::rename(link.c_str(), layout_.directory.c_str()) != 0) return system_fail(errno, "flip", layout_.directory);
  return disk_.sync_directory(layout_.parent);
}

void Restore::remove_old_trees() {
  // Kept: the trees served last. One without a manifest, or above the current one, is what a crash left.
  unsigned kept = 0;
  for (auto number = layout_.trees.rbegin(); number != layout_.trees.rend(); ++number) {
    const auto finished = disk_.exists(layout_.manifest_path(*number));
    const bool was_served = finished && *finished && layout_.current && *number <= *layout_.current;
    if (was_served && kept < options_.keep) {
      ++kept;
      continue;
    }
    // The manifest goes first: a tree that has one is whole.
    if (finished && *finished) (void)disk_.remove(layout_.manifest_path(*number));
    if (auto removed = remove_tree(layout_.tree_path(*number)); !removed)
      report_.warnings.add(fmt::format("an old tree is left: {}", removed.error().message));
  }
}

Result<RestoreReport> Restore::commit() {
  const auto missing = static_cast<uint64_t>(std::count(arrived_.begin(), arrived_.end(), false));
  if (missing > 0) {
    const auto at = std::find(arrived_.begin(), arrived_.end(), false) - arrived_.begin();
    return fail(Code::Invalid, fmt::format("{} files did not arrive, among them {}", missing, printable(wanted_[at])));
  }
  TRY_DO(checkpoint("links"));
  TRY_DO(make_hard_links());
  TRY_DO(remove_stale(Stale::Rest));
  TRY_DO(checkpoint("directories"));
  TRY_DO(writer_->finish_directories());
  TRY_DO(checkpoint("sync"));
  TRY_DO(writer_->sync());
  TRY_DO(checkpoint("manifest"));
  TRY_DO(write_manifest());
  if (options_.place == Place::NewTree) {
    TRY_DO(checkpoint("flip"));
    TRY_DO(flip());
    tree_is_kept_ = true;
    TRY_DO(checkpoint("remove"));
    remove_old_trees();
  }
  tree_is_kept_ = true;
  report_.warnings.append(writer_->warnings());
  return std::move(report_);
}

}  // namespace hailstone::mirror
