#include "s3/body.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <memory>
#include <utility>

#include "http/offload.h"
#include "s3/upload_lanes.h"
#include "s3auth/aws_chunked.h"

namespace hailstone::s3 {
namespace {

using s3proto::ChecksumAlgorithm;
using s3proto::ErrorCode;

constexpr size_t kReadBytes = 64u << 10;

Refused lost(const Error& error) {
  if (error.code == Code::Timeout) return Refused(ErrorCode::RequestTimeout);
  if (error.code == Code::Cancelled) return Refused(ErrorCode::IncompleteBody, error.message);
  return Refused(ErrorCode::InvalidRequest, error.message);
}

class PlainReader final : public BodyReader {
 public:
  explicit PlainReader(http::RequestBody& body) : body_(body) {}

  http::Task<Answer<size_t>> read(char* out, size_t size) override {
    auto count = co_await body_.read_some(out, size);
    if (!count) co_return std::unexpected(lost(count.error()));
    co_return *count;
  }
  const std::vector<s3auth::Trailer>& trailer() const override { return none_; }

 private:
  http::RequestBody& body_;
  std::vector<s3auth::Trailer> none_;
};

class ChunkedReader final : public BodyReader {
 public:
  ChunkedReader(http::RequestBody& body, s3auth::AwsChunkedDecoder decoder)
      : body_(body), decoder_(std::move(decoder)) {}

  http::Task<Answer<size_t>> read(char* out, size_t size) override {
    size_t filled = 0;
    while (filled == 0) {
      if (raw_.empty()) {
        buffer_.resize(kReadBytes);
        auto count = co_await body_.read_some(buffer_.data(), buffer_.size());
        if (!count) co_return std::unexpected(lost(count.error()));
        if (*count == 0) {
          CO_TRY_DO(decoder_.finish());
          co_return size_t{0};
        }
        raw_ = ByteView(buffer_.data(), *count);
      }
      while (!raw_.empty() && filled < size) {
        // No more than fits: what is framing takes no room, so a step may always go ahead.
        const auto step = decoder_.step(raw_.substr(0, size - filled));
        if (step.state == s3auth::AwsChunkedDecoder::State::Rejected)
          co_return std::unexpected(Refused(decoder_.refusal()));
        if (step.state == s3auth::AwsChunkedDecoder::State::Data) {
          std::memcpy(out + filled, step.data.data(), step.data.size());
          filled += step.data.size();
        }
        raw_.remove_prefix(step.consumed);
        if (step.consumed == 0) raw_ = {};
      }
    }
    co_return filled;
  }
  const std::vector<s3auth::Trailer>& trailer() const override { return decoder_.trailer(); }

