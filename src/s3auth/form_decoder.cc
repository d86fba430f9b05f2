#include "s3auth/form_decoder.h"

#include <algorithm>
#include <utility>

#include "http/grammar.h"

namespace hailstone::s3auth {
namespace {

constexpr std::string_view kMalformed = "The body of your POST request is not well-formed multipart/form-data.";
constexpr size_t kBoundaryBytesMax = 70;  // RFC 2046 §5.1.1

// Takes `; name=value` off `text`; value a token or quoted. In quotes only \" is an escape: browsers write \ as it is.
// False when there is none or it is malformed.
bool next_parameter(std::string_view& text, Bytes& name, Bytes& value) {
  text = http::trim(text);
  if (!text.starts_with(';')) return false;
  text = http::trim(text.substr(1));
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos || !http::is_token(text.substr(0, equals))) return false;
  name = text.substr(0, equals);
  std::transform(name.begin(), name.end(), name.begin(), http::lower);
  text.remove_prefix(equals + 1);
  value.clear();
  if (!text.starts_with('"')) {
    const size_t end = std::min(text.find(';'), text.size());
    value = http::trim(text.substr(0, end));
    text.remove_prefix(end);
    return !value.empty();
  }
  for (size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '"') {
      text.remove_prefix(i + 1);
      return true;
    }
    if (text[i] == '\\' && i + 1 < text.size() && text[i + 1] == '"') ++i;
    value.push_back(text[i]);
  }
  return false;
}

struct PartHead {
  std::optional<Bytes> name, filename;
  Bytes content_type;
};

// Header lines without the empty one at the end.
std::optional<PartHead> parse_head(std::string_view lines) {
  PartHead out;
  while (!lines.empty()) {
    const size_t end = lines.find("\r\n");
    const std::string_view line = lines.substr(0, end);
    lines.remove_prefix(end == std::string_view::npos ? lines.size() : end + 2);
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || !http::is_token(line.substr(0, colon))) return std::nullopt;
    std::string_view value = http::trim(line.substr(colon + 1));
    if (!std::all_of(value.begin(), value.end(), http::is_value_char)) return std::nullopt;
    if (http::same_text(line.substr(0, colon), "content-type")) out.content_type = value;
    if (!http::same_text(line.substr(0, colon), "content-disposition")) continue;
    const size_t type = std::min(value.find(';'), value.size());
    if (!http::same_text(http::trim(value.substr(0, type)), "form-data")) return std::nullopt;
    value.remove_prefix(type);
    Bytes key, text;
    while (!http::trim(value).empty()) {
      if (!next_parameter(value, key, text)) return std::nullopt;
      std::optional<Bytes>* const slot = key == "name" ? &out.name : key == "filename" ? &out.filename : nullptr;
      if (slot != nullptr && std::exchange(*slot, text)) return std::nullopt;
    }
  }
  if (!out.name) return std::nullopt;
  return out;
}

}  // namespace

