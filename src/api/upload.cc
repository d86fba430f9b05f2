#include "api/upload.h"

#include <fmt/format.h>

#include "api/cut_options.h"

namespace hailstone::api {
namespace {

/// What the client sent is at fault, not what is stored.
Error blame_client(Error error) {
  if (error.code == Code::Corrupt) error.code = Code::Invalid;
  return error;
}

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};

size_t approximate_bytes(const Bytes& key, const std::optional<volume::Entry>& entry) {
  constexpr size_t kFixed = 96;  // lengths, kind, times, hash
  if (!entry) return key.size() + 16;
  size_t bytes = kFixed + key.size() + entry->content.inlined.size() + entry->content.refs.size() * 40 +
                 entry->content_type.size() + entry->etag.size();
  for (const auto& [name, value] : entry->metadata) bytes += name.size() + value.size() + 8;
  if (entry->posix) {
    bytes += 16 + entry->posix->link.size();
    for (const auto& [name, value] : entry->posix->xattrs) bytes += name.size() + value.size() + 8;
  }
  return bytes;
}

}  // namespace

Result<bool> claim_content(chunk::ChunkStore& store, const chunk::Content& content) {
  if (content.refs.empty()) {
    if (sha256(content.inlined) != content.sha256) return fail(Code::Invalid, "inline content does not match its hash");
    return true;
  }
  // Of a content of several chunks only the sizes can be held against the store without reading all of it.
  if (content.depth == 0 && content.refs.size() == 1 && content.refs[0].id != content.sha256)
    return fail(Code::Invalid, "a content of one chunk is named by that chunk");
  std::vector<ChunkId> ids;
  auto walked = chunk::for_each_chunk(store, content, [&](const ChunkId& id) { ids.push_back(id); });
  if (!walked && walked.error().code == Code::NotFound) return false;
  if (!walked) return std::unexpected(blame_client(std::move(walked).error()));
  TRY(const auto present, store.touch(ids));
  for (bool there : present)
    if (!there) return false;
  TRY(const auto parts, chunk::pieces(store, content, 0, content.bytes));
  for (const chunk::Piece& piece : parts) {
    TRY(const auto stat, store.stat(piece.id));
    if (stat.bytes != piece.chunk_bytes)
      return fail(Code::Invalid,
                  fmt::format("chunk {} has {} bytes, not {}", piece.id.brief(), stat.bytes, piece.chunk_bytes));
  }
  return true;
}

Upload::Upload(volume::Repository& repository, volume::Caller caller, volume::Target target,
               const UploadOptions& options)
    : repository_(repository),
      caller_(std::move(caller)),
      target_(std::move(target)),
      options_(options),
      cut_(cut_options(target_.volume->record.settings)),
      session_(repository_.chunks().begin_writes()) {
  // One request makes many commands, and a key names one: each batch would get the first one's reply.
  caller_.idempotency_key.clear();
}

std::expected<void, Failure> Upload::feed(ByteView bytes) {
  decoder_.feed(bytes);
  for (;;) {
    auto event = decoder_.next();
    if (!event) return std::unexpected(Failure(blame_client(std::move(event).error())));
    if (!*event) return {};
    TRY_DO(take(**std::move(event)));
  }
}

std::expected<void, Failure> Upload::take(mirror::WireEvent event) {
  using Taken = std::expected<void, Failure>;
  chunk::ChunkStore& store = repository_.chunks();
  return std::visit(
      Overloaded{
          [&](mirror::WirePut& put) -> Taken {
            if (!put.inlined) {
              open_ =
                  Open{std::move(put.key), std::move(put.entry), std::make_unique<chunk::ContentWriter>(store, cut_)};
              return {};
            }
            TRY(put.entry.content, chunk::write_content(store, cut_, *put.inlined));
            return add(std::move(put.key), std::move(put.entry));
          },
          [&](mirror::WireData& data) -> Taken {
            TRY_DO(open_->writer->write(data.bytes));
            return {};
          },
          [&](mirror::WireDone& done) -> Taken {
            TRY(open_->entry.content, open_->writer->finish());
            if (open_->entry.content.sha256 != done.sha256)
              return std::unexpected(Failure(Error{
                  Code::Invalid, fmt::format("content of '{}' is {}, not {} as its sender said", printable(open_->key),
                                             open_->entry.content.sha256.brief(), done.sha256.brief())}));
            Open complete = *std::move(open_);
            open_.reset();
            return add(std::move(complete.key), std::move(complete.entry));
          },
          [&](mirror::WireAbandon&) -> Taken {
            open_.reset();
            return {};
          },
          [&](mirror::WireCopy& copy) -> Taken { return take_copy(std::move(copy)); },
          [&](mirror::WireDelete& remove) -> Taken { return add(std::move(remove.key), std::nullopt); },
          [&](mirror::WireEnd& end) -> Taken {
            counts_ = end.counts;
            return {};
          },
      },
      event);
}

std::expected<void, Failure> Upload::take_copy(mirror::WireCopy copy) {
  auto claimed = claim_content(repository_.chunks(), copy.entry.content);
  if (!claimed)
    return std::unexpected(Failure(std::move(claimed).error().within(fmt::format("key '{}'", printable(copy.key)))));
  if (!*claimed) missing_.push_back(copy.key);
  return add(std::move(copy.key), std::move(copy.entry));
}

std::expected<void, Failure> Upload::add(Bytes key, std::optional<volume::Entry> entry) {
  batch_bytes_ += approximate_bytes(key, entry);
  batch_.push_back({std::move(key), std::move(entry)});
  if (batch_.size() < options_.batch_edits && batch_bytes_ < options_.batch_bytes) return {};
  return commit();
}

std::expected<void, Failure> Upload::commit() {
  if (!missing_.empty()) {
    Failure failure(Error{
        Code::Conflict, fmt::format("{} entries name contents that are not here: send them as puts", missing_.size())});
    failure.keys = std::move(missing_);
    return std::unexpected(std::move(failure));
  }
  if (batch_.empty()) return {};
  TRY_DO(repository_.chunks().sync());
  TRY(auto written, repository_.write(caller_, target_, {}, batch_));
  if (!written_.slot) {
    previous_ = written.previous;
  } else if (written.previous != written_.token) {
    previous_.clear();
  }
  written_ = std::move(written);
  batch_.clear();
  batch_bytes_ = 0;
  // No content is open between batches. A new one, so that a long upload does not hold up collection.
  session_ = repository_.chunks().begin_writes();
  return {};
}

std::expected<Upload::Done, Failure> Upload::finish() {
  if (auto whole = decoder_.finish(); !whole) return std::unexpected(Failure(blame_client(std::move(whole).error())));
  TRY_DO(commit());
  Done done{counts_, std::move(written_.token), std::move(previous_), written_.slot};
  if (!done.position) {
    TRY(done.token, repository_.token(target_));
    done.previous = done.token;
  }
  return done;
}

}  // namespace hailstone::api
