#include "depot/form.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "depot/listing.h"
#include "depot/page.h"

namespace hailstone::depot {

Result<Form> form_of(const http::RequestHead& head, const Facts& facts) {
  const auto asked = head.query.empty() ? std::nullopt : head.parameter("format");
  if (!asked) return Form{prefers_json(facts.accept), true};
  if (*asked == "json") return Form{true, false};
  if (*asked == "html") return Form{false, false};
  return fail(Code::Invalid, fmt::format("format '{}' is neither 'html' nor 'json'", printable(*asked)));
}

Result<size_t> number_of(const http::RequestHead& head, std::string_view name, size_t otherwise, size_t least,
                         size_t most) {
  const auto text = head.query.empty() ? std::nullopt : head.parameter(name);
  if (!text) return otherwise;
  size_t number = 0;
  const auto [end, code] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (code != std::errc() || end != text->data() + text->size() || number < least)
    return fail(Code::Invalid, fmt::format("{} '{}' is not a number from {}", name, printable(*text), least));
  return std::min(number, most);
}

Bytes with_form(Bytes lines, const Form& form) {
  http::HeaderBlock headers;
  headers.lines() = std::move(lines);
  if (form.negotiated) headers.add("Vary", "Accept");
  if (!form.json) headers.add("Content-Security-Policy", kPagePolicy);
  return std::move(headers.lines());
}

}  // namespace hailstone::depot
