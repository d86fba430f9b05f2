#include <fmt/format.h>

#include "publish/search.h"
#include "publish/search_schema.h"
#include "publish/search_terms.h"
#include "volume/entry.h"

namespace hailstone::publish {
namespace {

constexpr uint64_t kWriterCacheBytes = 32u << 20;
constexpr size_t kBatchKeys = 8192;  // at most 8 MiB of keys
// Pages of merging per batch: what the batch itself writes (a page for some 200 keys) times the levels that it will
// rise through (a factor of 4 each, under 10 in all), and a little for updates of a few keys.
constexpr size_t kMergePages = 24;
constexpr size_t kKeysPerMergePage = 16;

/// One update of an open database. Edits go in batches: all look-ups of a batch before its first write, because FTS5
/// must write out what it has pending before it can be asked.
class SearchUpdate {
 public:
  enum class Base : uint8_t { Empty, Existing };
  static Result<std::unique_ptr<SearchUpdate>> begin(SqliteDatabase& database, Base base) {
    TRY_DO(database.execute("BEGIN"));
    TRY(auto find, database.prepare("SELECT rowid FROM words WHERE words MATCH ?1"));
    TRY(auto key, database.prepare("SELECT key FROM keys WHERE id=?1"));
    TRY(auto add_key, database.prepare("INSERT INTO keys(id, key) VALUES(?1, ?2)"));
    TRY(auto add_words, database.prepare("INSERT INTO words(rowid, terms) VALUES(?1, ?2)"));
    TRY(auto remove_key, database.prepare("DELETE FROM keys WHERE id=?1"));
    TRY(auto remove_words, database.prepare("INSERT INTO words(words, rowid, terms) VALUES('delete', ?1, ?2)"));
    TRY(auto last, database.prepare("SELECT coalesce(max(id), 0) FROM keys"));
    TRY_DO(last.step());
    const int64_t next_id = last.integer(0) + 1;
    return std::unique_ptr<SearchUpdate>(new SearchUpdate(database, base, next_id, std::move(find), std::move(key),
                                                          std::move(add_key), std::move(add_words),
                                                          std::move(remove_key), std::move(remove_words)));
  }

  Result<void> run(const SearchEdits& pull) {
    for (;;) {
      TRY(const auto batch, take_batch(pull));
      if (batch.empty()) return {};
      std::vector<std::optional<int64_t>> ids(batch.size());
      if (base_ == Base::Existing)
        for (size_t i = 0; i < batch.size(); ++i) {
          TRY(ids[i], id_of(batch[i].key));
        }
      const uint64_t before = added + removed;
      for (size_t i = 0; i < batch.size(); ++i) TRY_DO(apply(batch[i], ids[i]));
      if (base_ == Base::Existing && added + removed > before) TRY_DO(merge(added + removed - before));
    }
  }

  Result<void> commit() {
    // A first build leaves many segments; one is smaller and quicker to ask. Later ones are merged as they come.
    if (base_ == Base::Empty) TRY_DO(database_.execute("INSERT INTO words(words) VALUES('optimize')"));
    return database_.execute("COMMIT");
  }

  uint64_t added = 0, removed = 0;

 private:
  SearchUpdate(SqliteDatabase& database, Base base, int64_t next_id, Statement find, Statement key, Statement add_key,
               Statement add_words, Statement remove_key, Statement remove_words)
      : database_(database),
        base_(base),
        next_id_(next_id),
        find_(std::move(find)),
        key_(std::move(key)),
        add_key_(std::move(add_key)),
        add_words_(std::move(add_words)),
        remove_key_(std::move(remove_key)),
        remove_words_(std::move(remove_words)) {}

