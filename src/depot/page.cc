#include "depot/page.h"

#include <fmt/format.h>

#include "base/clock.h"
#include "publish/feed.h"

namespace hailstone::depot {
namespace {

constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--ink:#1c2126;--soft:#5b6670;--line:#dfe4e8;--paper:#fff;--link:#0b57a4;--row:#f5f8fa}
@media(prefers-color-scheme:dark){:root{--ink:#e3e8ec;--soft:#98a4ae;--line:#333b42;--paper:#14181b;--link:#7db8f2;--row:#1c2226}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:64rem;padding:1.5rem 1rem;color:var(--ink);background:var(--paper);font:1rem/1.5 system-ui,sans-serif}
a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}
a:focus-visible,input:focus-visible,button:focus-visible{outline:2px solid var(--link);outline-offset:2px}
header{display:flex;flex-wrap:wrap;gap:.5rem 1rem;justify-content:space-between;align-items:center}
nav ol{list-style:none;display:flex;flex-wrap:wrap;margin:0;padding:0}
nav li+li::before{content:"/";color:var(--soft);padding:0 .4em}
h1{font-size:1.35rem;margin:1rem 0;overflow-wrap:anywhere}
table{width:100%;border-collapse:collapse}
th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:600;font-size:.875rem}
tbody tr:hover{background:var(--row)}
td:first-child{overflow-wrap:anywhere}
.number{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
.soft,footer{color:var(--soft)}footer{margin-top:1.5rem;font-size:.875rem}
input,button{font:inherit;color:inherit;background:transparent;border:1px solid var(--line);border-radius:.3rem;padding:.2rem .6rem}
@media(max-width:36rem){.when{display:none}}
)";

}  // namespace

Bytes escape(ByteView text) { return publish::xml_escape(text); }

Bytes human_size(uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  constexpr std::string_view kUnits[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  auto value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  while (value >= 1023.95 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

Bytes human_time(UnixMicros time) {
  Bytes text = format_iso8601(UnixMicros{time.seconds() * 1'000'000});
  if (text.size() < 16) return text;
  text[10] = ' ';
  return text.substr(0, 16);
}

std::vector<Crumb> crumbs_of(ByteView base, ByteView base_name, ByteView prefix) {
  std::vector<Crumb> out{{"Volumes", "/"}};
  Bytes href = Bytes(base) + "/";
  out.push_back({Bytes(base_name), href});
  while (!prefix.empty()) {
    const size_t slash = prefix.find('/');
    const ByteView name = prefix.substr(0, slash);
    prefix.remove_prefix(slash == ByteView::npos ? prefix.size() : slash + 1);
    href += percent_encode(name) + "/";
    out.push_back({Bytes(name), href});
  }
  out.back().href.clear();
  return out;
}

Bytes render(const Page& page) {
  Bytes out = fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n<style>{}</style>\n"
      "</head>\n<body>\n<header>\n<nav aria-label=\"Breadcrumb\"><ol>",
      escape(page.title), kStyle);
  for (const Crumb& crumb : page.crumbs) {
    if (crumb.href.empty()) {
      out += fmt::format("<li aria-current=\"page\">{}</li>", escape(crumb.name));
    } else {
      out += fmt::format("<li><a href=\"{}\">{}</a></li>", escape(crumb.href), escape(crumb.name));
    }
  }
  out += "</ol></nav>\n";
  if (!page.search.empty())
    out += fmt::format(
        "<form role=\"search\" action=\"{}\"><input type=\"search\" name=\"q\" aria-label=\"Search this release\" "
        "placeholder=\"Search\" value=\"{}\"> <button>Search</button></form>\n",
        escape(page.search), escape(page.query));
  out += fmt::format("</header>\n<main>\n<h1>{}</h1>\n{}</main>\n<footer>{}</footer>\n</body>\n</html>\n",
                     escape(page.title), page.main, page.footer);
  return out;
}

}  // namespace hailstone::depot
