#include "http/mime.h"

#include <algorithm>
#include <array>

#include "http/grammar.h"

namespace hailstone::http {
namespace {

struct Row {
  std::string_view key;
  std::string_view type;
};

constexpr std::string_view kText = "text/plain; charset=utf-8";
constexpr std::string_view kBinary = "application/octet-stream";

// Sorted by key, so that it can be searched. Keys are lower case.
constexpr Row kByExtension[] = {
    {"7z", "application/x-7z-compressed"},
    {"apk", "application/vnd.android.package-archive"},
    {"asc", "application/pgp-signature"},
    {"atom", "application/atom+xml"},
    {"avif", "image/avif"},
    {"buildinfo", kText},
    {"bz2", "application/x-bzip2"},
    {"c", kText},
    {"cc", kText},
    {"cfg", kText},
    {"changes", kText},
    {"conda", "application/zip"},
    {"conf", kText},
    {"crate", "application/gzip"},
    {"crt", "application/x-x509-ca-cert"},
    {"css", "text/css; charset=utf-8"},
    {"csv", "text/csv; charset=utf-8"},
    {"ddeb", "application/vnd.debian.binary-package"},
    {"deb", "application/vnd.debian.binary-package"},
    {"diff", kText},
    {"drpm", "application/x-rpm"},
    {"dsc", kText},
    {"egg", "application/zip"},
    {"gem", "application/x-tar"},
    {"gif", "image/gif"},
    {"gpg", "application/pgp-keys"},
    {"gz", "application/gzip"},
    {"h", kText},
    {"htm", "text/html; charset=utf-8"},
    {"html", "text/html; charset=utf-8"},
    {"ico", "image/x-icon"},
    {"ini", kText},
    {"iso", "application/x-iso9660-image"},
    {"jar", "application/java-archive"},
    {"jpeg", "image/jpeg"},
    {"jpg", "image/jpeg"},
    {"js", "text/javascript; charset=utf-8"},
    {"json", "application/json"},
    {"key", "application/pgp-keys"},
    {"lock", kText},
    {"log", kText},
    {"lz", "application/x-lzip"},
    {"lz4", "application/x-lz4"},
    {"lzma", "application/x-lzma"},
    {"map", "application/json"},
    {"md", "text/markdown; charset=utf-8"},
    {"md5", kText},
    {"metalink", "application/metalink+xml"},
    {"mjs", "text/javascript; charset=utf-8"},
    {"mod", kText},
    {"mp4", "video/mp4"},
    {"nar", "application/x-nix-nar"},
    {"narinfo", "text/x-nix-narinfo"},
    {"nupkg", "application/zip"},
    {"patch", kText},
    {"pdf", "application/pdf"},
    {"pem", "application/x-pem-file"},
    {"png", "image/png"},
    {"pom", "application/xml"},
    {"py", kText},
    {"repo", kText},
    {"rpm", "application/x-rpm"},
    {"rss", "application/rss+xml"},
    {"rst", kText},
    {"sh", kText},
    {"sha1", kText},
    {"sha256", kText},
    {"sha512", kText},
    {"sig", "application/pgp-signature"},
    {"sqlite", "application/vnd.sqlite3"},
    {"svg", "image/svg+xml"},
    {"tar", "application/x-tar"},
    {"tbz2", "application/x-bzip2"},
    {"tgz", "application/gzip"},
    {"toml", "application/toml"},
    {"torrent", "application/x-bittorrent"},
    {"txt", kText},
    {"txz", "application/x-xz"},
    {"udeb", "application/vnd.debian.binary-package"},
    {"war", "application/java-archive"},
    {"wasm", "application/wasm"},
    {"webm", "video/webm"},
    {"webp", "image/webp"},
    {"whl", "application/zip"},
    {"woff", "font/woff"},
    {"woff2", "font/woff2"},
    {"xhtml", "application/xhtml+xml"},
    {"xml", "application/xml"},
    {"xz", "application/x-xz"},
    {"yaml", "application/yaml"},
    {"yml", "application/yaml"},
    {"zip", "application/zip"},
    {"zst", "application/zstd"},
};
static_assert(std::ranges::is_sorted(kByExtension, {}, &Row::key));

// Names without an extension, as written by apt, dpkg, make and friends.
constexpr std::string_view kTextNames[] = {"InRelease",  "Release",    "Packages", "Sources", "Index",     "README",
                                           "LICENSE",    "COPYING",    "NEWS",     "AUTHORS", "ChangeLog", "CHANGELOG",
                                           "SHA256SUMS", "SHA512SUMS", "SHA1SUMS", "MD5SUMS", "Makefile",  "Dockerfile",
                                           "HEAD",       "TODO",       "INSTALL"};

bool is_text_name(std::string_view name) {
  return std::ranges::find(kTextNames, name) != std::end(kTextNames) || name.starts_with("Translation-") ||
         (name.starts_with("Contents-") && name.find('.') == std::string_view::npos);
}

}  // namespace

std::string_view content_type_of(std::string_view path) {
  const size_t slash = path.rfind('/');
  const std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
  if (is_text_name(name)) return kText;
  const size_t dot = name.rfind('.');
  // ".profile" is a name, not an extension; by-hash files are named by a digest and may hold anything.
  if (dot == std::string_view::npos || dot == 0) return kBinary;
  std::array<char, 12> key{};
  const std::string_view extension = name.substr(dot + 1);
  if (extension.size() > key.size()) return kBinary;
  std::ranges::transform(extension, key.begin(), lower);
  const std::string_view wanted(key.data(), extension.size());
  const auto* row = std::ranges::lower_bound(kByExtension, wanted, {}, &Row::key);
  return row != std::end(kByExtension) && row->key == wanted ? row->type : kBinary;
}

}  // namespace hailstone::http
