// The framing of uploads and bulk downloads, one format both ways (docs/formats/wire.md); no socket in sight.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"
#include "volume/entry.h"

namespace hailstone::mirror {

inline constexpr size_t kWireDataBytesMax = 1u << 20;  // payload of one data frame
inline constexpr size_t kWireFrameBytesMax = (1u << 20) + (64u << 10);
inline constexpr uint64_t kWireInlineBytesMax = 64u << 10;  // contents up to this size travel in the PUT frame itself

/// What a stream held, as its sender counted it. Abandoned puts are not counted.
struct WireCounts {
  uint64_t puts = 0;
  uint64_t copies = 0;
  uint64_t deletes = 0;
  uint64_t bytes = 0;  // content bytes of the puts
  bool operator==(const WireCounts&) const = default;
};

/// A new value for `key`. `entry.content` is empty: the content is `inlined`, or `bytes` bytes of WireData closed by
/// WireDone.
struct WirePut {
  Bytes key;
  volume::Entry entry;
  uint64_t bytes = 0;
  std::optional<Bytes> inlined;
  bool operator==(const WirePut&) const = default;
};

/// The next bytes of the put under way, 1..kWireDataBytesMax.
struct WireData {
  ByteView bytes;  // valid until the decoder is used again
};

/// The put under way is complete: its bytes hash to this. The receiver must compare.
struct WireDone {
  Hash256 sha256;
  bool operator==(const WireDone&) const = default;
};

/// The put under way never happened: the file changed while it was read, or became unreadable.
struct WireAbandon {
  bool operator==(const WireAbandon&) const = default;
};

/// An entry whose content, by reference, the receiver has; in a manifest, simply what a key maps to.
struct WireCopy {
  Bytes key;
  volume::Entry entry;
  bool operator==(const WireCopy&) const = default;
};

struct WireDelete {
  Bytes key;
  bool operator==(const WireDelete&) const = default;
};

/// Nothing follows.
struct WireEnd {
  WireCounts counts;
  bool operator==(const WireEnd&) const = default;
};

using WireEvent = std::variant<WirePut, WireData, WireDone, WireAbandon, WireCopy, WireDelete, WireEnd>;

/// Appends frames to a buffer that its owner drains with take(). A misuse (data without a put) is a CHECK: the caller's
/// bug.
class WireEncoder {
 public:
  WireEncoder();
  /// `entry.content` is ignored. Invalid when the entry's metadata is too long; nothing is written then.
  Result<void> put_inline(ByteView key, const volume::Entry& entry, ByteView content);
  /// Must be followed by data() of `bytes` in all and done(), or by abandon().
  Result<void> begin_put(ByteView key, const volume::Entry& entry, uint64_t bytes);
  void data(ByteView bytes);  // any length; split into frames
  void done(const Hash256& sha256);
  void abandon();
  Result<void> copy(ByteView key, const volume::Entry& entry);
  void remove(ByteView key);
  void end();

  const WireCounts& counts() const { return counts_; }
  size_t pending() const { return out_.size(); }
  /// What was encoded since the last take().
  Bytes take();

 private:
  void frame(uint8_t type, ByteView head, ByteView tail = {});
  Bytes out_;
  WireCounts counts_;
  uint32_t chain_ = 0;
  bool in_put_ = false;
  uint64_t put_bytes_ = 0;
  uint64_t put_left_ = 0;
};

/// Bytes in, events out. Every frame is checked before anything of it is believed.
class WireDecoder {
 public:
  /// Appends input, any split.
  void feed(ByteView bytes);
  /// The next event, or nothing when more input is needed (and after WireEnd). Corrupt on damage or a frame out of
  /// order; every later call then fails alike.
  Result<std::optional<WireEvent>> next();
  /// At the end of input: Corrupt when the stream was cut short or something follows its end.
  Result<void> finish() const;
  /// WireEnd was delivered.
  bool ended() const { return ended_; }

 private:
  struct Frame {
    uint8_t type;
    ByteView payload;
  };
  Result<std::optional<Frame>> next_frame();
  Result<WireEvent> parse(const Frame& frame);
  Result<WireEvent> parse_put(ByteView payload);
  std::unexpected<Error> corrupt(std::string what);

  Bytes buffer_;
  size_t consumed_ = 0;  // of buffer_
  uint64_t offset_ = 0;  // of the next frame in the stream, for messages
  std::optional<Error> failed_;
  bool header_seen_ = false;
  bool ended_ = false;
  uint32_t chain_ = 0;
  uint32_t chain_before_ = 0;  // without the frame being parsed
  WireCounts counts_;
  bool in_put_ = false;
  uint64_t put_bytes_ = 0;
  uint64_t put_left_ = 0;
};

}  // namespace hailstone::mirror
