#include "http/body_decoder.h"

#include <algorithm>
#include <limits>

#include "http/grammar.h"

namespace hailstone::http {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (lower(c) >= 'a' && lower(c) <= 'f') return lower(c) - 'a' + 10;
  return -1;
}

}  // namespace

BodyDecoder BodyDecoder::fixed(uint64_t length) {
  BodyDecoder d;
  d.phase_ = length == 0 ? Phase::End : Phase::Fixed;
  d.left_ = length;
  return d;
}

BodyDecoder BodyDecoder::chunked() {
  BodyDecoder d;
  d.phase_ = Phase::Size;
  return d;
}

BodyDecoder BodyDecoder::until_close() {
  BodyDecoder d;
  d.phase_ = Phase::UntilClose;
  return d;
}

BodyDecoder BodyDecoder::of(const RequestHead& head) {
  return head.chunked ? chunked() : fixed(head.content_length.value_or(0));
}

uint64_t BodyDecoder::certain() const {
  if (phase_ == Phase::UntilClose) return std::numeric_limits<uint64_t>::max();
  return phase_ == Phase::Fixed || phase_ == Phase::Data ? left_ : 0;
}

void BodyDecoder::skip(uint64_t count) {
  if (phase_ == Phase::UntilClose) return;
  left_ -= std::min(left_, count);
  if (left_ == 0) phase_ = phase_ == Phase::Fixed ? Phase::End : Phase::DataCr;
}

std::optional<uint64_t> BodyDecoder::remaining() const {
  if (phase_ == Phase::End) return 0;
  return phase_ == Phase::Fixed ? std::optional(left_) : std::nullopt;
}

bool BodyDecoder::finish_at_close() {
  if (phase_ == Phase::UntilClose) phase_ = Phase::End;
  return phase_ == Phase::End;
}

BodyDecoder::Step BodyDecoder::reject(Reject reason) {
  phase_ = Phase::Rejected;
  return {State::Rejected, 0, {}, reason};
}

// chunk-size [ chunk-ext ] CRLF. White space is allowed before an extension's ';' only.
bool BodyDecoder::size_byte(char c) {
  if (const int digit = hex_digit(c); digit >= 0) {
    if (++digits_ > 16 || left_ > (uint64_t{INT64_MAX} >> 4)) return false;
    left_ = left_ << 4 | static_cast<uint64_t>(digit);
    return true;
  }
  if (digits_ == 0) return false;
  if (c == '\r') {
    phase_ = Phase::SizeLf;
    return true;
  }
  space_seen_ = is_space(c);
  phase_ = Phase::Extension;
  return c == ';' || space_seen_;
}

bool BodyDecoder::extension_byte(char c) {
  if (++extension_bytes_ > kChunkExtensionBytesMax) return false;
  if (c == '\r') {
    phase_ = Phase::SizeLf;
    return !space_seen_;
  }
  if (!is_value_char(c)) return false;
  if (c == ';') space_seen_ = false;
  return !space_seen_ || is_space(c);
}

bool BodyDecoder::trailer_byte(char c) {
  if (++trailer_bytes_ > kTrailerBytesMax) return false;
  switch (trailer_line_) {
    case Line::Start: trailer_line_ = c == '\r' ? Line::LastLf : Line::Name; return c == '\r' || is_token_char(c);
    case Line::Name:
      if (c == ':') trailer_line_ = Line::Value;
      return c == ':' || is_token_char(c);
    case Line::Value:
      if (c == '\r') trailer_line_ = Line::Lf;
      return c == '\r' || is_value_char(c);
    case Line::Lf: trailer_line_ = Line::Start; return c == '\n';
    case Line::LastLf: phase_ = Phase::End; return c == '\n';
  }
  return false;
}

BodyDecoder::Step BodyDecoder::step(ByteView in, size_t data_max) {
  size_t at = 0;
  while (true) {
    if (phase_ == Phase::End) return {State::End, at, {}, {}};
    if (phase_ == Phase::Rejected) return reject(Reject::BadChunk);
    if (at == in.size()) return {State::NeedMore, at, {}, {}};
    if (const uint64_t run = std::min<uint64_t>(certain(), std::min(in.size() - at, data_max)); run > 0) {
      skip(run);
      return {State::Data, at + run, in.substr(at, run), {}};
    }
    const char c = in[at++];
    if ((phase_ == Phase::Size || phase_ == Phase::Extension) && ++line_bytes_ > kChunkLineBytesMax)
      return reject(Reject::BadChunk);
    bool good = false;
    switch (phase_) {
      case Phase::Size: good = size_byte(c); break;
      case Phase::Extension: good = extension_byte(c); break;
      case Phase::SizeLf:
        good = c == '\n';
        phase_ = left_ == 0 ? Phase::Trailer : Phase::Data;
        digits_ = line_bytes_ = 0;
        break;
      case Phase::DataCr:
        good = c == '\r';
        phase_ = Phase::DataLf;
        break;
      case Phase::DataLf:
        good = c == '\n';
        phase_ = Phase::Size;
        break;
      case Phase::Trailer:
        if (!trailer_byte(c)) return reject(Reject::BadTrailer);
        good = true;
        break;
      default: break;
    }
    if (!good) return reject(Reject::BadChunk);
  }
}

}  // namespace hailstone::http
