// The group's database: an ordered key-value map with atomic batches and snapshots. Its log is the group's log.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"

namespace hailstone::replica {

/// Changes applied together, in order. erase_range removes [begin, end).
class Batch {
 public:
  struct Op {
    enum class Kind : uint8_t { Put, Erase, EraseRange } kind;
    Bytes key;
    Bytes value;  // Put: the value; EraseRange: the exclusive end
  };
  void put(Bytes key, Bytes value) { ops_.push_back({Op::Kind::Put, std::move(key), std::move(value)}); }
  void erase(Bytes key) { ops_.push_back({Op::Kind::Erase, std::move(key), {}}); }
  void erase_range(Bytes begin, Bytes end) { ops_.push_back({Op::Kind::EraseRange, std::move(begin), std::move(end)}); }
  void add(Op op) { ops_.push_back(std::move(op)); }
  const std::vector<Op>& ops() const { return ops_; }
  void reserve(size_t ops) { ops_.reserve(ops_.size() + ops); }
  std::vector<Op> take() { return std::exchange(ops_, {}); }
  bool empty() const { return ops_.empty(); }
  void clear() { ops_.clear(); }

 private:
  std::vector<Op> ops_;
};

/// Ordered reading of [begin, end). Views stay valid until it moves.
class Iterator {
 public:
  virtual ~Iterator() = default;
  virtual void seek(ByteView key) = 0;  // first key >= `key` within the range
  virtual void next() = 0;
  virtual bool valid() const = 0;
  virtual ByteView key() const = 0;
  virtual ByteView value() const = 0;
  /// Once !valid(): the end, or the error that stopped it.
  virtual Result<void> status() const = 0;
};

/// A consistent view. Thread-safe.
class Reader {
 public:
  virtual ~Reader() = default;
  virtual Result<std::optional<Bytes>> get(ByteView key) const = 0;
  /// Positioned at the first key of [begin, end). Lives no longer than this reader.
  virtual std::unique_ptr<Iterator> iterate(ByteView begin, ByteView end) const = 0;
};

/// Reads see the latest write. One writer thread; any number of readers.
class Database : public Reader {
 public:
  /// Exhausted when the disk is full: nothing was written, and it may succeed later. Any other error is final: reopen.
  /// Atomic; visible on return, durable only after flush() (the group's log covers the time between).
  virtual Result<void> write(const Batch& batch) = 0;
  virtual std::unique_ptr<Reader> snapshot() const = 0;
  /// A second content can be built beside the current one, unseen, to take its place. stage() and staged() are write()
  /// and get() for it; it lasts, as far as it was flushed, until it is discarded or adopted. On the writer's thread.
  virtual Result<void> stage(const Batch&) { return cannot_stage(); }
  virtual Result<std::optional<Bytes>> staged(ByteView) const { return cannot_stage(); }
  virtual Result<void> discard_staged() { return cannot_stage(); }
  /// What was staged is the content from now on, at once and durably. Snapshots and iterators show what they showed.
  virtual Result<void> adopt_staged() { return cannot_stage(); }
  /// Everything written or staged so far is durable on return. May run on another thread beside write(). Exhausted as
  /// for write().
  virtual Result<void> flush() = 0;
  /// Bytes written since the last flush began: when to flush.
  virtual uint64_t unflushed_bytes() const = 0;
  /// Exhausted while a full disk keeps it from taking writes; tries to get going again, at most a few times a second.
  /// Asked before a command is made durable elsewhere: afterwards a refused write is a write owed.
  virtual Result<void> ready() { return {}; }
  /// False: flush() keeps nothing beyond this object's life, so no log may be trimmed on its word.
  virtual bool survives_restart() const { return true; }

 protected:
  static std::unexpected<Error> cannot_stage() {
    return fail(Code::Unsupported, "this database cannot hold a second content");
  }
};

/// A std::map behind the interface; durable never. For tests and simulation.
std::unique_ptr<Database> make_memory_database();

}  // namespace hailstone::replica
