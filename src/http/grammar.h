// Pieces of the HTTP grammar that several parsers share (RFC 9110 §5.6): tokens, white space, lists.
#pragma once

#include <array>
#include <string_view>

namespace hailstone::http {

namespace grammar {
constexpr std::array<bool, 256> token_table() {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; ++c) table[static_cast<size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) table[static_cast<size_t>(c)] = table[static_cast<size_t>(c - 'a' + 'A')] = true;
  for (char c : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<unsigned char>(c)] = true;
  return table;
}
inline constexpr std::array<bool, 256> kToken = token_table();
}  // namespace grammar

constexpr bool is_token_char(char c) { return grammar::kToken[static_cast<unsigned char>(c)]; }
constexpr bool is_token(std::string_view text) {
  for (char c : text)
    if (!is_token_char(c)) return false;
  return !text.empty();
}
/// What a field value may hold: tab, printable ASCII, bytes from 0x80.
constexpr bool is_value_char(char c) {
  const auto u = static_cast<unsigned char>(c);
  return c == '\t' || (u >= 0x20 && u != 0x7f);
}
constexpr bool is_space(char c) { return c == ' ' || c == '\t'; }
constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// ASCII case ignored.
constexpr bool same_text(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (lower(a[i]) != lower(b[i])) return false;
  return true;
}

constexpr std::string_view trim(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

/// Takes the next non-empty element off a comma-separated list; commas within quoted strings don't separate. False at
/// the end. An unclosed quote runs to the end of the list.
constexpr bool next_element(std::string_view& list, std::string_view& element) {
  while (!list.empty()) {
    bool quoted = false;
    size_t i = 0;
    for (; i < list.size(); ++i) {
      if (quoted && list[i] == '\\') {
        ++i;
      } else if (list[i] == '"') {
        quoted = !quoted;
      } else if (list[i] == ',' && !quoted) {
        break;
      }
    }
    if (i > list.size()) i = list.size();
    element = trim(list.substr(0, i));
    list.remove_prefix(i < list.size() ? i + 1 : i);
    if (!element.empty()) return true;
  }
  return false;
}

}  // namespace hailstone::http
