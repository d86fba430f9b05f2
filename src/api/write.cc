#include "api/write.h"

#include <fmt/format.h>

#include <algorithm>

#include "http/grammar.h"

namespace hailstone::api {
namespace {

/// A repeated request was carried out by the first one: its conditions held then, and may not hold any more.
Result<std::optional<volume::Written>> written_before(Context& context, const Call& call,
                                                      const volume::Target& target) {
  TRY(const auto earlier, context.repository().earlier_reply(call.caller, volume::Write{}));
  if (!earlier) return std::optional<volume::Written>();
  TRY(auto token, context.repository().token(target));
  return std::optional(volume::Written{earlier->slot, std::move(token), {}});
}

bool holds(const volume::Condition& condition, const std::optional<volume::Entry>& entry) {
  const auto listed = [&](const std::vector<Bytes>& etags) {
    return entry && std::ranges::any_of(
                        etags, [&](const Bytes& etag) { return etag == "*" || etag == volume::etag_of(*entry); });
  };
  return !(condition.if_match && !listed(*condition.if_match)) &&
         !(condition.if_none_match && listed(*condition.if_none_match));
}

Result<std::optional<std::vector<Bytes>>> read_etags(const http::RequestHead& head, std::string_view name,
                                                     bool weak_too) {
  std::optional<std::vector<Bytes>> out;
  for (const auto& field : head.fields) {
    if (!http::same_text(field.name, name)) continue;
    if (!out) out.emplace();
    std::string_view list = field.value, element;
    while (http::next_element(list, element)) {
      const std::string_view whole = element;
      if (element == "*") {
        out->emplace_back("*");
        continue;
      }
      const bool weak = element.starts_with("W/");
      if (weak) element.remove_prefix(2);
      if (element.size() < 2 || element.front() != '"' || element.back() != '"')
        return fail(Code::Invalid, fmt::format("{}: '{}' is not an entity tag", name, printable(whole)));
      // If-Match compares strongly (RFC 9110 §13.1.1): a weak tag never matches.
      if (!weak || weak_too) out->emplace_back(element.substr(1, element.size() - 2));
    }
  }
  return out;
}

}  // namespace

Result<Preconditions> read_preconditions(const http::RequestHead& head) {
  Preconditions out;
  TRY(out.if_match, read_etags(head, "If-Match", false));
  TRY(out.if_none_match, read_etags(head, "If-None-Match", true));
  return out;
}

Error no_key(const volume::Target& target, ByteView key) {
  return {Code::NotFound, fmt::format("'{}' has no key '{}'", target.text, printable(key))};
}

Result<volume::Target> writable_target(Context& context, const Call& call) {
  TRY(auto target, context.repository().resolve(call.segment("target")));
  if (!target.writable())
    return fail(Code::Denied,
                fmt::format("'{}' is a release and can't be written: write to the head or to a draft", target.text));
  return target;
}

std::expected<volume::Written, Failure> write_one(Context& context, const Call& call, const volume::Target& target,
                                                  volume::Put put) {
  TRY(const auto before, written_before(context, call, target));
  if (before) return *before;
  std::vector<volume::Condition> conditions;
  if (call.preconditions.any())
    conditions.push_back({put.key, call.preconditions.if_match, call.preconditions.if_none_match});
  std::vector<volume::Put> puts;
  puts.push_back(std::move(put));
  auto written = context.repository().write(call.caller, target, conditions, puts);
  if (written) return *std::move(written);
  const int status = written.error().code == Code::Conflict && !conditions.empty() ? 412 : 0;
  return std::unexpected(Failure(std::move(written).error(), status));
}

std::expected<volume::Written, Failure> write_batch(Context& context, const Call& call, const volume::Target& target,
                                                    const std::vector<volume::Condition>& conditions,
                                                    const std::vector<volume::Put>& puts) {
  TRY(const auto before, written_before(context, call, target));
  if (before) return *before;
  auto written = context.repository().write(call.caller, target, conditions, puts);
  if (written) return *std::move(written);
  Failure failure(std::move(written).error());
  if (failure.error.code != Code::Conflict) return std::unexpected(std::move(failure));
  // The write says that a condition failed; the caller wants to know all that do not hold, as of now.
  TRY(const auto contents, context.repository().open(target));
  for (const auto& condition : conditions) {
    TRY(const auto entry, contents->get(condition.key));
    if (!holds(condition, entry)) failure.keys.push_back(condition.key);
  }
  return std::unexpected(std::move(failure));
}

}  // namespace hailstone::api
