// The API as an HTTP handler: reads requests, sends them to the blocking pool, writes answers.
#pragma once

#include <memory>

#include "api/call.h"
#include "http/message.h"
#include "http/offload.h"

namespace hailstone::api {

/// One for the process; what it is given outlives it. Construct it, then call make_handler() on each server thread.
class Api {
 public:
  Api(const Services& services, http::BlockingPool& pool)
      : context_{services, {}}, pool_(pool), slow_pool_({.threads = 2, .queue_max = 64}) {}

  /// Answers every path below /api/; send others elsewhere.
  std::unique_ptr<http::Handler> make_handler();

  Context& context() { return context_; }

 private:
  Context context_;
  http::BlockingPool& pool_;
  // Publishing takes as long as the change is big, and publishes of a volume wait for each other: a pool of their own,
  // so that a queue of them never takes the threads that reads and writes need.
  http::BlockingPool slow_pool_;
};

}  // namespace hailstone::api
