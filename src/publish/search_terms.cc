#include "publish/search_terms.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"
#include "publish/package_name.h"

namespace hailstone::publish {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
bool is_word_byte(char c) {
  return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z') || static_cast<unsigned char>(c) >= 0x80;
}
bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

ByteView trim(ByteView text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

Bytes quoted(ByteView term) { return "\"" + Bytes(term) + "\""; }

}  // namespace

std::vector<Bytes> words_of(ByteView text) {
  std::vector<Bytes> words;
  Bytes word;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool joins = text[i] == '.' && i > 0 && i + 1 < text.size() && is_digit(text[i - 1]) && is_digit(text[i + 1]);
    if (is_word_byte(text[i]) || joins) {
      if (word.size() < kWordBytesMax) word += lower(text[i]);
    } else if (!word.empty()) {
      words.push_back(std::exchange(word, {}));
    }
  }
  if (!word.empty()) words.push_back(std::move(word));
  return words;
}

Bytes key_term(ByteView key) {
  constexpr ByteView kDigits = "0123456789abcdefghijklmnopqrstuv";
  Bytes term = "#";
  uint64_t hash = xxh3(key);
  for (int digit = 0; digit < 7; ++digit, hash >>= 5) term += kDigits[hash & 31];
  return term;
}

Bytes name_term(ByteView name) {
  Bytes term = "=";
  for (const char c : name) {
    if (term.size() > kWordBytesMax) break;
    if (is_word_byte(c) || c == '.')
      term += lower(c);
    else if (!term.ends_with('-'))
      term += '-';
  }
  return term;
}

Bytes terms_of_key(ByteView key) {
  std::vector<Bytes> terms = words_of(key);
  terms.push_back(key_term(key));
  if (const auto package = package_name(key)) terms.push_back(name_term(package->name));
  std::ranges::sort(terms);
  const auto repeated = std::ranges::unique(terms);
  terms.erase(repeated.begin(), repeated.end());
  Bytes out;
  for (const Bytes& term : terms) {
    if (!out.empty()) out += ' ';
    out += term;
  }
  return out;
}

Result<SearchQuery> parse_search_query(ByteView text) {
  if (text.size() > kQueryBytesMax)
    return fail(Code::Invalid, fmt::format("search query is {} bytes, limit {}", text.size(), kQueryBytesMax));
  SearchQuery query;
  query.words = words_of(text);
  if (query.words.empty())
    return fail(Code::Invalid, fmt::format("search query \"{}\" has no word: use letters or digits", printable(text)));
  if (query.words.size() > kQueryWordsMax)
    return fail(Code::Invalid, fmt::format("search query has {} words, limit {}", query.words.size(), kQueryWordsMax));
  if (const ByteView whole = trim(text); std::ranges::none_of(whole, is_blank)) query.name = name_term(whole);
  for (const Bytes& word : query.words) {
    if (!query.all_words.empty()) query.all_words += " AND ";
    query.all_words += quoted(word);
  }
  query.last_is_prefix = query.words.back().size() >= kPrefixBytesMin;
  query.all_words_prefix = query.all_words + (query.last_is_prefix ? " *" : "");
  return query;
}

}  // namespace hailstone::publish
