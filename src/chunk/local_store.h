// Chunks in append-only segment files on one node (docs/formats/segment.md).
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/logger.h"
#include "chunk/store.h"
#include "disk/disk.h"

namespace hailstone::chunk {

struct LocalStoreOptions {
  std::string directory;
  uint64_t segment_bytes = 256u << 20;         // a segment is sealed when it passes this
  uint64_t reserve_bytes = 64u << 20;          // puts are Exhausted when the file system has less than this free
  uint32_t page_align_from_bytes = 64u << 10;  // payloads this large start on a 4 KiB boundary
  uint32_t segment_chunks_max = 128u << 10;    // and when it has this many: bounds the memory of its index entries
  uint32_t open_files_max = 512;               // segment files held open for reading
  uint32_t touched_ids_max = 1u << 20;         // remembered for collections; past it nothing is collected for a while
  /// Behind: open() returns with the newest segment known; load() and whoever misses a chunk bring the others.
  enum class Load : uint8_t { AtOpen, Behind };
  Load load = Load::AtOpen;
  bool verify_on_open = false;  // read every record, not only headers and indexes

  Result<void> validate() const;
};

/// A damaged record, as named in logs, metrics and `hailstone status`.
struct Damage {
  ChunkId id;
  std::string where;  // "segment 17: record at 4096"
  std::string what;   // "payload crc 1c00... != 9e41..."
};

class LocalStore : public ChunkStore {
 public:
  /// Opens or creates. Rebuilds what is missing of the index from the segments; cuts a torn tail of the active segment;
  /// damage before the end is quarantined and reported, never fatal.
  static Result<std::unique_ptr<LocalStore>> open(disk::Disk& disk, const LocalStoreOptions& options, Logger& logger);

  /// Opened with Load::Behind: loads what earlier segments hold, newest first, until all is known or `stop`, polled
  /// between segments, says so. Meanwhile what is known already is served; whoever asks for anything else loads too and
  /// is answered when it is found, or all is known. After an error it can be called again. Any thread.
  virtual Result<void> load(const std::function<bool()>& stop) = 0;

  virtual std::vector<Damage> quarantine() const = 0;
  /// Reads and verifies every record once; returns how many were checked. `stop` is polled between records.
  virtual Result<uint64_t> verify_all(const std::function<bool()>& stop) = 0;

  /// A part of that: live records from `from` on, in the order of their places, by CRC and name, until about
  /// `budget_bytes` were read. Damage is quarantined. Position() begins; the answer's `next` goes on, also after a
  /// restart, and is Position() again after the last record.
  struct Scrubbed {
    Position next;
    uint64_t records = 0;
    uint64_t bytes = 0;
    uint64_t damaged = 0;
  };
  virtual Result<Scrubbed> scrub(const Position& from, uint64_t budget_bytes, const std::function<bool()>& stop) = 0;

  struct CompactOptions {
    uint32_t dead_percent = 30;                // of a segment's file, from which on it is rewritten; 1..100
    std::function<void(uint64_t bytes)> pace;  // called after so many were written: waits as long as a limit says
  };
  struct Compacted {
    uint64_t segments = 0;  // gone
    uint64_t freed_bytes = 0;
    uint64_t moved_chunks = 0;
    uint64_t moved_bytes = 0;
    uint64_t carried_erasures = 0;
    uint64_t kept_damaged = 0;   // segments left alone because a damaged chunk is in them
    uint64_t kept_for_room = 0;  // because the disk has no room for what lives in them
    bool stopped = false;
  };
  /// Gives the space of dead records back. Readers and writers go on; a crash at any point leaves all that was there.
  /// On a full disk it uses three quarters of the reserve, and takes first what needs least. `stop` is polled between
  /// records.
  virtual Result<Compacted> compact(const CompactOptions& options, const std::function<bool()>& stop) = 0;
};

}  // namespace hailstone::chunk
