// The model's conditional write as this edge needs it: 412 where the request's own condition failed, retries
// recognised.
#pragma once

#include "api/call.h"

namespace hailstone::api {

Error no_key(const volume::Target& target, ByteView key);

/// One put or removal under the call's If-Match and If-None-Match.
std::expected<volume::Written, Failure> write_one(Context& context, const Call& call, const volume::Target& target,
                                                  volume::Put put);

/// A batch under conditions that its body names. A failed one is a Conflict with the keys that do not match.
std::expected<volume::Written, Failure> write_batch(Context& context, const Call& call, const volume::Target& target,
                                                    const std::vector<volume::Condition>& conditions,
                                                    const std::vector<volume::Put>& puts);

/// Denied for a release, before any work is done for its sake.
Result<volume::Target> writable_target(Context& context, const Call& call);

}  // namespace hailstone::api
