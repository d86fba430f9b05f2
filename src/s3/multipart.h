// Multipart uploads: begun, filled with parts in any order, completed to an object or aborted.
//
// An upload and its parts are entries of the volume's uploads layer, so whatever keeps entries keeps them.
#pragma once

#include "s3/lifecycle.h"
#include "s3/writing.h"

namespace hailstone::s3 {

Responding upload_part(const Call& call, http::BlockingPool& pool, http::RequestBody& body);

// On the pool:
Answer<http::Response> create_multipart_upload(const Call& call);
Answer<http::Response> upload_part_copy(const Call& call);
Answer<http::Response> complete_multipart_upload(const Call& call, ByteView document);
Answer<http::Response> abort_multipart_upload(const Call& call);
Answer<http::Response> list_parts(const Call& call);
Answer<http::Response> list_multipart_uploads(const Call& call);

/// Aborts what lifecycle rules or `stale_days` (0: never) give up, forgets completions older than a day, and removes
/// parts whose upload is gone (one that was being sent while its upload was aborted). An upload goes in one
/// transaction.
Result<void> clear_uploads(volume::Repository& repository, const volume::Volume& volume,
                           const s3proto::LifecycleRules* rules, uint32_t stale_days, UnixMicros now,
                           const std::function<bool()>& stop, LifecycleReport& report);

}  // namespace hailstone::s3
