#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "http/grammar.h"
#include "s3/unbuilt.h"
#include "s3/writing.h"
#include "s3auth/form_decoder.h"
#include "s3auth/post_policy.h"

namespace hailstone::s3 {
namespace {

using s3proto::ErrorCode;
using volume::Entry;

// The file part of a form, as a body.
class FormReader final : public BodyReader {
 public:
  static constexpr size_t kDelimiterBytesMax = 80;  // held back by the decoder, given out with what follows

  FormReader(http::RequestBody& body, s3auth::FormDecoder& decoder, Bytes rest)
      : body_(body), decoder_(decoder), raw_bytes_(std::move(rest)), raw_(raw_bytes_) {}

  http::Task<Answer<size_t>> read(char* out, size_t size) override {
    size_t filled = 0;
    while (filled == 0 && !ended_) {
      if (raw_.empty()) {
        raw_bytes_.resize(64u << 10);
        auto count = co_await body_.read_some(raw_bytes_.data(), raw_bytes_.size());
        if (!count) co_return std::unexpected(Refused(ErrorCode::IncompleteBody, count.error().message));
        if (*count == 0) {
          CO_TRY_DO(decoder_.finish());
          break;
        }
        raw_ = ByteView(raw_bytes_).substr(0, *count);
      }
      const auto step =
          decoder_.step(raw_.substr(0, std::min(raw_.size(), size - std::min<size_t>(size / 2, kDelimiterBytesMax))));
      if (step.state == s3auth::FormDecoder::State::Rejected) co_return std::unexpected(Refused(decoder_.refusal()));
      if (step.state == s3auth::FormDecoder::State::Data) {
        std::memcpy(out + filled, step.data.data(), step.data.size());
        filled += step.data.size();
      }
      if (step.state == s3auth::FormDecoder::State::End) ended_ = true;
      raw_.remove_prefix(step.consumed);
    }
    co_return filled;
  }
  const std::vector<s3auth::Trailer>& trailer() const override { return none_; }

