// The endpoints whose bodies are streams: what takes them, and what makes them. All of it blocks, none of it knows
// sockets.
#pragma once

#include <memory>

#include "api/call.h"
#include "api/pump.h"

namespace hailstone::api {

/// PUT content: the body is the entry's content, cut and stored as it comes, committed at its end.
std::shared_ptr<Sink> content_sink(Context& context, Call call);
/// POST upload: the body is a wire stream (upload.h).
std::shared_ptr<Sink> upload_sink(Context& context, Call call);

/// Makes a body piece by piece. Calls come one after the other, from threads of the pool.
class Producer {
 public:
  virtual ~Producer() = default;
  /// At least one byte; nothing at the end.
  virtual Result<std::optional<http::Part>> produce() = 0;
};
using Production = std::expected<std::shared_ptr<Producer>, Failure>;

/// GET manifest: a COPY frame for every entry, in key order.
Production manifest(Context& context, const Call& call);
/// POST fetch: PUT frames with contents, for the keys or the prefix that the body names. All keys are looked up first:
/// NotFound lists those that are not there.
Production fetch(Context& context, const Call& call);

/// GET content, as far as it must wait for disks: the entry, and the bytes of a small one.
struct FoundContent {
  volume::Target target;
  Bytes key;
  volume::Entry entry;
  std::optional<Bytes> bytes;  // the whole content where it is at most kReadAtOnce
};
inline constexpr uint64_t kReadAtOnce = 64u << 10;
std::expected<FoundContent, Failure> find_content(Context& context, const Call& call);

/// A range of a content, a part for each chunk: sent from its file where that is possible.
std::shared_ptr<Producer> content_producer(Context& context, chunk::Content content, uint64_t offset, uint64_t length);

/// A producer's pieces as a response body; each is a visit to the pool.
std::unique_ptr<http::BodySource> make_source(http::BlockingPool& pool, std::shared_ptr<Producer> producer);

/// The answer to a GET of found content: conditions, ranges and fields. Pure, but that the body may be a source.
http::Response serve_content(Context& context, http::BlockingPool& pool, const http::RequestHead& head,
                             FoundContent found);

}  // namespace hailstone::api
