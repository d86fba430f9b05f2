// The metadata of an RPM repository: repomd.xml, and packages from a stream of primary.xml.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"

namespace hailstone::publish {

/// A file as repomd.xml or primary.xml names it.
struct RpmFile {
  Bytes label;                    // <data type=...>, or "name-version-release.arch" of a package
  Bytes href;                     // relative to the repository's root, as written
  bool elsewhere = false;         // has an xml:base: not ours to check
  std::optional<uint64_t> bytes;  // <size>; for packages <size package=...>
  Bytes checksum_type, checksum;  // "sha256", hex; empty where there is none
  bool operator==(const RpmFile&) const = default;
};

/// The <data> elements of a repomd.xml. Invalid: not XML, another root, a <data> without location.
Result<std::vector<RpmFile>> parse_repomd(ByteView xml);

inline constexpr size_t kPackageElementBytesMax = 16u << 20;

/// Cuts the <package> elements out of a primary.xml. Memory: one element.
class PrimaryParser {
 public:
  explicit PrimaryParser(std::function<Result<void>(const RpmFile&)> visit) : visit_(std::move(visit)) {}
  /// The next bytes, cut anywhere. Invalid: an element beyond kPackageElementBytesMax or malformed. Or an error of
  /// `visit`.
  Result<void> feed(ByteView bytes);
  /// After the last bytes. Invalid when they end within an element or without </metadata>.
  Result<void> finish();

 private:
  std::function<Result<void>(const RpmFile&)> visit_;
  Bytes buffer_;
  size_t searched_ = 0;  // of buffer_, known to hold no end of an element
};

}  // namespace hailstone::publish
