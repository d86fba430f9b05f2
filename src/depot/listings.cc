// Depot: directories and the list of volumes.
#include "depot/depot.h"
#include "depot/errors.h"
#include "depot/form.h"

namespace hailstone::depot {
http::Task<http::Response> Depot::serve_listing(Ask& ask, const Place& place, const std::optional<PageToken>& page) {
  const http::RequestHead& head = ask.request.head;
  const auto form = form_of(head, ask.facts);
  if (!form) co_return error(form.error());
  const auto limit = number_of(head, "limit", options_.listing_entries, 1, options_.listing_entries_max);
  if (!limit) co_return error(limit.error());
  ListingView view;
  view.volume = ask.view.volume->record.name;
  view.name = ask.view.name;
  view.base = ask.view.base;
  view.prefix = ask.path.key;
  view.inner = place.found.key;
  view.release = place.release;
  view.published = place.flip ? (*ask.view.flips)[*place.flip].at : ask.view.published;
  view.channel = ask.view.channel;
  view.limit = *limit;
  volume::ListRequest request{view.inner, {}, "/", *limit};
  if (page) {
    request.start_after = page->start_after;
  } else if (!head.query.empty()) {
    if (const auto name = head.parameter("start_after")) request.start_after = view.inner + *name;
  }
  auto listing = volume::list(*volume::open_tree(store_.nodes, place.root), request);
  if (!listing) co_return error(damaged(std::move(listing).error()));
  view.listing = *std::move(listing);
  Bytes body = form->json ? listing_json(view) : listing_html(view);
  co_return co_await answer_page(ask, std::move(body), form->content_type(),
                                 with_form(lines_of(ask, place.release, cache_control(ask.view)), *form));
}

http::Task<http::Response> Depot::serve_volumes(Ask& ask) {
  const auto form = form_of(ask.request.head, ask.facts);
  if (!form) co_return error(form.error());
  std::vector<VolumeSummary> volumes;
  for (const auto& [name, volume] : *ask.state->volumes) {
    if (access_to(*volume, *ask.state, ask.facts) != Access::Granted) continue;
    VolumeSummary summary{name, volume->record.settings.description, {}, {}};
    if (const volume::Flip* flip = volume->channel(kDefaultChannel)) {
      summary.release = flip->release;
      summary.published = flip->at;
    }
    volumes.push_back(std::move(summary));
  }
  http::HeaderBlock headers;
  headers.add("Cache-Control", ask.facts.authorization ? "private, no-cache" : "no-cache");
  add_common_headers(headers);
  Bytes body = form->json ? volumes_json(volumes) : volumes_html(volumes);
  co_return co_await answer_page(ask, std::move(body), form->content_type(),
                                 with_form(std::move(headers.lines()), *form));
}

}  // namespace hailstone::depot
