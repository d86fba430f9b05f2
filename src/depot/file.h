// A file or page that can be answered: its content, validators and header lines, made once and kept while nothing
// changes.
#pragma once

#include <memory>
#include <optional>

#include "chunk/content.h"
#include "depot/body.h"
#include "depot/find.h"
#include "http/accept.h"

namespace hailstone::depot {

/// One thread's. All but `body` stay as they were made.
struct File {
  chunk::Content content;
  Bytes etag;                            // without quotes and coding suffix
  std::optional<int64_t> last_modified;  // Unix seconds; nothing: not sent, and never compared
  Bytes content_type;
  Bytes lines;  // header lines of every answer for it: Cache-Control, Vary, X-Hailstone-...
  Bytes ready;  // all lines of a plain 200
  Codings codings;
  bool gzip = false;        // worth coding on the fly
  chunk::SharedBytes body;  // the whole content, when it is small or was unpacked
};
using FilePtr = std::shared_ptr<File>;

using http::Coding;

/// "\"HEX\"", "\"HEX-gzip\"": one for each sequence of bytes that is sent.
Bytes quoted_etag(const File& file, Coding coding);

/// Header lines that say what is sent: ETag, Last-Modified, Content-Type, Content-Encoding, Accept-Ranges.
void append_validators(const File& file, Coding coding, http::HeaderBlock& headers);
void append_content_lines(const File& file, Coding coding, http::HeaderBlock& headers);

struct FileLimits {
  uint32_t memory_body_max;
  uint64_t gzip_bytes_max;
};
/// A stored content. `before`: what was answered for the same path until now; what it knows of the same content is
/// kept.
Result<FilePtr> stored_file(chunk::ChunkStore& chunks, const volume::Entry& entry, Bytes content_type, Bytes lines,
                            std::optional<int64_t> last_modified, const FileLimits& limits, const File* before);

/// Bytes made here. Nothing is known of when they last changed.
FilePtr generated_file(Bytes bytes, Bytes content_type, Bytes lines);

}  // namespace hailstone::depot
