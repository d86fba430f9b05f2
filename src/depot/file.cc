#include "depot/file.h"

#include "base/clock.h"
#include "depot/gzip.h"

namespace hailstone::depot {
namespace {

constexpr uint64_t kGzipBytesMin = 512;  // below it the packet is the same

// A writer's content type goes into header lines and between the parts of a multipart body.
Bytes printable_type(Bytes type) {
  for (char& c : type)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  return type;
}

void finish(File& file) {
  http::HeaderBlock headers;
  headers.lines() = file.lines;
  append_validators(file, Coding::Identity, headers);
  append_content_lines(file, Coding::Identity, headers);
  file.ready = std::move(headers.lines());
}

void vary_by_coding(File& file) {
  if (!file.gzip && !file.codings.zstd) return;
  http::HeaderBlock headers;
  headers.lines() = std::move(file.lines);
  headers.add("Vary", "Accept-Encoding");
  file.lines = std::move(headers.lines());
}

}  // namespace

Bytes quoted_etag(const File& file, Coding coding) {
  if (coding == Coding::Identity) return "\"" + file.etag + "\"";
  return "\"" + file.etag + "-" + Bytes(http::coding_name(coding)) + "\"";
}

void append_validators(const File& file, Coding coding, http::HeaderBlock& headers) {
  headers.add("ETag", quoted_etag(file, coding));
  if (file.last_modified) headers.add("Last-Modified", format_http_date(*file.last_modified));
}

void append_content_lines(const File& file, Coding coding, http::HeaderBlock& headers) {
  headers.add("Content-Type", file.content_type);
  if (coding == Coding::Identity) {
    headers.add("Accept-Ranges", "bytes");
  } else {
    headers.add("Content-Encoding", http::coding_name(coding));
  }
}

Result<FilePtr> stored_file(chunk::ChunkStore& chunks, const volume::Entry& entry, Bytes content_type, Bytes lines,
                            std::optional<int64_t> last_modified, const FileLimits& limits, const File* before) {
  auto file = std::make_shared<File>();
  file->content = entry.content;
  file->etag = entry.content.sha256.hex();
  file->last_modified = last_modified;
  file->content_type = printable_type(std::move(content_type));
  file->lines = std::move(lines);
  const chunk::Content& content = file->content;
  if (before && before->content == content) {
    file->codings = before->codings;
    file->body = before->body;
  } else {
    file->codings = codings_of(chunks, content);
    if (content.refs.empty()) {
      file->body = std::make_shared<const Bytes>(content.inlined);
    } else if (content.refs.size() == 1 && content.depth == 0 && content.bytes <= limits.memory_body_max) {
      auto bytes = chunks.get(content.refs.front().id);
      if (!bytes) return std::unexpected(damaged(std::move(bytes).error()));
      file->body = *std::move(bytes);
    }
    if (file->body && file->body->size() != content.bytes)
      return fail(Code::Corrupt, "content " + content.sha256.brief() + ": its chunk has another size");
  }
  file->gzip = file->codings.pays && content.bytes >= kGzipBytesMin && content.bytes <= limits.gzip_bytes_max &&
               is_compressible(file->content_type);
  vary_by_coding(*file);
  finish(*file);
  return file;
}

FilePtr generated_file(Bytes bytes, Bytes content_type, Bytes lines) {
  auto file = std::make_shared<File>();
  file->content.bytes = bytes.size();
  file->content.sha256 = sha256(bytes);
  file->etag = file->content.sha256.hex();
  file->content_type = std::move(content_type);
  file->lines = std::move(lines);
  file->gzip = bytes.size() >= kGzipBytesMin;
  file->body = std::make_shared<const Bytes>(std::move(bytes));
  vary_by_coding(*file);
  finish(*file);
  return file;
}

}  // namespace hailstone::depot
