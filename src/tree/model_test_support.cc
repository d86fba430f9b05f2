#include "tree/model_test_support.h"

namespace hailstone::tree {
namespace {

/// A key that sorts by `number` and is a candidate of just the levels in `levels` (of 0, 1, 2), or any key.
Bytes key_of(int number, std::optional<std::set<unsigned>> levels) {
  for (int i = 0;; ++i) {
    Bytes key = fmt::format("dir{:02}/file{:04}.{}", number / 100, number, i);
    bool right = true;
    for (unsigned level = 0; levels && level < 3; ++level) {
      right = right && is_candidate(kSmallShapes.at(level), boundary_hash(level, key)) == levels->contains(level);
    }
    if (right) return key;
  }
}

}  // namespace

const std::vector<Bytes>& pool() {
  static const std::vector<Bytes> keys = [] {
    std::vector<Bytes> out;
    for (int i = 0; i < 400; ++i) {
      std::optional<std::set<unsigned>> levels;
      if (i < 130) levels = {{}};
      if (i >= 230 && i < 290) levels = {{0u}};
      if (i >= 290 && i < 320) levels = {{0u, 1u}};
      if (i >= 320 && i < 370) levels = {{0u, 1u, 2u}};
      if (i == 60 || i == 350) levels = {{1u, 2u}};
      out.push_back(key_of(i, levels));
    }
    return out;
  }();
  return keys;
}

void log(const std::vector<Sweep>& sweeps) {
  std::ostream& out = RC_LOG();
  for (const Sweep& sweep : sweeps) {
    const char* kind = sweep.kind == Sweep::Kind::Put ? "put" : sweep.kind == Sweep::Kind::Remove ? "remove" : "keep";
    out << fmt::format("{} {} +{} by {} salt {}\n", kind, sweep.begin, sweep.count, sweep.stride, sweep.salt);
  }
  out << "--\n";
}

namespace {

/// rc::gen::inRange narrows its range with the size, so that small collections would hold small numbers only.
template <class T>
rc::Gen<T> anywhere(T min, T end) {
  return rc::gen::resize(rc::kNominalSize, rc::gen::inRange<T>(min, end));
}

rc::Gen<Sweep> sweep_of(const rc::Gen<Sweep::Kind>& kind, const rc::Gen<size_t>& count) {
  const auto stride = rc::gen::weightedElement<size_t>({{6, 1}, {1, 2}, {1, 3}, {1, 9}});
  return rc::gen::build<Sweep>(rc::gen::set(&Sweep::kind, kind),
                               rc::gen::set(&Sweep::begin, anywhere<size_t>(0, pool().size())),
                               rc::gen::set(&Sweep::count, count), rc::gen::set(&Sweep::stride, stride),
                               rc::gen::set(&Sweep::salt, anywhere<uint64_t>(0, 3)));
}
}  // namespace

rc::Gen<Sweep> any_sweep() {
  using Kind = Sweep::Kind;
  return sweep_of(
      rc::gen::weightedElement<Kind>({{6, Kind::Put}, {4, Kind::Remove}, {1, Kind::Keep}}),
      rc::gen::weightedOneOf<size_t>(
          {{3, anywhere<size_t>(1, 4)}, {2, anywhere<size_t>(1, 80)}, {2, anywhere<size_t>(1, pool().size() + 1)}}));
}

rc::Gen<std::vector<Sweep>> any_sweeps() {
  return rc::gen::resize(8, rc::gen::container<std::vector<Sweep>>(any_sweep()));
}

rc::Gen<std::vector<Sweep>> small_sweeps() {
  using Kind = Sweep::Kind;
  const auto kind = rc::gen::element(Kind::Put, Kind::Remove);
  return rc::gen::resize(6, rc::gen::container<std::vector<Sweep>>(sweep_of(kind, anywhere<size_t>(1, 4))));
}

rc::Gen<Model> big_model() {
  return rc::gen::map(rc::gen::resize(12, rc::gen::container<std::vector<Sweep>>(
                                              sweep_of(rc::gen::just(Sweep::Kind::Remove), anywhere<size_t>(1, 30)))),
                      [](const std::vector<Sweep>& removed) {
                        Model model;
                        apply_to(model, edits_of({{Sweep::Kind::Put, 0, pool().size(), 1, 0}}));
                        apply_to(model, edits_of(removed));
                        return model;
                      });
}

std::vector<Edit> edits_of(const std::vector<Sweep>& sweeps) {
  std::map<size_t, Edit> edits;
  for (const Sweep& sweep : sweeps) {
    if (sweep.kind == Sweep::Kind::Keep) {
      for (size_t i = 0; i < pool().size(); ++i) {
        if (i < sweep.begin || i >= sweep.begin + sweep.count)
          edits.insert_or_assign(i, Edit{pool()[i], std::nullopt, 0});
      }
      continue;
    }
    for (size_t n = 0, i = sweep.begin; n < sweep.count && i < pool().size(); ++n, i += sweep.stride) {
      Edit edit{pool()[i], std::nullopt, 0};
      if (sweep.kind == Sweep::Kind::Put) {
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
