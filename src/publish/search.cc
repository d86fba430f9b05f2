#include "publish/search.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <tuple>

#include "publish/paths.h"
#include "publish/search_schema.h"
#include "publish/search_terms.h"

namespace hailstone::publish {
namespace {

constexpr uint64_t kReaderCacheBytes = 4u << 20;

/// Whether the last component alone has all words, the last one as a prefix.
bool in_file_name(const SearchQuery& query, ByteView key) {
  const std::vector<Bytes> have = words_of(name_of(key));
  for (size_t i = 0; i < query.words.size(); ++i) {
    const Bytes& word = query.words[i];
    const bool prefix = i + 1 == query.words.size() && word.size() >= kPrefixBytesMin;
    if (std::ranges::none_of(have, [&](const Bytes& w) { return prefix ? w.starts_with(word) : w == word; }))
      return false;
  }
  return true;
}

SearchHit make_hit(const SearchQuery& query, ByteView key) {
  SearchHit hit{.key = Bytes(key), .package = package_name(key)};
  if (hit.package && !query.name.empty()) {
    const Bytes name = name_term(hit.package->name);
    if (name == query.name)
      hit.rank = SearchHit::Rank::ExactName;
    else if (name.starts_with(query.name))
      hit.rank = SearchHit::Rank::NamePrefix;
  }
  if (hit.rank == SearchHit::Rank::Path && in_file_name(query, key)) hit.rank = SearchHit::Rank::FileName;
  return hit;
}

}  // namespace

struct SearchIndex::State {
  State(tree::NodeStore& nodes, chunk::ChunkStore& chunks) : pages(nodes, chunks, {}) {}

  // The order of destruction matters: statements, then the database, then its pages.
  PageFile pages;
  std::unique_ptr<SqliteDatabase> database;  // none: an empty index
  std::optional<Statement> match;            // keys of an FTS5 expression, by id; found lazily
  std::optional<Statement> scan;  // keys of all terms in a range, by term; found lazily, unlike those of a prefix
  std::optional<Statement> key;
  std::mutex turn;  // a SQLite connection serves one thread at a time
};

SearchIndex::SearchIndex(std::unique_ptr<State> state) : state_(std::move(state)) {}
SearchIndex::~SearchIndex() = default;

Result<std::unique_ptr<SearchIndex>> SearchIndex::open(tree::NodeStore& nodes, chunk::ChunkStore& chunks,
                                                       const tree::Root& root) {
  auto state = std::make_unique<State>(nodes, chunks);
  if (!root.empty()) {
    TRY_DO(state->pages.open(root));
    TRY(state->database, SqliteDatabase::open(state->pages, SqliteDatabase::Mode::Read, kReaderCacheBytes));
    TRY_DO(verify_search_schema(*state->database));
    TRY_DO(state->database->execute("CREATE VIRTUAL TABLE temp.terms USING fts5vocab(main, words, instance)"));
    TRY(auto match, state->database->prepare("SELECT rowid FROM words WHERE words MATCH ?1"));
    TRY(auto scan, state->database->prepare("SELECT doc FROM temp.terms WHERE term >= ?1 AND term < ?2"));
    TRY(auto key, state->database->prepare("SELECT key FROM keys WHERE id=?1"));
    state->match.emplace(std::move(match));
    state->scan.emplace(std::move(scan));
    state->key.emplace(std::move(key));
  }
  return std::unique_ptr<SearchIndex>(new SearchIndex(std::move(state)));
}

/// One query's way through the index, cheapest and best matches first.
class SearchIndex::Search {
 public:
  Search(State& state, const SearchQuery& query) : state_(state), query_(query) {}

  Result<void> run() {
    if (!query_.name.empty()) {
      TRY_DO(match("\"" + query_.name + "\""));
      TRY_DO(scan(query_.name));
    }
    TRY_DO(match(query_.all_words));
    // Prefixes add little to what is too much already.
    if (!complete || !query_.last_is_prefix) return {};
    return query_.words.size() == 1 ? scan(query_.words[0]) : match(query_.all_words_prefix);
  }

  std::vector<SearchHit> sorted() {
    std::vector<SearchHit> hits;
    for (auto& [id, hit] : found_) hits.push_back(std::move(hit));
    std::ranges::sort(
        hits, [](const SearchHit& a, const SearchHit& b) { return std::tie(a.rank, a.key) < std::tie(b.rank, b.key); });
    return hits;
  }

  bool complete = true;

 private:
  Result<void> match(const Bytes& expression) {
    state_.match->bind_text(1, expression);
    return collect(*state_.match);
  }

  Result<void> scan(const Bytes& prefix) {
    const auto end = tree::prefix_successor(prefix);
    if (!end) return {};  // only 0xff bytes
    state_.scan->bind_text(1, prefix).bind_text(2, *end);
    return collect(*state_.scan);
  }

  /// Up to kSearchCandidatesMax keys that were not found before.
  Result<void> collect(Statement& ids) {
    for (size_t rows = 0, fresh = 0;; ++rows) {
      TRY(const bool row, ids.step());
      if (!row) return {};
      const int64_t id = ids.integer(0);
      if (rows == kRowsMax || (fresh == kSearchCandidatesMax && !found_.contains(id))) {
        complete = false;
        ids.reset();
        return {};
      }
      if (found_.contains(id)) continue;
      TRY(const bool there, state_.key->bind(1, id).step());
      if (!there) continue;
      found_.emplace(id, make_hit(query_, state_.key->bytes(0)));
      state_.key->reset();
      ++fresh;
    }
  }

  static constexpr size_t kRowsMax = 20 * kSearchCandidatesMax;  // a key comes once for each of its terms
  State& state_;
  const SearchQuery& query_;
  std::map<int64_t, SearchHit> found_;
};

Result<SearchAnswer> SearchIndex::query(ByteView text, size_t limit, size_t offset) const {
  TRY(const SearchQuery query, parse_search_query(text));
  SearchAnswer answer;
  if (!state_->database) return answer;
  {
    const std::lock_guard lock(state_->turn);
    Search search(*state_, query);
    TRY_DO(search.run());
    answer.hits = search.sorted();
    answer.complete = search.complete;
  }
  answer.hits.erase(answer.hits.begin(),
                    answer.hits.begin() + static_cast<ptrdiff_t>(std::min(offset, answer.hits.size())));
  if (answer.hits.size() > limit) {
    answer.hits.resize(limit);
    answer.more = true;
  }
  return answer;
}

}  // namespace hailstone::publish
