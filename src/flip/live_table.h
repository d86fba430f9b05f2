// What a node knows of channels, for many threads that read and one that is told by the cell client.
#pragma once

#include <atomic>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "cell/records.h"
#include "flip/channel_file.h"
#include "volume/state.h"

namespace hailstone::flip {

/// A channel as the cell says it is. Immutable.
struct Live {
  std::optional<ChannelFile> file;  // none: there is no such channel
  volume::Flips flips;              // the file's, for those that look back; null without a file
  cell::Instance instance;          // of the file
  uint64_t generation = 0;          // likewise
  cell::Revision revision;          // of the cell, that the reading shows at least
};
using LivePtr = std::shared_ptr<const Live>;

/// One channel's place in the table.
struct LiveEntry {
  explicit LiveEntry(Bytes p) : path(std::move(p)) {}
  const Bytes path;  // in the cell

  /// A version and two marks. kCounts: its copy counts. Cleared by the writer before the cell may hear that the copy is
  /// dropped, and never set again for this version; the load that finds it set is where a reader's resolution takes
  /// effect. kRetired: the table does not have this entry any more; it will never count.
  std::atomic<uint64_t> state{0};
  static constexpr uint64_t kCounts = 1, kRetired = 2, kVersionStep = 4;
  std::atomic<bool> used{false};  // by a reader, since the hand came by; never of a channel that is not there
  std::atomic<bool> busy{false};  // somebody waits for it: not worth evicting

  std::mutex mutex;  // of those who do not have this version yet
  LivePtr live;      // of `state`'s version, which rises under the mutex only
};

/// Writing is for one thread, that of the cell client. Invariant: a copy counts only while the client's cache has it.
class LiveTable {
 public:
  /// At most so many channels. Those that are not there, and then those that nobody asks for, go first.
  LiveTable(const Clock& clock, size_t entries_max) : clock_(clock), entries_max_(entries_max) {}
  LiveTable(const LiveTable&) = delete;
  LiveTable& operator=(const LiveTable&) = delete;

  // ---- any thread ----
  std::shared_ptr<LiveEntry> find(ByteView path) const;
  /// Made if it is not there; null when the table is full of entries in use.
  std::shared_ptr<LiveEntry> enter(ByteView path);
  size_t size() const;
  const Clock& clock() const { return clock_; }

  // ---- the writer ----
  /// No copy counts from then on, by monotonic_ns; 0: none counts now. Before one that is not the going-on of the last
  /// comes drop_all().
  void set_lease_end(int64_t ends_ns) { lease_ends_ns_.store(ends_ns, std::memory_order_seq_cst); }
  /// What the client's cache has now.
  void put(LiveEntry& entry, LivePtr live);
  /// What counted until now: the entry, or null; how many.
  std::shared_ptr<LiveEntry> drop(ByteView path);
  size_t drop_all();

 private:
  friend class LiveCache;
  using Ring = std::list<std::shared_ptr<LiveEntry>>;
  bool evict_one();

  const Clock& clock_;
  const size_t entries_max_;
  std::atomic<int64_t> lease_ends_ns_{0};
  mutable std::mutex mutex_;  // of the index: taken by who meets a channel for the first time, and by the writer
  Ring ring_;
  Ring::iterator hand_ = ring_.end();
  std::unordered_map<ByteView, Ring::iterator> index_;  // by LiveEntry::path
};

/// One thread's way into the table. Once it knows a channel, asking for it takes no lock and writes nothing that
/// other threads read.
class LiveCache {
 public:
  explicit LiveCache(std::shared_ptr<LiveTable> table) : table_(std::move(table)) {}

  /// What the channel is at: as of some instant within this call. Null: nothing here says; the cell has to be asked.
  /// Valid until the next call.
  const LivePtr& get(ByteView volume, ByteView channel);
  /// How often it was not null. From any thread.
  uint64_t hits() const { return hits_.load(std::memory_order_relaxed); }

 private:
  struct Name {
    Bytes volume, channel;
  };
  struct NameView {
    ByteView volume, channel;
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(const auto& name) const {
      return std::hash<ByteView>{}(name.volume) * 31 + std::hash<ByteView>{}(name.channel);
    }
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(const auto& a, const auto& b) const { return a.volume == b.volume && a.channel == b.channel; }
  };
  struct Known {
    std::shared_ptr<LiveEntry> entry;
    uint64_t state = 0;  // that `live` is of; 0: none
    LivePtr live;
  };
  using Knowns = std::unordered_map<Name, Known, Hash, Equal>;
  Knowns::iterator meet(ByteView volume, ByteView channel);

  const std::shared_ptr<LiveTable> table_;
  Knowns knowns_;
  std::atomic<uint64_t> hits_{0};  // written by this thread only
  const LivePtr nothing_;
};

}  // namespace hailstone::flip
