#include "publish/repomd.h"

#include <fmt/format.h>

#include <algorithm>
#include <pugixml.hpp>

namespace hailstone::publish {
namespace {

constexpr ByteView kEnd = "</package>";

Result<void> load(pugi::xml_document& document, ByteView xml) {
  const auto parsed = document.load_buffer(xml.data(), xml.size(), pugi::parse_default, pugi::encoding_utf8);
  if (!parsed) return fail(Code::Invalid, fmt::format("XML at byte {}: {}", parsed.offset, parsed.description()));
  return {};
}

/// What <data> and <package> have in common.
Result<RpmFile> file_of(const pugi::xml_node& node, Bytes label) {
  RpmFile file;
  file.label = std::move(label);
  const pugi::xml_node location = node.child("location");
  file.href = location.attribute("href").value();
  file.elsewhere = location.attribute("xml:base");
  const pugi::xml_node checksum = node.child("checksum");
  file.checksum_type = checksum.attribute("type").value();
  file.checksum = checksum.text().get();
  if (file.href.empty()) return fail(Code::Invalid, fmt::format("\"{}\" has no location", printable(file.label)));
  return file;
}

/// The start of "<package " or "<package>" at or after `from`; not that of <packager>.
size_t find_start(ByteView text, size_t from) {
  constexpr ByteView kStart = "<package";
  for (size_t at = text.find(kStart, from); at != text.npos; at = text.find(kStart, at + 1)) {
    const size_t next = at + kStart.size();
    if (next < text.size() && ByteView(" \t\r\n>").find(text[next]) != ByteView::npos) return at;
  }
  return text.npos;
}

Result<RpmFile> parse_package(ByteView xml) {
  pugi::xml_document document;
  TRY_DO(load(document, xml));
  const pugi::xml_node package = document.child("package");
  const pugi::xml_node version = package.child("version");
  TRY(RpmFile file,
      file_of(package, fmt::format("{}-{}-{}.{}", package.child_value("name"), version.attribute("ver").value(),
                                   version.attribute("rel").value(), package.child_value("arch"))));
  if (const auto size = package.child("size").attribute("package")) file.bytes = size.as_ullong();
  return file;
}

}  // namespace

Result<std::vector<RpmFile>> parse_repomd(ByteView xml) {
  pugi::xml_document document;
  TRY_DO(load(document, xml));
  const pugi::xml_node root = document.child("repomd");
  if (!root) return fail(Code::Invalid, "has no <repomd> element");
  std::vector<RpmFile> files;
  for (const pugi::xml_node& data : root.children("data")) {
    TRY(RpmFile file, file_of(data, data.attribute("type").value()));
    if (const auto size = data.child("size")) file.bytes = size.text().as_ullong();
    files.push_back(std::move(file));
  }
  return files;
}

Result<void> PrimaryParser::feed(ByteView bytes) {
  buffer_ += bytes;
  size_t taken = 0;
  for (;;) {
    const size_t end = buffer_.find(kEnd, std::max(taken, searched_));
    if (end == buffer_.npos) break;
    const size_t start = find_start(buffer_, taken);
    if (start == buffer_.npos || start > end) return fail(Code::Invalid, "</package> without its start");
    TRY(const RpmFile file, parse_package(ByteView(buffer_).substr(start, end + kEnd.size() - start)));
    TRY_DO(visit_(file));
    taken = end + kEnd.size();
  }
  buffer_.erase(0, taken);
  searched_ = buffer_.size() - std::min(buffer_.size(), kEnd.size() - 1);
  if (buffer_.size() > kPackageElementBytesMax)
    return fail(Code::Invalid, fmt::format("a <package> element is larger than {} bytes", kPackageElementBytesMax));
  return {};
}

Result<void> PrimaryParser::finish() {
  if (find_start(buffer_, 0) != buffer_.npos) return fail(Code::Invalid, "ends within a <package> element");
  if (buffer_.find("</metadata>") == buffer_.npos && buffer_.find("/>") == buffer_.npos)
    return fail(Code::Invalid, "ends without </metadata>");
  return {};
}

}  // namespace hailstone::publish
