#include "http/mime.h"

#include <gtest/gtest.h>

#include <string>

namespace hailstone::http {
namespace {

TEST(Mime, KnowsTheFilesOfRepositories) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"pool/main/h/hello_2.10-3_amd64.deb", "application/vnd.debian.binary-package"},
      {"hello-2.10-1.fc38.x86_64.rpm", "application/x-rpm"},
      {"hello_2.10-3.dsc", "text/plain; charset=utf-8"},
      {"hello_2.10.orig.tar.xz", "application/x-xz"},
      {"repodata/abc-primary.xml.zst", "application/zstd"},
      {"repodata/repomd.xml", "application/xml"},
      {"x-1.0-py3-none-any.whl", "application/zip"},
      {"serde-1.0.0.crate", "application/gzip"},
      {"a/b.jar", "application/java-archive"},
      {"dists/stable/InRelease", "text/plain; charset=utf-8"},
      {"dists/stable/Release", "text/plain; charset=utf-8"},
      {"dists/stable/Release.gpg", "application/pgp-keys"},
      {"main/binary-amd64/Packages", "text/plain; charset=utf-8"},
      {"main/binary-amd64/Packages.gz", "application/gzip"},
      {"main/i18n/Translation-en", "text/plain; charset=utf-8"},
      {"main/Contents-amd64", "text/plain; charset=utf-8"},
      {"main/Contents-amd64.gz", "application/gzip"},
      {"main/binary-amd64/by-hash/SHA256/0f3a", "application/octet-stream"},
      {"index.html", "text/html; charset=utf-8"},
      {"A.HTML", "text/html; charset=utf-8"},
      {"a/b.json", "application/json"},
      {"feed.atom", "application/atom+xml"},
      {".profile", "application/octet-stream"},
      {"a.b/c", "application/octet-stream"},
      {"a.", "application/octet-stream"},
      {"", "application/octet-stream"},
      {"x.averylongextensionindeed", "application/octet-stream"},
  };
  for (const auto& [path, want] : cases) EXPECT_EQ(content_type_of(path), want) << path;
}

}  // namespace
}  // namespace hailstone::http
