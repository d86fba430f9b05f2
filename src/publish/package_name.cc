#include "publish/package_name.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

namespace hailstone::publish {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alnum(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// Not empty, starts with a letter or digit, and has only those and `extra`.
bool is_word(ByteView text, std::string_view extra) {
  return !text.empty() && is_alnum(text[0]) &&
         std::ranges::all_of(text, [&](char c) { return is_alnum(c) || extra.find(c) != extra.npos; });
}
bool is_version(ByteView text, std::string_view extra) { return is_word(text, extra) && is_digit(text[0]); }

std::vector<ByteView> split(ByteView text, char separator) {
  std::vector<ByteView> parts;
  for (;;) {
    const size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == text.npos) return parts;
    text.remove_prefix(at + 1);
  }
}

bool take_suffix(ByteView& text, ByteView suffix) {
  if (text.size() <= suffix.size() || !text.ends_with(suffix)) return false;
  text.remove_suffix(suffix.size());
  return true;
}

using Found = std::optional<PackageName>;

Found made(PackageKind kind, ByteView name, ByteView version, ByteView architecture) {
  return PackageName{kind, Bytes(name), Bytes(version), Bytes(architecture)};
}

/// "1.2.3" or "1.2.3-rc.1+build" (semver.org).
bool is_semver(ByteView text) {
  for (int number = 0; number < 3; ++number) {
    const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    if (digits == 0) return false;
    text.remove_prefix(digits);
    if (number < 2) {
      if (!text.starts_with('.')) return false;
      text.remove_prefix(1);
    }
  }
  if (text.empty()) return true;
  return (text[0] == '-' || text[0] == '+') && is_word(text.substr(1), ".-+");
}

/// name-version where the version begins at the first '-' after which `accepts` holds for all the rest.
template <class Accepts>
bool split_at_version(ByteView stem, ByteView& name, ByteView& version, Accepts accepts) {
  for (size_t at = stem.find('-'); at != stem.npos; at = stem.find('-', at + 1)) {
    if (at == 0 || !accepts(stem.substr(at + 1))) continue;
    name = stem.substr(0, at);
    version = stem.substr(at + 1);
    return true;
  }
  return false;
}

Found deb(ByteView stem) {
  const auto parts = split(stem, '_');
  if (parts.size() != 3 || !is_word(parts[0], "+.-") || !is_word(parts[1], "+.-~:%") || !is_word(parts[2], "-"))
    return {};
  return made(PackageKind::Deb, parts[0], parts[1], parts[2]);
}

Found dsc(ByteView stem) {
  const auto parts = split(stem, '_');
  if (parts.size() != 2 || !is_word(parts[0], "+.-") || !is_word(parts[1], "+.-~:%")) return {};
  return made(PackageKind::DebSource, parts[0], parts[1], "source");
}

Found rpm(ByteView stem) {
  const size_t dot = stem.rfind('.');
  if (dot == stem.npos) return {};
  const ByteView architecture = stem.substr(dot + 1);
  const size_t release = stem.rfind('-', dot);
  if (release == stem.npos || release == 0) return {};
  const size_t version = stem.rfind('-', release - 1);
  if (version == stem.npos) return {};
  const ByteView name = stem.substr(0, version);
  if (!is_word(name, "+._-") || !is_word(stem.substr(version + 1, release - version - 1), "+._~^") ||
      !is_word(stem.substr(release + 1, dot - release - 1), "+._~^") || !is_word(architecture, "_"))
    return {};
  return made(PackageKind::Rpm, name, stem.substr(version + 1, dot - version - 1),
              architecture == "src" || architecture == "nosrc" ? ByteView("source") : architecture);
}

Found wheel(ByteView stem) {
  const auto parts = split(stem, '-');
  if (parts.size() != 5 && parts.size() != 6) return {};
  if (parts.size() == 6 && (parts[2].empty() || !is_digit(parts[2][0]))) return {};  // the build tag
  if (!is_word(parts[0], "_.") || !is_version(parts[1], "._+!")) return {};
  for (size_t i = parts.size() - 3; i < parts.size(); ++i)
    if (!is_word(parts[i], "_.")) return {};
  return made(PackageKind::Wheel, parts[0], parts[1], parts.back());
}

/// PEP 625: the version has no '-'. A dot is asked for, so that "backup-20240101.tar.gz" is not taken for a package.
Found sdist(ByteView stem) {
  const size_t at = stem.rfind('-');
  if (at == stem.npos || !is_word(stem.substr(0, at), "._-")) return {};
  const ByteView version = stem.substr(at + 1);
  if (!is_version(version, "._+!") || version.find('.') == version.npos) return {};
  return made(PackageKind::Sdist, stem.substr(0, at), version, "");
}

Found semver_named(PackageKind kind, ByteView stem) {
  ByteView name, version;
  if (!split_at_version(stem, name, version, is_semver) || !is_word(name, "._-")) return {};
  return made(kind, name, version, "");
}

Found npm(ByteView directory, ByteView stem) {
  Found found = semver_named(PackageKind::Npm, stem);
  if (!found) return {};
  // "@scope/name/-/name-1.0.0.tgz"
  const auto parts = split(directory, '/');
  const size_t n = parts.size();
  if (n >= 3 && parts[n - 1] == "-" && parts[n - 2] == found->name && parts[n - 3].starts_with('@'))
    found->name = Bytes(parts[n - 3]) + "/" + found->name;
  return found;
}

Found jar(ByteView directory, ByteView stem) {
  const auto parts = split(directory, '/');
  if (const size_t n = parts.size(); n >= 2) {
    // group/artifact/version/artifact-version[-classifier].jar
    const Bytes expected = Bytes(parts[n - 2]) + "-" + Bytes(parts[n - 1]);
    if (!parts[n - 2].empty() && !parts[n - 1].empty() && stem.starts_with(expected) &&
        (stem.size() == expected.size() || stem[expected.size()] == '-'))
      return made(PackageKind::Jar, parts[n - 2], parts[n - 1], "");
  }
  ByteView name, version;
  const auto accepts = [](ByteView rest) { return is_version(rest, "._-+") && rest.find('.') != rest.npos; };
  if (!split_at_version(stem, name, version, accepts) || !is_word(name, "._-")) return {};
  return made(PackageKind::Jar, name, version, "");
}

Found gem(ByteView stem) {
  static constexpr std::array<ByteView, 12> kPlatforms = {"java", "jruby",   "x86",       "x64",   "i386",  "i686",
                                                          "arm",  "aarch64", "universal", "mswin", "mingw", "ruby"};
  for (size_t at = stem.find('-'); at != stem.npos; at = stem.find('-', at + 1)) {
    const size_t end = stem.find('-', at + 1);
    const ByteView version = stem.substr(at + 1, end == stem.npos ? end : end - at - 1);
    const ByteView platform = end == stem.npos ? ByteView() : stem.substr(end + 1);
    const bool known =
        platform.empty() || std::ranges::any_of(kPlatforms, [&](ByteView p) { return platform.starts_with(p); });
    if (is_version(version, ".") && known && is_word(stem.substr(0, at), "._-"))
      return made(PackageKind::Gem, stem.substr(0, at), version, platform);
  }
  return {};
}

/// Alpine only: name-1.2.3-r0. Android's .apk names have no such form.
Found apk(ByteView stem) {
  const size_t revision = stem.rfind("-r");
  if (revision == stem.npos || revision == 0) return {};
  const ByteView number = stem.substr(revision + 2);
  if (number.empty() || !std::ranges::all_of(number, is_digit)) return {};
  const size_t at = stem.rfind('-', revision - 1);
  if (at == stem.npos || !is_word(stem.substr(0, at), "+._-") ||
      !is_version(stem.substr(at + 1, revision - at - 1), "._~"))
    return {};
  return made(PackageKind::Apk, stem.substr(0, at), stem.substr(at + 1), "");
}

/// name-version-release-architecture, where only the name may have a '-'.
Found pacman(ByteView stem) {
  const auto parts = split(stem, '-');
  if (parts.size() < 4) return {};
  const size_t n = parts.size();
  const size_t name_size = static_cast<size_t>(parts[n - 3].data() - stem.data()) - 1;
  const ByteView name = stem.substr(0, name_size);
  if (!is_word(name, "@._+-") || !is_word(parts[n - 3], "._+:~") || !is_version(parts[n - 2], ".") ||
      !is_word(parts[n - 1], "_"))
    return {};
  return made(PackageKind::Pacman, name, stem.substr(name_size + 1, parts[n - 1].data() - stem.data() - name_size - 2),
              parts[n - 1]);
}

}  // namespace

