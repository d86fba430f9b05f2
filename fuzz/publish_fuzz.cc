// Feeds any bytes to the parsers of the publish module: apt and rpm metadata (whole, and split at a place the input
// chooses), decompression, package names, search queries, page references.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "publish/deb822.h"
#include "publish/decompress.h"
#include "publish/feed.h"
#include "publish/package_name.h"
#include "publish/page_file.h"
#include "publish/paths.h"
#include "publish/repomd.h"
#include "publish/search_terms.h"
#include "publish/signing.h"
#include "publish/utf8.h"

using namespace hailstone;
using namespace hailstone::publish;

namespace {

/// What a streaming parser saw, and whether it was content: must not depend on the split.
Bytes packages(ByteView bytes, size_t split) {
  Bytes seen;
  ParagraphParser parser([&](const Paragraph& paragraph) -> Result<void> {
    for (const char* name : {"Package", "Filename", "Size", "SHA256", "Checksums-Sha256"})
      seen += Bytes(paragraph.field(name).value_or("-")) + "\n";
    return {};
  });
  const bool good = parser.feed(bytes.substr(0, split)) && parser.feed(bytes.substr(split)) && parser.finish();
  return seen + (good ? "good" : "bad");
}

Bytes primary(ByteView bytes, size_t split) {
  Bytes seen;
  PrimaryParser parser([&](const RpmFile& file) -> Result<void> {
    seen += file.label + file.href + file.checksum + "\n";
    return {};
  });
  const bool good = parser.feed(bytes.substr(0, split)) && parser.feed(bytes.substr(split)) && parser.finish();
  return seen + (good ? "good" : "bad");
}

void try_decompress(Coding coding, ByteView bytes) {
  uint64_t out = 0;
  constexpr uint64_t kMax = 1 << 20;
  const auto source = [&]() -> Result<Bytes> {
    const ByteView piece = bytes.substr(0, 100);
    bytes.remove_prefix(piece.size());
    return Bytes(piece);
  };
  const auto sink = [&](ByteView piece) -> Result<void> {
    out += piece.size();
    return {};
  };
  (void)decompress(coding, source, sink, kMax);
  if (out > kMax) std::abort();
}

void check_query(ByteView bytes) {
  const auto query = parse_search_query(bytes);
  if (!query) return;
  for (const Bytes& word : query->words)
    for (const char c : word)
      if (c == '"' || c == '*' || c == '\0') std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const ByteView bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  const size_t split = data[1] % (bytes.size() + 1);
  switch (data[0] % 10) {
    case 0: (void)parse_apt_release(bytes); break;
    case 1:
      if (const auto text = clear_signed_text(bytes)) (void)parse_apt_release(*text);
      break;
    case 2:
      if (packages(bytes, 0) != packages(bytes, split)) std::abort();
      break;
    case 3: (void)parse_repomd(bytes); break;
    case 4:
      if (primary(bytes, 0) != primary(bytes, split)) std::abort();
      break;
    case 5: try_decompress(static_cast<Coding>(data[1] % 4), bytes); break;
    case 6:
      if (const auto package = package_name(bytes); package && package->name.empty()) std::abort();
      (void)terms_of_key(bytes);
      break;
    case 7: check_query(bytes); break;
    case 8:
      if (!valid_utf8(xml_escape(bytes))) std::abort();
      if (const auto path = relative_path(bytes.substr(0, split), bytes.substr(split));
          path && (path->empty() || path->ends_with("/..")) && split == 0)
        std::abort();
      break;
    default:
      (void)PublicKey::parse(bytes);
      (void)page_chunk(bytes);
      (void)parse_apt_date(bytes);
  }
  return 0;
}
