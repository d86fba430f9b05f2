#include "depot/hits.h"

#include <fmt/format.h>

#include "depot/json_text.h"
#include "depot/page.h"

namespace hailstone::depot {
namespace {

std::string_view rank_name(publish::SearchHit::Rank rank) {
  switch (rank) {
    case publish::SearchHit::Rank::ExactName: return "exact_name";
    case publish::SearchHit::Rank::NamePrefix: return "name_prefix";
    case publish::SearchHit::Rank::FileName: return "file_name";
    case publish::SearchHit::Rank::Path: return "path";
  }
  return "unknown";
}

}  // namespace

Bytes hits_html(const HitsView& view) {
  Bytes rows;
  for (const publish::SearchHit& hit : view.answer.hits) {
    const Bytes package =
        hit.package ? fmt::format("{} {}", escape(hit.package->name), escape(hit.package->version)) : Bytes();
    rows += fmt::format("<tr><td><a href=\"{}/{}\">{}</a></td><td>{}</td></tr>\n", view.base,
                        percent_encode_path(hit.key), escape(hit.key), package);
  }
  Page page;
  page.title = view.query.empty() ? "Search" : "Search: " + view.query;
  page.crumbs = crumbs_of(view.base, view.name, "");
  page.crumbs.back().href = view.base + "/";
  page.crumbs.push_back({"Search", ""});
  page.search = view.base + "/-/search";
  page.query = view.query;
  if (!rows.empty()) {
    page.main = fmt::format(
        "<table>\n<thead><tr><th scope=\"col\">Path</th><th "
        "scope=\"col\">Package</th></tr></thead>\n<tbody>\n{}</tbody>\n"
        "</table>\n",
        rows);
  } else if (!view.query.empty()) {
    page.main = "<p class=\"soft\">Nothing found.</p>\n";
  }
  if (!view.answer.complete) page.main += "<p class=\"soft\">Very many paths match: more words would help.</p>\n";
  if (view.answer.more)
    page.main += fmt::format("<p><a rel=\"next\" href=\"?q={}&amp;limit={}&amp;offset={}\">More</a></p>\n",
                             percent_encode(view.query), view.limit, view.offset + view.limit);
  page.footer = fmt::format("Release <a href=\"/{0}@{1}/\">{1}</a>", percent_encode(view.volume), view.release.value);
  return render(page);
}

Bytes hits_json(const HitsView& view) {
  Json out;
  out["volume"] = view.volume;
  out["release"] = view.release.value;
  set_text(out, "query", view.query);
  Json hits = Json::array();
  for (const publish::SearchHit& hit : view.answer.hits) {
    Json item;
    set_text(item, "key", hit.key);
    item["rank"] = rank_name(hit.rank);
    if (hit.package) {
      Json package;
      set_text(package, "name", hit.package->name);
      set_text(package, "version", hit.package->version);
      if (!hit.package->architecture.empty()) set_text(package, "architecture", hit.package->architecture);
      item["package"] = std::move(package);
    }
    hits.push_back(std::move(item));
  }
  out["hits"] = std::move(hits);
  out["more"] = view.answer.more;
  out["complete"] = view.answer.complete;
  return out.dump() + "\n";
}

}  // namespace hailstone::depot
