// The aws-chunked coding: body bytes -> runs of data, with chunk signatures, trailer and length checked. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "http/message.h"
#include "s3auth/authenticated.h"
#include "s3auth/chunk_chain.h"

namespace hailstone::s3auth {

inline constexpr size_t kChunkHeadBytesMax = 128;     // one size line with its signature
inline constexpr size_t kTrailerLineBytesMax = 1024;  // one trailer line
inline constexpr size_t kTrailersMax = 8;             // declared names

/// Feed it what http::RequestBody gives. Data is handed out as it comes, a chunk's signature is known to be good only
/// at the chunk's end, the whole only at End: keep nothing of an upload before finish() has succeeded.
class AwsChunkedDecoder {
 public:
  enum class State : uint8_t { NeedMore, Data, End, Rejected };
  struct Step {
    State state = State::NeedMore;
    size_t consumed = 0;  // of the input, data included
    ByteView data;        // Data: at least one byte of the input
  };

  struct Options {
    PayloadMode mode = PayloadMode::SignedChunks;
    uint64_t decoded_length = 0;  // of all data together
    std::vector<Bytes> trailer;   // declared names, lower case; just these must come
    ChunkSeed seed;               // signed modes only
  };
  explicit AwsChunkedDecoder(Options options);
  /// Reads X-Amz-Decoded-Content-Length and X-Amz-Trailer. `who.payload` is one of the chunked modes.
  static Verdict<AwsChunkedDecoder> of(const http::RequestHead& head, const Authenticated& who);

  /// Takes a prefix of `in`. After Data call again with what follows `consumed`; NeedMore and End took all of it.
  /// Rejected stays; refusal() says why.
  Step step(ByteView in);
  /// The body has ended here: IncompleteBody unless the coding ended too.
  Verdict<> finish();

  const Refusal& refusal() const { return *refusal_; }  // after Rejected
  uint64_t decoded_length() const { return decoded_length_; }
  /// After End: the declared trailer, in the order sent. Its checksums are the caller's to compare with the data.
  const std::vector<Trailer>& trailer() const { return trailer_; }

 private:
  enum class Phase : uint8_t {
    Head,    // a chunk's size line
    Data,    // left_ bytes of data
    DataCr,  // CR LF after the data
    DataLf,
    TrailerLine,  // a trailer line or the empty one that ends the body
    ExtraCr,      // CR LF after a trailer line that ended in a bare LF
    ExtraLf,
    LastCr,  // CR LF after the last chunk of a body without trailer
    LastLf,
    End,
    Rejected
  };
  std::unexpected<Refusal> mismatch(std::string_view provided);
  Verdict<> byte(char c);
  Verdict<> head_line(std::string_view line);
  Verdict<> data_ended();
  Verdict<> trailer_line(std::string_view line);
  Verdict<> trailer_ended();

  PayloadMode mode_;
  std::vector<Bytes> declared_;
  ChunkChain chain_;
  uint64_t decoded_length_;
  uint64_t unannounced_;  // of decoded_length_: not yet in any chunk's size
  Phase phase_ = Phase::Head;
  Bytes line_;
  uint64_t left_ = 0;
  Hasher hasher_{Hasher::Kind::Sha256};  // of the chunk's data, signed modes only
  Bytes chunk_signature_;                // as sent
  std::optional<Bytes> trailer_signature_;
  std::vector<Trailer> trailer_;
  std::optional<Refusal> refusal_;
};

}  // namespace hailstone::s3auth
