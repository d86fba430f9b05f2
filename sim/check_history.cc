// check_history FILE: judges a stored history; exit code 0 linearizable, 1 violation, 2 undecided or not a history.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <iterator>

#include "sim/history_file.h"

namespace {

using namespace hailstone;
using namespace hailstone::sim;

constexpr int kExitUndecided = 2;

Result<std::string> read_file(const char* path) {
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file.is_open() || file.bad()) return fail(Code::Io, "cannot be read");
  return text;
}

History of_key(const History& history, uint64_t key) {
  History out;
  std::copy_if(history.begin(), history.end(), std::back_inserter(out), [&](const auto& op) { return op.key == key; });
  return out;
}

void print_violation(const History& history, const Report& report) {
  History smallest;
  for (const uint64_t key : report.violating_keys) {
    History candidate = of_key(history, key);
    if (smallest.empty() || candidate.size() < smallest.size()) smallest = std::move(candidate);
  }
  const History shrunk = shrink(smallest);
  fmt::print(
      "# {} keys have no legal order. Of key {}'s {} operations, the {} below have none already;\n"
      "# those in flight when the first fault showed are given as unknown.\n{}",
      report.violating_keys.size(), smallest[0].key, smallest.size(), shrunk.size(), format_history(shrunk));
}

int run(const char* path) {
  const auto judge = [&]() -> Result<std::pair<History, Report>> {
    TRY(const std::string text, read_file(path));
    TRY(History history, parse_history(text));
    TRY(Report report, check(history));
    return std::pair(std::move(history), std::move(report));
  };
  const auto judged = judge();
  if (!judged) {
    fmt::print(stderr, "check_history: {}: {}\n", path, judged.error().message);
    return kExitUndecided;
  }
  const auto& [history, report] = *judged;
  constexpr std::array<std::string_view, 3> kVerdicts{"linearizable", "violation", "unknown"};
  fmt::print("# {}: {} operations, {} keys, {} states explored\n", kVerdicts[static_cast<size_t>(report.verdict)],
             report.operations, report.keys, report.states);
  for (const uint64_t key : report.undecided_keys) fmt::print("# key {}: gave up\n", key);
  if (report.verdict == Verdict::Violation) print_violation(history, report);
  return static_cast<int>(report.verdict);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr,
               "usage: check_history FILE\n"
               "exit code: 0 linearizable, 1 violation, 2 undecided or not a history\n");
    return kExitUndecided;
  }
  return run(argv[1]);
}