 private:
  http::RequestBody& body_;
  s3auth::FormDecoder& decoder_;
  Bytes raw_bytes_;
  ByteView raw_;
  bool ended_ = false;
  std::vector<s3auth::Trailer> none_;
};

}  // namespace

Responding post_object(Call& call, http::BlockingPool& pool, http::RequestBody& body,
                       const std::function<Answer<Identity>(const Bytes&)>& identify,
                       const s3auth::SigningKeyLookup& keys, const s3auth::SecretLookup& secrets) {
  CO_TRY(const Bytes boundary, s3auth::FormDecoder::boundary_of(call.field("Content-Type").value_or("")));
  s3auth::FormDecoder decoder(boundary);
  Bytes buffer;
  ByteView raw;
  for (bool file = false; !file;) {
    if (raw.empty()) {
      buffer.resize(16u << 10);
      auto count = co_await body.read_some(buffer.data(), buffer.size());
      if (!count) co_return std::unexpected(Refused(ErrorCode::IncompleteBody, count.error().message));
      if (*count == 0) {
        CO_TRY_DO(decoder.finish());
        co_return refusal(ErrorCode::IncorrectNumberOfFilesInPostRequest);
      }
      raw = ByteView(buffer).substr(0, *count);
    }
    const auto step = decoder.step(raw);
    if (step.state == s3auth::FormDecoder::State::Rejected) co_return std::unexpected(Refused(decoder.refusal()));
    if (step.state == s3auth::FormDecoder::State::End)
      co_return refusal(ErrorCode::IncorrectNumberOfFilesInPostRequest);
    file = step.state == s3auth::FormDecoder::State::File;
    raw.remove_prefix(step.consumed);
  }
  const auto& fields = decoder.fields();
  const FieldLookup field = [&fields](std::string_view name) -> std::optional<std::string_view> {
    for (const auto& f : fields)
      if (http::same_text(f.name, name)) return f.value;
    return std::nullopt;
  };
  const s3auth::PostForm form{fields, call.bucket->name.volume, decoder.filename()};
  s3auth::PostGrant grant;
  if (!field("policy")) {  // anonymous: what the bucket's policy or ACL lets anybody write
    const auto key = field("key");
    if (!key) co_return refusal(ErrorCode::InvalidArgument, "Bucket POST must contain a field named 'key'.");
    grant.key = *key;
    if (const size_t at = grant.key.find("${filename}"); at != Bytes::npos)
      grant.key.replace(at, 11, decoder.filename());
  } else if (s3auth::post_signing(fields) == s3auth::PostSigning::V2) {
    if (!call.options.signature_v2)
      co_return refusal(ErrorCode::InvalidRequest, "signature version 2 is off on this server");
    CO_TRY(grant, s3auth::verify_post_v2(form, secrets, call.now));
  } else {
    const s3auth::ScopeRule rule{.region = call.options.region};
    CO_TRY(grant, s3auth::verify_post_v4(form, rule, keys, call.now));
  }
  if (!grant.access_key_id.empty()) {
    CO_TRY(call.identity, identify(grant.access_key_id));
  }
  CO_TRY_DO(s3proto::validate_key(grant.key));
  call.resource.key = grant.key;
  for (const auto& f : fields) call.form_fields[lower(f.name)] = f.value;
  CO_TRY_DO(authorize(call, *call.bucket, need_of(call.operation, false), call.key(), nullptr));
  CO_TRY_DO(require_writable(*call.bucket));
  std::vector<std::pair<Bytes, Bytes>> metadata;
  for (const auto& f : fields) {
    CO_TRY_DO(refuse_unbuilt_field(f.name));
    const Bytes name = lower(f.name);
    if (name.starts_with("x-amz-meta-")) metadata.emplace_back(name.substr(11), f.value);
  }
  const FieldLookup as_header = [&field](std::string_view name) -> std::optional<std::string_view> {
    if (name == "x-amz-acl") return field("acl") ? field("acl") : field("x-amz-acl");
    return field(name);
  };
  CO_TRY(Entry entry, entry_of_headers(call, as_header, metadata));
  if (const auto tagging = field("tagging")) {
    CO_TRY(const auto tags, s3proto::parse_tagging(*tagging, s3proto::TagLevel::Object));
    for (const auto& [name, value] : tags) entry.object->tags[name] = value;
  }
  FormReader reader(body, decoder, Bytes(raw));
  const auto session = call.repository().chunks().begin_writes();
  Expected expected;
  expected.bytes_max = std::min(grant.length_max, call.options.part_bytes_max);
  auto stored = co_await store_body(call, pool, reader, expected);
  if (!stored) co_return std::unexpected(std::move(stored).error());
  CO_TRY_DO(s3auth::check_length(grant, stored->content.bytes, s3auth::Part::Whole));
  set_content(entry, *stored, {}, call.now);
  const Bytes etag = volume::etag_of(entry);
  auto response = co_await commit_received(call, pool, std::move(entry), std::move(stored->carried));
  if (!response) co_return response;
  if (const auto redirect = field("success_action_redirect"); redirect && redirect->starts_with("http")) {
    response->status = 303;
    response->headers.add("Location", fmt::format("{}{}bucket={}&key={}&etag=%22{}%22", *redirect,
                                                  redirect->find('?') == redirect->npos ? '?' : '&',
                                                  call.resource.bucket, percent_encode(call.key()), etag));
    co_return response;
  }
  const auto status = field("success_action_status");
  response->headers.add("Location", fmt::format("/{}/{}", call.resource.bucket, percent_encode(call.key())));
  if (status && *status == "201") {
    response->status = 201;
    response->headers.add("Content-Type", "application/xml");
    response->body = http::Part(s3proto::render(s3proto::PostAnswer{
        fmt::format("/{}/{}", call.resource.bucket, call.key()), call.resource.bucket, call.key(), etag}));
  } else if (!status || *status != "200") {
    response->status = 204;
    response->body = std::monostate();
  }
  co_return response;
}

}  // namespace hailstone::s3
