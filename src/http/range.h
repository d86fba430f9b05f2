// Range requests: parsing "Range: bytes=..." and resolving it against a length (RFC 9110 §14). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hailstone::http {

inline constexpr size_t kRangesMax = 32;  // a request for more is answered with the whole

/// Bytes [offset, offset+length) of a representation, length > 0.
struct ByteRange {
  uint64_t offset = 0;
  uint64_t length = 0;
  bool operator==(const ByteRange&) const = default;
};

struct ResolvedRanges {
  enum class Kind : uint8_t {
    Whole,          // no usable Range header: 200 with everything
    Satisfiable,    // 206 with `ranges`
    Unsatisfiable,  // 416 with "Content-Range: bytes */length"
  };
  Kind kind = Kind::Whole;
  std::vector<ByteRange> ranges;  // in the order asked; overlapping and touching ones joined where that loses no order
  bool operator==(const ResolvedRanges&) const = default;
};

/// What a Range field means for a representation of `length` bytes. Malformed fields, other units and more than
/// kRangesMax ranges are ignored (Whole), as §14.2 allows; so are many overlapping ones, the known way to make a server
/// work.
ResolvedRanges resolve_ranges(std::optional<std::string_view> field, uint64_t length);

/// "bytes 0-499/1234", of a Content-Range field.
std::string content_range(const ByteRange& range, uint64_t length);
/// "bytes */1234", for 416.
std::string unsatisfied_range(uint64_t length);

}  // namespace hailstone::http
