#include "publish/page_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace hailstone::publish {
namespace {

Bytes key_of(uint64_t page) {
  Bytes key;
  for (int shift = 56; shift >= 0; shift -= 8) key.push_back(static_cast<char>(page >> shift));
  return key;
}

}  // namespace

Result<ChunkId> page_chunk(ByteView value) {
  if (value.size() != 32) return fail(Code::Corrupt, fmt::format("page reference is {} bytes, not 32", value.size()));
  return ChunkId(Hash256::from_view(value));
}

Result<void> PageFile::open(const tree::Root& root) {
  TRY(const tree::Totals totals, tree::totals(nodes_, root));
  root_ = root;
  root_pages_ = valid_pages_ = pages_ = totals.keys;
  if (pages_ == 0) return {};
  TRY(const auto last, tree::lookup(nodes_, root_, key_of(pages_ - 1)));
  if (!last) return fail(Code::Corrupt, fmt::format("tree {}: no page {} of {}", root.id.brief(), pages_ - 1, pages_));
  return {};
}

Result<chunk::SharedBytes> PageFile::load(uint64_t page) {
  if (last_.second && last_.first == page) return last_.second;
  TRY(const auto found, tree::lookup(nodes_, root_, key_of(page)));
  if (!found) return fail(Code::Corrupt, fmt::format("tree {}: page {} is missing", root_.id.brief(), page));
  TRY(const ChunkId id, page_chunk(found->value));
  TRY(chunk::SharedBytes bytes, chunks_.fetch(id));
  if (bytes->size() != kPageBytes)
    return fail(Code::Corrupt,
                fmt::format("page {}: chunk {} is {} bytes, not {}", page, id.brief(), bytes->size(), kPageBytes));
  ++stats_.pages_read;
  last_ = {page, bytes};
  return bytes;
}

Result<size_t> PageFile::read(uint64_t offset, std::span<char> out) {
  size_t done = 0;
  while (done < out.size() && offset + done < bytes()) {
    const uint64_t page = (offset + done) / kPageBytes;
    const size_t within = (offset + done) % kPageBytes;
    const size_t n = std::min(out.size() - done, kPageBytes - within);
    if (const auto changed = overlay_.find(page); changed != overlay_.end()) {
      std::memcpy(out.data() + done, changed->second.data() + within, n);
    } else if (page < valid_pages_) {
      TRY(const chunk::SharedBytes stored, load(page));
      std::memcpy(out.data() + done, stored->data() + within, n);
    } else {
      std::memset(out.data() + done, 0, n);
    }
    done += n;
  }
  std::fill(out.begin() + static_cast<ptrdiff_t>(done), out.end(), '\0');
  return done;
}

Result<Bytes*> PageFile::change(uint64_t page) {
  if (const auto at = overlay_.find(page); at != overlay_.end()) return &at->second;
  Bytes bytes(kPageBytes, '\0');
  if (page < valid_pages_) {
    TRY(const chunk::SharedBytes stored, load(page));
    bytes = *stored;
  }
  return &overlay_.emplace(page, std::move(bytes)).first->second;
}

Result<void> PageFile::write(uint64_t offset, ByteView data) {
  while (!data.empty()) {
    const uint64_t page = offset / kPageBytes;
    const size_t within = offset % kPageBytes;
    const size_t n = std::min(data.size(), kPageBytes - within);
    if (n == kPageBytes) {
      overlay_.insert_or_assign(page, Bytes(data.substr(0, n)));
    } else {
      TRY(Bytes* const bytes, change(page));
      bytes->replace(within, n, data.substr(0, n));
    }
    pages_ = std::max(pages_, page + 1);
    offset += n;
    data.remove_prefix(n);
  }
  if (overlay_.size() * kPageBytes >= options_.overlay_bytes_max) TRY_DO(flush());
  return {};
}

Result<void> PageFile::truncate(uint64_t bytes) {
  pages_ = (bytes + kPageBytes - 1) / kPageBytes;
  valid_pages_ = std::min(valid_pages_, pages_);
  overlay_.erase(overlay_.lower_bound(pages_), overlay_.end());
  return {};
}

Result<tree::Root> PageFile::flush() {
  std::vector<tree::Edit> edits;
  edits.reserve(overlay_.size());
  uint64_t next = valid_pages_;
  const auto add = [&](uint64_t page, ByteView bytes) -> Result<void> {
    TRY(const ChunkId id, chunks_.put(bytes, chunk::Compress::Auto));
    edits.push_back({key_of(page), Bytes(id.view()), kPageBytes});
    ++stats_.pages_flushed;
    return {};
  };
  const Bytes zeros(kPageBytes, '\0');
  for (const auto& [page, bytes] : overlay_) {
    for (; next < page; ++next) TRY_DO(add(next, zeros));  // a hole: extended past the end
    TRY_DO(add(page, bytes));
    next = std::max(next, page + 1);
  }
  for (; next < pages_; ++next) TRY_DO(add(next, zeros));
  for (uint64_t page = std::max(pages_, next); page < root_pages_; ++page)
    edits.push_back({key_of(page), std::nullopt, 0});
  if (edits.empty()) return root_;
  TRY(root_, tree::apply(nodes_, root_, edits));
  root_pages_ = valid_pages_ = pages_;
  overlay_.clear();
  last_ = {};
  return root_;
}

}  // namespace hailstone::publish
