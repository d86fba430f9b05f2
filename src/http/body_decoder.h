// Body framing: bytes after a head -> runs of body data; fixed length, chunked or to the end of the connection. Pure.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "http/parser.h"

namespace hailstone::http {

inline constexpr uint32_t kChunkLineBytesMax = 1024;            // one size line with its extensions
inline constexpr uint32_t kChunkExtensionBytesMax = 64u << 10;  // all extensions of a body
inline constexpr uint32_t kTrailerBytesMax = 8u << 10;          // all trailer fields; checked, then dropped

/// Feed it what arrived; it says how much of that it took and which run of it is body data.
class BodyDecoder {
 public:
  enum class State : uint8_t { NeedMore, Data, End, Rejected };
  struct Step {
    State state = State::NeedMore;
    size_t consumed = 0;               // of the input, data included
    ByteView data;                     // Data: at least one byte of the input
    Reject reason = Reject::BadChunk;  // Rejected
  };

  static BodyDecoder fixed(uint64_t length);
  static BodyDecoder chunked();
  static BodyDecoder until_close();
  static BodyDecoder of(const RequestHead& head);

  /// Takes a prefix of `in`, with at most `data_max` bytes of data. After Data call again with what follows `consumed`;
  /// NeedMore took everything it was given. End and Rejected stay.
  Step step(ByteView in, size_t data_max = ByteView::npos);

  /// Bytes that are certainly body data and come next: a caller may read as many straight into its own buffer and
  /// account for them with skip(). 0 where framing comes next.
  uint64_t certain() const;
  void skip(uint64_t count);

  bool ended() const { return phase_ == Phase::End; }
  /// What is left of a body whose length is known; nothing for the others.
  std::optional<uint64_t> remaining() const;
  /// The connection ended. True where that ends the body too.
  bool finish_at_close();

 private:
  enum class Phase : uint8_t {
    Fixed,
    UntilClose,
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailer,
    End,
    Rejected
  };
  Step reject(Reject reason);
  bool size_byte(char c);
  bool extension_byte(char c);
  bool trailer_byte(char c);

  Phase phase_ = Phase::End;
  uint64_t left_ = 0;    // Fixed, Data: bytes still to come; Size: the number so far
  uint32_t digits_ = 0;  // Size: hex digits seen
  uint32_t line_bytes_ = 0;
  uint32_t extension_bytes_ = 0;
  uint32_t trailer_bytes_ = 0;
  // Where in a trailer line: nothing of it yet, its name, its value, after its CR, after the CR of the final empty
  // line.
  enum class Line : uint8_t { Start, Name, Value, Lf, LastLf } trailer_line_ = Line::Start;
  bool space_seen_ = false;  // Extension: only white space so far, a ';' must come
};

}  // namespace hailstone::http
