// Which files a command may change: copies of them must be gone before it is proposed.
#pragma once

#include <vector>

#include "cell/command.h"
#include "cell/query.h"

namespace hailstone::cell {

struct Touched {
  std::vector<Bytes> paths;
  std::vector<Bytes> prefixes;  // all beneath; not a file there itself

  bool empty() const { return paths.empty() && prefixes.empty(); }
  bool operator==(const Touched&) const = default;
};

/// By either branch of a transaction; by new rules everything, as a copy must not outlive the right to read it. Of
/// sessions that end see owned_by().
Touched touched_by(const Body& body);
/// Adds the ephemeral files of a session, which go with it.
Result<void> add_owned_by(const replica::Reader& state, SessionId session, Touched& touched);

}  // namespace hailstone::cell
