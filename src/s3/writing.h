// Operations that change objects. Bodies come in coroutines; what waits for a commit runs on the pool or resumes by
// itself.
#pragma once

#include "http/offload.h"
#include "s3/body.h"
#include "s3/objects.h"

namespace hailstone::s3 {

using Responding = http::Task<Answer<http::Response>>;

Responding put_object(const Call& call, http::BlockingPool& pool, http::RequestBody& body);
Responding post_object(Call& call, http::BlockingPool& pool, http::RequestBody& body,
                       const std::function<Answer<Identity>(const Bytes& access_key_id)>& identify,
                       const s3auth::SigningKeyLookup& keys, const s3auth::SecretLookup& secrets);

// On the pool:
Answer<http::Response> copy_object(const Call& call);
Answer<http::Response> delete_object(const Call& call);
Answer<http::Response> delete_objects(const Call& call, ByteView document);
Answer<http::Response> put_object_tagging(const Call& call, ByteView document);  // "": removes all
Answer<http::Response> put_object_acl(const Call& call, ByteView document);
Answer<http::Response> put_object_retention(const Call& call, ByteView document);
Answer<http::Response> put_object_legal_hold(const Call& call, ByteView document);

/// What the headers say of an object that is about to be written: type, metadata, tags, ACL, lock. Its content is not
/// set. `fields`: a look-up of header fields (of a request, or of a form).
using FieldLookup = std::function<std::optional<std::string_view>(std::string_view name)>;
struct HeaderPairs {
  std::vector<std::pair<Bytes, Bytes>> metadata;  // lower-case names without x-amz-meta-
};
Answer<volume::Entry> entry_of_headers(const Call& call, const FieldLookup& field,
                                       const std::vector<std::pair<Bytes, Bytes>>& metadata);
std::vector<std::pair<Bytes, Bytes>> metadata_of(const http::RequestHead& head);
/// Marks what was received on the entry: content, ETag, checksum, time.
void set_content(volume::Entry& entry, const Stored& stored, std::optional<s3proto::ChecksumAlgorithm> algorithm,
                 UnixMicros now);

/// ASCII.
Bytes lower(std::string_view text);
FieldLookup fields_of(const http::RequestHead& head);

/// A transaction whose body may refuse in S3's words.
Answer<volume::Reply> transact(const Call& call, const volume::Volume& volume,
                               const std::function<Answer<>(volume::Transaction&)>& body);
s3proto::Versioning versioning_of(const Bucket& bucket);

/// What ownership controls and the public access block let an ACL be.
Answer<> require_acls(const Call& call, const s3proto::AccessControlList& acl);
/// x-amz-acl or x-amz-grant-*, of an object of `owner`; "" where it is as private as by default.
Answer<Bytes> acl_of_headers(const Call& call, const FieldLookup& field, const s3proto::Owner& owner);

/// If-Match and If-None-Match of a write, inside its transaction.
Result<std::optional<Refused>> check_write_conditions(const Call& call, volume::Transaction& transaction,
                                                      uint64_t layer, ByteView key);
/// Commits `entry` as the current object of the call's key; the version it got.
Answer<Bytes> commit_object(const Call& call, const volume::Entry& entry, const std::optional<Bytes>& carried);

/// Whether a version may be removed or its lock loosened now. `bypass`: of governance, allowed and asked for.
Answer<> check_lock(const volume::Entry& entry, bool bypass, UnixMicros now);
/// The caller may and does ask to pass governance locks.
Answer<bool> bypasses_governance(const Call& call);

/// Commits what was received and answers PutObject.
Responding commit_received(const Call& call, http::BlockingPool& pool, volume::Entry entry,
                           std::optional<Bytes> carried);

http::Response with_version(http::Response response, const Bytes& version);

}  // namespace hailstone::s3
