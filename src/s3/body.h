// A request's body on its way into the store: decoded, hashed and cut as it comes, never whole in memory when it is
// large.
#pragma once

#include <optional>
#include <vector>

#include "http/offload.h"
#include "s3/call.h"
#include "s3auth/chunk_chain.h"

namespace hailstone::s3 {

/// What a body must be checked against, read from the headers before the first byte.
struct Expected {
  std::optional<Bytes> md5;                             // Content-MD5, raw
  std::optional<s3proto::ChecksumAlgorithm> algorithm;  // of the checksum that is to be kept
  std::optional<Bytes> checksum;                        // raw; nothing: comes in the trailer, or was only asked for
  std::optional<uint64_t> bytes;                        // of the decoded body, where it is known
  uint64_t bytes_max = 0;
};
Answer<Expected> expected_of(const Call& call, uint64_t bytes_max);

struct Stored {
  chunk::Content content;
  Bytes md5;                      // raw
  std::optional<Bytes> checksum;  // raw, of the algorithm expected
  std::optional<Bytes> carried;   // a small content's bytes, in the store but not synced: to be committed with it
  Bytes etag() const { return to_hex(md5); }
};

/// Pull of decoded bytes.
class BodyReader {
 public:
  virtual ~BodyReader() = default;
  /// At least one byte, at most `size`; 0: the end, checked.
  virtual http::Task<Answer<size_t>> read(char* out, size_t size) = 0;
  /// After the end: checksums that came in a trailer.
  virtual const std::vector<s3auth::Trailer>& trailer() const = 0;
};
/// Decodes aws-chunked where the signature says so.
Answer<std::unique_ptr<BodyReader>> body_reader(const Call& call, http::RequestBody& body);

/// Reads to the end, stores, verifies length, Content-MD5, checksums, trailer and signed digest. On a refusal nothing
/// is visible and what was stored is garbage. Hold a write session around it and the commit.
http::Task<Answer<Stored>> store_body(const Call& call, http::BlockingPool& pool, BodyReader& reader,
                                      const Expected& expected);

/// The whole of a document; MaxMessageLengthExceeded. Checks Content-MD5, checksums and digest as well.
http::Task<Answer<Bytes>> read_document(const Call& call, http::RequestBody& body, uint64_t bytes_max);

chunk::CutOptions cut_options(const volume::Settings& settings);

}  // namespace hailstone::s3