 private:
  http::RequestBody& body_;
  s3auth::AwsChunkedDecoder decoder_;
  Bytes buffer_;
  ByteView raw_;
};

std::string mismatch(std::string_view header) {
  return fmt::format("The {} you specified did not match the calculated one", header);
}

Answer<> verify(const Call& call, const Expected& expected, const std::vector<s3auth::Trailer>& trailer,
                const s3proto::ChecksumSet& sums, const Hash256& sha256) {
  if (expected.bytes && sums.bytes() != *expected.bytes)
    return refusal(ErrorCode::IncompleteBody,
                   fmt::format("{} bytes were announced, {} came", *expected.bytes, sums.bytes()));
  if (expected.md5 && sums.value(ChecksumAlgorithm::Md5) != *expected.md5)
    return refusal(ErrorCode::BadDigest, mismatch("Content-MD5"));
  TRY_DO(s3auth::check_payload(call.who, sha256));
  if (expected.checksum && sums.value(*expected.algorithm) != *expected.checksum)
    return refusal(ErrorCode::BadDigest, mismatch(s3proto::checksum_name(*expected.algorithm)));
  for (const auto& [name, value] : trailer) {
    const auto algorithm = s3proto::checksum_of_header(name);
    if (!algorithm) continue;
    TRY(const Bytes raw, s3proto::parse_checksum(*algorithm, value));
    if (!sums.has(*algorithm) || sums.value(*algorithm) != raw)
      return refusal(ErrorCode::BadDigest, mismatch(s3proto::checksum_name(*algorithm)));
  }
  return {};
}

void add_checksums(const Call& call, const Expected& expected, s3proto::ChecksumSet& sums) {
  sums.add(ChecksumAlgorithm::Md5);
  if (expected.algorithm) sums.add(*expected.algorithm);
  if (const auto names = call.field("x-amz-trailer"))
    for (const auto algorithm : s3proto::kHeaderChecksums)
      if (names->find(s3proto::checksum_header(algorithm)) != names->npos) sums.add(algorithm);
}

Answer<> too_large(const Expected& expected, uint64_t bytes) {
  if (bytes <= expected.bytes_max) return {};
  Refused refused(ErrorCode::EntityTooLarge);
  refused.with("ProposedSize", std::to_string(bytes)).with("MaxSizeAllowed", std::to_string(expected.bytes_max));
  return std::unexpected(std::move(refused));
}

// Fills a piece; not to its end at the end of the body only.
http::Task<Answer<>> fill(BodyReader& reader, Piece& piece) {
  while (piece.size < piece.capacity) {
    auto count = co_await reader.read(piece.room.get() + piece.size, piece.capacity - piece.size);
    if (!count) co_return std::unexpected(std::move(count).error());
    if (*count == 0) break;
    piece.size += *count;
  }
  co_return Answer<>();
}

http::Task<Answer<Stored>> store_small(const Call& call, BodyReader& reader, const Expected& expected) {
  Bytes bytes(*expected.bytes + 1, '\0');
  for (size_t filled = 0;;) {
    auto count = co_await reader.read(bytes.data() + filled, bytes.size() - filled);
    if (!count) co_return std::unexpected(std::move(count).error());
    filled += *count;
    if (filled > *expected.bytes)
      co_return refusal(ErrorCode::InvalidRequest, "the body is longer than it was said to be");
    if (*count > 0) continue;
    bytes.resize(filled);
    break;
  }
  s3proto::ChecksumSet sums;
  add_checksums(call, expected, sums);
  sums.update(bytes);
  sums.finish();
  Stored stored;
  CO_TRY(stored.content,
         chunk::write_content(call.repository().chunks(), cut_options(call.bucket->volume().record.settings), bytes));
  CO_TRY_DO(verify(call, expected, reader.trailer(), sums, stored.content.sha256));
  stored.md5 = sums.value(ChecksumAlgorithm::Md5);
  if (expected.algorithm) stored.checksum = sums.value(*expected.algorithm);
  if (stored.content.refs.size() == 1) stored.carried = std::move(bytes);
  co_return stored;
}

}  // namespace

chunk::CutOptions cut_options(const volume::Settings& settings) {
  const uint32_t average = settings.chunk_average_bytes;
  return {.min_bytes = average / 16,
          .average_bytes = average,
          .max_bytes = std::min(average * 4, static_cast<uint32_t>(chunk::kChunkBytesMax)),
          .compress = settings.compress ? chunk::Compress::Auto : chunk::Compress::Never};
}

Answer<Expected> expected_of(const Call& call, uint64_t bytes_max) {
  Expected out;
  out.bytes_max = bytes_max;
  if (const auto md5 = call.field("Content-MD5")) {
    TRY(out.md5, s3proto::parse_checksum(ChecksumAlgorithm::Md5, *md5));
  }
  for (const auto algorithm : s3proto::kHeaderChecksums) {
    const auto value = call.field(s3proto::checksum_header(algorithm));
    if (!value) continue;
    if (out.checksum)
      return refusal(ErrorCode::InvalidRequest,
                     "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.");
    TRY(out.checksum, s3proto::parse_checksum(algorithm, *value));
    out.algorithm = algorithm;
  }
  if (const auto name = call.field("x-amz-sdk-checksum-algorithm"); name && !out.algorithm) {
    TRY(out.algorithm, s3proto::parse_checksum_algorithm(*name));
  }
  if (const auto names = call.field("x-amz-trailer"); names && !out.algorithm)
    for (const auto algorithm : s3proto::kHeaderChecksums)
      if (names->find(s3proto::checksum_header(algorithm)) != names->npos) out.algorithm = algorithm;
  if (s3auth::is_chunked(call.who.payload)) {
    const auto text = call.field("x-amz-decoded-content-length");
    uint64_t bytes = 0;
    if (text) {
      const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), bytes);
      if (error == std::errc() && end == text->data() + text->size()) out.bytes = bytes;
    }
  } else {
    out.bytes = call.head.content_length;
  }
  if (!out.bytes && !call.head.chunked) return refusal(ErrorCode::MissingContentLength);
  if (out.bytes) TRY_DO(too_large(out, *out.bytes));
  return out;
}

