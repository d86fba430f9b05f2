#include "http/accept.h"

#include "http/grammar.h"

namespace hailstone::http {
namespace {

// "0", "1", "0.5", "0.123": in thousandths. Anything else is 0: a client that can't say how much gets the safe choice.
uint32_t parse_quality(std::string_view text) {
  if (text.empty() || text.size() > 5 || (text[0] != '0' && text[0] != '1')) return 0;
  uint32_t value = text[0] == '1' ? 1000 : 0;
  if (text.size() > 1 && text[1] != '.') return 0;
  uint32_t unit = 100;
  for (size_t i = 2; i < text.size(); ++i, unit /= 10) {
    if (text[i] < '0' || text[i] > '9') return 0;
    value += static_cast<uint32_t>(text[i] - '0') * unit;
  }
  return value > 1000 ? 0 : value;
}

struct Item {
  std::string_view name;
  uint32_t quality = 1000;
};

// "gzip;q=0.5", "text/html;level=1;q=0.7": parameters but q are dropped.
Item parse_item(std::string_view element) {
  Item item;
  const size_t semicolon = element.find(';');
  item.name = trim(element.substr(0, semicolon));
  std::string_view rest = semicolon == std::string_view::npos ? std::string_view() : element.substr(semicolon + 1);
  while (!rest.empty()) {
    const size_t end = rest.find(';');
    const std::string_view parameter = trim(rest.substr(0, end));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (parameter.size() >= 2 && lower(parameter[0]) == 'q' && parameter[1] == '=')
      item.quality = parse_quality(parameter.substr(2));
  }
  return item;
}

}  // namespace

uint32_t coding_quality(std::optional<std::string_view> accept_encoding, std::string_view name) {
  const bool identity = name == "identity";
  if (!accept_encoding) return identity ? 1000 : 1;
  std::optional<uint32_t> exact, any;
  std::string_view list = *accept_encoding, element;
  while (next_element(list, element)) {
    const Item item = parse_item(element);
    if (same_text(item.name, name) || (name == "gzip" && same_text(item.name, "x-gzip"))) exact = item.quality;
    if (item.name == "*") any = item.quality;
  }
  if (exact) return *exact;
  if (any) return *any;
  return identity ? 1 : 0;
}

std::string_view coding_name(Coding coding) {
  switch (coding) {
    case Coding::Gzip: return "gzip";
    case Coding::Zstd: return "zstd";
    case Coding::Identity: break;
  }
  return "identity";
}

Coding choose_coding(std::optional<std::string_view> accept_encoding, const std::vector<Coding>& offered) {
  Coding best = Coding::Identity;
  uint32_t best_quality = 0;
  for (const Coding coding : offered) {
    const uint32_t quality = coding_quality(accept_encoding, coding_name(coding));
    if (quality <= best_quality) continue;
    best = coding;
    best_quality = quality;
  }
  return best;
}

uint32_t media_quality(std::optional<std::string_view> accept, std::string_view media_type) {
  if (!accept) return 1000;
  const std::string_view type = media_type.substr(0, media_type.find('/'));
  uint32_t quality = 0;
  int specificity = -1;
  std::string_view list = *accept, element;
  while (next_element(list, element)) {
    const Item item = parse_item(element);
    int match = -1;
    if (item.name == "*/*") match = 0;
    if (item.name.ends_with("/*") && same_text(item.name.substr(0, item.name.size() - 2), type)) match = 1;
    if (same_text(item.name, media_type)) match = 2;
    if (match < specificity || match < 0) continue;
    specificity = match;
    quality = item.quality;
  }
  return quality;
}

Media choose_media(std::optional<std::string_view> accept) {
  return media_quality(accept, "text/html") > media_quality(accept, "application/json") ? Media::Html : Media::Json;
}

}  // namespace hailstone::http
