// From a file and a request to a response: conditions, ranges, codings, body.
#pragma once

#include <optional>
#include <vector>

#include "depot/facts.h"
#include "depot/file.h"
#include "depot/lru.h"
#include "depot/options.h"
#include "http/message.h"
#include "http/offload.h"
#include "http/range.h"

namespace hailstone::depot {

/// The coding this client gets of a file. Ranges are always of the file as it is.
Coding coding_for(const File& file, const Facts& facts);

/// One per thread. All that is referred to outlives it.
class Answers {
 public:
  Answers(chunk::ExtentCache& extents, http::BlockingPool& pool, const Options& options);

  /// The whole answer; nothing when its body is to be compressed on another thread first: answer() does that.
  std::optional<http::Response> at_once(File& file, const http::RequestHead& head, const Facts& facts);
  http::Task<http::Response> answer(FilePtr file, const http::RequestHead& head, const Facts& facts);

 private:
  Result<http::Response> frames(const File& file);
  Result<http::Response> plain(File& file);
  Result<http::Response> range(File& file, const http::ByteRange& range);
  Result<http::Response> ranges(File& file, const std::vector<http::ByteRange>& ranges);
  http::Response gzipped(const File& file, chunk::SharedBytes bytes) const;
  /// Bytes of a file that is not compressed on the way.
  Result<void> set_body(File& file, uint64_t offset, uint64_t length, http::Response& response);
  Result<void> unpack(File& file);
  /// The extent of a content that is one plain chunk; nothing for others.
  Result<std::optional<chunk::Extent>> extent_of(const File& file, uint64_t offset, uint64_t length);

  chunk::ExtentCache& extents_;
  chunk::ChunkStore& chunks_;
  http::BlockingPool& pool_;
  const Options& options_;
  Lru<chunk::SharedBytes> gzipped_;  // by content hash
};

}  // namespace hailstone::depot
