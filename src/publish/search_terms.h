// Words of keys and of queries: what the search index stores, and the only way a query reaches SQLite.
#pragma once

#include <vector>

#include "base/bytes.h"
#include "base/error.h"

namespace hailstone::publish {

inline constexpr size_t kQueryBytesMax = 1024;
inline constexpr size_t kQueryWordsMax = 16;
inline constexpr size_t kWordBytesMax = 128;  // longer words are cut, in keys and queries alike
inline constexpr size_t kPrefixBytesMin = 2;  // a shorter last word is looked up as it stands

/// Lower-case (ASCII) runs of letters, digits and bytes >= 0x80; a '.' between two digits belongs to the word, so that
/// "1.22.1" is one. Only these bytes ever come out: [0-9a-z.\x80-\xff].
std::vector<Bytes> words_of(ByteView text);

/// The term that finds one key again: '#' and 7 base-32 digits of its XXH3. Keys may share one.
Bytes key_term(ByteView key);
/// The term of a package's whole name, as in PEP 503: lower case, each run of other characters than letters, digits and
/// '.' one '-'; after '='.
Bytes name_term(ByteView name);

/// Everything the index holds about a key, each term once, in byte order, separated by blanks: its words, key_term and,
/// of a package file, name_term. The index can only forget a key by being given the same terms again: a change here is
/// a new kSearchFormat.
Bytes terms_of_key(ByteView key);

/// A user's query. The FTS5 expressions are safe whatever was typed: quoted words of the alphabet above.
struct SearchQuery {
  std::vector<Bytes> words;
  Bytes name;  // name_term of the whole query; empty when it has several words separated by blanks
  bool last_is_prefix = false;
  Bytes all_words;         // FTS5: keys with exactly these words
  Bytes all_words_prefix;  // FTS5: the same, the last word as a prefix; costs time with the keys that have such a word
};

/// Invalid: no word in it, too long, too many words.
Result<SearchQuery> parse_search_query(ByteView text);

}  // namespace hailstone::publish