Verdict<Bytes> FormDecoder::boundary_of(std::string_view content_type) {
  const auto fail = [] {
    return refuse("PreconditionFailed", 412, "Bucket POST must be of the enclosure-type multipart/form-data");
  };
  const size_t type = std::min(content_type.find(';'), content_type.size());
  if (!http::same_text(http::trim(content_type.substr(0, type)), "multipart/form-data")) return fail();
  content_type.remove_prefix(type);
  Bytes name, value;
  while (next_parameter(content_type, name, value)) {
    if (name != "boundary") continue;
    const bool good = std::all_of(value.begin(), value.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
    if (!good || value.empty() || value.size() > kBoundaryBytesMax || value.back() == ' ') return fail();
    return value;
  }
  return fail();
}

FormDecoder::FormDecoder(std::string_view boundary) : delimiter_("\r\n--" + Bytes(boundary)) {}

FormDecoder::Step FormDecoder::reject(size_t consumed, std::string_view code, Bytes message) {
  phase_ = Phase::Rejected;
  refusal_ = Refusal{code, 400, std::move(message), {}};
  return {State::Rejected, consumed, {}};
}

// Bytes of a part that is not the file, certainly no delimiter.
void FormDecoder::sink(ByteView run) {
  if (phase_ == Phase::Field) fields_.back().value.append(run);
}

// "--" closes the form, CR LF begins another part.
std::optional<FormDecoder::Step> FormDecoder::delimiter_tail(char c, size_t at) {
  tail_.push_back(c);
  if (tail_.size() < 2) return std::nullopt;
  const Bytes tail = std::exchange(tail_, {});
  if (tail == "\r\n") {
    phase_ = file_seen_ ? Phase::Skip : Phase::PartHead;
    return std::nullopt;
  }
  if (tail != "--") return reject(at, "MalformedPOSTRequest", Bytes(kMalformed));
  if (!file_seen_)
    return reject(at, "IncorrectNumberOfFilesInPostRequest", "POST requires exactly one file upload per request.");
  phase_ = Phase::End;
  return std::nullopt;
}

std::optional<FormDecoder::Step> FormDecoder::head_byte(char c, size_t at) {
  head_.push_back(c);
  if (head_ == "\r\n" || head_.ends_with("\r\n\r\n")) return head_ended(at);
  return std::nullopt;
}

std::optional<FormDecoder::Step> FormDecoder::head_ended(size_t at) {
  const Bytes lines = std::exchange(head_, {});
  std::optional<PartHead> head = parse_head(ByteView(lines).substr(0, lines.size() - 2));
  if (!head) return reject(at, "MalformedPOSTRequest", Bytes(kMalformed));
  if (!http::same_text(*head->name, "file")) {
    fields_.push_back({*std::move(head->name), {}});
    phase_ = Phase::Field;
    return std::nullopt;
  }
  phase_ = Phase::File;
  file_seen_ = true;
  filename_ = head->filename.value_or("");
  filename_.erase(0, filename_.find_last_of("/\\") + 1);
  file_content_type_ = std::move(head->content_type);
  return Step{State::File, at, {}};
}

FormDecoder::Step FormDecoder::step(ByteView in) {
  size_t at = 0;
  while (true) {
    if (phase_ == Phase::Rejected) return {State::Rejected, at, {}};
    if (phase_ == Phase::End) return {State::End, in.size(), {}};
    if (at == in.size()) return {State::NeedMore, at, {}};
    if (!file_seen_ && ++form_bytes_ > kFormBytesMax)
      return reject(at, "MaxPostPreDataLengthExceeded",
                    "Your POST request fields preceding the upload file were too large.");
    const char c = in[at];
    if (phase_ == Phase::AfterDelimiter || phase_ == Phase::PartHead) {
      ++at;
      if (auto step = phase_ == Phase::PartHead ? head_byte(c, at) : delimiter_tail(c, at)) return *step;
      continue;
    }
    ByteView run;
    if (c == delimiter_[matched_]) {
      ++at;
      if (++matched_ < delimiter_.size()) continue;
      matched_ = 0;
      phase_ = Phase::AfterDelimiter;
      continue;
    }
    if (matched_ > 0) {
      run = ByteView(delimiter_).substr(0, std::exchange(matched_, 0));
      if (!file_seen_) --form_bytes_;  // c is looked at again
    } else {
      const size_t limit = file_seen_ ? in.size() : at + 1;  // before the file each byte is counted
      run = in.substr(at, std::min(in.find('\r', at), limit) - at);
      at += run.size();
    }
    if (phase_ == Phase::File) return {State::Data, at, run};
    sink(run);
  }
}

Verdict<> FormDecoder::finish() {
  if (phase_ == Phase::End) return {};
  if (phase_ != Phase::Rejected) reject(0, "MalformedPOSTRequest", Bytes(kMalformed));
  return std::unexpected(*refusal_);
}

}  // namespace hailstone::s3auth
