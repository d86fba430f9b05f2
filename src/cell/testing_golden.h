// Golden files for tests: lines "NAME = HEX" that stay for ever.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <source_location>
#include <string>

#include "base/bytes.h"

namespace hailstone::cell {

/// Each of `current` is as the file has it, and it has nothing else. The file is that of the calling test's directory.
/// HAILSTONE_WRITE_GOLDEN=1 adds what is new; it never changes what is there.
inline void expect_golden(const std::string& file, const std::map<Bytes, Bytes>& current,
                          const std::source_location& test = std::source_location::current()) {
  const auto path = std::filesystem::path(test.file_name()).parent_path() / "testdata" / file;
  std::map<Bytes, Bytes> golden;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);)
    if (const size_t split = line.find(" = "); split != line.npos)
      golden[line.substr(0, split)] = line.substr(split + 3);
  in.close();
  if (std::getenv("HAILSTONE_WRITE_GOLDEN") != nullptr) {
    std::ofstream out(path, std::ios::app);
    for (const auto& [name, bytes] : current)
      if (!golden.contains(name)) out << name << " = " << (golden[name] = to_hex(bytes)) << "\n";
  }
  EXPECT_EQ(golden.size(), current.size());
  for (const auto& [name, bytes] : current) EXPECT_EQ(golden[name], to_hex(bytes)) << name;
}

}  // namespace hailstone::cell
