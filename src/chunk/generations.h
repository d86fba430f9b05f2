// The write sessions of this node, numbered for stores on other nodes.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

#include "chunk/remote_wire.h"

namespace hailstone::chunk {

/// Other nodes' stores hold what was put or touched under the generation of the time until they hear that all sessions
/// of that and earlier generations have ended; so generations must move on, while sessions are open too. Thread-safe.
///
/// Invariant: a session belongs to the generation in which it began; the mark taken at any time names one that is not
/// earlier than that of any open session, and an `ended` that is.
class Generations {
 public:
  explicit Generations(uint64_t term) : term_(term) {}

  uint64_t begin();
  void end(uint64_t generation);
  /// The next generation. Called now and then.
  void advance();
  WriterMark mark() const;

 private:
  const uint64_t term_;
  mutable std::mutex mutex_;  // writers of all threads; for some map steps
  uint64_t current_ = 1;
  std::map<uint64_t, uint64_t> open_;  // sessions by generation
};

/// Ends with `local`, the session of this node's own store (or null). May outlive everything else.
std::unique_ptr<WriteSession> make_session(std::shared_ptr<Generations> generations,
                                           std::unique_ptr<WriteSession> local);

}  // namespace hailstone::chunk
