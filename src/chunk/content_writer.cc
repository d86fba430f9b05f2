#include <fmt/core.h>

#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"
#include "chunk/content.h"
#include "chunk/cutter.h"
#include "chunk/list_chunk.h"
#include "chunk/twin_sha256.h"

namespace hailstone::chunk {
namespace {
constexpr size_t kDepths = 4;  // 0..3
}

struct ContentWriter::State {
  State(ChunkStore& s, const CutOptions& o) : store(s), options(o), valid(validate(o)), cutter(o) {}

  ChunkStore& store;
  const CutOptions options;
  Result<void> valid;  // an error here is the answer to everything: bad options, or a chunk that could not be put
  Cutter cutter;
  TwinSha256 digests;  // of the content, and of the open chunk
  // The chunk that has no end yet: copied bytes, then held ones. Who has many contents to write at once has their bytes
  // held, so that they take what they have and not room for a longest chunk each.
  struct Part {
    std::shared_ptr<const void> owner;
    ByteView bytes;
  };
  Bytes copied;
  std::vector<Part> held;
  uint64_t open_bytes = 0;                       // of that chunk
  uint64_t bytes = 0;                            // put so far
  std::array<std::vector<Ref>, kDepths> levels;  // refs not yet in a list chunk, by depth
  bool cutting = false;  // since there are more bytes than go inline; until then all are in `copied`
  bool finished = false;

  Result<void> put(ByteView chunk) {
    const ChunkId id(digests.end_part());
    TRY_DO(store.put_named(id, chunk, options.compress));
    bytes += chunk.size();
    return add(0, {id, chunk.size()});
  }

  void copy_held() {
    if (held.empty()) return;
    copied.reserve(open_bytes);
    for (const Part& part : held) copied.append(part.bytes);
    held.clear();
  }

  /// The open chunk ends here.
  Result<void> close_chunk() {
    if (open_bytes == 0) return {};
    const bool held_some = !held.empty();
    copy_held();
    open_bytes = 0;
    auto done = put(copied);
    copied.clear();
    if (held_some) copied.shrink_to_fit();
    cutter.restart();
    return done;
  }

  Result<void> append(const Content& content) {
    if (content.refs.empty()) return write(content.inlined, nullptr);
    TRY_DO(start_cutting());
    TRY_DO(close_chunk());
    TRY(const auto parts, pieces(store, content, 0, content.bytes));
    for (const Piece& piece : parts) {
      TRY(const auto kept, store.touch({&piece.id, 1}));
      TRY(const SharedBytes chunk, store.get(piece.id));
      if (!kept[0] || chunk->size() != piece.length)
        return fail(Code::Corrupt, fmt::format("chunk {} is not what its content says", piece.id.brief()));
      digests.update_whole(*chunk);
      bytes += chunk->size();
      TRY_DO(add(0, {piece.id, chunk->size()}));
    }
    return {};
  }

  Result<void> add(size_t depth, const Ref& ref) {
    levels[depth].push_back(ref);
    if (levels[depth].size() < kRefsPerListChunk || depth + 1 == kDepths) return {};
    return push_down(depth);
  }

  /// Turns the refs of one depth into a list chunk, a ref of the next.
  Result<void> push_down(size_t depth) {
    auto& refs = levels[depth];
    uint64_t sum = 0;
    for (const Ref& ref : refs) sum += ref.bytes;
    TRY(const ChunkId id, store.put(encode_list(static_cast<uint8_t>(depth), refs), options.compress));
    refs.clear();
    return add(depth + 1, {id, sum});
  }

  bool deeper_than(size_t depth) const {
    for (size_t d = depth + 1; d < kDepths; ++d)
      if (!levels[d].empty()) return true;
    return false;
  }

  /// From now on there are chunks.
  Result<void> start_cutting() {
    if (std::exchange(cutting, true)) return {};
    const Bytes first = std::exchange(copied, {});
    return feed(first, nullptr);
  }

  /// `owner`: what keeps the bytes, nothing when they must be copied.
  Result<void> write(ByteView in, const std::shared_ptr<const void>& owner) {
    if (!cutting && copied.size() + in.size() <= kInlineBytesMax) {
      copied.append(in);
      return {};
    }
    TRY_DO(start_cutting());
    return feed(in, owner);
  }

  Result<void> feed(ByteView in, const std::shared_ptr<const void>& owner) {
    while (!in.empty()) {
      const auto cut = cutter.find(in);
      const ByteView part = in.substr(0, cut.value_or(in.size()));
      in.remove_prefix(part.size());
      digests.update(part);
      if (cut && open_bytes == 0) {
        TRY_DO(put(part));
        continue;
      }
      open_bytes += part.size();
      if (owner) {
        held.push_back({owner, part});
      } else {
        copy_held();
        copied.append(part);
      }
      if (cut) TRY_DO(close_chunk());
    }
    return {};
  }

  Result<Content> finish() {
    Content content;
    if (!cutting) {
      content.bytes = copied.size();
      content.inlined = std::move(copied);
      content.sha256 = sha256(content.inlined);
      return content;
    }
    TRY_DO(close_chunk());
    size_t depth = 0;
    while (deeper_than(depth) || levels[depth].size() > kRefsMax) {
      if (depth + 1 == kDepths)
        return fail(Code::Exhausted, fmt::format("content of {} bytes has too many chunks", bytes));
      if (!levels[depth].empty()) TRY_DO(push_down(depth));
      ++depth;
    }
    content.bytes = bytes;
    content.depth = static_cast<uint8_t>(depth);
    content.refs = std::move(levels[depth]);
    content.sha256 = digests.finish();
    return content;
  }
};

ContentWriter::ContentWriter(ChunkStore& store, const CutOptions& options)
    : state_(std::make_unique<State>(store, options)) {}
ContentWriter::~ContentWriter() = default;

Result<void> ContentWriter::write(ByteView bytes) { return write(bytes, nullptr); }

Result<void> ContentWriter::write(ByteView bytes, std::shared_ptr<const void> owner) {
  CHECK(!state_->finished);
  if (!state_->valid) return state_->valid;
  state_->valid = state_->write(bytes, owner);
  return state_->valid;
}

Result<void> ContentWriter::append(const Content& content) {
  CHECK(!state_->finished);
  if (!state_->valid) return state_->valid;
  state_->valid = state_->append(content);
  return state_->valid;
}

Result<void> ContentWriter::end_chunk() {
  CHECK(!state_->finished);
  if (state_->valid && state_->open_bytes >= state_->options.min_bytes) state_->valid = state_->close_chunk();
  return state_->valid;
}

Result<Content> ContentWriter::finish() {
  CHECK(!state_->finished);
  state_->finished = true;
  TRY_DO(state_->valid);
  return state_->finish();
}

Result<Content> write_content(ChunkStore& store, const CutOptions& options, ByteView bytes) {
  ContentWriter writer(store, options);
  TRY_DO(writer.write(bytes));
  return writer.finish();
}

}  // namespace hailstone::chunk
