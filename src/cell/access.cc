#include "cell/access.h"

#include <fmt/format.h>

#include <algorithm>

#include "cell/schema.h"

namespace hailstone::cell {
namespace {

bool gives(const Rule& rule, Right right) { return (rule.rights & static_cast<uint8_t>(right)) != 0; }

}  // namespace

std::string_view right_name(Right right) {
  switch (right) {
    case Right::Read: return "read";
    case Right::Write: return "write";
    case Right::Lock: return "lock";
    case Right::Admin: return "admin";
  }
  return "?";
}

Result<Permissions> Permissions::read(const replica::Reader& state, const Counters& counters, ByteView principal) {
  Permissions out;
  out.principal_ = principal;
  out.all_ = principal.empty() || counters.principals == 0;
  if (out.all_) return out;
  TRY(out.rules_, schema::read_rules(state, principal));
  TRY(const auto everybody, schema::read_rules(state, kEverybody));
  out.rules_.insert(out.rules_.end(), everybody.begin(), everybody.end());
  return out;
}

Result<void> Permissions::check(Right right, ByteView path) const {
  if (all_ || std::ranges::any_of(rules_, [&](const Rule& r) { return gives(r, right) && covers(r.prefix, path); }))
    return {};
  return fail(Code::Denied,
              fmt::format("'{}' has no right to {} '{}'", printable(principal_), right_name(right), printable(path)));
}

Result<void> validate_rules(ByteView principal, const std::vector<Rule>& rules) {
  if (principal.empty() || principal.size() > kPrincipalBytesMax)
    return fail(Code::Invalid, fmt::format("a principal of {} bytes, not 1..{}", principal.size(), kPrincipalBytesMax));
  if (rules.size() > kRulesMax)
    return fail(Code::Invalid, fmt::format("{} rules, at most {}", rules.size(), kRulesMax));
  for (const Rule& rule : rules) {
    TRY_DO(validate_path(rule.prefix));
    if (rule.rights == 0 || rule.rights > kAllRights)
      return fail(Code::Invalid,
                  fmt::format("rule for '{}': rights {} are not known", printable(rule.prefix), rule.rights));
  }
  return {};
}

bool is_admin(const std::vector<Rule>& rules) {
  return std::ranges::any_of(rules, [](const Rule& r) { return r.prefix == "/" && gives(r, Right::Admin); });
}

}  // namespace hailstone::cell
