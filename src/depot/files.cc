// Depot: keys that lead to files.
#include <fmt/format.h>

#include "depot/depot.h"
#include "depot/errors.h"
#include "depot/pin.h"
#include "http/mime.h"

namespace hailstone::depot {
namespace {

constexpr UnixMicros kForever{INT64_MAX};
constexpr uint64_t kHotEntryBytes = 2048;  // what one costs besides its body: path, lines, refs, list and map nodes

std::optional<size_t> flip_of(const std::vector<volume::Flip>& flips, ReleaseNumber release) {
  for (size_t i = flips.size(); i-- > 0;)
    if (flips[i].release == release) return i;
  return std::nullopt;
}

}  // namespace

Result<void> Depot::locate_by_hash(const Ask& ask, Place& place) {
  const auto path = parse_by_hash(ask.path.key);
  if (!path) return {};
  const View& view = ask.view;
  const volume::Settings& settings = view.volume->record.settings;
  if (view.kind != View::Kind::Channel || !settings.overlay) {
    TRY(auto found, find_by_hash(store_, view.root, *path));
    if (found.kind != Found::Kind::File) return {};
    place.found = std::move(found);
    place.by_hash = true;
    return {};
  }
  const auto& flips = *view.flips;
  size_t first = flips.size() - 1;
  while (first > 0 && in_grace(flips, first - 1, settings.grace_seconds, ask.now)) --first;
  const Bytes name = fmt::format("{}/{}/{}", view.volume->record.id.value, view.channel, path->directory);
  auto* known = by_hash_.find(name);
  if (!known) known = by_hash_.put(name, std::make_shared<ByHashIndex>());
  if (auto extended = (*known)->extend(store_, flips, first, path->directory); !extended) {
    by_hash_.erase(name);
    return std::unexpected(std::move(extended).error());
  }
  const ByHashIndex::Where* where = (*known)->find(path->hash);
  if (!where || where->sequence < flips[first].sequence) return {};
  const size_t index = where->sequence - flips.front().sequence;
  TRY(auto found, find(store_, flips[index].root, where->key));
  if (found.kind != Found::Kind::File || found.entry.content.sha256 != path->hash) return {};
  place = Place{std::move(found),
                flips[index].release,
                flips[index].root,
                index,
                grace_end(flips, index, settings.grace_seconds),
                false,
                true,
                false};
  return {};
}

Result<Depot::Place> Depot::locate_on_channel(const Ask& ask, const std::optional<PageToken>& page) {
  const View& view = ask.view;
  const auto& flips = *view.flips;
  const volume::Settings& settings = view.volume->record.settings;
  if (page) {  // the following pages of a listing are of the release that the first was of
    const auto index = flip_of(flips, page->release);
    if (!index || !in_grace(flips, *index, settings.grace_seconds, ask.now)) {
      Place none;
      none.gone = true;
      return none;
    }
    TRY(auto found, find(store_, flips[*index].root, ask.path.key));
    return Place{std::move(found), page->release, flips[*index].root, index, {}, false, false, false};
  }
  std::optional<size_t> first;
  if (view.by_cookie && ask.facts.cookie) {
    if (const auto release = read_pin(*ask.facts.cookie, view.volume->record.name)) first = flip_of(flips, *release);
    if (first && !in_grace(flips, *first, settings.grace_seconds, ask.now)) first.reset();
  }
  TRY(auto resolved, resolve(store_, flips, {settings.overlay, settings.grace_seconds, ask.now}, ask.path.key, first));
  const volume::Flip& flip = flips[resolved.flip];
  return Place{std::move(resolved.found), flip.release,  flip.root, resolved.flip,
               resolved.valid_until,      resolved.gone, false,     first.has_value()};
}

Result<Depot::Place> Depot::locate(const Ask& ask, const std::optional<PageToken>& page) {
  Place place;
  if (ask.view.kind == View::Kind::Channel) {
    TRY(place, locate_on_channel(ask, page));
  } else {
    place.release = ask.view.release;
    place.root = ask.view.root;
    if (page && page->release != place.release) {
      place.gone = true;
      return place;
    }
    TRY(place.found, find(store_, ask.view.root, ask.path.key));
  }
  if (place.found.kind == Found::Kind::Nothing && !page) TRY_DO(locate_by_hash(ask, place));
  return place;
}

Result<FilePtr> Depot::open_file(const Ask& ask, const Place& place, std::optional<UnixMicros>& due) {
  const View& view = ask.view;
  std::optional<int64_t> modified;
  if (view.kind == View::Kind::Channel) {
    const ByteView key = place.by_hash ? ByteView(place.found.key) : ByteView(ask.path.key);
    modified = modified_.get(store_, view.volume->record.id, view.channel, *view.flips, *place.flip, key, place.found);
  } else if (view.kind == View::Kind::Pinned) {
    modified = view.published.seconds();
  }
  if (modified && *modified > ask.now.seconds()) {
    // Not to be sent (RFC 9110 §8.8.2.1), and a date put in its place could be one that another content had.
    due = UnixMicros{*modified * 1'000'000};
    modified.reset();
  }

  const volume::Entry& entry = place.found.entry;
  Bytes type = entry.content_type.empty() ? Bytes(http::content_type_of(place.found.key)) : entry.content_type;
  const auto by_hash = parse_by_hash(ask.path.key);
  const bool named_by_content = by_hash && by_hash->hash == entry.content.sha256;
  Bytes lines =
      lines_of(ask, place.release, named_by_content ? immutable_cache_control(*view.volume) : cache_control(view));
  const Hot* before = hot_.find(ask.request.head.path);
  return stored_file(store_.chunks, entry, std::move(type), std::move(lines), modified,
                     {options_.memory_body_max, options_.gzip_bytes_max}, before ? before->file.get() : nullptr);
}

http::Response Depot::with_pin(const Ask& ask, const Place& place, http::Response response) const {
  if (!ask.view.by_cookie || place.pinned_by_cookie) return response;
  response.headers.add("Set-Cookie", make_pin(ask.view.volume->record.name, ask.view.release,
                                              options_.cookie_pin_seconds, ask.request.secure));
  return response;
}

http::Task<http::Response> Depot::serve_key(Ask& ask) {
  std::optional<PageToken> page;
  if (!ask.request.head.query.empty()) {
    if (const auto text = ask.request.head.parameter("page")) {
      page = decode_token(*text);
      if (!page) co_return error({Code::Invalid, "'page' is not a token of a listing"});
    }
  }
  const Bytes as_sent(ask.request.head.path);
  const Missing* known = page ? nullptr : missing_.find(as_sent);
  if (known && known->slot == ask.slot && known->generation == ask.generation) co_return missing(ask, known->gone);
  auto place = locate(ask, page);
  if (!place) co_return error(place.error());
  switch (place->found.kind) {
    case Found::Kind::Nothing:
      if (!page && ask.view.kind == View::Kind::Channel)
        missing_.put(as_sent, Missing{ask.slot, ask.generation, place->gone});
      co_return missing(ask, place->gone);
    case Found::Kind::NeedsSlash: {
      Bytes location = ask.view.base + "/" + percent_encode_path(ask.path.key) + "/";
      if (!ask.request.head.query.empty()) location += "?" + Bytes(ask.request.head.query);
      const bool pinned = ask.view.kind == View::Kind::Pinned;
      co_return redirect(301, location, pinned ? cache_control(ask.view) : "no-store");
    }
    case Found::Kind::Directory: {
      auto response = co_await serve_listing(ask, *place, page);
      co_return with_pin(ask, *place, std::move(response));
    }
    case Found::Kind::File: break;
  }
  std::optional<UnixMicros> due;
  auto file = open_file(ask, *place, due);
  if (!file) co_return error(file.error());
  if (!ask.view.by_cookie && !page && !(*file)->codings.lost) {
    const UnixMicros until = std::min(place->valid_until.value_or(kForever), due.value_or(kForever));
    const ReleaseNumber channel = ask.view.kind == View::Kind::Pinned ? ReleaseNumber() : ask.view.release;
    uint64_t cost = kHotEntryBytes + as_sent.size();
    if ((*file)->body || ((*file)->codings.pays && (*file)->content.bytes <= options_.unpacked_body_max))
      cost += (*file)->content.bytes;
    hot_.put(as_sent, Hot{ask.slot, ask.generation, until, channel, *file}, cost);
  }
  auto response = co_await answers_.answer(*std::move(file), ask.request.head, ask.facts);
  co_return with_pin(ask, *place, std::move(response));
}

}  // namespace hailstone::depot
