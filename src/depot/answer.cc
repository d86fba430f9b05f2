#include "depot/answer.h"

#include <fmt/format.h>

#include "depot/errors.h"
#include "depot/find.h"
#include "depot/gzip.h"
#include "http/conditional.h"

namespace hailstone::depot {
namespace {

http::Response with_lines(int status, const File& file) {
  http::Response response;
  response.status = status;
  response.headers.lines() = file.lines;
  return response;
}

http::Response not_modified(const File& file, Coding coding) {
  auto response = with_lines(304, file);
  append_validators(file, coding, response.headers);
  return response;
}

http::Response unsatisfiable(const File& file) {
  auto response = refusal(416, fmt::format("the file has {} bytes", file.content.bytes));
  response.headers.add("Content-Range", http::unsatisfied_range(file.content.bytes));
  return response;
}

Result<chunk::SharedBytes> compress(chunk::ChunkStore& chunks, const chunk::Content& content,
                                    const chunk::SharedBytes& body, uint64_t bytes_max) {
  Bytes plain;
  if (!body) {
    auto read = chunk::read_content(chunks, content, 0, content.bytes, bytes_max);
    if (!read) return std::unexpected(damaged(std::move(read).error()));
    plain = *std::move(read);
  }
  TRY(Bytes coded, gzip(body ? ByteView(*body) : ByteView(plain)));
  return std::make_shared<const Bytes>(std::move(coded));
}

}  // namespace

Coding coding_for(const File& file, const Facts& facts) {
  if (!facts.accept_encoding || facts.ranged || (!file.codings.zstd && !file.gzip)) return Coding::Identity;
  std::vector<Coding> offered;
  if (file.codings.zstd) offered.push_back(Coding::Zstd);
  if (file.gzip) offered.push_back(Coding::Gzip);
  offered.push_back(Coding::Identity);
  return http::choose_coding(facts.accept_encoding, offered);
}

Answers::Answers(chunk::ExtentCache& extents, http::BlockingPool& pool, const Options& options)
    : extents_(extents), chunks_(extents.store()), pool_(pool), options_(options), gzipped_(options.gzip_cache_bytes) {}

std::optional<http::Response> Answers::at_once(File& file, const http::RequestHead& head, const Facts& facts) {
  const auto finish = [&](Result<http::Response> response) {
    return response ? *std::move(response) : error_response(response.error(), options_.retry_after_seconds);
  };
  Coding coding = coding_for(file, facts);
  bool heed_range = facts.ranged;
  if (facts.conditional) {
    const Bytes etag = quoted_etag(file, coding);
    const http::Validators validators{true, etag, file.last_modified};
    switch (http::evaluate_conditions(head, validators)) {
      case http::Decision::NotModified: return not_modified(file, coding);
      case http::Decision::PreconditionFailed: return refusal(412, "the file is not the one that the request is for");
      case http::Decision::Proceed: break;
    }
    heed_range = heed_range && http::range_applies(head, validators);
  }
  if (heed_range) {
    const auto resolved = http::resolve_ranges(head.field("range"), file.content.bytes);
    if (resolved.kind == http::ResolvedRanges::Kind::Unsatisfiable) return unsatisfiable(file);
    if (resolved.kind == http::ResolvedRanges::Kind::Satisfiable)
      return finish(resolved.ranges.size() == 1 ? range(file, resolved.ranges.front()) : ranges(file, resolved.ranges));
  }
  if (coding == Coding::Zstd) {
    auto response = frames(file);
    if (response || response.error().code != Code::Unsupported) return finish(std::move(response));
    coding = Coding::Identity;  // the store can't hand out frames where they lie
  }
  if (coding == Coding::Identity) return finish(plain(file));
  if (const auto* known = gzipped_.find(file.content.sha256.view())) return gzipped(file, *known);
  if (file.content.bytes > options_.gzip_inline_bytes) return std::nullopt;
  auto bytes = compress(chunks_, file.content, file.body, options_.gzip_bytes_max);
  if (!bytes) return finish(std::unexpected(std::move(bytes).error()));
  gzipped_.put(file.content.sha256.view(), *bytes, (*bytes)->size());
  return gzipped(file, *std::move(bytes));
}

http::Task<http::Response> Answers::answer(FilePtr file, const http::RequestHead& head, const Facts& facts) {
  auto ready = at_once(*file, head, facts);
  if (ready) co_return *std::move(ready);
  auto bytes = co_await http::offload(
      pool_, [chunks = &chunks_, content = file->content, body = file->body, bytes_max = options_.gzip_bytes_max] {
        return compress(*chunks, content, body, bytes_max);
      });
  if (!bytes && bytes.error().code == Code::Unavailable) {  // every thread of the pool is busy: send it as it is
    auto response = plain(*file);
    if (response) co_return *std::move(response);
    co_return error_response(response.error(), options_.retry_after_seconds);
  }
  if (!bytes) co_return error_response(bytes.error(), options_.retry_after_seconds);
  gzipped_.put(file->content.sha256.view(), *bytes, (*bytes)->size());
  co_return gzipped(*file, *std::move(bytes));
}

http::Response Answers::gzipped(const File& file, chunk::SharedBytes bytes) const {
  auto response = with_lines(200, file);
  append_validators(file, Coding::Gzip, response.headers);
  append_content_lines(file, Coding::Gzip, response.headers);
  const uint64_t length = bytes->size();
  response.body = http::Part(http::SharedSpan{std::move(bytes), 0, length});
  return response;
}

Result<http::Response> Answers::frames(const File& file) {
  // Asked again: a chunk may have been written anew since, and its frame may have another length.
  const Codings codings = codings_of(chunks_, file.content);
  if (!codings.zstd) return fail(Code::Unsupported, "chunks are no longer stored as frames");
  std::vector<Segment> segments;
  for (const chunk::Ref& ref : file.content.refs) segments.push_back(Frame{ref.id});
  TRY(auto body, make_body(extents_, std::move(segments), options_.memory_body_max));
  auto response = with_lines(200, file);
  append_validators(file, Coding::Zstd, response.headers);
  append_content_lines(file, Coding::Zstd, response.headers);
  std::visit([&](auto&& b) { response.body = std::move(b); }, std::move(body));
  response.content_length = codings.zstd_bytes;
  return response;
}

Result<void> Answers::unpack(File& file) {
  const bool one_packed_chunk = file.content.refs.size() == 1 && file.content.depth == 0 && file.codings.pays;
  if (file.body || !one_packed_chunk || file.content.bytes > options_.unpacked_body_max) return {};
  auto bytes = chunks_.get(file.content.refs.front().id);
  if (!bytes) return std::unexpected(damaged(std::move(bytes).error()));
  file.body = *std::move(bytes);
  return {};
}

Result<std::optional<chunk::Extent>> Answers::extent_of(const File& file, uint64_t offset, uint64_t length) {
  if (file.content.refs.size() != 1 || file.content.depth != 0 || file.codings.pays) return std::nullopt;
  auto extent = extents_.extent(file.content.refs.front().id, chunk::ChunkStore::Form::Plain, offset, length);
  if (extent) return *std::move(extent);
  if (extent.error().code == Code::Unsupported) return std::nullopt;
  return std::unexpected(damaged(std::move(extent).error()));
}

Result<void> Answers::set_body(File& file, uint64_t offset, uint64_t length, http::Response& response) {
  if (length == 0) {
    response.body = http::Part(Bytes());
    return {};
  }
  TRY_DO(unpack(file));
  if (file.body) {
    if (file.body->size() != file.content.bytes)
      return fail(Code::Corrupt, "content " + file.content.sha256.brief() + ": its chunk has another size");
    response.body = http::Part(http::SharedSpan{file.body, offset, length});
    return {};
  }
  TRY(auto extent, extent_of(file, offset, length));
  if (extent) {
    response.body = part_of(*std::move(extent));
    return {};
  }
  std::vector<Segment> segments;
  TRY_DO(append_slices(chunks_, file.content, offset, length, segments));
  TRY(auto body, make_body(extents_, std::move(segments), options_.memory_body_max));
  std::visit([&](auto&& b) { response.body = std::move(b); }, std::move(body));
  response.content_length = length;
  return {};
}

Result<http::Response> Answers::plain(File& file) {
  if (file.codings.lost) return std::unexpected(*file.codings.lost);
  http::Response response;
  response.headers.lines() = file.ready;
  TRY_DO(set_body(file, 0, file.content.bytes, response));
  return response;
}

Result<http::Response> Answers::range(File& file, const http::ByteRange& range) {
  http::Response response;
  response.status = 206;
  response.headers.lines() = file.ready;
  response.headers.add("Content-Range", http::content_range(range, file.content.bytes));
  TRY_DO(set_body(file, range.offset, range.length, response));
  return response;
}

Result<http::Response> Answers::ranges(File& file, const std::vector<http::ByteRange>& ranges) {
  TRY_DO(unpack(file));
  // No content holds its own hash, so it can't hold this either.
  const Bytes boundary = file.etag.substr(0, 40);
  std::vector<Segment> segments;
  uint64_t length = 0;
  Bytes text;
  for (const http::ByteRange& range : ranges) {
    text += fmt::format("--{}\r\nContent-Type: {}\r\nContent-Range: {}\r\n\r\n", boundary, file.content_type,
                        http::content_range(range, file.content.bytes));
    length += text.size() + range.length;
    if (file.body) {
      segments.push_back(text + file.body->substr(range.offset, range.length));
    } else {
      segments.push_back(std::move(text));
      TRY_DO(append_slices(chunks_, file.content, range.offset, range.length, segments));
    }
    text = "\r\n";
  }
  text += fmt::format("--{}--\r\n", boundary);
  length += text.size();
  segments.push_back(std::move(text));
  TRY(auto body, make_body(extents_, std::move(segments), options_.memory_body_max));
  auto response = with_lines(206, file);
  append_validators(file, Coding::Identity, response.headers);
  response.headers.add("Content-Type", "multipart/byteranges; boundary=" + boundary);
  response.headers.add("Accept-Ranges", "bytes");
  std::visit([&](auto&& b) { response.body = std::move(b); }, std::move(body));
  response.content_length = length;
  return response;
}

}  // namespace hailstone::depot
