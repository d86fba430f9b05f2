#include "depot/by_hash.h"

#include <algorithm>
#include <functional>

#include "volume/contents.h"

namespace hailstone::depot {
namespace {

constexpr ByteView kMiddle = "by-hash/SHA256/";
constexpr size_t kHexDigits = 64;
constexpr size_t kPage = 1000;

// Files directly in the directory, at most kByHashFilesMax. `visit` returns false to stop.
Result<void> each_file(const Store& store, const tree::Root& root, ByteView directory,
                       const std::function<bool(volume::Listed&)>& visit) {
  const auto contents = volume::open_tree(store.nodes, root);
  volume::ListRequest request{Bytes(directory), {}, "/", kPage};
  for (size_t seen = 0; seen < kByHashFilesMax; seen += kPage) {
    auto page = volume::list(*contents, request);
    if (!page) return std::unexpected(damaged(std::move(page).error()));
    for (volume::Listed& listed : page->entries)
      if (listed.entry.kind == volume::Kind::File && !visit(listed)) return {};
    if (!page->next) break;
    request.start_after = *std::move(page->next);
  }
  return {};
}

}  // namespace

std::optional<ByHashPath> parse_by_hash(ByteView key) {
  if (key.size() < kMiddle.size() + kHexDigits) return std::nullopt;
  const ByteView hex = key.substr(key.size() - kHexDigits);
  ByteView directory = key.substr(0, key.size() - kHexDigits);
  if (!directory.ends_with(kMiddle)) return std::nullopt;
  directory.remove_suffix(kMiddle.size());
  if (!directory.empty() && !directory.ends_with('/')) return std::nullopt;
  if (std::ranges::any_of(hex, [](char c) { return c >= 'A' && c <= 'F'; })) return std::nullopt;
  const auto hash = Hash256::parse_hex(hex);
  if (!hash) return std::nullopt;
  return ByHashPath{Bytes(directory), *hash};
}

Result<Found> find_by_hash(const Store& store, const tree::Root& root, const ByHashPath& path) {
  Found out;
  TRY_DO(each_file(store, root, path.directory, [&](volume::Listed& listed) {
    if (listed.entry.content.sha256 != path.hash) return true;
    out = Found{Found::Kind::File, std::move(listed.key), std::move(listed.entry)};
    return false;
  }));
  return out;
}

Result<void> ByHashIndex::extend(const Store& store, const std::vector<volume::Flip>& flips, size_t first,
                                 ByteView directory) {
  const uint64_t base = flips.front().sequence;
  const uint64_t from = std::max(next_, flips[first].sequence);
  if (from > flips.back().sequence) return {};
  for (uint64_t sequence = from; sequence <= flips.back().sequence; ++sequence) {
    TRY_DO(each_file(store, flips[sequence - base].root, directory, [&](volume::Listed& listed) {
      files_[listed.entry.content.sha256] = Where{sequence, std::move(listed.key)};
      return true;
    }));
    next_ = sequence + 1;
  }
  std::erase_if(files_, [&](const auto& file) { return file.second.sequence < flips[first].sequence; });
  return {};
}

const ByHashIndex::Where* ByHashIndex::find(const Hash256& hash) const {
  const auto it = files_.find(hash);
  return it == files_.end() ? nullptr : &it->second;
}

}  // namespace hailstone::depot
