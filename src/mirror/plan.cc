#include "mirror/plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "mirror/fingerprint.h"

namespace hailstone::mirror {
namespace {

// Below this a changed ctime costs less to settle by reading the file than by asking the server for its entry.
constexpr uint64_t kCheapReadBytes = 256u << 10;

class Planner {
 public:
  Planner(const PlanInput& input, Probe& probe, Plan& plan) : input_(input), probe_(probe), plan_(plan) {}

  void run() {
    // Merge of two sorted lists: local items, and what the server is known to have.
    size_t item = 0, there = 0;
    const size_t items = input_.scan.items.size();
    while (item < items || there < server_size()) {
      const int order = item == items            ? 1
                        : there == server_size() ? -1
                                                 : input_.scan.items[item].key.compare(server_key(there));
      if (order < 0) {
        put(item++, "new", std::nullopt);
      } else if (order > 0) {
        only_there(there++);
      } else if (input_.state != nullptr) {
        compare_with_state(item++, input_.state->records[there++]);
      } else {
        compare_with_server(item++, (*input_.server)[there++]);
      }
    }
    plan_.steps.insert(plan_.steps.begin(), removals_.begin(), removals_.end());
  }

 private:
  size_t server_size() const { return input_.state ? input_.state->records.size() : input_.server->size(); }
  const Bytes& server_key(size_t i) const {
    return input_.state ? input_.state->records[i].key : (*input_.server)[i].key;
  }

  enum class Equal : uint8_t { Unlikely, Likely };
  void put(size_t item, std::string_view reason, std::optional<uint64_t> known, Equal equal = Equal::Unlikely) {
    plan_.steps.push_back(
        {Action::Put, input_.scan.items[item].key, item, nullptr, known, equal == Equal::Likely, reason});
    ++plan_.puts;
    plan_.put_bytes += input_.scan.items[item].bytes;
  }

  void meta(size_t item, const volume::Entry* server, std::optional<uint64_t> known) {
    plan_.steps.push_back(
        {Action::Meta, input_.scan.items[item].key, item, server, known, false, "mode, owner or attributes"});
    ++plan_.metas;
  }

  void keep(size_t item, uint64_t known) {
    plan_.unchanged.push_back(record_of(input_.scan.items[item], known, input_.scan.started_ns));
    ++plan_.unchanged_items;
  }

  void compare_with_state(size_t index, const StateRecord& record) {
    const Item& item = input_.scan.items[index];
    const bool same_content = record.bytes == item.bytes && record.modified_ns == item.modified_ns;
    if (same_content && record.inode == item.inode && record.changed_ns == item.changed_ns)
      return keep(index, record.fingerprint);
    // A record with changed_ns 0 may hide a change of content under equal times: only reading settles it.
    const bool only_ctime = same_content && record.inode == item.inode && record.changed_ns != 0;
    if (only_ctime && item.kind == volume::Kind::File && item.bytes > kCheapReadBytes)
      return meta(index, nullptr, record.fingerprint);
    put(index, "changed", record.fingerprint, same_content ? Equal::Likely : Equal::Unlikely);
  }

  void compare_with_server(size_t index, const KeyEntry& server) {
    Item item = input_.scan.items[index];
    const uint64_t known = fingerprint(server.entry);
    if (server.entry.kind != item.kind) return put(index, "replaced", known);
    if (!same_content(item, server.entry)) return put(index, "changed", known);
    auto xattrs = probe_.xattrs(item);
    if (!xattrs) return put(index, "unreadable", known);
    item.posix.xattrs = std::move(*xattrs);
    volume::Entry wanted = entry_of(item);
    wanted.content = server.entry.content;
    if (fingerprint(wanted) == known) return keep(index, known);
    if (item.kind == volume::Kind::File) return meta(index, &server.entry, known);
    put(index, "mode, owner or attributes", known);  // no content worth sparing
  }