std::optional<PackageName> package_name(ByteView key) {
  const size_t slash = key.rfind('/');
  const ByteView directory = slash == key.npos ? ByteView() : key.substr(0, slash);
  ByteView stem = slash == key.npos ? key : key.substr(slash + 1);
  for (ByteView suffix : {".pkg.tar.zst", ".pkg.tar.xz", ".pkg.tar.gz"})
    if (take_suffix(stem, suffix)) return pacman(stem);
  if (take_suffix(stem, ".tar.gz")) return sdist(stem);
  for (ByteView suffix : {".deb", ".udeb", ".ddeb"})
    if (take_suffix(stem, suffix)) return deb(stem);
  if (take_suffix(stem, ".dsc")) return dsc(stem);
  if (take_suffix(stem, ".rpm")) return rpm(stem);
  if (take_suffix(stem, ".whl")) return wheel(stem);
  if (take_suffix(stem, ".crate")) return semver_named(PackageKind::Crate, stem);
  if (take_suffix(stem, ".tgz")) return npm(directory, stem);
  if (take_suffix(stem, ".jar")) return jar(directory, stem);
  if (take_suffix(stem, ".gem")) return gem(stem);
  if (take_suffix(stem, ".apk")) return apk(stem);
  return {};
}

bool promises_fixed_bytes(const PackageName& package) {
  return !package.version.empty() && package.version.find("SNAPSHOT") == Bytes::npos;
}

}  // namespace hailstone::publish
