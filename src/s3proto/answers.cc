#include "s3proto/answers.h"

namespace hailstone::s3proto {
namespace {

// Of an element of a list, rounded up: saves growing the buffer entry by entry.
constexpr size_t kEntryBytes = 320;

void checksum_kind(XmlWriter& xml, std::optional<ChecksumAlgorithm> algorithm, std::optional<ChecksumType> type) {
  if (algorithm) xml.literal("ChecksumAlgorithm", checksum_name(*algorithm));
  if (type) xml.literal("ChecksumType", checksum_type_name(*type));
}

void shown_checksum(XmlWriter& xml, const std::optional<ShownChecksum>& checksum) {
  if (!checksum) return;
  xml.text(checksum_element(checksum->algorithm), checksum->value);
  if (checksum->type) xml.literal("ChecksumType", checksum_type_name(*checksum->type));
}

void encoding_type(XmlWriter& xml, KeyEncoding encoding) {
  if (encoding == KeyEncoding::Url) xml.literal("EncodingType", "url");
}

void common_prefixes(XmlWriter& xml, const std::vector<std::string>& prefixes, KeyEncoding encoding) {
  for (const std::string& prefix : prefixes) {
    xml.open("CommonPrefixes");
    xml.key("Prefix", prefix, encoding);
    xml.close("CommonPrefixes");
  }
}

void object(XmlWriter& xml, const ListedObject& o, KeyEncoding encoding) {
  xml.open("Contents");
  xml.key("Key", o.key, encoding);
  xml.time("LastModified", o.modified);
  xml.etag("ETag", o.etag);
  checksum_kind(xml, o.checksum, o.checksum_type);
  xml.number("Size", o.size);
  if (o.owner) append_owner(xml, "Owner", *o.owner);
  xml.text("StorageClass", o.storage_class);
  xml.close("Contents");
}

void listing_head(XmlWriter& xml, const Listing& listing) {
  xml.text("Name", listing.bucket);
  xml.key("Prefix", listing.prefix, listing.encoding);
  if (!listing.delimiter.empty()) xml.key("Delimiter", listing.delimiter, listing.encoding);
  xml.number("MaxKeys", listing.keys_max);
  encoding_type(xml, listing.encoding);
  xml.boolean("IsTruncated", listing.truncated);
}

void listing_body(XmlWriter& xml, const Listing& listing) {
  for (const ListedObject& o : listing.objects) object(xml, o, listing.encoding);
  common_prefixes(xml, listing.common_prefixes, listing.encoding);
}

Bytes buffer_for(size_t entries) {
  Bytes out;
  out.reserve(1024 + entries * kEntryBytes);
  return out;
}

void part_body(XmlWriter& xml, const ListedPart& part) {
  xml.number("PartNumber", part.number);
  xml.number("Size", part.size);
  shown_checksum(xml, part.checksum);
}

Bytes copy_document(std::string_view root, const CopyAnswer& answer) {
  Bytes out;
  XmlWriter xml(out);
  xml.open_root(root);
  xml.time("LastModified", answer.modified);
  xml.etag("ETag", answer.etag);
  shown_checksum(xml, answer.checksum);
  xml.close(root);
  return out;
}

}  // namespace

void append_owner(XmlWriter& xml, std::string_view element, const Owner& owner) {
  xml.open(element);
  xml.text("ID", owner.id);
  xml.text_if("DisplayName", owner.display_name);
  xml.close(element);
}

Bytes render(const ListAllMyBuckets& answer) {
  Bytes out = buffer_for(answer.buckets.size());
  XmlWriter xml(out);
  xml.open_root("ListAllMyBucketsResult");
  append_owner(xml, "Owner", answer.owner);
  xml.open("Buckets");
  for (const auto& bucket : answer.buckets) {
    xml.open("Bucket");
    xml.text("Name", bucket.name);
    xml.time("CreationDate", bucket.created);
    xml.text_if("BucketRegion", bucket.region);
    xml.close("Bucket");
  }
  xml.close("Buckets");
  if (answer.prefix) xml.text("Prefix", *answer.prefix);
  xml.text_if("ContinuationToken", answer.continuation_token);
  xml.close("ListAllMyBucketsResult");
  return out;
}

Bytes render(const ListObjectsAnswer& answer) {
  const Listing& listing = answer.listing;
  Bytes out = buffer_for(listing.objects.size() + listing.common_prefixes.size());
  XmlWriter xml(out);
  xml.open_root("ListBucketResult");
  listing_head(xml, listing);
  xml.key("Marker", answer.marker, listing.encoding);
  if (listing.truncated && !answer.next_marker.empty()) xml.key("NextMarker", answer.next_marker, listing.encoding);
  listing_body(xml, listing);
  xml.close("ListBucketResult");
  return out;
}

Bytes render(const ListObjectsV2Answer& answer) {
  const Listing& listing = answer.listing;
  const size_t entries = listing.objects.size() + listing.common_prefixes.size();
  Bytes out = buffer_for(entries);
  XmlWriter xml(out);
  xml.open_root("ListBucketResult");
  listing_head(xml, listing);
  xml.number("KeyCount", entries);
  if (answer.continuation_token) xml.text("ContinuationToken", *answer.continuation_token);
  if (listing.truncated) xml.text("NextContinuationToken", answer.next_continuation_token);
  if (!answer.start_after.empty()) xml.key("StartAfter", answer.start_after, listing.encoding);
  listing_body(xml, listing);
  xml.close("ListBucketResult");
  return out;
}

Bytes render(const ListVersionsAnswer& answer) {
  Bytes out = buffer_for(answer.versions.size() + answer.common_prefixes.size());
  XmlWriter xml(out);
  xml.open_root("ListVersionsResult");
  xml.text("Name", answer.bucket);
  xml.key("Prefix", answer.prefix, answer.encoding);
  if (!answer.delimiter.empty()) xml.key("Delimiter", answer.delimiter, answer.encoding);
  xml.number("MaxKeys", answer.keys_max);
  encoding_type(xml, answer.encoding);
  xml.boolean("IsTruncated", answer.truncated);
  xml.key("KeyMarker", answer.key_marker, answer.encoding);
  xml.text("VersionIdMarker", answer.version_id_marker);
  if (answer.truncated) {
    xml.key("NextKeyMarker", answer.next_key_marker, answer.encoding);
    xml.text("NextVersionIdMarker", answer.next_version_id_marker);
  }
  for (const ListedVersion& version : answer.versions) {
    const std::string_view element = version.delete_marker ? "DeleteMarker" : "Version";
    const ListedObject& o = version.object;
    xml.open(element);
    xml.key("Key", o.key, answer.encoding);
    xml.text("VersionId", version.version_id);
    xml.boolean("IsLatest", version.latest);
    xml.time("LastModified", o.modified);
    if (!version.delete_marker) {
      xml.etag("ETag", o.etag);
      checksum_kind(xml, o.checksum, o.checksum_type);
      xml.number("Size", o.size);
      xml.text("StorageClass", o.storage_class);
    }
    if (o.owner) append_owner(xml, "Owner", *o.owner);
    xml.close(element);
  }
  common_prefixes(xml, answer.common_prefixes, answer.encoding);
  xml.close("ListVersionsResult");
  return out;
}

Bytes render(const ListMultipartUploadsAnswer& answer) {
  Bytes out = buffer_for(answer.uploads.size() + answer.common_prefixes.size());
  XmlWriter xml(out);
  xml.open_root("ListMultipartUploadsResult");
  xml.text("Bucket", answer.bucket);
  xml.key("KeyMarker", answer.key_marker, answer.encoding);
  xml.text("UploadIdMarker", answer.upload_id_marker);
  if (answer.truncated) {
    xml.key("NextKeyMarker", answer.next_key_marker, answer.encoding);
    xml.text("NextUploadIdMarker", answer.next_upload_id_marker);
  }
  xml.key("Prefix", answer.prefix, answer.encoding);
  if (!answer.delimiter.empty()) xml.key("Delimiter", answer.delimiter, answer.encoding);
  encoding_type(xml, answer.encoding);
  xml.number("MaxUploads", answer.uploads_max);
  xml.boolean("IsTruncated", answer.truncated);
  for (const ListedUpload& upload : answer.uploads) {
    xml.open("Upload");
    xml.key("Key", upload.key, answer.encoding);
    xml.text("UploadId", upload.upload_id);
    append_owner(xml, "Initiator", upload.initiator);
    append_owner(xml, "Owner", upload.owner);
    xml.text("StorageClass", upload.storage_class);
    xml.time("Initiated", upload.initiated);
    checksum_kind(xml, upload.checksum, upload.checksum_type);
    xml.close("Upload");
  }
  common_prefixes(xml, answer.common_prefixes, answer.encoding);
  xml.close("ListMultipartUploadsResult");
  return out;
}

Bytes render(const ListPartsAnswer& answer) {
  Bytes out = buffer_for(answer.parts.size());
  XmlWriter xml(out);
  xml.open_root("ListPartsResult");
  xml.text("Bucket", answer.bucket);
  encoding_type(xml, answer.encoding);
  xml.key("Key", answer.key, answer.encoding);
  xml.text("UploadId", answer.upload_id);
  append_owner(xml, "Initiator", answer.initiator);
  append_owner(xml, "Owner", answer.owner);
  xml.text("StorageClass", answer.storage_class);
  xml.number("PartNumberMarker", answer.marker);
  if (answer.truncated) xml.number("NextPartNumberMarker", answer.next_marker);
  xml.number("MaxParts", answer.parts_max);
  xml.boolean("IsTruncated", answer.truncated);
  checksum_kind(xml, answer.checksum, answer.checksum_type);
  for (const ListedPart& part : answer.parts) {
    xml.open("Part");
    xml.time("LastModified", part.modified);
    xml.etag("ETag", part.etag);
    part_body(xml, part);
    xml.close("Part");
  }
  xml.close("ListPartsResult");
  return out;
}

Bytes render(const InitiateMultipartUploadAnswer& answer) {
  Bytes out;
  XmlWriter xml(out);
  xml.open_root("InitiateMultipartUploadResult");
  xml.text("Bucket", answer.bucket);
  xml.text("Key", answer.key);
  xml.text("UploadId", answer.upload_id);
  xml.close("InitiateMultipartUploadResult");
  return out;
}

Bytes render(const CompleteMultipartUploadAnswer& answer) {
  Bytes out;
  XmlWriter xml(out);
  xml.open_root("CompleteMultipartUploadResult");
  xml.text("Location", answer.location);
  xml.text("Bucket", answer.bucket);
  xml.text("Key", answer.key);
  xml.etag("ETag", answer.etag);
  shown_checksum(xml, answer.checksum);
  xml.close("CompleteMultipartUploadResult");
  return out;
}

Bytes render_copy_object(const CopyAnswer& answer) { return copy_document("CopyObjectResult", answer); }
Bytes render_copy_part(const CopyAnswer& answer) { return copy_document("CopyPartResult", answer); }

Bytes render(const DeleteAnswer& answer) {
  Bytes out = buffer_for(answer.deleted.size() + answer.errors.size());
  XmlWriter xml(out);
  xml.open_root("DeleteResult");
  for (const DeletedObject& deleted : answer.deleted) {
    xml.open("Deleted");
    xml.text("Key", deleted.key);
    xml.text_if("VersionId", deleted.version_id);
    if (deleted.delete_marker) {
      xml.boolean("DeleteMarker", true);
      xml.text_if("DeleteMarkerVersionId", deleted.delete_marker_version_id);
    }
    xml.close("Deleted");
  }
  for (const DeleteError& error : answer.errors) {
    xml.open("Error");
    xml.text("Key", error.key);
    xml.text_if("VersionId", error.version_id);
    xml.text("Code", error_name(error.failure.code));
    xml.text("Message", error.failure.message.empty() ? default_message(error.failure.code)
                                                      : std::string_view(error.failure.message));
    xml.close("Error");
  }
  xml.close("DeleteResult");
  return out;
}

Bytes render_location(std::string_view region) {
  Bytes out;
  XmlWriter xml(out);
  xml.open_root("LocationConstraint");
  if (region != "us-east-1") append_xml_text(out, region);
  xml.close("LocationConstraint");
  return out;
}

Bytes render(const ObjectAttributesAnswer& answer) {
  Bytes out;
  XmlWriter xml(out);
  xml.open_root("GetObjectAttributesResponse");
  // This answer alone shows ETags without quotes.
  if (answer.etag) xml.text("ETag", *answer.etag);
  if (answer.checksum) {
    xml.open("Checksum");
    shown_checksum(xml, answer.checksum);
    xml.close("Checksum");
  }
  if (answer.parts) {
    const auto& parts = *answer.parts;
    xml.open("ObjectParts");
    xml.number("PartsCount", parts.total);
    xml.number("PartNumberMarker", parts.marker);
    xml.number("NextPartNumberMarker", parts.next_marker);
    xml.number("MaxParts", parts.parts_max);
    xml.boolean("IsTruncated", parts.truncated);
    for (const ListedPart& part : parts.parts) {
      xml.open("Part");
      part_body(xml, part);
      xml.close("Part");
    }
    xml.close("ObjectParts");
  }
  if (answer.storage_class) xml.text("StorageClass", *answer.storage_class);
  if (answer.size) xml.number("ObjectSize", *answer.size);
  xml.close("GetObjectAttributesResponse");
  return out;
}

Bytes render(const PostAnswer& answer) {
  Bytes out;
  XmlWriter xml(out);
  xml.declaration();
  xml.open("PostResponse");
  xml.text("Location", answer.location);
  xml.text("Bucket", answer.bucket);
  xml.text("Key", answer.key);
  xml.etag("ETag", answer.etag);
  xml.close("PostResponse");
  return out;
}

}  // namespace hailstone::s3proto