  bool same_content(const Item& item, const volume::Entry& entry) {
    switch (item.kind) {
      case volume::Kind::File: {
        if (item.bytes != entry.content.bytes) return false;
        if (input_.compare == Compare::Times) return item.modified_ns == entry.modified_ns;
        const auto sha256 = probe_.content_sha256(item);
        return sha256 && *sha256 == entry.content.sha256;
      }
      case volume::Kind::Symlink:
        return item.target.size() == entry.content.bytes && sha256(item.target) == entry.content.sha256;
      default: return true;
    }
  }

  // A key that the server has and the tree lacks.
  void only_there(size_t index) {
    const Bytes& key = server_key(index);
    if (became_directory(key)) return remove(key, "replaced by a directory");
    if (input_.extraneous == Extraneous::Delete && !protected_key(key)) return remove(key, "gone");
    if (input_.state) {
      plan_.unchanged.push_back(input_.state->records[index]);
    } else {
      const KeyEntry& there = (*input_.server)[index];
      plan_.unchanged.push_back(
          {key, there.entry.content.bytes, there.entry.modified_ns, 0, 0, fingerprint(there.entry)});
    }
  }

  void remove(const Bytes& key, std::string_view reason) {
    removals_.push_back({Action::Delete, key, SIZE_MAX, nullptr, std::nullopt, false, reason});
    ++plan_.deletes;
  }

  // "a" at the server while "a/" is a directory here: both at once could not be exported again.
  bool became_directory(const Bytes& key) const {
    if (key.ends_with('/')) return false;
    const auto& items = input_.scan.items;
    const Bytes directory = key + '/';
    const auto at = std::lower_bound(items.begin(), items.end(), directory,
                                     [](const Item& item, const Bytes& k) { return item.key < k; });
    return at != items.end() && at->key == directory;
  }

  bool protected_key(const Bytes& key) {
    if (input_.scan.unreadable.total() > 0) {
      if (!warned_unreadable_)
        plan_.warnings.emplace_back("nothing is deleted: some directories could not be read, what is gone is unknown");
      warned_unreadable_ = true;
      return true;
    }
    const auto is = key.ends_with('/') ? Excludes::Is::Directory : Excludes::Is::Other;
    return input_.excludes.match_any_level(path_of(key, input_.prefix), is);
  }

  const PlanInput& input_;
  Probe& probe_;
  Plan& plan_;
  std::vector<Step> removals_;  // kept apart: they come first
  bool warned_unreadable_ = false;
};

}  // namespace

Plan make_plan(const PlanInput& input, Probe& probe) {
  CHECK((input.state == nullptr) != (input.server == nullptr));
  Plan plan;
  Planner(input, probe, plan).run();
  return plan;
}

volume::Entry entry_of(const Item& item) {
  volume::Entry entry;
  entry.kind = item.kind;
  entry.modified_ns = item.modified_ns;
  entry.posix = item.posix;
  return entry;
}

std::string to_text(const Plan& plan, const Scan& scan, size_t lines_max) {
  std::string out;
  size_t lines = 0;
  for (const Step& step : plan.steps) {
    if (lines++ == lines_max) {
      out += fmt::format("... and {} more\n", plan.steps.size() - lines_max);
      break;
    }
    const std::string_view verb = step.action == Action::Put ? "put" : step.action == Action::Meta ? "meta" : "delete";
    out += fmt::format("{:<7}{}", verb, printable(step.key));
    if (step.action == Action::Put && scan.items[step.item].kind == volume::Kind::File)
      out += fmt::format("  {} bytes", scan.items[step.item].bytes);
    out += fmt::format("  ({})\n", step.reason);
  }
  out += fmt::format("{} to put ({} bytes), {} metadata only, {} to delete, {} unchanged\n", plan.puts, plan.put_bytes,
                     plan.metas, plan.deletes, plan.unchanged_items);
  return out;
}

}  // namespace hailstone::mirror
