#include "publish/changes.h"

#include <nlohmann/json.hpp>

#include "publish/utf8.h"

namespace hailstone::publish {
namespace {

void count(const tree::Difference& difference, ChangeTotals& totals) {
  if (!difference.left)
    ++totals.added;
  else if (!difference.right)
    ++totals.removed;
  else
    ++totals.changed;
  if (difference.right) totals.bytes_added += difference.right_weight;
  if (difference.left) totals.bytes_removed += difference.left_weight;
}

Bytes json_line(const tree::Difference& difference) {
  nlohmann::ordered_json line;
  line["op"] = !difference.left ? "added" : !difference.right ? "removed" : "changed";
  if (valid_utf8(difference.key))
    line["key"] = difference.key;
  else
    line["key_base64"] = to_base64(difference.key);
  line["size"] = difference.right ? difference.right_weight : difference.left_weight;
  if (difference.left && difference.right) line["was"] = difference.left_weight;
  return line.dump() + "\n";
}

}  // namespace

Result<Changes> list_changes(tree::NodeStore& nodes, const tree::Root& from, const tree::Root& to,
                             const ChangeOptions& options) {
  Changes out;
  tree::DiffCursor cursor(nodes, from, to);
  for (;;) {
    TRY(const auto difference, cursor.next());
    if (!difference) return out;
    if (out.totals.keys() == options.count_max) {
      out.counted = false;
      out.more = true;
      return out;
    }
    count(*difference, out.totals);
    if (difference->key <= options.after) continue;
    if (out.lines == options.lines_max) {
      out.more = true;
      continue;
    }
    out.json_lines += json_line(*difference);
    out.last_key = difference->key;
    ++out.lines;
  }
}

}  // namespace hailstone::publish
