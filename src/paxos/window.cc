#include "paxos/window.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace hailstone::paxos {

void Window::clear(Cell& cell) {
  data_bytes_ -= cell.record.data ? cell.record.data->size() : 0;
  --count_;
  cell = Cell{};
}

void Window::erase(Slot slot) {
  if (Cell* found = find(slot)) clear(*found);
}

void Window::grow() {
  std::vector<Cell> old(cells_.size() * 2);
  old.swap(cells_);
  for (Cell& from : old)
    if (from.record.slot) cell(from.record.slot) = std::move(from);  // distinct cells stay distinct in twice the room
}

Window::Cell& Window::put(Record record, WriteId write, Slot disposable) {
  CHECK(record.slot && record.data);
  if (cells_.empty()) cells_.resize(kCellsMin);
  Cell* to = &cell(record.slot);
  while (to->record.slot && to->record.slot != record.slot && to->record.slot > disposable) {
    grow();
    to = &cell(record.slot);
  }
  if (to->record.slot) clear(*to);
  data_bytes_ += record.data->size();
  ++count_;
  to->record = std::move(record);
  to->write = write;
  return *to;
}

void Window::shrink() {
  if (count_ == 0) {
    cells_ = std::vector<Cell>();  // {} would keep the memory
    return;
  }
  if (cells_.size() == kCellsMin || count_ * 4 > cells_.size()) return;
  std::vector<Cell> kept;
  for (Cell& from : cells_)
    if (from.record.slot) kept.push_back(std::move(from));
  cells_.assign(kCellsMin, Cell{});
  cells_.shrink_to_fit();
  count_ = data_bytes_ = 0;
  for (Cell& from : kept) {
    const bool settled = from.settled;
    put(std::move(from.record), from.write, Slot(0)).settled = settled;
  }
}

std::vector<Slot> Window::slots_after(Slot after) const {
  std::vector<Slot> slots;
  for (const Cell& each : cells_)
    if (each.record.slot > after) slots.push_back(each.record.slot);
  std::ranges::sort(slots);
  return slots;
}

}  // namespace hailstone::paxos
