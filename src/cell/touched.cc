#include "cell/touched.h"

namespace hailstone::cell {
namespace {

/// What is not a path touches nothing: it is refused.
void add_path(std::vector<Bytes>& paths, const Bytes& path) {
  if (validate_path(path)) paths.push_back(path);
}

}  // namespace

Touched touched_by(const Body& body) {
  Touched out;
  if (std::holds_alternative<SetRules>(body)) out.prefixes.push_back("/");
  const auto* txn = std::get_if<Txn>(&body);
  if (!txn) return out;
  for (const auto* branch : {&txn->then_operations, &txn->else_operations})
    for (const Operation& operation : *branch) {
      if (const auto* put = std::get_if<Put>(&operation)) add_path(out.paths, put->path);
      if (const auto* gone = std::get_if<Delete>(&operation)) add_path(out.paths, gone->path);
      if (const auto* subtree = std::get_if<DeleteSubtree>(&operation)) add_path(out.prefixes, subtree->path);
    }
  return out;
}

Result<void> add_owned_by(const replica::Reader& state, SessionId session, Touched& touched) {
  TRY(auto holds, holds_of(state, session));
  for (auto& hold : holds)
    if (hold.kind == Hold::Ephemeral) touched.paths.push_back(std::move(hold.path));
  return {};
}

}  // namespace hailstone::cell
