// multipart/form-data of a browser upload (RFC 7578): bounded fields, then the file streamed out. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "s3auth/refusal.h"

namespace hailstone::s3auth {

inline constexpr size_t kFormBytesMax = 20u << 10;  // everything before the file's first byte, as in S3

struct FormField {
  Bytes name, value;
  bool operator==(const FormField&) const = default;
};

/// Feed it the body. What follows the file part is not looked at but for the closing boundary, which must come.
class FormDecoder {
 public:
  enum class State : uint8_t {
    NeedMore,  // took all of the input
    File,      // once: fields() and filename() are complete, the file's data comes next
    Data,      // at least one byte of the file
    End,       // the closing boundary is behind; what follows is ignored
    Rejected   // stays; refusal() says why
  };
  struct Step {
    State state = State::NeedMore;
    size_t consumed = 0;
    ByteView data;  // into the input, or into the decoder until it moves or dies
  };

  /// Of a Content-Type; PreconditionFailed unless it is multipart/form-data with a boundary.
  static Verdict<Bytes> boundary_of(std::string_view content_type);

  explicit FormDecoder(std::string_view boundary);
  Step step(ByteView in);
  /// The body has ended here: MalformedPOSTRequest unless the form ended too.
  Verdict<> finish();

  const Refusal& refusal() const { return *refusal_; }
  /// Parts before the file, in order.
  const std::vector<FormField>& fields() const { return fields_; }
  /// As sent, without directories; empty where the client gave none.
  const Bytes& filename() const { return filename_; }
  const Bytes& file_content_type() const { return file_content_type_; }

 private:
  enum class Phase : uint8_t { Skip, Field, File, AfterDelimiter, PartHead, End, Rejected };
  Step reject(size_t consumed, std::string_view code, Bytes message);
  void sink(ByteView run);
  std::optional<Step> delimiter_tail(char c, size_t at);
  std::optional<Step> head_byte(char c, size_t at);
  std::optional<Step> head_ended(size_t at);

  Bytes delimiter_;     // CR LF "--" boundary; its CR occurs nowhere else in it
  size_t matched_ = 2;  // bytes of the delimiter seen: the first one may lack its CR LF
  Phase phase_ = Phase::Skip;
  bool file_seen_ = false;
  size_t form_bytes_ = 0;  // before the file's data
  Bytes tail_;             // AfterDelimiter: the two bytes that decide
  Bytes head_;             // PartHead: so far
  std::vector<FormField> fields_;
  Bytes filename_, file_content_type_;
  std::optional<Refusal> refusal_;
};

}  // namespace hailstone::s3auth
