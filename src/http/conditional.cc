#include "http/conditional.h"

#include "base/clock.h"
#include "http/grammar.h"

namespace hailstone::http {
namespace {

bool is_weak(std::string_view etag) { return etag.starts_with("W/"); }
std::string_view opaque(std::string_view etag) { return is_weak(etag) ? etag.substr(2) : etag; }

bool is_etag(std::string_view text) {
  text = opaque(text);
  if (text.size() < 2 || text.front() != '"' || text.back() != '"') return false;
  return text.substr(1, text.size() - 2).find('"') == std::string_view::npos;
}

bool same_etag(std::string_view a, std::string_view b, Compare compare) {
  if (compare == Compare::Strong && (is_weak(a) || is_weak(b))) return false;
  return opaque(a) == opaque(b);
}

// Some S3 clients send the bare hash: read as if it were quoted.
bool names(std::string_view element, std::string_view etag, Compare compare) {
  if (is_etag(element)) return same_etag(element, etag, compare);
  const std::string_view value = opaque(etag);
  return !is_weak(etag) && element.find('"') == std::string_view::npos && value.size() == element.size() + 2 &&
         value.substr(1, element.size()) == element;
}

// The lists of all fields of that name count as one.
template <class Visit>
bool any_field(const RequestHead& head, std::string_view name, bool& present, Visit visit) {
  bool matched = false;
  for (const RequestHead::Field& f : head.fields) {
    if (!same_text(f.name, name)) continue;
    present = true;
    matched = matched || visit(f.value);
  }
  return matched;
}

bool listed(const RequestHead& head, std::string_view name, const Validators& validators, Compare compare,
            bool& present) {
  return any_field(head, name, present, [&](std::string_view value) {
    if (trim(value) == "*") return validators.exists;
    return validators.exists && !validators.etag.empty() && etag_listed(value, validators.etag, compare);
  });
}

std::optional<int64_t> date_field(const RequestHead& head, std::string_view name) {
  const auto value = head.field(name);
  int64_t seconds = 0;
  if (!value || !parse_http_date(*value, seconds)) return std::nullopt;
  return seconds;
}

}  // namespace

// An ETag's opaque part has no escapes (§8.8.3), so a backslash must not hide its closing quote: not next_element().
bool etag_listed(std::string_view list, std::string_view etag, Compare compare) {
  while (!list.empty()) {
    bool quoted = false;
    size_t end = 0;
    for (; end < list.size() && (quoted || list[end] != ','); ++end) quoted = quoted != (list[end] == '"');
    const std::string_view element = trim(list.substr(0, end));
    list.remove_prefix(end < list.size() ? end + 1 : end);
    if (!element.empty() && names(element, etag, compare)) return true;
  }
  return false;
}

Decision evaluate_conditions(const RequestHead& head, const Validators& validators) {
  const bool reads = head.method == Method::Get || head.method == Method::Head;
  bool if_match = false;
  if (!listed(head, "if-match", validators, Compare::Strong, if_match)) {
    if (if_match) return Decision::PreconditionFailed;
    if (const auto since = date_field(head, "if-unmodified-since"); since && validators.exists) {
      if (validators.modified_unix_seconds && *validators.modified_unix_seconds > *since)
        return Decision::PreconditionFailed;
    }
  }
  bool if_none_match = false;
  if (listed(head, "if-none-match", validators, Compare::Weak, if_none_match))
    return reads ? Decision::NotModified : Decision::PreconditionFailed;
  if (!if_none_match && reads && validators.exists) {
    const auto since = date_field(head, "if-modified-since");
    if (since && since == validators.modified_unix_seconds) return Decision::NotModified;
  }
  return Decision::Proceed;
}

bool range_applies(const RequestHead& head, const Validators& validators) {
  const auto field = head.field("if-range");
  if (!field) return true;
  if (is_etag(*field)) return !validators.etag.empty() && same_etag(*field, validators.etag, Compare::Strong);
  int64_t seconds = 0;
  return parse_http_date(*field, seconds) && validators.modified_unix_seconds == seconds;
}

}  // namespace hailstone::http
