// The S3 edge: an HTTP request in, the S3 answer out.
#pragma once

#include <memory>
#include <vector>

#include "http/offload.h"
#include "http/server.h"
#include "s3/call.h"
#include "s3/meter.h"

namespace hailstone::s3 {

/// Shared by the handlers of all server threads.
class Edge {
 public:
  /// `pool` runs what waits for disks and commits, `slow_pool` what waits for publishes or reads whole objects.
  Edge(Services services, Options options, http::BlockingPool& pool, http::BlockingPool& slow_pool);

  /// One for each server thread; the edge outlives it.
  std::unique_ptr<http::Handler> make_handler();
  const Meter& meter() const { return meter_; }

 private:
  friend class Handler;
  const Services services_;
  const Options options_;
  http::BlockingPool& pool_;
  http::BlockingPool& slow_pool_;
  Uploads uploads_;
  Meter meter_;
};

}  // namespace hailstone::s3
