#include "s3auth/aws_chunked.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/error.h"
#include "http/grammar.h"
#include "s3auth/hmac.h"
#include "s3auth/refusals.h"

namespace hailstone::s3auth {
namespace {

constexpr std::string_view kDecodedLength = "x-amz-decoded-content-length";
constexpr std::string_view kTrailerField = "x-amz-trailer";
constexpr std::string_view kTrailerSignature = "x-amz-trailer-signature";
constexpr std::string_view kChecksumPrefix = "x-amz-checksum-";
constexpr std::string_view kExtension = ";chunk-signature=";
constexpr size_t kSizeDigitsMax = 16;

Bytes lower_case(std::string_view text) {
  Bytes out(text);
  std::transform(out.begin(), out.end(), out.begin(), http::lower);
  return out;
}

// Digits only, all of it.
bool parse_number(std::string_view text, int base, uint64_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, base);
  return error == std::errc() && end == text.data() + text.size();
}

Verdict<std::vector<Bytes>> declared_trailer(const http::RequestHead& head, PayloadMode mode) {
  const std::optional<std::string_view> field = head.field(kTrailerField);
  if (!has_trailer(mode)) {
    if (!field) return {};
    return refuse("InvalidRequest", 400,
                  fmt::format("{} is there, but x-amz-content-sha256 is {}", kTrailerField, payload_mode_text(mode)));
  }
  if (!field) return refuse("InvalidRequest", 400, "Missing required header for this request: x-amz-trailer");
  std::vector<Bytes> out;
  std::string_view list = *field, name;
  while (http::next_element(list, name)) {
    Bytes lower = lower_case(name);
    const bool repeated = std::find(out.begin(), out.end(), lower) != out.end();
    if (!lower.starts_with(kChecksumPrefix) || !http::is_token(lower) || repeated || out.size() == kTrailersMax)
      return refuse(
          "InvalidRequest", 400,
          fmt::format("The value specified in the x-amz-trailer header is not supported: {}", printable(*field)));
    out.push_back(std::move(lower));
  }
  if (out.empty()) return refuse("InvalidRequest", 400, "The x-amz-trailer header names no trailer");
  return out;
}

}  // namespace

AwsChunkedDecoder::AwsChunkedDecoder(Options options)
    : mode_(options.mode),
      declared_(std::move(options.trailer)),
      chain_(std::move(options.seed)),
      decoded_length_(options.decoded_length),
      unannounced_(options.decoded_length) {}

Verdict<AwsChunkedDecoder> AwsChunkedDecoder::of(const http::RequestHead& head, const Authenticated& who) {
  const std::optional<std::string_view> text = head.field(kDecodedLength);
  if (!text)
    return refuse("MissingContentLength", 411, "You must provide the x-amz-decoded-content-length HTTP header.");
  Options options{who.payload, 0, {}, who.seed};
  if (!parse_number(*text, 10, options.decoded_length))
    return refuse("InvalidArgument", 400, fmt::format("{} is not a number of bytes", kDecodedLength),
                  {{"ArgumentName", Bytes(kDecodedLength)}, {"ArgumentValue", Bytes(*text)}});
  TRY(options.trailer, declared_trailer(head, who.payload));
  return AwsChunkedDecoder(std::move(options));
}

std::unexpected<Refusal> AwsChunkedDecoder::mismatch(std::string_view provided) {
  return signature_mismatch("", chain_.string_to_sign(), provided, "");
}

// chunk-size [ ";chunk-signature=" 64HEXDIG ]
Verdict<> AwsChunkedDecoder::head_line(std::string_view line) {
  const size_t digits = std::min(line.find(';'), line.size());
  uint64_t size = 0;
  if (digits > kSizeDigitsMax || !parse_number(line.substr(0, digits), 16, size))
    return refuse("InvalidRequest", 400, fmt::format("aws-chunked: bad chunk size in \"{}\"", printable(line)));
  std::string_view extension = line.substr(digits);
  if (has_signed_chunks(mode_)) {
    if (!extension.starts_with(kExtension))
      return refuse("IncompleteSignature", 400,
                    fmt::format("aws-chunked: no chunk-signature in \"{}\"", printable(line)));
    extension.remove_prefix(kExtension.size());
    chunk_signature_ = extension;
  } else if (!extension.empty()) {
    return refuse("InvalidRequest", 400, fmt::format("aws-chunked: unexpected \"{}\"", printable(extension)));
  }
  if (size > unannounced_ || (size == 0 && unannounced_ > 0))
    return refuse("IncompleteBody", 400,
                  fmt::format("aws-chunked: {} bytes of data, but {} says {}",
                              size == 0 ? fmt::to_string(decoded_length_ - unannounced_) : "more", kDecodedLength,
                              decoded_length_));
  unannounced_ -= size;
  left_ = size;
  phase_ = Phase::Data;
  if (size > 0) return {};
  TRY_DO(data_ended());
  phase_ = has_trailer(mode_) ? Phase::TrailerLine : Phase::LastCr;
  return {};
}

Verdict<> AwsChunkedDecoder::data_ended() {
  phase_ = Phase::DataCr;
  if (!has_signed_chunks(mode_)) return {};
  const Hash256 digest = Hash256::from_view(std::exchange(hasher_, Hasher(Hasher::Kind::Sha256)).finish());
  if (!equal_in_constant_time(chain_.next(digest), chunk_signature_)) return mismatch(chunk_signature_);
  return {};
}

