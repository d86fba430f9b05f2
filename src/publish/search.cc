#include "publish/search.h"

#include <algorithm>
#include <map>
#include <mutex>

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
  std::optional<Statement> match, key;
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
    TRY(auto match, state->database->prepare("SELECT rowid FROM words WHERE words MATCH ?1 LIMIT ?2"));
    TRY(auto key, state->database->prepare("SELECT key FROM keys WHERE id=?1"));
    state->match.emplace(std::move(match));
    state->key.emplace(std::move(key));
  }
  return std::unique_ptr<SearchIndex>(new SearchIndex(std::move(state)));
}

Result<SearchAnswer> SearchIndex::query(ByteView text, size_t limit, size_t offset) const {
  TRY(const SearchQuery query, parse_search_query(text));
  SearchAnswer answer;
  if (!state_->database) return answer;
  const std::lock_guard lock(state_->turn);
  std::map<int64_t, SearchHit> found;
  const auto collect = [&](const Bytes& expression) -> Result<void> {
    if (expression.empty()) return {};
    Statement& match = *state_->match;
    match.bind_text(1, expression).bind(2, static_cast<int64_t>(kSearchCandidatesMax) + 1);
    size_t rows = 0;
    for (;;) {
      TRY(const bool row, match.step());
      if (!row) return {};
      if (++rows > kSearchCandidatesMax) {
        answer.complete = false;
        match.reset();
        return {};
      }
      const int64_t id = match.integer(0);
      if (found.contains(id)) continue;
      TRY(const bool there, state_->key->bind(1, id).step());
      if (!there) continue;
      found.emplace(id, make_hit(query, state_->key->bytes(0)));
      state_->key->reset();
    }
  };
  TRY_DO(collect(query.exact_name));
  TRY_DO(collect(query.name_prefix));
  TRY_DO(collect(query.all_words));

  for (auto& [id, hit] : found) answer.hits.push_back(std::move(hit));
  std::ranges::sort(answer.hits, [](const SearchHit& a, const SearchHit& b) {
    return std::tie(a.rank, a.key) < std::tie(b.rank, b.key);
  });
  const auto begin = answer.hits.begin() + static_cast<ptrdiff_t>(std::min(offset, answer.hits.size()));
  answer.hits.erase(answer.hits.begin(), begin);
  if (answer.hits.size() > limit) {
    answer.hits.resize(limit);
    answer.more = true;
  }
  return answer;
}

}  // namespace hailstone::publish
