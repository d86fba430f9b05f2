#include <fmt/format.h>

#include <algorithm>

#include "s3/writing.h"

namespace hailstone::s3 {
namespace {

using s3proto::ErrorCode;
using volume::Entry;

Result<Bytes> checksum_of_content(chunk::ChunkStore& chunks, const chunk::Content& content,
                                  s3proto::ChecksumAlgorithm algorithm) {
  constexpr uint64_t kStep = 4u << 20;
  s3proto::ChecksumSet sums;
  sums.add(algorithm);
  for (uint64_t at = 0; at < content.bytes; at += kStep) {
    TRY(const Bytes bytes, chunk::read_content(chunks, content, at, std::min(kStep, content.bytes - at), kStep));
    sums.update(bytes);
  }
  sums.finish();
  return sums.value(algorithm);
}

}  // namespace

Answer<http::Response> copy_object(const Call& call) {
  TRY_DO(authorize(call, *call.bucket, need_of(call.operation, false), call.key(), nullptr));
  TRY_DO(require_writable(*call.bucket));
  TRY(const auto source, s3proto::parse_copy_source(*call.field("x-amz-copy-source")));
  TRY(const auto name, s3proto::parse_bucket(source.bucket));
  Bucket from{.name = name, .target = {}, .documents = {}};
  TRY(from.target, resolve_bucket(call.repository(), *call.state, name));
  TRY(from.documents, parse_documents(*from.target.volume));
  TRY_DO(require_expected_owner(call, from, "x-amz-source-expected-bucket-owner"));
  const std::optional<std::string_view> version =
      source.version_id ? std::optional<std::string_view>(*source.version_id) : std::nullopt;
  TRY(Object object,
      find_object_in(call, from, source.key, version, need_of(s3proto::Operation::GetObject, version.has_value())));
  if (auto refused = check_conditions(
          call.field("x-amz-copy-source-if-match"), call.field("x-amz-copy-source-if-none-match"),
          call.field("x-amz-copy-source-if-modified-since"), call.field("x-amz-copy-source-if-unmodified-since"),
          volume::etag_of(object.entry), object.entry.modified_ns / 1'000'000'000))
    return refusal(ErrorCode::PreconditionFailed);
  const auto directive = call.field("x-amz-metadata-directive").value_or("COPY");
  const auto tag_directive = call.field("x-amz-tagging-directive").value_or("COPY");
  for (const std::string_view d : {directive, tag_directive})
    if (d != "COPY" && d != "REPLACE")
      return refusal(ErrorCode::InvalidArgument, fmt::format("Unknown metadata directive '{}'", d));
  TRY(Entry made, entry_of_headers(call, fields_of(call.head), metadata_of(call.head)));
  if (object.entry.content.bytes > (5ull << 30))
    return refusal(ErrorCode::InvalidRequest,
                   "The specified copy source is larger than the maximum allowable size for a copy source: 5368709120");
  const bool itself = from.text() == call.bucket->text() && source.key == call.key() && !version;
  if (itself && directive == "COPY" && !call.field("x-amz-storage-class") &&
      !call.field("x-amz-website-redirect-location"))
    return refusal(ErrorCode::InvalidRequest,
                   "This copy request is illegal because it is trying to copy an object to itself without changing the "
                   "object's metadata, storage class, website redirect location or encryption attributes.");
  const Entry& old = object.entry;
  if (directive == "COPY") {
    made.content_type = old.content_type;
    made.metadata = old.metadata;
    // Where a website redirects to is no part of what is copied.
    constexpr const char* kRedirect = "x-amz-website-redirect-location";
    const auto redirect = call.field(kRedirect);
    made.object->headers = old.object ? old.object->headers : decltype(old.object->headers)();
    made.object->headers.erase(kRedirect);
    if (redirect) made.object->headers[kRedirect] = *redirect;
  }
  if (tag_directive == "COPY" && old.object) made.object->tags = old.object->tags;
  made.content = old.content;
  made.etag = old.etag;
  if (old.object) {
    made.object->checksum_algorithm = old.object->checksum_algorithm;
    made.object->checksum = old.object->checksum;
    // A copy is one piece: what the parts of its source were is not its own.
    if (made.object->checksum.find('-') != Bytes::npos)
      made.object->checksum.clear(), made.object->checksum_algorithm.clear();
  }
  made.modified_ns = call.now.value * 1000;
  // The chunks are the source's: they must still be there when this is committed.
  const auto session = call.repository().chunks().begin_writes();
  std::vector<ChunkId> ids;
  TRY_DO(
      chunk::for_each_chunk(call.repository().chunks(), made.content, [&](const ChunkId& id) { ids.push_back(id); }));
  TRY(const auto kept, call.repository().chunks().touch(ids));
  if (std::ranges::find(kept, false) != kept.end())
    return refusal(ErrorCode::InternalError, fmt::format("a chunk of the source '{}' is lost or damaged", source.key));
  if (const auto name_asked = call.field("x-amz-checksum-algorithm")) {
    TRY(const auto algorithm, s3proto::parse_checksum_algorithm(*name_asked));
    if (made.object->checksum.empty() || made.object->checksum_algorithm != s3proto::checksum_name(algorithm)) {
      TRY(const Bytes sum, checksum_of_content(call.repository().chunks(), made.content, algorithm));
      made.object->checksum_algorithm = s3proto::checksum_name(algorithm);
      made.object->checksum = to_base64(sum);
    }
  }
  TRY(const Bytes version_made, commit_object(call, made, {}));
  Bytes body;
  s3proto::CopyAnswer answer{.etag = volume::etag_of(made), .modified = call.now};
  answer.checksum = shown_checksum(made);
  body = s3proto::render_copy_object(answer);
  auto response = with_version(xml_response(std::move(body)), version_made);
  if (!object.version.empty()) response.headers.add("x-amz-copy-source-version-id", object.version);
  return response;
}

}  // namespace hailstone::s3
