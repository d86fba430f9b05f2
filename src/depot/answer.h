// From a file and a request to a response: conditions, ranges, codings, body.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "base/clock.h"
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
  Answers(chunk::ChunkStore& chunks, http::BlockingPool& pool, const Clock& clock, const Options& options);

  /// Extents keep their segments on the disk: those that were not verified anew are given up here, before each request.
  void let_go_of_old_extents();

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
  Result<bool> refresh_extent(File& file);

  chunk::ChunkStore& chunks_;
  http::BlockingPool& pool_;
  const Clock& clock_;
  const Options& options_;
  Lru<chunk::SharedBytes> gzipped_;           // by content hash
  std::deque<std::weak_ptr<File>> in_place_;  // files with an extent, soonest to end first
};

}  // namespace hailstone::depot
