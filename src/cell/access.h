// Who may do what beneath which path: the rules of one principal, looked up once and asked for each operation.
#pragma once

#include <string_view>

#include "cell/records.h"
#include "replica/database.h"

namespace hailstone::cell {

inline constexpr ByteView kEverybody = "*";

/// "read", "write", "lock", "admin".
std::string_view right_name(Right right);

class Permissions {
 public:
  /// The rules of `principal` and of everybody. Without any rule in the cell everything is allowed to every principal;
  /// to the cell itself (the empty principal) it always is.
  static Result<Permissions> read(const replica::Reader& state, const Counters& counters, ByteView principal);

  /// Denied, naming principal, right and path, unless a rule whose prefix covers the path gives the right.
  Result<void> check(Right right, ByteView path) const;
  bool is_cell() const { return principal_.empty(); }

 private:
  Bytes principal_;
  bool all_ = false;
  std::vector<Rule> rules_;
};

/// Prefixes that are valid paths, rights that are known, at most kRulesMax; else Invalid.
Result<void> validate_rules(ByteView principal, const std::vector<Rule>& rules);
bool is_admin(const std::vector<Rule>& rules);  // the admin right on "/"

}  // namespace hailstone::cell
