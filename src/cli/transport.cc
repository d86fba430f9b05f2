#include "cli/transport.h"

namespace hailstone::cli {
Result<std::unique_ptr<Transport>> make_transport(const std::string&) {
  return fail(Code::Unsupported, "this build has no HTTP client");
}
}  // namespace hailstone::cli
