#include "base/error.h"

namespace hailstone {

std::string_view code_name(Code code) {
  switch (code) {
    case Code::Invalid: return "invalid";
    case Code::NotFound: return "not_found";
    case Code::Exists: return "exists";
    case Code::Conflict: return "conflict";
    case Code::Unavailable: return "unavailable";
    case Code::Timeout: return "timeout";
    case Code::Corrupt: return "corrupt";
    case Code::Exhausted: return "exhausted";
    case Code::Denied: return "denied";
    case Code::Unsupported: return "unsupported";
    case Code::Cancelled: return "cancelled";
    case Code::Io: return "io";
  }
  return "unknown";
}

}  // namespace hailstone