Verdict<> AwsChunkedDecoder::trailer_line(std::string_view line) {
  if (line.empty()) return trailer_ended();
  const size_t colon = line.find(':');
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = colon == std::string_view::npos ? "" : http::trim(line.substr(colon + 1));
  if (colon == std::string_view::npos || !http::is_token(name) ||
      !std::all_of(value.begin(), value.end(), http::is_value_char) || trailer_signature_)
    return refuse("MalformedTrailerError", 400, fmt::format("aws-chunked: bad trailer \"{}\"", printable(line)));
  Bytes lower = lower_case(name);
  if (mode_ == PayloadMode::SignedChunksTrailer && lower == kTrailerSignature) {
    trailer_signature_ = value;
    return {};
  }
  if (std::find(declared_.begin(), declared_.end(), lower) == declared_.end())
    return refuse("MalformedTrailerError", 400, fmt::format("aws-chunked: trailer {} was not declared", lower));
  for (const Trailer& other : trailer_)
    if (other.name == lower)
      return refuse("MalformedTrailerError", 400, fmt::format("aws-chunked: trailer {} is there twice", lower));
  trailer_.push_back({std::move(lower), Bytes(value)});
  return {};
}

Verdict<> AwsChunkedDecoder::trailer_ended() {
  for (const Bytes& name : declared_)
    if (std::none_of(trailer_.begin(), trailer_.end(), [&](const Trailer& t) { return t.name == name; }))
      return refuse("MalformedTrailerError", 400, fmt::format("aws-chunked: declared trailer {} is missing", name));
  phase_ = Phase::End;
  if (mode_ != PayloadMode::SignedChunksTrailer) return {};
  if (!trailer_signature_)
    return refuse("IncompleteSignature", 400, fmt::format("aws-chunked: trailer without {}", kTrailerSignature));
  if (!equal_in_constant_time(chain_.next(trailer_), *trailer_signature_)) return mismatch(*trailer_signature_);
  return {};
}

Verdict<> AwsChunkedDecoder::byte(char c) {
  const auto expect = [&](char wanted, Phase next) -> Verdict<> {
    if (c != wanted) return refuse("InvalidRequest", 400, "aws-chunked: CR LF expected");
    phase_ = next;
    return {};
  };
  switch (phase_) {
    case Phase::Head:
    case Phase::TrailerLine: break;
    case Phase::DataCr: return expect('\r', Phase::DataLf);
    case Phase::DataLf: return expect('\n', Phase::Head);
    case Phase::ExtraCr: return expect('\r', Phase::ExtraLf);
    case Phase::ExtraLf: return expect('\n', Phase::TrailerLine);
    case Phase::LastCr: return expect('\r', Phase::LastLf);
    case Phase::LastLf: return expect('\n', Phase::End);
    case Phase::End: return refuse("InvalidRequest", 400, "aws-chunked: bytes after the end");
    case Phase::Data:
    case Phase::Rejected: return {};  // step() deals with both
  }
  const bool in_head = phase_ == Phase::Head;
  if (c != '\n') {
    line_.push_back(c);
    if (line_.size() <= (in_head ? kChunkHeadBytesMax : kTrailerLineBytesMax)) return {};
    return refuse(in_head ? "InvalidRequest" : "MalformedTrailerError", 400, "aws-chunked: line too long");
  }
  Bytes line = std::exchange(line_, {});
  if (line.ends_with('\r')) {
    line.pop_back();
    return in_head ? head_line(line) : trailer_line(line);
  }
  // AWS's description of the coding ends a trailer line in LF CR LF, and some clients (minio-go) do.
  if (in_head || line.empty()) return refuse("InvalidRequest", 400, "aws-chunked: CR LF expected");
  TRY_DO(trailer_line(line));
  phase_ = Phase::ExtraCr;
  return {};
}

AwsChunkedDecoder::Step AwsChunkedDecoder::step(ByteView in) {
  size_t at = 0;
  while (true) {
    if (phase_ == Phase::Rejected) return {State::Rejected, at, {}};
    if (at == in.size()) return {phase_ == Phase::End ? State::End : State::NeedMore, at, {}};
    Verdict<> verdict;
    ByteView run;
    if (phase_ == Phase::Data) {
      run = in.substr(at, static_cast<size_t>(std::min<uint64_t>(left_, in.size() - at)));
      at += run.size();
      left_ -= run.size();
      if (has_signed_chunks(mode_)) hasher_.update(run);
      if (left_ == 0) verdict = data_ended();
    } else {
      verdict = byte(in[at++]);
    }
    if (!verdict) {
      refusal_ = std::move(verdict).error();
      phase_ = Phase::Rejected;
    } else if (!run.empty()) {
      return {State::Data, at, run};
    }
  }
}

Verdict<> AwsChunkedDecoder::finish() {
  if (phase_ == Phase::End) return {};
  if (phase_ != Phase::Rejected) {
    refusal_ = Refusal{"IncompleteBody", 400, "The request body terminated unexpectedly", {}};
    phase_ = Phase::Rejected;
  }
  return std::unexpected(*refusal_);
}

}  // namespace hailstone::s3auth
