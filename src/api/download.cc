#include <fmt/format.h>

#include "api/streams.h"
#include "api/write.h"
#include "mirror/wire.h"
#include "tree/tree.h"

namespace hailstone::api {
namespace {

constexpr size_t kPieceWanted = 256u << 10;  // frames made before they are sent; one content piece may add up to 4 MiB
constexpr size_t kKeysListed = 1000;         // of those that are not there

/// Frames made one at a time until there are enough to send.
class WireProducer : public Producer {
 public:
  Result<std::optional<http::Part>> produce() final {
    while (!ended_ && wire_.pending() < kPieceWanted) {
      TRY(const bool more, add(wire_));
      if (more) continue;
      wire_.end();
      ended_ = true;
    }
    if (wire_.pending() == 0) return std::optional<http::Part>();
    return http::Part(wire_.take());
  }

 protected:
  /// Encodes the next frames. False: nothing was left.
  virtual Result<bool> add(mirror::WireEncoder& wire) = 0;

 private:
  mirror::WireEncoder wire_;
  bool ended_ = false;
};

/// The entries below a prefix, in key order.
class Walk {
 public:
  Walk(std::unique_ptr<volume::Contents> contents, Bytes prefix)
      : contents_(std::move(contents)), cursor_(contents_->cursor()), prefix_(std::move(prefix)) {}

  Result<std::optional<volume::Listed>> next() {
    TRY_DO(started_ ? cursor_->next() : cursor_->seek(prefix_));
    started_ = true;
    if (!cursor_->valid() || !cursor_->key().starts_with(prefix_)) return std::optional<volume::Listed>();
    volume::Listed out;
    out.key = cursor_->key();
    auto entry = volume::Entry::decode(cursor_->value());
    if (!entry) return std::unexpected(std::move(entry).error().within(fmt::format("key '{}'", printable(out.key))));
    out.entry = *std::move(entry);
    return std::optional(std::move(out));
  }

 private:
  std::unique_ptr<volume::Contents> contents_;
  std::unique_ptr<volume::ContentsCursor> cursor_;
  Bytes prefix_;
  bool started_ = false;
};

class Manifest final : public WireProducer {
 public:
  explicit Manifest(Walk walk) : walk_(std::move(walk)) {}

 private:
  Result<bool> add(mirror::WireEncoder& wire) override {
    TRY(const auto listed, walk_.next());
    if (!listed) return false;
    TRY_DO(wire.copy(listed->key, listed->entry));
    return true;
  }

  Walk walk_;
};

using NextEntry = std::move_only_function<Result<std::optional<volume::Listed>>()>;

class Fetch final : public WireProducer {
 public:
  Fetch(chunk::ChunkStore& store, NextEntry next) : store_(store), next_(std::move(next)) {}

 private:
  Result<bool> add(mirror::WireEncoder& wire) override {
    if (open_) return add_piece(wire);
    TRY(auto listed, next_());
    if (!listed) return false;
    const chunk::Content& content = listed->entry.content;
    if (content.bytes <= mirror::kWireInlineBytesMax) {
      TRY(const Bytes bytes, chunk::read_content(store_, content, 0, content.bytes, mirror::kWireInlineBytesMax));
      TRY_DO(wire.put_inline(listed->key, listed->entry, bytes));
      return true;
    }
    TRY_DO(wire.begin_put(listed->key, listed->entry, content.bytes));
    TRY(pieces_, chunk::pieces(store_, content, 0, content.bytes));
    sha256_ = content.sha256;
    at_ = 0;
    open_ = true;
    return true;
  }

  Result<bool> add_piece(mirror::WireEncoder& wire) {
    if (at_ == pieces_.size()) {
      wire.done(sha256_);
      open_ = false;
      return true;
    }
    const chunk::Piece& piece = pieces_[at_++];
    TRY(const auto bytes, store_.fetch(piece.id));
    if (bytes->size() != piece.chunk_bytes)
      return fail(Code::Corrupt, fmt::format("chunk {}: {} bytes where its content says {}", piece.id.brief(),
                                             bytes->size(), piece.chunk_bytes));
    wire.data(*bytes);
    return true;
  }

  chunk::ChunkStore& store_;
  NextEntry next_;
  bool open_ = false;  // a content is being sent
  std::vector<chunk::Piece> pieces_;
  size_t at_ = 0;
  Hash256 sha256_{};
};

struct Wanted {
  std::vector<Bytes> keys;
  std::optional<Bytes> prefix;
};

Result<Wanted> read_wanted(ByteView text) {
  constexpr size_t kKeysMax = 100'000;
  TRY(const Json body, parse_object(text));
  Fields fields(body, "");
  Wanted out;
  out.prefix = fields.optional_text("prefix");
  const auto raw_prefix = fields.optional_base64("prefix_base64");
  if (raw_prefix && out.prefix) fields.refuse("prefix", "and 'prefix_base64' exclude each other");
  if (raw_prefix) out.prefix = raw_prefix;
  const Json* keys = fields.optional_array("keys", kKeysMax);
  if ((keys != nullptr) == out.prefix.has_value()) fields.refuse("keys", "or 'prefix' must be there, and not both");
  TRY_DO(fields.finish());
  if (!keys) return out;
  out.keys.reserve(keys->size());
  for (const Json& element : *keys) {
    if (element.is_string()) {
      out.keys.push_back(element.get<std::string>());
      continue;
    }
    Fields named(element, fmt::format("keys[{}]", out.keys.size()));
    out.keys.push_back(named.key());
    TRY_DO(named.finish());
  }
  return out;
}

}  // namespace

Production manifest(Context& context, const Call& call) {
  TRY(const auto target, context.repository().resolve(call.segment("target")));
  TRY(auto contents, context.repository().open(target));
  return std::make_shared<Manifest>(Walk(std::move(contents), call.query.text_or("prefix", "")));
}

Production fetch(Context& context, const Call& call) {
  chunk::ChunkStore& store = context.repository().chunks();
  TRY(auto wanted, read_wanted(call.body));
  TRY(const auto target, context.repository().resolve(call.segment("target")));
  TRY(auto contents, context.repository().open(target));
  if (wanted.prefix)
    return std::make_shared<Fetch>(
        store,
        [walk = std::make_unique<Walk>(std::move(contents), *std::move(wanted.prefix))] { return walk->next(); });

  Failure missing(Error{Code::NotFound, ""});
  for (const Bytes& key : wanted.keys) {
    TRY(const auto entry, contents->get_encoded(key));
    if (entry) continue;
    ++missing.key_count;
    if (missing.keys.size() < kKeysListed) missing.keys.push_back(key);
  }
  if (missing.key_count > 0) {
    missing.error.message = fmt::format("'{}' has none of {} keys asked for", target.text, missing.key_count);
    return std::unexpected(std::move(missing));
  }
  // One unchanging view serves the whole answer: what was there above is there below.
  return std::make_shared<Fetch>(store,
                                 [contents = std::move(contents), keys = std::move(wanted.keys),
                                  at = size_t{0}]() mutable -> Result<std::optional<volume::Listed>> {
                                   if (at == keys.size()) return std::optional<volume::Listed>();
                                   const Bytes& key = keys[at++];
                                   TRY(auto entry, contents->get(key));
                                   if (!entry)
                                     return fail(Code::Corrupt,
                                                 fmt::format("key '{}' went away while it was sent", printable(key)));
                                   return std::optional(volume::Listed{key, *std::move(entry)});
                                 });
}

}  // namespace hailstone::api
