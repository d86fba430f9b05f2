// What a package file's name says about it: name, version, architecture; nothing when the name leaves room for doubt.
#pragma once

#include <optional>

#include "base/bytes.h"

namespace hailstone::publish {

enum class PackageKind : uint8_t { Deb, DebSource, Rpm, Wheel, Sdist, Crate, Npm, Jar, Gem, Apk, Pacman };

struct PackageName {
  PackageKind kind = PackageKind::Deb;
  Bytes name;     // with its scope for npm ("@babel/core"), which stands in the directory
  Bytes version;  // as written in the name: Debian epochs are absent from file names, npm and Cargo have build tags
  Bytes architecture;  // "source" for .dsc and .src.rpm; a wheel's platform tag; empty where the name says none
  bool operator==(const PackageName&) const = default;
};

/// Reads the last component of `key` (and, for npm scopes and Maven layouts, the directories before it). Pure.
/// Sources: deb-src-control(5), rpm NEVRA, PEP 427 and 625, Cargo and npm (semver.org), Maven layout,
/// Gem::Specification, apk-package(5), PKGBUILD(5).
std::optional<PackageName> package_name(ByteView key);

/// Whether the name promises that its bytes never change: a package with a version, but not a Maven snapshot.
bool promises_fixed_bytes(const PackageName& package);

}  // namespace hailstone::publish
