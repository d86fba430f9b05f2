#include "cli/changes.h"

#include <fmt/format.h>

#include "cli/exit_codes.h"

namespace hailstone::cli {
namespace {

std::string size_of(const Json& change, const char* name) {
  const auto at = change.find(name);
  return at != change.end() && at->is_number_unsigned() ? format_size(at->get<uint64_t>()) : "";
}

}  // namespace

Result<int> print_changes(Context& context, const std::string& path) {
  TRY(Api* const api, context.api());
  Bytes after;
  uint64_t total = 0;
  while (true) {
    std::string page_path = path;
    if (!after.empty()) add_parameter(page_path, "after", after);
    Bytes raw;
    TRY(const Json page, api->get(page_path, &raw));
    if (!context.print_json(raw)) {
      for (const Json& change : page.value("changes", Json::array())) {
        const std::string what = text_field(change, "change");
        const char mark = what == "added" ? '+' : what == "removed" ? '-' : '~';
        const std::string from = size_of(change, "old_size"), to = size_of(change, "new_size");
        context.out() << fmt::format("{} {}  {}{}{}\n", mark, printable(bytes_field(change, "key")), from,
                                     !from.empty() && !to.empty() ? " -> " : "", to);
        ++total;
      }
    }
    after = bytes_field(page, "next");
    if (after.empty()) break;
  }
  if (!context.json) context.note(fmt::format("{} keys differ", total));
  return kExitOk;
}

}  // namespace hailstone::cli
