// Debian's control files as a repository uses them: paragraphs from a stream, Release files, clear-signed ones, dates.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"

namespace hailstone::publish {

/// One paragraph (deb822(5)): its lines, without the empty one that ends it.
class Paragraph {
 public:
  explicit Paragraph(Bytes lines) : lines_(std::move(lines)) {}
  /// The value of the first field of this name (any case), without surrounding white space; continuation lines are kept
  /// with their line feeds. Valid as long as the paragraph.
  std::optional<ByteView> field(std::string_view name) const;

 private:
  Bytes lines_;
};

inline constexpr size_t kParagraphBytesMax = 32u << 20;  // Debian's Release files are paragraphs of 150 KB

/// Cuts a stream into paragraphs. Memory: one paragraph.
class ParagraphParser {
 public:
  explicit ParagraphParser(std::function<Result<void>(const Paragraph&)> visit) : visit_(std::move(visit)) {}
  /// The next bytes, cut anywhere. Invalid: a paragraph beyond kParagraphBytesMax. Or an error of `visit`.
  Result<void> feed(ByteView bytes);
  /// After the last bytes.
  Result<void> finish();

 private:
  Result<void> take_line();
  Result<void> emit();
  std::function<Result<void>(const Paragraph&)> visit_;
  Bytes lines_;
  Bytes line_;
};

/// "HEX64 SIZE NAME", as a Release file lists indexes and a Sources paragraph its files.
struct ListedFile {
  Hash256 sha256;
  uint64_t bytes = 0;
  Bytes name;  // relative, without "." and ".." components
  bool operator==(const ListedFile&) const = default;
};
/// Invalid names the line.
Result<std::vector<ListedFile>> parse_listed_files(ByteView lines);

/// What of a Release file matters here (DebianRepository/Format).
struct AptRelease {
  std::optional<int64_t> date, valid_until;  // seconds since 1970
  std::vector<ListedFile> files;             // from SHA256
  bool lists_weak_only = false;              // has MD5Sum or SHA1, but no SHA256: apt refuses it
  bool operator==(const AptRelease&) const = default;
};
/// Invalid: not one paragraph, a malformed date or listing.
Result<AptRelease> parse_apt_release(ByteView text);

/// The signed text within a clear-signed message (RFC 9580 §7), dash escapes undone. Invalid when it isn't one, when
/// anything stands before or after it, or when it holds several: apt would see something else than we do.
Result<Bytes> clear_signed_text(ByteView message);

/// "Sat, 10 Feb 2024 11:07:25 UTC", also with GMT or +0000 and a one-digit day. Seconds since 1970.
std::optional<int64_t> parse_apt_date(ByteView text);

}  // namespace hailstone::publish
