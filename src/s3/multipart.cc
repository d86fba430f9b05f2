#include "s3/multipart.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/sealing.h"
#include "http/range.h"
#include "s3/versions.h"
#include "volume/schema.h"

namespace hailstone::s3 {
namespace {

using s3proto::ErrorCode;
using volume::Entry;
using volume::kUploadsLayer;
using volume::Transaction;

constexpr uint64_t kPartBytesMin = 5u << 20;  // of all but the last
constexpr size_t kUploadIdBytes = 32;         // hex digits

Bytes uploads_prefix(uint64_t layer) { return "u" + volume::schema::big_endian(layer); }
Bytes upload_key(uint64_t layer, ByteView key, ByteView id) {
  return uploads_prefix(layer) + Bytes(key) + Bytes(1, '\0') + Bytes(id);
}
Bytes parts_prefix(ByteView id) { return "p" + Bytes(id); }
Bytes part_key(ByteView id, uint32_t number) { return parts_prefix(id) + volume::schema::big_endian(number).substr(4); }
// An upload that was completed, for a client that lost the answer and asks again.
Bytes done_key(ByteView id) { return "d" + Bytes(id); }
constexpr const char* kDoneUpload = "upload";  // of its metadata: the key that the upload had

uint32_t part_number_of(ByteView key) {
  return static_cast<uint32_t>(volume::schema::from_big_endian(Bytes(4, '\0') + Bytes(key.substr(key.size() - 4))));
}

Refused no_such_upload(std::string_view id) {
  Refused refused(ErrorCode::NoSuchUpload);
  refused.with("UploadId", std::string(id));
  return refused;
}

Bytes asked_upload(const Call& call) { return Bytes(call.query.get("uploadId").value_or("")); }

// Metadata of an upload under way; its checksum field holds the type.
struct Upload {
  Entry entry;
  Bytes key;  // in the uploads layer
  std::optional<s3proto::ChecksumAlgorithm> algorithm;
  s3proto::ChecksumType type = s3proto::ChecksumType::Composite;
};

Answer<Upload> upload_of(const Call& call, Entry entry, Bytes key) {
  (void)call;
  Upload upload{.entry = std::move(entry), .key = std::move(key), .algorithm = {}};
  const auto& facts = *upload.entry.object;
  if (!facts.checksum_algorithm.empty()) {
    TRY(upload.algorithm, s3proto::parse_checksum_algorithm(facts.checksum_algorithm));
    TRY(upload.type, s3proto::parse_checksum_type(facts.checksum));
  }
  return upload;
}

Answer<Upload> find_upload(const Call& call, Transaction& transaction) {
  const Bytes id = asked_upload(call);
  const Bytes key = upload_key(call.bucket->target.layer, call.key(), id);
  if (id.size() != kUploadIdBytes) return std::unexpected(no_such_upload(id));
  TRY(auto entry, transaction.get(kUploadsLayer, key));
  if (!entry || !entry->object) return std::unexpected(no_such_upload(id));
  return upload_of(call, *std::move(entry), key);
}

// Outside a transaction.
Answer<Upload> look_up_upload(const Call& call) {
  const Bytes id = asked_upload(call);
  if (id.size() != kUploadIdBytes) return std::unexpected(no_such_upload(id));
  TRY(const auto contents, call.repository().open_layer(call.bucket->volume(), kUploadsLayer));
  Bytes key = upload_key(call.bucket->target.layer, call.key(), id);
  TRY(auto entry, contents->get(key));
  if (!entry || !entry->object) return std::unexpected(no_such_upload(id));
  return upload_of(call, *std::move(entry), std::move(key));
}

Answer<uint32_t> asked_part(const Call& call) {
  TRY(const auto number, call.query.number("partNumber", UINT32_MAX));
  if (!number || *number < 1 || *number > s3proto::kPartNumberMax)
    return refusal(ErrorCode::InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive");
  return static_cast<uint32_t>(*number);
}

Answer<volume::Reply> transact(const Call& call, const std::function<Answer<>(Transaction&)>& body) {
  return transact(call, call.bucket->volume(), body);
}

Answer<> commit_part(const Call& call, uint32_t number, const Entry& part, const std::optional<Bytes>& carried) {
  TRY_DO(transact(call, [&](Transaction& transaction) -> Answer<> {
    TRY_DO(find_upload(call, transaction));
    TRY_DO(transaction.put(kUploadsLayer, part_key(asked_upload(call), number), part));
    if (carried) transaction.carry(*carried);
    return {};
  }));
  return {};
}

// Every part of an upload, in order.
Answer<std::vector<std::pair<uint32_t, Entry>>> read_parts_of(const Call& call, ByteView id) {
  TRY(const auto contents, call.repository().open_layer(call.bucket->volume(), kUploadsLayer));
  auto cursor = contents->cursor();
  const Bytes prefix = parts_prefix(id);
  std::vector<std::pair<uint32_t, Entry>> out;
  TRY_DO(cursor->seek(prefix));
  while (cursor->valid() && cursor->key().starts_with(prefix)) {
    TRY(auto entry, Entry::decode(cursor->value()));
    out.emplace_back(part_number_of(cursor->key()), std::move(entry));
    TRY_DO(cursor->next());
  }
  return out;
}

Bytes raw_checksum(const Entry& part) {
  Bytes raw;
  if (part.object && from_base64(part.object->checksum, raw)) return raw;
  return {};
}

Answer<> require_part_checksum(const Upload& upload, std::optional<s3proto::ChecksumAlgorithm> given) {
  if (upload.algorithm && given && *given != *upload.algorithm)
    return refusal(ErrorCode::InvalidRequest,
                   fmt::format("Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
                               s3proto::checksum_name(*upload.algorithm), s3proto::checksum_name(*given)));
  return {};
}

void remove_upload(Transaction& transaction, const Bytes& upload_key, ByteView id,
                   const std::vector<std::pair<uint32_t, Entry>>& parts) {
  transaction.remove(kUploadsLayer, upload_key);
  for (const auto& [number, part] : parts) transaction.remove(kUploadsLayer, part_key(id, number));
}

}  // namespace

Answer<http::Response> create_multipart_upload(const Call& call) {
  TRY_DO(authorize(call, *call.bucket, need_of(call.operation, false), call.key(), nullptr));
  TRY_DO(require_writable(*call.bucket));
  TRY(Entry entry,
      entry_of_headers(call, [&](std::string_view name) { return call.field(name); }, metadata_of(call.head)));
  entry.content.sha256 = sha256("");
  entry.modified_ns = call.now.value * 1000;
  std::optional<s3proto::ChecksumAlgorithm> algorithm;
  std::optional<s3proto::ChecksumType> type;
  if (const auto name = call.field("x-amz-checksum-algorithm")) {
    TRY(algorithm, s3proto::parse_checksum_algorithm(*name));
    std::optional<s3proto::ChecksumType> asked;
    if (const auto text = call.field("x-amz-checksum-type")) {
      TRY(asked, s3proto::parse_checksum_type(*text));
    }
    TRY(type, s3proto::multipart_checksum_type(*algorithm, asked));
    entry.object->checksum_algorithm = s3proto::checksum_name(*algorithm);
    entry.object->checksum = s3proto::checksum_type_name(*type);
  } else if (call.field("x-amz-checksum-type")) {
    return refusal(ErrorCode::InvalidRequest,
                   "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.");
  }
  TRY(const Bytes random, random_bytes(kUploadIdBytes / 2));
  const Bytes id = to_hex(random);
  TRY_DO(transact(call, [&](Transaction& transaction) -> Answer<> {
    TRY_DO(transaction.put(kUploadsLayer, upload_key(call.bucket->target.layer, call.key(), id), entry));
    return {};
  }));
  auto response =
      xml_response(s3proto::render(s3proto::InitiateMultipartUploadAnswer{call.resource.bucket, call.key(), id}));
  if (algorithm) {
    response.headers.add("x-amz-checksum-algorithm", s3proto::checksum_name(*algorithm));
    response.headers.add("x-amz-checksum-type", s3proto::checksum_type_name(*type));
  }
  return response;
}

Responding upload_part(const Call& call, http::BlockingPool& pool, http::RequestBody& body) {
  CO_TRY_DO(authorize(call, *call.bucket, need_of(call.operation, false), call.key(), nullptr));
  CO_TRY_DO(require_writable(*call.bucket));
  CO_TRY(const uint32_t number, asked_part(call));
  CO_TRY(Expected expected, expected_of(call, call.options.part_bytes_max));
  auto upload = co_await http::offload(pool, [self = call.shared_from_this()] { return look_up_upload(*self); });
  if (!upload) co_return std::unexpected(std::move(upload).error());
  CO_TRY_DO(require_part_checksum(*upload, expected.algorithm));
  if (!expected.algorithm) expected.algorithm = upload->algorithm;
  CO_TRY(auto reader, body_reader(call, body));
  const auto session = call.repository().chunks().begin_writes();
  auto stored = co_await store_body(call, pool, *reader, expected);
  if (!stored) co_return std::unexpected(std::move(stored).error());
  Entry part;
  part.object.emplace();
  set_content(part, *stored, expected.algorithm, call.now);
  http::Response response;
  response.headers.add("ETag", "\"" + part.etag + "\"");
  if (const auto shown = shown_checksum(part))
    response.headers.add(s3proto::checksum_header(shown->algorithm), shown->value);
  response.body = http::Part(Bytes());
  auto done = co_await http::offload(
      pool, [self = call.shared_from_this(), number, part = std::move(part), carried = std::move(stored->carried)] {
        return commit_part(*self, number, part, carried);
      });
  if (!done) co_return std::unexpected(std::move(done).error());
  co_return response;
}

namespace {

// "bytes=FIRST-LAST" and nothing else.
std::optional<std::pair<uint64_t, uint64_t>> parse_copy_range(std::string_view text) {
  constexpr std::string_view kUnit = "bytes=";
  if (!text.starts_with(kUnit)) return std::nullopt;
  const char* const end = text.data() + text.size();
  uint64_t first = 0, last = 0;
  const auto [dash, bad_first] = std::from_chars(text.data() + kUnit.size(), end, first);
  if (bad_first != std::errc() || dash == end || *dash != '-') return std::nullopt;
  const auto [stop, bad_last] = std::from_chars(dash + 1, end, last);
  if (bad_last != std::errc() || stop != end || first > last) return std::nullopt;
  return std::pair(first, last);
}

}  // namespace

Answer<http::Response> upload_part_copy(const Call& call) {
  TRY_DO(authorize(call, *call.bucket, need_of(call.operation, false), call.key(), nullptr));
  TRY_DO(require_writable(*call.bucket));
  TRY(const uint32_t number, asked_part(call));
  TRY(const Upload upload, look_up_upload(call));
  TRY(const auto source, s3proto::parse_copy_source(*call.field("x-amz-copy-source")));
  TRY(const auto name, s3proto::parse_bucket(source.bucket));
  Bucket from{.name = name, .target = {}, .documents = {}};
  TRY(from.target, resolve_bucket(call.repository(), *call.state, name));
  TRY(from.documents, parse_documents(*from.target.volume));
  TRY_DO(require_expected_owner(call, from, "x-amz-source-expected-bucket-owner"));
  const auto version = source.version_id ? std::optional<std::string_view>(*source.version_id) : std::nullopt;
  TRY(const Object object,
      find_object_in(call, from, source.key, version, need_of(s3proto::Operation::GetObject, version.has_value())));
  if (check_conditions(call.field("x-amz-copy-source-if-match"), call.field("x-amz-copy-source-if-none-match"),
                       call.field("x-amz-copy-source-if-modified-since"),
                       call.field("x-amz-copy-source-if-unmodified-since"), volume::etag_of(object.entry),
                       object.entry.modified_ns / 1'000'000'000))
    return refusal(ErrorCode::PreconditionFailed);
  http::ByteRange range{0, object.entry.content.bytes};
  if (const auto field = call.field("x-amz-copy-source-range")) {
    const auto asked = parse_copy_range(*field);
    if (!asked)
      return refusal(ErrorCode::InvalidArgument,
                     "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are "
                     "the zero-based offsets of the first and last bytes to copy");
    if (asked->second >= object.entry.content.bytes)
      return refusal(ErrorCode::InvalidRange, fmt::format("Range specified is not valid for source object of size: {}",
                                                          object.entry.content.bytes));
    range = {asked->first, asked->second - asked->first + 1};
  }
  if (range.length > call.options.part_bytes_max) return refusal(ErrorCode::EntityTooLarge);
  // The bytes are read: a part has an MD5 of its own.
  auto& chunks = call.repository().chunks();
  const auto session = chunks.begin_writes();
  s3proto::ChecksumSet sums;
  sums.add(s3proto::ChecksumAlgorithm::Md5);
  if (upload.algorithm) sums.add(*upload.algorithm);
  chunk::ContentWriter writer(chunks, cut_options(call.bucket->volume().record.settings));
  constexpr uint64_t kStep = 4u << 20;
  for (uint64_t at = range.offset; at < range.offset + range.length; at += kStep) {
    const uint64_t length = std::min(kStep, range.offset + range.length - at);
    TRY(const Bytes bytes, chunk::read_content(chunks, object.entry.content, at, length, kStep));
    sums.update(bytes);
    TRY_DO(writer.write(bytes));
  }
  sums.finish();
  Stored stored;
  TRY(stored.content, writer.finish());
  TRY_DO(chunks.sync());
  stored.md5 = sums.value(s3proto::ChecksumAlgorithm::Md5);
  if (upload.algorithm) stored.checksum = sums.value(*upload.algorithm);
  Entry part;
  part.object.emplace();
  set_content(part, stored, upload.algorithm, call.now);
  TRY_DO(commit_part(call, number, part, {}));
  s3proto::CopyAnswer answer{.etag = part.etag, .modified = call.now, .checksum = shown_checksum(part)};
  auto response = xml_response(s3proto::render_copy_part(answer));
  if (!object.version.empty()) response.headers.add("x-amz-copy-source-version-id", object.version);
  return response;
}

namespace {

struct Assembled {
  Entry entry;
};

Answer<Assembled> assemble(const Call& call, const Upload& upload, const std::vector<s3proto::CompletedPart>& asked,
                           const std::vector<std::pair<uint32_t, Entry>>& parts) {
  auto& chunks = call.repository().chunks();
  std::vector<const Entry*> chosen;
  uint64_t total = 0;
  for (const auto& one : asked) {
    const auto found = std::ranges::lower_bound(parts, one.number, {}, [](const auto& p) { return p.first; });
    const bool known = found != parts.end() && found->first == one.number && found->second.etag == one.etag;
    if (!known || (one.checksum && one.checksum->raw != raw_checksum(found->second))) {
      Refused refused(ErrorCode::InvalidPart);
      refused.with("PartNumber", std::to_string(one.number))
          .with("UploadId", asked_upload(call))
          .with("ETag", one.etag);
      return std::unexpected(std::move(refused));
    }
    total += found->second.content.bytes;
    chosen.push_back(&found->second);
  }
  for (size_t i = 0; i + 1 < chosen.size(); ++i) {
    if (chosen[i]->content.bytes >= kPartBytesMin) continue;
    Refused refused(ErrorCode::EntityTooSmall);
    refused.with("ProposedSize", std::to_string(chosen[i]->content.bytes))
        .with("MinSizeAllowed", std::to_string(kPartBytesMin))
        .with("PartNumber", std::to_string(asked[i].number));
    return std::unexpected(std::move(refused));
  }
  if (total > call.options.object_bytes_max) return refusal(ErrorCode::EntityTooLarge);
  if (const auto size = call.field("x-amz-mp-object-size"); size && *size != std::to_string(total))
    return refusal(ErrorCode::InvalidRequest,
                   fmt::format("x-amz-mp-object-size is {}, the parts have {} bytes", *size, total));

  Assembled out{.entry = upload.entry};
  Entry& entry = out.entry;
  entry.modified_ns = call.now.value * 1000;
  chunk::ContentWriter writer(chunks, cut_options(call.bucket->volume().record.settings));
  std::vector<Bytes> md5s, checksums;
  std::vector<StoredPart> stored;
  for (const Entry* part : chosen) {
    TRY_DO(writer.append(part->content));
    Bytes md5;
    if (!from_hex(part->etag, md5)) return refusal(ErrorCode::InternalError, "a part's ETag is not an MD5");
    md5s.push_back(std::move(md5));
    checksums.push_back(raw_checksum(*part));
    stored.push_back({part->content.bytes, checksums.back()});
  }
  TRY(entry.content, writer.finish());
  const std::vector<ByteView> md5_views(md5s.begin(), md5s.end());
  TRY(entry.etag, s3proto::multipart_etag(md5_views));
  entry.object->checksum.clear();
  entry.object->part_count = static_cast<uint32_t>(stored.size());
  TRY(entry.object->parts, chunk::write_content(chunks, {}, encode_parts(stored)));
  if (upload.algorithm) {
    std::vector<s3proto::PartChecksum> raw;
    for (size_t i = 0; i < chosen.size(); ++i) raw.push_back({checksums[i], chosen[i]->content.bytes});
    if (upload.type == s3proto::ChecksumType::Composite) {
      TRY(entry.object->checksum, s3proto::composite_checksum(*upload.algorithm, raw));
    } else {
      TRY(const Bytes whole, s3proto::combine_crc(*upload.algorithm, raw));
      entry.object->checksum = to_base64(whole);
    }
    if (const auto given = call.field(s3proto::checksum_header(*upload.algorithm));
        given && *given != entry.object->checksum)
      return refusal(ErrorCode::BadDigest, fmt::format("The {} you specified did not match the calculated checksum.",
                                                       s3proto::checksum_name(*upload.algorithm)));
  }
  TRY_DO(chunks.sync());
  return out;
}

}  // namespace

namespace {

http::Response completed(const Call& call, const Entry& entry, const Bytes& version) {
  s3proto::CompleteMultipartUploadAnswer answer{.location = fmt::format("/{}/{}", call.resource.bucket, call.key()),
                                                .bucket = call.resource.bucket,
                                                .key = call.key(),
                                                .etag = entry.etag,
                                                .checksum = shown_checksum(entry)};
  return with_version(xml_response(s3proto::render(answer)), version);
}

Answer<std::optional<http::Response>> completed_before(const Call& call) {
  const Bytes id = asked_upload(call);
  TRY(const auto contents, call.repository().open_layer(call.bucket->volume(), kUploadsLayer));
  TRY(const auto done, contents->get(done_key(id)));
  if (!done || !done->object) return std::optional<http::Response>();
  const auto of = done->metadata.find(kDoneUpload);
  if (of == done->metadata.end() || of->second != to_hex(upload_key(call.bucket->target.layer, call.key(), id)))
    return std::optional<http::Response>();
  return completed(call, *done, done->object->version);
}

// What completed() needs, under the id.
Entry done_entry(const Upload& upload, const Entry& object, const Bytes& version) {
  Entry done;
  done.content.sha256 = sha256("");
  done.modified_ns = object.modified_ns;
  done.etag = object.etag;
  done.metadata[kDoneUpload] = to_hex(upload.key);
  done.object.emplace();
  done.object->version = version;
  done.object->checksum_algorithm = object.object->checksum_algorithm;
  done.object->checksum = object.object->checksum;
  return done;
}

}  // namespace

Answer<http::Response> complete_multipart_upload(const Call& call, ByteView document) {
  TRY_DO(authorize(call, *call.bucket, need_of(call.operation, false), call.key(), nullptr));
  TRY_DO(require_writable(*call.bucket));
  TRY(const auto asked, s3proto::parse_complete_multipart_upload(document));
  const Bytes id = asked_upload(call);
  const auto found = look_up_upload(call);
  if (!found) {
    TRY(auto before, completed_before(call));
    if (before) return *std::move(before);
    return std::unexpected(found.error());
  }
  const Upload& upload = *found;
  TRY(const auto parts, read_parts_of(call, id));
  const auto session = call.repository().chunks().begin_writes();
  TRY(const Assembled assembled, assemble(call, upload, asked, parts));
  Bytes version;
  TRY_DO(transact(call, [&](Transaction& transaction) -> Answer<> {
    TRY_DO(find_upload(call, transaction));
    TRY(auto refused, check_write_conditions(call, transaction, call.bucket->target.layer, call.key()));
    if (refused) return std::unexpected(*std::move(refused));
    // Parts that were replaced meanwhile are not those that were put together.
    for (const auto& [number, part] : parts) {
      TRY(const auto now, transaction.get(kUploadsLayer, part_key(id, number)));
      if (!now || now->etag != part.etag)
        return refusal(ErrorCode::OperationAborted, "a part changed while the upload was completed");
    }
    const auto versioning = call.bucket->is_head() ? call.bucket->documents->versioning : s3proto::Versioning::Never;
    TRY(auto written,
        put_object(transaction, call.bucket->target.layer, versioning, call.key(), assembled.entry, call.now));
    version = std::move(written.version);
    remove_upload(transaction, upload.key, id, parts);
    TRY_DO(transaction.put(kUploadsLayer, done_key(id), done_entry(upload, assembled.entry, version)));
    return {};
  }));
  return completed(call, assembled.entry, version);
}

Answer<http::Response> abort_multipart_upload(const Call& call) {
  TRY_DO(authorize(call, *call.bucket, need_of(call.operation, false), call.key(), nullptr));
  TRY_DO(require_writable(*call.bucket));
  const Bytes id = asked_upload(call);
  TRY_DO(look_up_upload(call));
  TRY(const auto parts, read_parts_of(call, id));
  TRY_DO(transact(call, [&](Transaction& transaction) -> Answer<> {
    TRY(const Upload upload, find_upload(call, transaction));
    remove_upload(transaction, upload.key, id, parts);
    return {};
  }));
  http::Response response;
  response.status = 204;
  return response;
}

Answer<http::Response> list_parts(const Call& call) {
  TRY_DO(authorize(call, *call.bucket, need_of(call.operation, false), call.key(), nullptr));
  TRY(const auto most, call.query.number("max-parts", INT32_MAX));
  TRY(const auto marker, call.query.number("part-number-marker", INT32_MAX));
  TRY(const auto encoding, s3proto::parse_encoding_type(call.query));
  TRY(const Upload upload, look_up_upload(call));
  TRY(const auto parts, read_parts_of(call, asked_upload(call)));
  s3proto::ListPartsAnswer answer;
  answer.bucket = call.resource.bucket;
  answer.key = call.key();
  answer.upload_id = asked_upload(call);
  answer.initiator = answer.owner = Identity::owner_named(upload.entry.object->owner);
  answer.marker = static_cast<uint32_t>(marker.value_or(0));
  answer.parts_max = static_cast<uint32_t>(std::min<uint64_t>(most.value_or(1000), 1000));
  answer.encoding = encoding;
  answer.checksum = upload.algorithm;
  if (upload.algorithm) answer.checksum_type = upload.type;
  for (const auto& [number, part] : parts) {
    if (number <= answer.marker) continue;
    if (answer.parts.size() == answer.parts_max) {
      answer.truncated = true;
      break;
    }
    s3proto::ListedPart shown{.number = number,
                              .modified = UnixMicros{part.modified_ns / 1000},
                              .etag = part.etag,
                              .size = part.content.bytes};
    if (upload.algorithm) {
      if (auto checksum = shown_checksum(part))
        shown.checksum = s3proto::ShownChecksum{checksum->algorithm, checksum->value, {}};
    }
    answer.next_marker = number;
    answer.parts.push_back(std::move(shown));
  }
  return xml_response(s3proto::render(answer));
}

Answer<http::Response> list_multipart_uploads(const Call& call) {
  TRY_DO(authorize(call, *call.bucket, need_of(call.operation, false), "", nullptr));
  TRY(const auto most, call.query.number("max-uploads", INT32_MAX));
  s3proto::ListMultipartUploadsAnswer answer;
  answer.bucket = call.resource.bucket;
  answer.prefix = call.query.get("prefix").value_or("");
  answer.delimiter = call.query.get("delimiter").value_or("");
  answer.key_marker = call.query.get("key-marker").value_or("");
  if (!answer.key_marker.empty()) answer.upload_id_marker = call.query.get("upload-id-marker").value_or("");
  answer.uploads_max = static_cast<uint32_t>(std::min<uint64_t>(most.value_or(1000), 1000));
  TRY(answer.encoding, s3proto::parse_encoding_type(call.query));
  TRY(const auto contents, call.repository().open_layer(call.bucket->volume(), kUploadsLayer));
  auto cursor = contents->cursor();
  const Bytes prefix = uploads_prefix(call.bucket->target.layer);
  // Uploads of one key are in the order of their ids, which are random: S3 has them by time, clients do not care.
  Bytes from = prefix + answer.prefix;
  if (!answer.key_marker.empty()) {
    Bytes after = prefix + answer.key_marker + Bytes(1, '\0') + answer.upload_id_marker;
    after += answer.upload_id_marker.empty() ? Bytes(1, '\x7f') : Bytes(1, '\0');
    from = std::max(from, after);
  }
  TRY_DO(cursor->seek(from));
  while (cursor->valid() && cursor->key().starts_with(prefix)) {
    const ByteView rest = cursor->key().substr(prefix.size());
    const ByteView key = rest.substr(0, rest.size() - std::min(rest.size(), kUploadIdBytes + 1));
    const ByteView id = rest.substr(rest.size() - std::min(rest.size(), kUploadIdBytes));
    if (!key.starts_with(answer.prefix)) break;
    const size_t at = answer.delimiter.empty() ? ByteView::npos : key.find(answer.delimiter, answer.prefix.size());
    const Bytes common = at == ByteView::npos ? Bytes() : Bytes(key.substr(0, at + answer.delimiter.size()));
    const bool repeated =
        !common.empty() && ((!answer.common_prefixes.empty() && answer.common_prefixes.back() == common) ||
                            (answer.key_marker >= common && answer.key_marker.starts_with(common)));
    if (!repeated) {
      if (answer.uploads.size() + answer.common_prefixes.size() == answer.uploads_max) {
        answer.truncated = true;
        break;
      }
      if (!common.empty()) {
        answer.common_prefixes.push_back(common);
        answer.next_key_marker = common;
        answer.next_upload_id_marker.clear();
      } else {
        TRY(auto entry, Entry::decode(cursor->value()));
        TRY(const Upload upload, upload_of(call, std::move(entry), {}));
        s3proto::ListedUpload shown{
            .key = Bytes(key), .upload_id = Bytes(id), .initiated = UnixMicros{upload.entry.modified_ns / 1000}};
        shown.owner = shown.initiator = Identity::owner_named(upload.entry.object->owner);
        shown.checksum = upload.algorithm;
        if (upload.algorithm) shown.checksum_type = upload.type;
        answer.next_key_marker = shown.key;
        answer.next_upload_id_marker = shown.upload_id;
        answer.uploads.push_back(std::move(shown));
      }
    }
    TRY_DO(cursor->next());
  }
  return xml_response(s3proto::render(answer));
}

namespace {

constexpr int64_t kDayMicros = 86'400'000'000;
constexpr size_t kIdsAtOnce = 65'536;

Result<void> remove_parts(Transaction& transaction, ByteView id, uint64_t& removed) {
  TRY(auto parts, transaction.cursor(kUploadsLayer));
  const Bytes prefix = parts_prefix(id);
  TRY_DO(parts->seek(prefix));
  while (parts->valid() && parts->key().starts_with(prefix)) {
    transaction.remove(kUploadsLayer, parts->key());
    ++removed;
    TRY_DO(parts->next());
  }
  return {};
}

Result<void> forget_upload(volume::Repository& repository, const volume::Volume& volume, const Bytes& key,
                           ByteView id) {
  TRY_DO(repository.transact({"system", {}}, volume, [&](Transaction& transaction) -> Result<void> {
    TRY(const auto still, transaction.get(kUploadsLayer, key));
    if (!still) return {};
    transaction.remove(kUploadsLayer, key);
    uint64_t parts = 0;
    return remove_parts(transaction, id, parts);
  }));
  return {};
}

// Ids of parts that no upload of the same state has, a window of them at a time.
Result<void> sweep_parts(volume::Repository& repository, const volume::Volume& volume,
                         const std::function<bool()>& stop, LifecycleReport& report) {
  TRY(const auto contents, repository.open_layer(volume, kUploadsLayer));
  auto cursor = contents->cursor();
  TRY_DO(cursor->seek("p"));
  while (cursor->valid() && cursor->key().starts_with("p") && !stop()) {
    std::vector<Bytes> ids;
    while (cursor->valid() && cursor->key().starts_with("p") && ids.size() < kIdsAtOnce) {
      ids.emplace_back(cursor->key().substr(1, kUploadIdBytes));
      TRY_DO(cursor->seek(parts_prefix(ids.back()) + Bytes(5, '\xff')));
    }
    std::vector<bool> known(ids.size());
    auto uploads = contents->cursor();
    TRY_DO(uploads->seek("u"));
    for (; uploads->valid() && uploads->key().starts_with("u");) {
      const ByteView id =
          uploads->key().substr(uploads->key().size() - std::min(uploads->key().size(), kUploadIdBytes));
      const auto at = std::ranges::lower_bound(ids, id, std::less<ByteView>());
      if (at != ids.end() && *at == id) known[static_cast<size_t>(at - ids.begin())] = true;
      TRY_DO(uploads->next());
    }
    for (size_t i = 0; i < ids.size() && !stop(); ++i) {
      if (known[i]) continue;
      TRY_DO(repository.transact({"system", {}}, volume, [&](Transaction& transaction) {
        uint64_t removed = 0;
        auto done = remove_parts(transaction, ids[i], removed);
        report.parts += removed;
        return done;
      }));
    }
  }
  return {};
}

}  // namespace

Result<void> clear_uploads(volume::Repository& repository, const volume::Volume& volume,
                           const s3proto::LifecycleRules* rules, uint32_t stale_days, UnixMicros now,
                           const std::function<bool()>& stop, LifecycleReport& report) {
  TRY(const auto contents, repository.open_layer(volume, kUploadsLayer));
  auto cursor = contents->cursor();
  constexpr size_t kHead = 9;  // "u" and the layer
  TRY_DO(cursor->seek("u"));
  for (; cursor->valid() && cursor->key().starts_with("u") && !stop();) {
    const Bytes key(cursor->key());
    TRY(const auto entry, Entry::decode(cursor->value()));
    TRY_DO(cursor->next());
    if (key.size() < kHead + kUploadIdBytes + 1) continue;
    const UnixMicros begun{entry.modified_ns / 1000};
    const ByteView object = ByteView(key).substr(kHead, key.size() - kHead - kUploadIdBytes - 1);
    const bool stale = stale_days > 0 && begun.value + stale_days * kDayMicros <= now.value;
    if (!stale && !(rules != nullptr && s3proto::aborts_upload(*rules, object, begun, now))) continue;
    TRY_DO(forget_upload(repository, volume, key, ByteView(key).substr(key.size() - kUploadIdBytes)));
    ++report.uploads;
  }
  TRY_DO(cursor->seek("d"));
  for (; cursor->valid() && cursor->key().starts_with("d") && !stop();) {
    const Bytes key(cursor->key());
    TRY(const auto entry, Entry::decode(cursor->value()));
    TRY_DO(cursor->next());
    if (entry.modified_ns / 1000 + kDayMicros > now.value) continue;
    TRY_DO(repository.transact({"system", {}}, volume, [&](Transaction& transaction) -> Result<void> {
      transaction.remove(kUploadsLayer, key);
      return {};
    }));
  }
  return sweep_parts(repository, volume, stop, report);
}

}  // namespace hailstone::s3
