#include "depot/mirrors.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/clock.h"
#include "depot/page.h"
#include "depot/path.h"

namespace hailstone::depot {
namespace {

constexpr size_t kHostBytesMax = 255 + 6;  // a DNS name, a colon and a port

bool digit(char c) { return c >= '0' && c <= '9'; }
bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool hex(char c) { return digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

bool good_port(std::string_view text) {
  return text.empty() ||
         (text.front() == ':' && text.size() >= 2 && text.size() <= 6 && std::ranges::all_of(text.substr(1), digit));
}

}  // namespace

std::optional<Bytes> origin_of(std::string_view host, bool secure) {
  if (host.empty() || host.size() > kHostBytesMax) return std::nullopt;
  size_t end = 0;
  if (host.front() == '[') {
    end = host.find(']');
    if (end == std::string_view::npos || end < 3) return std::nullopt;
    const auto inside = host.substr(1, end - 1);
    if (!std::ranges::all_of(inside, [](char c) { return hex(c) || c == ':' || c == '.'; })) return std::nullopt;
    ++end;
  } else {
    end = std::min(host.find(':'), host.size());
    const auto name = host.substr(0, end);
    if (name.empty() ||
        !std::ranges::all_of(name, [](char c) { return letter(c) || digit(c) || c == '-' || c == '.' || c == '_'; }))
      return std::nullopt;
  }
  if (!good_port(host.substr(end))) return std::nullopt;
  return fmt::format("{}://{}", secure ? "https" : "http", host);
}

Bytes mirrorlist(ByteView origin, const Pinned& pinned, ByteView path, MirrorlistFor client) {
  const Bytes encoded = percent_encode_path(path);
  const Bytes first = fmt::format("{}{}/{}", origin, encode_base(pinned.volume, pinned.release), encoded);
  if (pinned.base.empty()) return first + "\n";
  const Bytes second = fmt::format("{}{}/{}", origin, pinned.base, encoded);
  if (client == MirrorlistFor::Apt) return fmt::format("{}\tpriority:1\n{}\tpriority:2\n", first, second);
  return fmt::format("{}\n{}\n", first, second);
}

Bytes metalink(ByteView origin, const Pinned& pinned, const MetalinkFile& file) {
  const size_t slash = file.path.rfind('/');
  const ByteView name = slash == Bytes::npos ? ByteView(file.path) : ByteView(file.path).substr(slash + 1);
  const Bytes encoded = percent_encode_path(file.path);
  const std::string_view protocol = origin.substr(0, origin.find(':'));
  const auto url = [&](ByteView base, int preference) {
    return fmt::format("    <url protocol=\"{}\" type=\"{}\" preference=\"{}\">{}</url>\n", protocol, protocol,
                       preference, escape(fmt::format("{}{}/{}", origin, base, encoded)));
  };
  Bytes urls = url(encode_base(pinned.volume, pinned.release), 100);
  if (!pinned.base.empty()) urls += url(pinned.base, 50);
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"
      "<metalink version=\"3.0\" xmlns=\"http://www.metalinker.org/\" type=\"dynamic\" pubdate=\"{}\" "
      "generator=\"hailstone\" "
      "xmlns:mm0=\"http://fedorahosted.org/mirrormanager\">\n"
      " <files>\n"
      "  <file name=\"{}\">\n"
      "   <mm0:timestamp>{}</mm0:timestamp>\n"
      "   <size>{}</size>\n"
      "   <verification>\n"
      "    <hash type=\"sha256\">{}</hash>\n"
      "   </verification>\n"
      "   <resources maxconnections=\"1\">\n"
      "{}"
      "   </resources>\n"
      "  </file>\n"
      " </files>\n"
      "</metalink>\n",
      format_http_date(file.time.seconds()), escape(name), file.time.seconds(), file.bytes, file.sha256.hex(), urls);
}

}  // namespace hailstone::depot
