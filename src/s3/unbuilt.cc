#include "s3/unbuilt.h"

#include <fmt/format.h>

#include "http/grammar.h"

namespace hailstone::s3 {
namespace {

using s3proto::ErrorCode;
using s3proto::Operation;

bool starts_with(std::string_view name, std::string_view prefix) {
  return name.size() >= prefix.size() && http::same_text(name.substr(0, prefix.size()), prefix);
}

bool is_encryption(std::string_view name) {
  return starts_with(name, "x-amz-server-side-encryption") ||
         starts_with(name, "x-amz-copy-source-server-side-encryption");
}

constexpr std::string_view kUnbuilt[] = {"x-amz-write-offset-bytes", "x-amz-if-match-size",
                                         "x-amz-if-match-last-modified-time", "x-amz-if-match-initiated-time"};

}  // namespace

Answer<> refuse_unbuilt_field(std::string_view name) {
  if (is_encryption(name))
    return refusal(ErrorCode::NotImplemented, fmt::format("{}: this server does not encrypt objects", name));
  for (const std::string_view unbuilt : kUnbuilt)
    if (http::same_text(name, unbuilt))
      return refusal(ErrorCode::NotImplemented, fmt::format("{} is not implemented", unbuilt));
  return {};
}

Answer<> refuse_unbuilt_fields(const Call& call) {
  const bool reads = call.operation == Operation::GetObject || call.operation == Operation::HeadObject ||
                     call.operation == Operation::GetObjectAttributes;
  for (const auto& field : call.head.fields) {
    if (reads && is_encryption(field.name))
      return refusal(ErrorCode::InvalidRequest, "The encryption parameters are not applicable to this object.");
    TRY_DO(refuse_unbuilt_field(field.name));
  }
  return {};
}

}  // namespace hailstone::s3
