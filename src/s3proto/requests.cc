#include "s3proto/requests.h"

#include <fmt/format.h>

#include "base/error.h"
#include "http/grammar.h"
#include "s3proto/names.h"
#include "s3proto/xml.h"

namespace hailstone::s3proto {

std::string unquoted_etag(std::string_view etag) {
  etag = http::trim(etag);
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') etag = etag.substr(1, etag.size() - 2);
  return std::string(etag);
}

namespace {

Parsed<CompletedPart> parse_part(const XmlElement& element) {
  CompletedPart part;
  TRY(const XmlElement* number, element.one("PartNumber"));
  TRY(const uint64_t value, number->number());
  if (value < 1 || value > kPartNumberMax)
    return refuse(ErrorCode::InvalidArgument,
                  fmt::format("Part number must be an integer between 1 and {}, not {}", kPartNumberMax, value),
                  {{"ArgumentName", "partNumber"}, {"ArgumentValue", std::to_string(value)}});
  part.number = static_cast<uint32_t>(value);
  TRY(const std::string etag, element.required_text("ETag"));
  part.etag = unquoted_etag(etag);
  for (ChecksumAlgorithm algorithm : kHeaderChecksums) {
    TRY(const auto text, element.optional_text(checksum_element(algorithm)));
    if (!text) continue;
    if (part.checksum) return malformed_xml(fmt::format("part {} has several checksums", part.number));
    TRY(Bytes raw, parse_checksum(algorithm, *text));
    part.checksum = CompletedPart::Checksum{algorithm, std::move(raw)};
  }
  return part;
}

}  // namespace

Parsed<std::vector<CompletedPart>> parse_complete_multipart_upload(ByteView body) {
  TRY(const XmlDocument document, XmlDocument::parse(body, "CompleteMultipartUpload", {.bytes_max = 8u << 20}));
  TRY_DO(document.root().only({"Part"}));
  std::vector<CompletedPart> parts;
  for (const XmlElement& element : document.root().children()) {
    TRY(CompletedPart part, parse_part(element));
    if (!parts.empty() && part.number <= parts.back().number)
      return refuse(ErrorCode::InvalidPartOrder, {}, {{"PartNumber", std::to_string(part.number)}});
    parts.push_back(std::move(part));
  }
  if (parts.empty()) return malformed_xml("CompleteMultipartUpload: no Part");
  return parts;
}

Parsed<DeleteRequest> parse_delete(ByteView body) {
  // 1000 keys of 1024 bytes, each as a six-byte reference.
  TRY(const XmlDocument document, XmlDocument::parse(body, "Delete", {.bytes_max = 8u << 20}));
  const XmlElement& root = document.root();
  TRY_DO(root.only({"Object", "Quiet"}));
  DeleteRequest out;
  TRY(const auto quiet, root.optional_boolean("Quiet"));
  out.quiet = quiet.value_or(false);
  for (const XmlElement* element : root.all("Object")) {
    if (out.objects.size() == kDeleteKeysMax)
      return malformed_xml(fmt::format("Delete: more than {} keys", kDeleteKeysMax));
    DeleteRequest::Object object;
    TRY(object.key, element->required_text("Key"));
    if (const auto valid = validate_key(object.key); !valid)
      return malformed_xml(fmt::format("Delete: key '{}': {}", printable(object.key), valid.error().message));
    TRY(object.version_id, element->optional_text("VersionId"));
    if (object.version_id && object.version_id->empty()) object.version_id.reset();
    TRY(object.etag, element->optional_text("ETag"));
    if (object.etag) object.etag = unquoted_etag(*object.etag);
    TRY(object.size, element->optional_number("Size"));
    if (element->all("LastModifiedTime").size() > 0)
      return refuse(ErrorCode::NotImplemented, "deleting on LastModifiedTime is not implemented");
    TRY_DO(element->only({"Key", "VersionId", "ETag", "Size"}));
    out.objects.push_back(std::move(object));
  }
  if (out.objects.empty()) return malformed_xml("Delete: no Object");
  return out;
}

Parsed<CreateBucketRequest> parse_create_bucket(ByteView body) {
  CreateBucketRequest out;
  if (body.find_first_not_of(" \t\r\n") == body.npos) return out;
  TRY(const XmlDocument document, XmlDocument::parse(body, "CreateBucketConfiguration"));
  TRY_DO(document.root().only({"LocationConstraint", "Location", "Bucket", "Tags"}));
  for (std::string_view directory : {"Location", "Bucket"})
    if (!document.root().all(directory).empty())
      return refuse(ErrorCode::NotImplemented, "directory buckets are not implemented");
  TRY(const auto location, document.root().optional_text("LocationConstraint"));
  out.location = location.value_or("");
  TRY(const XmlElement* tags, document.root().maybe("Tags"));
  if (tags != nullptr) {
    TRY_DO(tags->only({"Tag"}));
    for (const XmlElement& tag : tags->children()) {
      TRY_DO(tag.only({"Key", "Value"}));
      TRY(std::string key, tag.required_text("Key"));
      TRY(std::string value, tag.required_text("Value"));
      out.tags.emplace_back(std::move(key), std::move(value));
    }
    TRY_DO(validate_tags(out.tags, TagLevel::Bucket));
  }
  return out;
}

Parsed<ObjectAttributes> parse_object_attributes(std::string_view header) {
  ObjectAttributes out;
  std::string_view rest = header, name;
  const auto bad = [](std::string_view value) {
    return refuse(ErrorCode::InvalidArgument, fmt::format("Invalid attribute name specified: '{}'", printable(value)),
                  {{"ArgumentName", "x-amz-object-attributes"}, {"ArgumentValue", printable(value)}});
  };
  while (http::next_element(rest, name)) {
    if (name == "ETag")
      out.etag = true;
    else if (name == "Checksum")
      out.checksum = true;
    else if (name == "ObjectParts")
      out.parts = true;
    else if (name == "StorageClass")
      out.storage_class = true;
    else if (name == "ObjectSize")
      out.size = true;
    else
      return bad(name);
  }
  if (out == ObjectAttributes{}) return bad(header);
  return out;
}

}  // namespace hailstone::s3proto
