#include <fmt/core.h>

#include <array>
#include <optional>

#include "base/check.h"
#include "chunk/content.h"
#include "chunk/cutter.h"
#include "chunk/list_chunk.h"

namespace hailstone::chunk {
namespace {
constexpr size_t kDepths = 4;  // 0..3
}

struct ContentWriter::State {
  State(ChunkStore& s, const CutOptions& o) : store(s), options(o), valid(validate(o)) {}

  ChunkStore& store;
  const CutOptions options;
  Result<void> valid;  // an error here is the answer to everything: bad options, or a chunk that could not be put
  Bytes pending;       // not yet cut; its first `consumed` bytes are done with
  size_t consumed = 0;
  uint64_t bytes = 0;           // put so far
  std::optional<Hasher> whole;  // from the second chunk on: the name of an only chunk is the content's hash already
  Bytes first;                  // the first chunk, until a second one shows that `whole` needs it
  std::array<std::vector<Ref>, kDepths> levels;  // refs not yet in a list chunk, by depth
  bool finished = false;

  ByteView uncut() const { return ByteView(pending).substr(consumed); }

  void hash(ByteView chunk) {
    if (bytes == 0) {
      first = chunk;
    } else {
      if (!whole) {
        whole.emplace(Hasher::Kind::Sha256);
        whole->update(first);
        first = Bytes();
      }
      whole->update(chunk);
    }
  }

  Result<void> put(ByteView chunk) {
    hash(chunk);
    TRY(const ChunkId id, store.put(chunk, options.compress));
    bytes += chunk.size();
    return add(0, {id, chunk.size()});
  }

  Result<void> append(const Content& content) {
    if (content.refs.empty()) return write(content.inlined);
    ByteView rest = uncut();
    TRY_DO(drain(rest, true));
    pending.clear();
    consumed = 0;
    TRY(const auto parts, pieces(store, content, 0, content.bytes));
    for (const Piece& piece : parts) {
      TRY(const auto kept, store.touch({&piece.id, 1}));
      TRY(const SharedBytes chunk, store.get(piece.id));
      if (!kept[0] || chunk->size() != piece.length)
        return fail(Code::Corrupt, fmt::format("chunk {} is not what its content says", piece.id.brief()));
      hash(*chunk);
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

  /// Cuts what can be cut: everything when `last`, otherwise while a longest chunk is at hand.
  Result<void> drain(ByteView& in, bool last) {
    while (!in.empty() && (last || in.size() >= options.max_bytes)) {
      const size_t n = cut(in, options);
      TRY_DO(put(in.substr(0, n)));
      in.remove_prefix(n);
    }
    return {};
  }

  Result<void> write(ByteView in) {
    // Until the pending bytes are used up, cuts are made in the buffer; from then on in the caller's bytes, uncopied.
    while (!uncut().empty() && !in.empty()) {
      const size_t room = 2 * size_t{options.max_bytes} - uncut().size();
      const size_t n = std::min(room, in.size());
      if (consumed > 0 && pending.size() + n > pending.capacity()) {
        pending.erase(0, consumed);
        consumed = 0;
      }
      pending.append(in.substr(0, n));
      in.remove_prefix(n);
      ByteView view = uncut();
      const size_t before = view.size();
      auto drained = drain(view, false);
      consumed += before - view.size();
      if (!drained) return drained;
    }
    if (in.empty()) return {};
    pending.clear();
    consumed = 0;
    TRY_DO(drain(in, false));
    pending.append(in);
    return {};
  }

  Result<Content> finish() {
    Content content;
    ByteView rest = uncut();
    if (bytes == 0 && rest.size() <= kInlineBytesMax) {
      content.bytes = rest.size();
      content.inlined = rest;
      content.sha256 = sha256(rest);
      return content;
    }
    TRY_DO(drain(rest, true));
    size_t depth = 0;
    while (deeper_than(depth) || levels[depth].size() > kRefsMax) {
      if (depth + 1 == kDepths)
        return fail(Code::Invalid, fmt::format("content of {} bytes needs more than 3 levels", bytes));
      if (!levels[depth].empty()) TRY_DO(push_down(depth));
      ++depth;
    }
    content.bytes = bytes;
    content.depth = static_cast<uint8_t>(depth);
    content.refs = std::move(levels[depth]);
    content.sha256 = whole ? Hash256::from_view(whole->finish()) : content.refs.front().id;
    return content;
  }
};

ContentWriter::ContentWriter(ChunkStore& store, const CutOptions& options)
    : state_(std::make_unique<State>(store, options)) {}
ContentWriter::~ContentWriter() = default;

Result<void> ContentWriter::write(ByteView bytes) {
  CHECK(!state_->finished);
  if (!state_->valid) return state_->valid;
  state_->valid = state_->write(bytes);
  return state_->valid;
}

Result<void> ContentWriter::append(const Content& content) {
  CHECK(!state_->finished);
  if (!state_->valid) return state_->valid;
  state_->valid = state_->append(content);
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
