// Feeds a request's body to a blocking consumer: while one piece is being worked on, the next one is read.
#pragma once

#include <memory>

#include "api/call.h"
#include "http/message.h"
#include "http/offload.h"

namespace hailstone::api {

/// Takes a body piece by piece. Calls come one after the other, from threads of the pool.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual std::expected<void, Failure> take(ByteView piece) = 0;
  /// After the last piece: what to answer.
  virtual Outcome finish() = 0;
};

inline constexpr size_t kPieceBytes = 1u << 20;  // at most two are held: one being read, one being worked on

/// A body of up to one piece costs one visit to the pool. A failure ends the reading at once.
http::Task<Outcome> pump(http::BlockingPool& pool, http::RequestBody& body, std::shared_ptr<Sink> sink);

}  // namespace hailstone::api
