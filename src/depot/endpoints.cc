// Depot: what stands under "/volume/-/".
#include <fmt/format.h>

#include "base/clock.h"
#include "depot/depot.h"
#include "depot/errors.h"
#include "depot/form.h"
#include "depot/hits.h"
#include "depot/json_text.h"
#include "depot/mirrors.h"
#include "publish/derived.h"

namespace hailstone::depot {
namespace {

constexpr std::string_view kDefaultMetalinkPath = "repodata/repomd.xml";
constexpr size_t kSearchHits = 50;  // on a page where the client asks for no other number
constexpr size_t kSearchOffsetMax = 10'000;

std::string_view kind_name(volume::ReleaseKind kind) {
  switch (kind) {
    case volume::ReleaseKind::Publish: return "publish";
    case volume::ReleaseKind::Revert: return "revert";
    case volume::ReleaseKind::Clone: return "clone";
  }
  return "unknown";
}

Bytes release_json(const volume::ReleaseRecord& record) {
  Json out;
  out["volume"] = record.volume_name;
  out["release"] = record.number.value;
  out["kind"] = kind_name(record.kind);
  out["root"] = record.root.id.hex();
  out["derived"] = record.derived.id.hex();
  out["keys"] = record.totals.keys;
  out["bytes"] = record.totals.weight;
  out["base"] = record.base.value;
  out["parent"] = record.parent.value;
  out["parent_hash"] = record.parent_hash.hex();
  out["time"] = format_iso8601(record.time);
  set_text(out, "author", record.author);
  set_text(out, "message", record.message);
  out["added"] = record.added;
  out["changed"] = record.changed;
  out["removed"] = record.removed;
  set_text(out, "key_id", record.key_id);
  out["signature_base64"] = to_base64(record.signature);
  out["signed_base64"] = to_base64(record.signed_bytes());  // what the signature covers, byte for byte
  out["hash"] = record.hash().hex();
  return out.dump() + "\n";
}

http::Response uncached(std::string_view content_type, Bytes body) {
  http::Response response;
  response.headers.add("Content-Type", content_type);
  response.headers.add("Cache-Control", "no-store");
  add_common_headers(response.headers);
  response.body = http::Part(std::move(body));
  return response;
}

Pinned pinned(const View& view) {
  return {view.volume->record.name, view.release, view.kind == View::Kind::Channel ? view.base : Bytes()};
}

}  // namespace

Result<ReleasePtr> Depot::record_of(const Ask& ask) {
  if (ask.view.record) return ask.view.record;
  auto record = releases_.get(ask.view.volume, ask.view.release);
  if (!record) return std::unexpected(damaged(std::move(record).error()));  // a channel names it
  return record;
}

std::optional<Bytes> Depot::origin(const Ask& ask) const {
  if (!options_.base_url.empty()) return options_.base_url;
  const auto host = ask.request.head.field("host");
  return host ? origin_of(*host, ask.request.secure) : std::nullopt;
}

http::Task<http::Response> Depot::serve_endpoint(Ask& ask) {
  const Bytes& name = ask.path.key;
  if (name == "mirrorlist") co_return serve_mirrorlist(ask);
  if (name == "metalink") co_return serve_metalink(ask);
  if (name == "search") co_return co_await serve_search(ask);
  if (name == "release") co_return co_await serve_release(ask);
  if (name == "feed.atom") co_return co_await serve_derived(ask, publish::kFeedKey, "application/atom+xml");
  if (name == "changes") co_return co_await serve_derived(ask, publish::kChangesKey, "application/x-ndjson");
  co_return refusal(404, "there are: mirrorlist, metalink, search, release, feed.atom, changes");
}

http::Response Depot::serve_mirrorlist(Ask& ask) const {
  const auto from = origin(ask);
  if (!from) return error({Code::Invalid, "the Host field names no host"});
  const Bytes path = ask.request.head.parameter("path").value_or(Bytes());
  const bool apt = ask.request.head.field("User-Agent").value_or("").find("APT") != std::string_view::npos;
  return uncached("text/plain; charset=utf-8",
                  mirrorlist(*from, pinned(ask.view), path, apt ? MirrorlistFor::Apt : MirrorlistFor::Others));
}

http::Response Depot::serve_metalink(Ask& ask) {
  const auto from = origin(ask);
  if (!from) return error({Code::Invalid, "the Host field names no host"});
  const Bytes path = ask.request.head.parameter("path").value_or(Bytes(kDefaultMetalinkPath));
  const auto found = find(store_, ask.view.root, path);
  if (!found) return error(found.error());
  if (found->kind != Found::Kind::File)
    return refusal(404, fmt::format("'{}' is not a file of release {}", printable(path), ask.view.release.value));
  const chunk::Content& content = found->entry.content;
  return uncached("application/metalink+xml",
                  metalink(*from, pinned(ask.view), {path, content.bytes, content.sha256, ask.view.published}));
}

http::Task<http::Response> Depot::serve_derived(Ask& ask, std::string_view key, std::string_view content_type) {
  const auto record = record_of(ask);
  if (!record) co_return error(record.error());
  auto entry = publish::derived_entry(store_.nodes, (*record)->derived, key);
  if (!entry) co_return error(damaged(std::move(entry).error()));
  if (!*entry) co_return refusal(404, fmt::format("release {} has no {}", ask.view.release.value, key));
  auto file =
      stored_file(store_.chunks, **entry, Bytes(content_type), lines_of(ask, ask.view.release, cache_control(ask.view)),
                  std::nullopt, {options_.memory_body_max, options_.gzip_bytes_max}, nullptr);
  if (!file) co_return error(file.error());
  co_return co_await answers_.answer(*std::move(file), ask.request.head, ask.facts);
}

http::Task<http::Response> Depot::serve_release(Ask& ask) {
  const auto record = record_of(ask);
  if (!record) co_return error(record.error());
  co_return co_await answer_page(ask, release_json(**record), "application/json",
                                 lines_of(ask, ask.view.release, cache_control(ask.view)));
}

http::Task<http::Response> Depot::serve_search(Ask& ask) {
  const http::RequestHead& head = ask.request.head;
  const auto form = form_of(head, ask.facts);
  if (!form) co_return error(form.error());
  const auto limit = number_of(head, "limit", kSearchHits, 1, options_.search_hits_max);
  if (!limit) co_return error(limit.error());
  const auto offset = number_of(head, "offset", 0, 0, kSearchOffsetMax);
  if (!offset) co_return error(offset.error());
  HitsView view{ask.view.volume->record.name,          ask.view.name, ask.view.base, ask.view.release,
                head.parameter("q").value_or(Bytes()), *offset,       *limit,        {}};
  if (!view.query.empty()) {
    const auto record = record_of(ask);
    if (!record) co_return error(record.error());
    auto root = publish::search_root(store_.nodes, (*record)->derived);
    if (!root) co_return error(damaged(std::move(root).error()));
    std::shared_ptr<publish::SearchIndex> index;
    if (const auto* known = searches_.find(root->id.view())) index = *known;
    struct Searched {
      std::shared_ptr<publish::SearchIndex> index;
      publish::SearchAnswer answer;
    };
    const auto search = [store = store_, root = *root, index, text = view.query, most = *limit,
                         from = *offset]() -> Result<Searched> {
      Searched out{index, {}};
      if (!out.index) {
        TRY(out.index, publish::SearchIndex::open(store.nodes, store.chunks, root));
      }
      TRY(out.answer, out.index->query(text, most, from));
      return out;
    };
    auto searched = co_await http::offload(pool_, search);
    if (!searched) co_return error(damaged(std::move(searched).error()));
    searches_.put(root->id.view(), searched->index);
    view.answer = std::move(searched->answer);
  }
  Bytes body = form->json ? hits_json(view) : hits_html(view);
  co_return co_await answer_page(ask, std::move(body), form->content_type(),
                                 with_form(lines_of(ask, ask.view.release, cache_control(ask.view)), *form));
}

}  // namespace hailstone::depot
