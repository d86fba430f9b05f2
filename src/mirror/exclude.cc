#include "mirror/exclude.h"

#include <fmt/format.h>

namespace hailstone::mirror {
namespace {

// One set at glob[at] == '['. Moves `at` past ']' and says whether `c` is in it.
bool match_set(std::string_view glob, size_t& at, char c) {
  ++at;
  const bool negated = at < glob.size() && (glob[at] == '!' || glob[at] == '^');
  if (negated) ++at;
  bool found = false;
  for (bool first = true; at < glob.size() && (first || glob[at] != ']'); first = false) {
    const auto low = static_cast<unsigned char>(glob[at]);
    auto high = low;
    if (at + 2 < glob.size() && glob[at + 1] == '-' && glob[at + 2] != ']') {
      high = static_cast<unsigned char>(glob[at + 2]);
      at += 2;
    }
    ++at;
    const auto byte = static_cast<unsigned char>(c);
    found = found || (low <= byte && byte <= high);
  }
  ++at;  // the ']'
  return found != negated && c != '/';
}

bool closed_sets(std::string_view glob) {
  for (size_t i = 0; i < glob.size(); ++i) {
    if (glob[i] == '\\') ++i;
    if (i < glob.size() && glob[i] == '[') {
      size_t from = i + 1;
      if (from < glob.size() && (glob[from] == '!' || glob[from] == '^')) ++from;
      const size_t end = glob.find(']', from + 1);
      if (end == std::string_view::npos) return false;
      i = end;
    }
  }
  return true;
}

}  // namespace

bool glob_match(std::string_view glob, ByteView text) {
  // Backtracks to the last star only, but for `*` inside `**`, where the `**` is kept as a second fall-back.
  size_t g = 0, t = 0;
  struct Star {
    size_t glob = std::string_view::npos, text = 0;
  } single, twin;
  while (t < text.size() || g < glob.size()) {
    if (g < glob.size()) {
      const char c = glob[g];
      if (c == '*') {
        if (g + 1 < glob.size() && glob[g + 1] == '*') {
          g += 2;
          // "**/" also matches no directory at all.
          if (g < glob.size() && glob[g] == '/' && glob_match(glob.substr(g + 1), text.substr(t))) return true;
          twin = {g, t};
          single = {};
        } else {
          single = {++g, t};
        }
        continue;
      }
      if (t < text.size()) {
        if (c == '[') {
          size_t after = g;
          if (match_set(glob, after, text[t])) {
            g = after;
            ++t;
            continue;
          }
        } else if (c == '?' ? text[t] != '/' : (c == '\\' && g + 1 < glob.size() ? glob[g + 1] : c) == text[t]) {
          g += c == '\\' && g + 1 < glob.size() ? 2 : 1;
          ++t;
          continue;
        }
      }
    }
    if (single.glob != std::string_view::npos && single.text < text.size() && text[single.text] != '/') {
      g = single.glob;
      t = ++single.text;
    } else if (twin.glob != std::string_view::npos && twin.text < text.size()) {
      g = twin.glob;
      t = ++twin.text;
      single = {};
    } else {
      return false;
    }
  }
  return true;
}

Result<Excludes> Excludes::parse(const std::vector<std::string>& patterns) {
  Excludes out;
  for (const std::string& text : patterns) {
    Pattern pattern{text};
    if (pattern.glob.ends_with('/')) {
      pattern.directories_only = true;
      pattern.glob.pop_back();
    }
    pattern.whole_path = pattern.glob.find('/') != std::string::npos;
    if (pattern.glob.starts_with('/')) pattern.glob.erase(0, 1);
    if (pattern.glob.empty()) return fail(Code::Invalid, fmt::format("exclude pattern '{}' names nothing", text));
    if (!closed_sets(pattern.glob))
      return fail(Code::Invalid, fmt::format("exclude pattern '{}': '[' without ']'", text));
    out.patterns_.push_back(std::move(pattern));
  }
  return out;
}

bool Excludes::match(ByteView path, Is is) const {
  const size_t slash = path.rfind('/');
  const ByteView name = slash == ByteView::npos ? path : path.substr(slash + 1);
  for (const Pattern& pattern : patterns_) {
    if (pattern.directories_only && is != Is::Directory) continue;
    if (glob_match(pattern.glob, pattern.whole_path ? path : name)) return true;
  }
  return false;
}

bool Excludes::match_any_level(ByteView path, Is is) const {
  if (empty()) return false;
  for (size_t slash = path.find('/'); slash != ByteView::npos; slash = path.find('/', slash + 1))
    if (match(path.substr(0, slash), Is::Directory)) return true;
  return match(path, is);
}

}  // namespace hailstone::mirror