  Result<std::vector<SearchEdit>> take_batch(const SearchEdits& pull) {
    std::vector<SearchEdit> batch;
    while (batch.size() < kBatchKeys) {
      TRY(auto edit, pull());
      if (!edit) break;
      if (edit->key.empty() || edit->key.size() > volume::kKeyBytesMax || (started_ && edit->key <= last_key_))
        return fail(Code::Invalid, fmt::format("search edit \"{}\" after \"{}\": keys must be 1..{} bytes, ascending",
                                               printable(edit->key), printable(last_key_), volume::kKeyBytesMax));
      started_ = true;
      last_key_ = edit->key;
      batch.push_back(*std::move(edit));
    }
    return batch;
  }

  /// Joins some of the segments that earlier updates left, so that their number stays logarithmic.
  Result<void> merge(uint64_t changed) {
    return database_.execute(
        fmt::format("INSERT INTO words(words, rank) VALUES('merge', {})", kMergePages + changed / kKeysPerMergePage));
  }

  /// By the key's own term: no index over all keys is kept, which would double the file.
  Result<std::optional<int64_t>> id_of(ByteView key) {
    const Bytes expression = "\"" + key_term(key) + "\"";
    find_.bind_text(1, expression);
    std::optional<int64_t> id;
    for (;;) {
      TRY(const bool row, find_.step());
      if (!row) break;
      key_.bind(1, find_.integer(0));
      TRY(const bool there, key_.step());
      if (there && key_.bytes(0) == key) id = find_.integer(0);
      if (there) key_.reset();
    }
    return id;
  }

  Result<void> apply(const SearchEdit& edit, std::optional<int64_t> id) {
    if (id.has_value() == (edit.kind == SearchEdit::Kind::Added)) return {};
    const Bytes terms = terms_of_key(edit.key);
    if (edit.kind == SearchEdit::Kind::Added) {
      TRY_DO(add_key_.bind(1, next_id_).bind_blob(2, edit.key).run());
      TRY_DO(add_words_.bind(1, next_id_).bind_text(2, terms).run());
      ++next_id_;
      ++added;
    } else {
      TRY_DO(remove_words_.bind(1, *id).bind_text(2, terms).run());
      TRY_DO(remove_key_.bind(1, *id).run());
      ++removed;
    }
    return {};
  }

  SqliteDatabase& database_;
  Base base_;
  int64_t next_id_;  // ascending with the keys of each update, so that neighbours stay neighbours
  Statement find_, key_, add_key_, add_words_, remove_key_, remove_words_;
  Bytes last_key_;
  bool started_ = false;
};

}  // namespace

Result<tree::Root> update_search(tree::NodeStore& nodes, chunk::ChunkStore& chunks, const tree::Root& base,
                                 const SearchEdits& pull, SearchUpdateStats* stats) {
  PageFile pages(nodes, chunks, {});
  TRY_DO(pages.open(base));
  SearchUpdateStats counted;
  {
    TRY(const auto database, SqliteDatabase::open(pages, SqliteDatabase::Mode::Write, kWriterCacheBytes));
    if (base.empty())
      TRY_DO(create_search_schema(*database));
    else
      TRY_DO(verify_search_schema(*database));
    {
      using Base = SearchUpdate::Base;
      TRY(const auto update, SearchUpdate::begin(*database, base.empty() ? Base::Empty : Base::Existing));
      TRY_DO(update->run(pull));
      TRY_DO(update->commit());
      counted.added = update->added;
      counted.removed = update->removed;
    }
    TRY_DO(database->close());
  }
  TRY(const tree::Root root, pages.flush());
  counted.pages_written = pages.stats().pages_flushed;
  counted.pages_read = pages.stats().pages_read;
  if (stats != nullptr) *stats = counted;
  return root;
}

SearchEdits search_edits(tree::DiffCursor& cursor) {
  return [&cursor]() -> Result<std::optional<SearchEdit>> {
    for (;;) {
      TRY(auto difference, cursor.next());
      if (!difference) return std::nullopt;
      if (difference->left && difference->right) continue;
      return SearchEdit{std::move(difference->key),
                        difference->right ? SearchEdit::Kind::Added : SearchEdit::Kind::Removed};
    }
  };
}

}  // namespace hailstone::publish
