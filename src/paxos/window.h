// Records by slot: what is in flight, and a tail of what was chosen lately.
#pragma once

#include <cstddef>
#include <vector>

#include "paxos/types.h"

namespace hailstone::paxos {

/// A ring indexed by slot. Grows by doubling when two slots that must stay meet in a cell, so its size follows the span
/// of what it holds. Memory of the data is counted once per record.
class Window {
 public:
  struct Cell {
    Record record;         // slot 0: empty
    WriteId write;         // durable when that write is
    bool settled = false;  // known to be the chosen one
  };

  /// Null when it holds nothing for the slot.
  Cell* find(Slot slot) {
    if (cells_.empty()) return nullptr;
    Cell& found = cell(slot);
    return found.record.slot == slot && slot ? &found : nullptr;
  }
  const Cell* find(Slot slot) const { return const_cast<Window*>(this)->find(slot); }
  /// Replaces what is there for the slot. A cell held by a slot <= `disposable` may be taken over.
  Cell& put(Record record, WriteId write, Slot disposable);
  void erase(Slot slot);
  /// Gives the memory of empty cells back; all of it when none is held.
  void shrink();

  size_t bytes() const { return data_bytes_ + cells_.size() * sizeof(Cell); }
  size_t data_bytes() const { return data_bytes_; }
  size_t count() const { return count_; }
  /// Slots held that are > after, ascending.
  std::vector<Slot> slots_after(Slot after) const;

 private:
  static constexpr size_t kCellsMin = 8;

  Cell& cell(Slot slot) { return cells_[slot.value & (cells_.size() - 1)]; }
  void clear(Cell& cell);
  void grow();

  std::vector<Cell> cells_;  // none, or a power of two
  size_t data_bytes_ = 0;
  size_t count_ = 0;
};

}  // namespace hailstone::paxos
