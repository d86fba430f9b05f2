// Exports entries as a directory tree: only what changed is fetched, and the new tree appears at once.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "disk/disk.h"
#include "mirror/export_manifest.h"
#include "mirror/plan.h"
#include "mirror/tree_writer.h"

namespace hailstone::mirror {

struct RestoreOptions {
  std::string directory;  // DIR, see restore_layout.h
  Bytes prefix;           // only keys beginning with it; it is cut off. Empty, or ends with '/'
  Place place = Place::NewTree;
  Reuse reuse = Reuse::HardLink;
  Owners owners = Owners::Ignore;  // Restore needs root
  unsigned keep = 1;               // former trees left after a flip
  Bytes origin;                    // server URL, target and prefix, as one text
  uint64_t release = 0;            // 0: a head or draft
  /// Test seam: called by name before each step of commit(); an error stops there, as a crash would.
  std::function<Result<void>(std::string_view step)> checkpoint;
};

struct RestoreReport {
  uint64_t fetched = 0, fetched_bytes = 0;
  uint64_t reused = 0;   // files taken from the previous tree
  uint64_t removed = 0;  // in place: names that are no longer wanted
  std::string tree;      // path of the real tree
  Warnings warnings;
};

/// begin() makes all that needs no fetching; the caller then feeds the wanted files, in any order, and commits.
/// Destroyed before commit(), it removes what it made (a new tree) or leaves a mix (in place). Not thread-safe.
class Restore {
 public:
  /// `entries`: sorted by key, all beneath the prefix. Errors: Invalid (keys that are no tree, DIR is in the way;
  /// nothing was touched), Unavailable (another export runs), Exhausted, Denied, Io.
  static Result<std::unique_ptr<Restore>> begin(disk::Disk& disk, RestoreOptions options,
                                                std::vector<KeyEntry> entries);
  ~Restore();

  /// Keys whose contents are to be fetched, sorted.
  const std::vector<Bytes>& wanted() const { return wanted_; }
  uint64_t wanted_bytes() const { return wanted_bytes_; }
  /// The first wanted keys that have not arrived: at most `keys_max`, and no more after their contents pass
  /// `bytes_max`.
  std::vector<Bytes> missing(size_t keys_max, uint64_t bytes_max) const;

  /// One content at a time. NotFound when `key` is not wanted (any more).
  Result<void> begin_content(ByteView key);
  Result<void> write(ByteView bytes);
  /// Corrupt when the content is not the one the entry names: it may be fetched again.
  Result<void> finish_content();
  void abandon_content();

  /// Directories' metadata, sync, manifest, flip, removal of old trees. Invalid when wanted contents are missing.
  /// Whatever fails before the flip leaves the old tree in place; what fails after it is a warning.
  Result<RestoreReport> commit();

 private:
  Restore(disk::Disk& disk, RestoreOptions options, std::vector<KeyEntry> entries, RestoreLayout layout);
  Result<void> prepare();
  Result<void> create_root();
  void load_previous();
  Result<void> create(const KeyEntry& item);
  Result<void> create_file(const KeyEntry& item);
  Result<bool> reuse_file(const KeyEntry& item, ByteView path);
  Result<void> write_whole(const KeyEntry& item, ByteView content);
  const KeyEntry* find(ByteView key) const;
  bool is_hard_link(const KeyEntry& item) const;
  Result<void> make_hard_links();
  enum class Stale : uint8_t { InTheWay, Rest };
  bool wants_directory(ByteView path) const;
  bool is_in_the_way(const ExportRecord& record) const;
  Result<void> remove_stale(Stale which);
  Result<void> write_manifest();
  Result<void> flip();
  void remove_old_trees();
  Result<void> checkpoint(std::string_view step);

  disk::Disk& disk_;
  RestoreOptions options_;
  std::vector<KeyEntry> entries_;
  RestoreLayout layout_;
  std::string tree_path_;
  std::unique_ptr<TreeWriter> writer_;
  std::optional<ExportManifest> previous_;
  std::optional<Directories> previous_tree_;
  std::vector<Bytes> wanted_;
  std::vector<bool> arrived_;  // by position in wanted_
  uint64_t wanted_bytes_ = 0;
  std::vector<const KeyEntry*> links_;
  const KeyEntry* current_ = nullptr;  // content under way
  Bytes link_target_;                  // of a symlink under way
  RestoreReport report_;
  bool tree_is_kept_ = false;
};

}  // namespace hailstone::mirror