Answer<std::unique_ptr<BodyReader>> body_reader(const Call& call, http::RequestBody& body) {
  if (!s3auth::is_chunked(call.who.payload)) return std::make_unique<PlainReader>(body);
  TRY(auto decoder, s3auth::AwsChunkedDecoder::of(call.head, call.who));
  return std::make_unique<ChunkedReader>(body, std::move(decoder));
}

http::Task<Answer<Stored>> store_body(const Call& call, http::BlockingPool& pool, BodyReader& reader,
                                      const Expected& expected) {
  if (expected.bytes && *expected.bytes <= call.options.inline_bytes_max)
    co_return co_await store_small(call, reader, expected);

  auto work = std::make_shared<UploadLanes::Work>(call.repository().chunks(),
                                                  cut_options(call.bucket->volume().record.settings));
  add_checksums(call, expected, work->sums);
  const auto lanes = std::make_shared<UploadLanes>(co_await http::asio::this_coro::executor, call.uploads->pool, work);
  const auto account = call.uploads->memory->open();
  uint64_t bytes = 0;
  for (bool last = false; !last;) {
    if (account->must_let_go()) {
      lanes->end_chunk();
      CO_TRY_DO(co_await lanes->drain(0));
    }
    auto piece = account->take();
    CO_TRY_DO(co_await fill(reader, *piece));
    last = piece->size < piece->capacity;
    bytes += piece->size;
    CO_TRY_DO(too_large(expected, bytes));
    lanes->push(std::move(piece));
    CO_TRY_DO(co_await lanes->drain(last ? 0 : account->window()));
  }
  work->sums.finish();
  CO_TRY(auto content,
         co_await http::offload(pool, [work, &store = call.repository().chunks()]() -> Result<chunk::Content> {
           TRY(auto content, work->writer.finish());
           TRY_DO(store.sync());
           return content;
         }));
  CO_TRY_DO(verify(call, expected, reader.trailer(), work->sums, content.sha256));
  Stored stored;
  stored.content = std::move(content);
  stored.md5 = work->sums.value(ChecksumAlgorithm::Md5);
  if (expected.algorithm) stored.checksum = work->sums.value(*expected.algorithm);
  co_return stored;
}

http::Task<Answer<Bytes>> read_document(const Call& call, http::RequestBody& body, uint64_t bytes_max) {
  Bytes out;
  CO_TRY(auto reader, body_reader(call, body));
  for (Bytes buffer(kReadBytes, '\0');;) {
    auto count = co_await reader->read(buffer.data(), buffer.size());
    if (!count) co_return std::unexpected(std::move(count).error());
    if (*count == 0) break;
    out.append(buffer, 0, *count);
    if (out.size() > bytes_max) co_return refusal(ErrorCode::MaxMessageLengthExceeded);
  }
  Expected expected;
  if (const auto md5 = call.field("Content-MD5")) {
    CO_TRY(expected.md5, s3proto::parse_checksum(ChecksumAlgorithm::Md5, *md5));
  }
  // There it is the object's that is to be, not the document's.
  const bool of_document = call.operation != s3proto::Operation::CompleteMultipartUpload;
  for (const auto algorithm : s3proto::kHeaderChecksums) {
    if (const auto value = call.field(s3proto::checksum_header(algorithm)); value && of_document) {
      CO_TRY(expected.checksum, s3proto::parse_checksum(algorithm, *value));
      expected.algorithm = algorithm;
    }
  }
  s3proto::ChecksumSet sums;
  add_checksums(call, expected, sums);
  sums.update(out);
  sums.finish();
  CO_TRY_DO(verify(call, expected, reader->trailer(), sums, sha256(out)));
  co_return out;
}

}  // namespace hailstone::s3
