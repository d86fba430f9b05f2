// The program's version, as CHANGELOG.md has it.
#pragma once

namespace hailstone::server {

inline constexpr char kVersion[] = "0.1.0";

}  // namespace hailstone::server
