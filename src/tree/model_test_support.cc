#include "tree/model_test_support.h"

namespace hailstone::tree {
namespace {

unsigned rank_of(ByteView key) {
  unsigned rank = 0;
  while (rank <= kLevelMax && starts_node(rank, boundary_hash(key))) ++rank;
  return rank;
}

/// A key that sorts by `number` and starts nodes at exactly the levels below `rank` (or at any, if rank is negative).
Bytes key_of_rank(int number, int rank) {
  for (int i = 0;; ++i) {
    Bytes key = fmt::format("dir{:02}/file{:04}.{}", number / 100, number, i);
    if (rank < 0 || rank_of(key) == static_cast<unsigned>(rank)) return key;
  }
}

}  // namespace

const std::vector<Bytes>& pool() {
  static const std::vector<Bytes> keys = [] {
    std::vector<Bytes> out;
    for (int i = 0; i < 1600; ++i) {
      int rank = -1;
      if (i < 600) rank = 0;                // forced cuts in leaves
      if (i >= 900 && i < 1100) rank = 1;   // leaves of one item
      if (i >= 1100 && i < 1130) rank = 2;  // inner nodes of one child
      if (i % 300 == 299) rank = 2;
      if (i == 450 || i == 1000 || i == 1110 || i == 1111) rank = 3;
      out.push_back(key_of_rank(i, rank));
    }
    return out;
  }();
  return keys;
}

void showValue(const Sweep& sweep, std::ostream& out) {
  out << (sweep.put ? "put " : "remove ") << sweep.begin << " +" << sweep.count << " by " << sweep.stride << " salt "
      << sweep.salt;
}

rc::Gen<Sweep> any_sweep() {
  const auto count = rc::gen::weightedOneOf<size_t>({{3, rc::gen::inRange<size_t>(1, 4)},
                                                     {2, rc::gen::inRange<size_t>(1, 300)},
                                                     {1, rc::gen::inRange<size_t>(1, 1601)}});
  const auto stride = rc::gen::weightedElement<size_t>({{6, 1}, {1, 2}, {1, 3}, {1, 17}});
  return rc::gen::build<Sweep>(rc::gen::set(&Sweep::put, rc::gen::weightedElement<bool>({{3, true}, {2, false}})),
                               rc::gen::set(&Sweep::begin, rc::gen::inRange<size_t>(0, pool().size())),
                               rc::gen::set(&Sweep::count, count), rc::gen::set(&Sweep::stride, stride),
                               rc::gen::set(&Sweep::salt, rc::gen::inRange<uint64_t>(0, 3)));
}

rc::Gen<std::vector<Sweep>> any_sweeps() {
  return rc::gen::resize(8, rc::gen::container<std::vector<Sweep>>(any_sweep()));
}

std::vector<Edit> edits_of(const std::vector<Sweep>& sweeps) {
  std::map<size_t, Edit> edits;
  for (const Sweep& sweep : sweeps) {
    for (size_t n = 0, i = sweep.begin; n < sweep.count && i < pool().size(); ++n, i += sweep.stride) {
      Edit edit{pool()[i], std::nullopt, 0};
      if (sweep.put) {
        edit.value = Bytes(i % 5, 'v') + std::to_string(sweep.salt);
        edit.weight = sweep.salt * 1000 + i;
      }
      edits.insert_or_assign(i, std::move(edit));
    }
  }
  std::vector<Edit> out;
  for (auto& [i, edit] : edits) out.push_back(std::move(edit));
  return out;
}

}  // namespace hailstone::tree
