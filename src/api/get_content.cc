#include <fmt/format.h>

#include "api/streams.h"
#include "api/write.h"
#include "base/clock.h"
#include "http/conditional.h"
#include "http/mime.h"
#include "http/range.h"

namespace hailstone::api {
namespace {

constexpr int64_t kNanosPerSecond = 1'000'000'000;

class ContentProducer final : public Producer {
 public:
  ContentProducer(chunk::ChunkStore& store, chunk::Content content, uint64_t offset, uint64_t length)
      : store_(store), content_(std::move(content)), offset_(offset), length_(length) {}

  Result<std::optional<http::Part>> produce() override {
    if (!pieces_) {
      TRY(pieces_, chunk::pieces(store_, content_, offset_, length_));
    }
    if (next_ == pieces_->size()) return std::optional<http::Part>();
    const chunk::Piece& piece = (*pieces_)[next_++];
    auto extent = store_.extent(piece.id, chunk::ChunkStore::Form::Plain, piece.offset, piece.length);
    if (extent) return http::Part(http::FileSpan{std::move(extent->pin), extent->fd, extent->offset, extent->length});
    if (extent.error().code != Code::Unsupported) return std::unexpected(std::move(extent).error());
    TRY(auto bytes, store_.fetch(piece.id));
    if (bytes->size() != piece.chunk_bytes)
      return fail(Code::Corrupt, fmt::format("chunk {}: {} bytes where its content says {}", piece.id.brief(),
                                             bytes->size(), piece.chunk_bytes));
    return http::Part(http::SharedSpan{std::move(bytes), piece.offset, piece.length});
  }

 private:
  chunk::ChunkStore& store_;
  const chunk::Content content_;
  const uint64_t offset_;
  const uint64_t length_;
  std::optional<std::vector<chunk::Piece>> pieces_;
  size_t next_ = 0;
};

class Source final : public http::BodySource {
 public:
  Source(http::BlockingPool& pool, std::shared_ptr<Producer> producer) : pool_(pool), producer_(std::move(producer)) {}

  http::Task<Result<std::optional<http::Part>>> next() override {
    co_return co_await http::offload(pool_, [producer = producer_] { return producer->produce(); });
  }

 private:
  http::BlockingPool& pool_;
  std::shared_ptr<Producer> producer_;
};

}  // namespace

std::shared_ptr<Producer> content_producer(Context& context, chunk::Content content, uint64_t offset, uint64_t length) {
  return std::make_shared<ContentProducer>(context.repository().chunks(), std::move(content), offset, length);
}

std::unique_ptr<http::BodySource> make_source(http::BlockingPool& pool, std::shared_ptr<Producer> producer) {
  return std::make_unique<Source>(pool, std::move(producer));
}

std::expected<FoundContent, Failure> find_content(Context& context, const Call& call) {
  volume::Repository& repository = context.repository();
  FoundContent found;
  TRY(found.key, call.query.required("key"));
  TRY(found.target, repository.resolve(call.segment("target")));
  TRY(const auto contents, repository.open(found.target));
  TRY(auto entry, contents->get(found.key));
  if (!entry) return std::unexpected(Failure(no_key(found.target, found.key)));
  found.entry = *std::move(entry);
  const chunk::Content& content = found.entry.content;
  if (content.bytes <= kReadAtOnce) {
    TRY(found.bytes, chunk::read_content(repository.chunks(), content, 0, content.bytes, kReadAtOnce));
  }
  return found;
}

http::Response serve_content(Context& context, http::BlockingPool& pool, const http::RequestHead& head,
                             FoundContent found) {
  const uint64_t size = found.entry.content.bytes;
  const Bytes etag = "\"" + volume::etag_of(found.entry) + "\"";
  int64_t seconds = found.entry.modified_ns / kNanosPerSecond;
  if (found.entry.modified_ns % kNanosPerSecond < 0) --seconds;
  const http::Validators validators{.exists = true, .etag = etag, .modified_unix_seconds = seconds};

  http::Response response;
  response.headers.add("ETag", etag);
  response.headers.add("Last-Modified", format_http_date(seconds));
  response.headers.add("Cache-Control", found.target.writable() ? "private, no-cache" : "no-cache");
  if (found.target.release) response.headers.add("Hailstone-Release", std::to_string(found.target.release->value));
  switch (http::evaluate_conditions(head, validators)) {
    case http::Decision::Proceed: break;
    case http::Decision::NotModified: response.status = 304; return response;
    case http::Decision::PreconditionFailed:
      return respond(
          Failure(Error{Code::Conflict, fmt::format("key '{}' is {} now", printable(found.key), etag)}, 412));
  }
  response.headers.add("Accept-Ranges", "bytes");
  response.headers.add("Content-Type", found.entry.content_type.empty() ? http::content_type_of(found.key)
                                                                        : std::string_view(found.entry.content_type));
  response.headers.add("X-Content-Type-Options", "nosniff");

  uint64_t offset = 0, length = size;
  if (head.method == http::Method::Get && http::range_applies(head, validators)) {
    const auto ranges = http::resolve_ranges(head.field("Range"), size);
    if (ranges.kind == http::ResolvedRanges::Kind::Unsatisfiable) {
      auto refused = respond(Failure(
          Error{Code::Invalid, fmt::format("range beyond the {} bytes of '{}'", size, printable(found.key))}, 416));
      refused.headers.add("Content-Range", http::unsatisfied_range(size));
      return refused;
    }
    // Several ranges get the whole, as RFC 9110 §14.2 allows: no client of this API asks for them.
    if (ranges.kind == http::ResolvedRanges::Kind::Satisfiable && ranges.ranges.size() == 1) {
      offset = ranges.ranges[0].offset;
      length = ranges.ranges[0].length;
      response.status = 206;
      response.headers.add("Content-Range", http::content_range(ranges.ranges[0], size));
    }
  }
  response.content_length = length;
  if (head.method == http::Method::Head || length == 0) return response;
  if (found.bytes) {
    response.body = http::Part(length == size ? *std::move(found.bytes) : found.bytes->substr(offset, length));
  } else {
    response.body = make_source(pool, content_producer(context, std::move(found.entry.content), offset, length));
  }
  return response;
}

}  // namespace hailstone::api
