#include "mirror/wire.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/codec.h"

namespace hailstone::mirror {
namespace {

constexpr ByteView kMagic = "HSWI";
constexpr uint16_t kVersion = 1;
constexpr size_t kHeaderBytes = 12;
constexpr size_t kFrameHeadBytes = 9;

// Frame types. Never reuse a number.
enum Type : uint8_t {
  kPut = 1,
  kData = 2,
  kDone = 3,
  kAbandon = 4,
  kCopy = 5,
  kDelete = 6,
  kEnd = 7,
};

// How a put's content travels.
enum Form : uint8_t { kInline = 0, kFrames = 1 };

Bytes header() {
  Bytes bytes;
  Encoder out(bytes);
  out.raw(kMagic);
  out.u16(kVersion);
  out.u16(0);
  out.u32(crc32c(bytes));
  return bytes;
}

// The checksum covers type and length too, so that a frame can't change its meaning or its bounds unseen.
uint32_t frame_crc(uint8_t type, uint32_t length, ByteView head, ByteView tail) {
  Bytes prefix;
  Encoder out(prefix);
  out.u8(type);
  out.u32(length);
  return crc32c(tail, crc32c(head, crc32c(prefix)));
}

// Chains the frames together: a frame lost, doubled or moved shows at END.
uint32_t chain(uint32_t before, uint32_t crc) {
  Bytes bytes;
  Encoder(bytes).u32(crc);
  return crc32c(bytes, before);
}

volume::Entry without_content(const volume::Entry& entry) {
  static const Hash256 kEmptySha256 = sha256({});
  volume::Entry bare = entry;
  bare.content = {};
  bare.content.sha256 = kEmptySha256;
  return bare;
}

}  // namespace

WireEncoder::WireEncoder() : out_(header()) {}

Bytes WireEncoder::take() {
  Bytes out;
  out.swap(out_);
  return out;
}

void WireEncoder::frame(uint8_t type, ByteView head, ByteView tail) {
  const auto length = static_cast<uint32_t>(head.size() + tail.size());
  CHECK(length <= kWireFrameBytesMax);
  const uint32_t crc = frame_crc(type, length, head, tail);
  Encoder out(out_);
  out.u8(type);
  out.u32(length);
  out.u32(crc);
  out.raw(head);
  out.raw(tail);
  chain_ = chain(chain_, crc);
}

Result<void> WireEncoder::put_inline(ByteView key, const volume::Entry& entry, ByteView content) {
  CHECK(!in_put_ && content.size() <= kWireInlineBytesMax);
  TRY(const Bytes encoded, without_content(entry).encode());
  Bytes head;
  Encoder out(head);
  out.bytes(key);
  out.bytes(encoded);
  out.u8(kInline);
  out.varint(content.size());
  frame(kPut, head, content);
  ++counts_.puts;
  counts_.bytes += content.size();
  return {};
}

Result<void> WireEncoder::begin_put(ByteView key, const volume::Entry& entry, uint64_t bytes) {
  CHECK(!in_put_);
  TRY(const Bytes encoded, without_content(entry).encode());
  Bytes head;
  Encoder out(head);
  out.bytes(key);
  out.bytes(encoded);
  out.u8(kFrames);
  out.varint(bytes);
  frame(kPut, head);
  in_put_ = true;
  put_bytes_ = put_left_ = bytes;
  return {};
}

void WireEncoder::data(ByteView bytes) {
  CHECK(in_put_ && bytes.size() <= put_left_);
  put_left_ -= bytes.size();
  while (!bytes.empty()) {
    const ByteView part = bytes.substr(0, kWireDataBytesMax);
    frame(kData, part);
    bytes.remove_prefix(part.size());
  }
}

void WireEncoder::done(const Hash256& sha256) {
  CHECK(in_put_ && put_left_ == 0);
  frame(kDone, sha256.view());
  in_put_ = false;
  ++counts_.puts;
  counts_.bytes += put_bytes_;
}

void WireEncoder::abandon() {
  CHECK(in_put_);
  frame(kAbandon, {});
  in_put_ = false;
}

Result<void> WireEncoder::copy(ByteView key, const volume::Entry& entry) {
  CHECK(!in_put_);
  TRY(const Bytes encoded, entry.encode());
  Bytes payload;
  Encoder out(payload);
  out.bytes(key);
  out.bytes(encoded);
  frame(kCopy, payload);
  ++counts_.copies;
  return {};
}

void WireEncoder::remove(ByteView key) {
  CHECK(!in_put_);
  Bytes payload;
  Encoder(payload).bytes(key);
  frame(kDelete, payload);
  ++counts_.deletes;
}

void WireEncoder::end() {
  CHECK(!in_put_);
  Bytes payload;
  Encoder out(payload);
  out.varint(counts_.puts);
  out.varint(counts_.copies);
  out.varint(counts_.deletes);
  out.varint(counts_.bytes);
  out.u32(chain_);
  frame(kEnd, payload);
}

void WireDecoder::feed(ByteView bytes) {
  // Moving the rest to the front only when most of the buffer is spent keeps feeding linear.
  if (consumed_ > 0 && consumed_ * 2 >= buffer_.size()) {
    buffer_.erase(0, consumed_);
    consumed_ = 0;
  }
  buffer_.append(bytes);
}

std::unexpected<Error> WireDecoder::corrupt(std::string what) {
  failed_ = Error{Code::Corrupt, fmt::format("wire stream at {}: {}", offset_, what)};
  return std::unexpected(*failed_);
}

Result<std::optional<WireDecoder::Frame>> WireDecoder::next_frame() {
  ByteView rest = ByteView(buffer_).substr(consumed_);
  if (!header_seen_) {
    if (rest.size() < kHeaderBytes) return std::optional<Frame>{};
    Decoder in(rest.substr(0, kHeaderBytes));
    const ByteView magic = in.raw(kMagic.size());
    const uint16_t version = in.u16();
    const uint16_t flags = in.u16();
    const uint32_t crc = in.u32();
    if (magic != kMagic) return corrupt(fmt::format("magic {} is not {}", to_hex(magic), to_hex(kMagic)));
    if (const uint32_t want = crc32c(rest.substr(0, 8)); crc != want)
      return corrupt(fmt::format("header crc {:08x} != {:08x}", crc, want));
    if (version != kVersion || flags != 0)
      return corrupt(fmt::format("version {} flags {:#x}: only version {} is known", version, flags, kVersion));
    header_seen_ = true;
    consumed_ += kHeaderBytes;
    offset_ += kHeaderBytes;
    rest.remove_prefix(kHeaderBytes);
  }
  if (rest.size() < kFrameHeadBytes) return std::optional<Frame>{};
  Decoder in(rest);
  const uint8_t type = in.u8();
  const uint32_t length = in.u32();
  const uint32_t crc = in.u32();
  if (length > kWireFrameBytesMax)
    return corrupt(fmt::format("frame of {} bytes, limit {}", length, kWireFrameBytesMax));
  const ByteView payload = in.raw(length);
  if (!in.ok()) return std::optional<Frame>{};
  if (const uint32_t want = frame_crc(type, length, payload, {}); crc != want)
    return corrupt(fmt::format("frame crc {:08x} != {:08x}", crc, want));
  chain_before_ = chain_;
  chain_ = chain(chain_, crc);
  consumed_ += kFrameHeadBytes + length;
  return Frame{type, payload};
}

Result<WireEvent> WireDecoder::parse_put(ByteView payload) {
  Decoder in(payload);
  WirePut put;
  put.key = in.bytes();
  const ByteView encoded = in.bytes();
  const uint8_t form = in.u8();
  put.bytes = in.varint();
  if (form == kInline) put.inlined = Bytes(in.raw(put.bytes));
  if (!in.done() || form > kFrames) return corrupt("malformed PUT");
  if (put.inlined && put.bytes > kWireInlineBytesMax)
    return corrupt(fmt::format("inline content of {} bytes", put.bytes));
  if (auto valid = volume::validate_key(put.key); !valid) return corrupt(valid.error().message);
  auto entry = volume::Entry::decode(encoded);
  if (!entry) return corrupt(fmt::format("PUT {}: {}", printable(put.key), entry.error().message));
  if (entry->content.bytes != 0 || !entry->content.refs.empty()) return corrupt("PUT whose entry has content");
  put.entry = std::move(*entry);
  if (put.inlined) {
    ++counts_.puts;
    counts_.bytes += put.bytes;
  } else {
    in_put_ = true;
    put_bytes_ = put_left_ = put.bytes;
  }
  return WireEvent(std::move(put));
}

Result<WireEvent> WireDecoder::parse(const Frame& frame) {
  const bool continues = frame.type == kData || frame.type == kDone || frame.type == kAbandon;
  if (continues != in_put_)
    return corrupt(fmt::format("frame type {} {} a put", frame.type, in_put_ ? "inside" : "outside"));
  Decoder in(frame.payload);
  switch (frame.type) {
    case kPut: return parse_put(frame.payload);
    case kData:
      if (frame.payload.empty() || frame.payload.size() > std::min<uint64_t>(put_left_, kWireDataBytesMax))
        return corrupt(fmt::format("data frame of {} bytes, {} of the put are left", frame.payload.size(), put_left_));
      put_left_ -= frame.payload.size();
      return WireEvent(WireData{frame.payload});
    case kDone: {
      const Hash256 sha256 = in.hash();
      if (!in.done() || put_left_ != 0) return corrupt(fmt::format("DONE with {} bytes missing", put_left_));
      in_put_ = false;
      ++counts_.puts;
      counts_.bytes += put_bytes_;
      return WireEvent(WireDone{sha256});
    }
    case kAbandon:
      if (!in.done()) return corrupt("malformed ABANDON");
      in_put_ = false;
      return WireEvent(WireAbandon{});
    case kCopy: {
      WireCopy copy;
      copy.key = in.bytes();
      const ByteView encoded = in.bytes();
      if (!in.done()) return corrupt("malformed COPY");
      if (auto valid = volume::validate_key(copy.key); !valid) return corrupt(valid.error().message);
      auto entry = volume::Entry::decode(encoded);
      if (!entry) return corrupt(fmt::format("COPY {}: {}", printable(copy.key), entry.error().message));
      copy.entry = std::move(*entry);
      ++counts_.copies;
      return WireEvent(std::move(copy));
    }
    case kDelete: {
      WireDelete remove{Bytes(in.bytes())};
      if (!in.done()) return corrupt("malformed DELETE");
      if (auto valid = volume::validate_key(remove.key); !valid) return corrupt(valid.error().message);
      ++counts_.deletes;
      return WireEvent(std::move(remove));
    }
    case kEnd: {
      WireEnd end;
      end.counts = {in.varint(), in.varint(), in.varint(), in.varint()};
      const uint32_t sent_chain = in.u32();
      if (!in.done()) return corrupt("malformed END");
      if (end.counts != counts_ || sent_chain != chain_before_) return corrupt("END disagrees with what was received");
      ended_ = true;
      return WireEvent(end);
    }
    default: return corrupt(fmt::format("unknown frame type {}", frame.type));
  }
}

Result<std::optional<WireEvent>> WireDecoder::next() {
  if (failed_) return std::unexpected(*failed_);
  if (ended_) {
    if (consumed_ != buffer_.size()) return corrupt("bytes after END");
    return std::optional<WireEvent>{};
  }
  TRY(const auto frame, next_frame());
  if (!frame) return std::optional<WireEvent>{};
  TRY(WireEvent event, parse(*frame));
  offset_ += kFrameHeadBytes + frame->payload.size();
  return std::optional<WireEvent>(std::move(event));
}

Result<void> WireDecoder::finish() const {
  if (failed_) return std::unexpected(*failed_);
  if (!ended_ || consumed_ != buffer_.size())
    return fail(Code::Corrupt, fmt::format("wire stream at {}: {}", offset_, ended_ ? "bytes after END" : "cut short"));
  return {};
}

}  // namespace hailstone::mirror
