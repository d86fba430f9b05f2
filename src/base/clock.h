// Clocks as objects, so that pure code gets times as input and shells get theirs from one place.
#pragma once

#include <cstdint>
#include <string>

#include "base/ids.h"

namespace hailstone {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual UnixMicros wall() const = 0;
  /// CLOCK_BOOTTIME in nanoseconds: counts suspend, never steps; comparable on this host only.
  virtual int64_t monotonic_ns() const = 0;
};

class SystemClock final : public Clock {
 public:
  UnixMicros wall() const override;
  int64_t monotonic_ns() const override;
};

/// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 §5.6.7).
std::string format_http_date(int64_t unix_seconds);
/// Accepts IMF-fixdate only; false on anything else.
bool parse_http_date(std::string_view text, int64_t& unix_seconds);
/// "2026-11-22T10:00:00.123456Z"; the fraction is left out when zero.
std::string format_iso8601(UnixMicros time);
/// "2026-11-22", "2026-11-22T10:00", "2026-11-22T10:00:05[.ffffff]", each with an optional "Z". UTC always.
bool parse_iso8601(std::string_view text, UnixMicros& time);

}  // namespace hailstone
