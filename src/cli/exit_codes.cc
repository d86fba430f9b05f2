#include "cli/exit_codes.h"

#include <fmt/format.h>

namespace hailstone::cli {
namespace {

struct Row {
  Code code;
  int exit;
  std::string_view meaning;
  std::string_view advice;
};

// Exit codes are an interface: never change or reuse a number.
constexpr Row kRows[] = {
    {Code::Invalid, 3, "the request is wrong", ""},
    {Code::NotFound, 4, "no such thing", ""},
    {Code::Exists, 5, "it is there already", ""},
    {Code::Conflict, 6, "the state moved on", "look at the current state and try again"},
    {Code::Unavailable, 7, "not now", "is the server running? check --url (HAILSTONE_URL), or try again later"},
    {Code::Timeout, 8, "the outcome is unknown", "look whether it was done before you repeat it"},
    {Code::Corrupt, 9, "bytes fail their checksum", "run 'hailstone status' and look at the server's log"},
    {Code::Exhausted, 10, "no space or quota left", "free space: old releases, drafts, the disk itself"},
    {Code::Denied, 11, "not allowed", "check --key (HAILSTONE_KEY), its role and its volumes"},
    {Code::Unsupported, 12, "understood, not built", ""},
    {Code::Cancelled, 13, "stopped by someone", "try again"},
    {Code::Io, 14, "the device or kernel refused", "look at the disk and the server's log"},
};

const Row& row_of(Code code) {
  for (const Row& row : kRows)
    if (row.code == code) return row;
  return kRows[0];
}

}  // namespace

int exit_code_of(Code code) { return row_of(code).exit; }
std::string_view advice(Code code) { return row_of(code).advice; }

bool parse_code(std::string_view name, Code& out) {
  for (const Row& row : kRows) {
    if (code_name(row.code) != name) continue;
    out = row.code;
    return true;
  }
  return false;
}

std::string exit_code_table() {
  std::string out =
      "Exit codes:\n   0  done\n   1  part of it failed, or an unknown error\n   2  wrong usage: nothing was tried\n";
  for (const Row& row : kRows) out += fmt::format("  {:2}  {}: {}\n", row.exit, code_name(row.code), row.meaning);
  return out;
}

}  // namespace hailstone::cli
