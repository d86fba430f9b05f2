#include "server/config.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <sstream>

namespace hailstone::server {
namespace {

// One row a key: name, meaning, how to read and how to show it. The sample, the parser and the nearest-name hint all
// come from these rows, so they cannot disagree.
struct Row {
  std::string_view section;  // empty: top level
  std::string_view key;
  std::string_view meaning;
  std::function<bool(Config&, const toml::node&)> read;  // false: wrong type or range
  std::function<std::string(const Config&)> show;        // TOML value
  std::string_view expects;
};

std::string quoted(std::string_view text) {
  std::ostringstream out;
  out << toml::value<std::string>(std::string(text));
  return out.str();
}

template <class T>
Row number(std::string_view section, std::string_view key, T Config::* field, std::string_view meaning) {
  return {section,
          key,
          meaning,
          [field](Config& c, const toml::node& node) {
            const auto value = node.value_exact<int64_t>();
            if (!value || *value < 0 || static_cast<uint64_t>(*value) > std::numeric_limits<T>::max()) return false;
            c.*field = static_cast<T>(*value);
            return true;
          },
          [field](const Config& c) { return fmt::format("{}", c.*field); },
          "a whole number that is not negative"};
}

template <class Owner, class T>
Row number(std::string_view section, std::string_view key, Owner Config::* owner, T Owner::* field,
           std::string_view meaning) {
  return {section,
          key,
          meaning,
          [owner, field](Config& c, const toml::node& node) {
            const auto value = node.value_exact<int64_t>();
            if (!value || *value < 0 || static_cast<uint64_t>(*value) > std::numeric_limits<T>::max()) return false;
            c.*owner.*field = static_cast<T>(*value);
            return true;
          },
          [owner, field](const Config& c) { return fmt::format("{}", c.*owner.*field); },
          "a whole number that is not negative"};
}

template <class Owner>
Row text(std::string_view section, std::string_view key, Owner Config::* owner, std::string Owner::* field,
         std::string_view meaning) {
  return {section,
          key,
          meaning,
          [owner, field](Config& c, const toml::node& node) {
            const auto value = node.value_exact<std::string>();
            if (value) c.*owner.*field = *value;
            return value.has_value();
          },
          [owner, field](const Config& c) { return quoted(c.*owner.*field); },
          "a string"};
}

template <class Owner>
Row flag(std::string_view section, std::string_view key, Owner Config::* owner, bool Owner::* field,
         std::string_view meaning) {
  return {section,
          key,
          meaning,
          [owner, field](Config& c, const toml::node& node) {
            const auto value = node.value_exact<bool>();
            if (value) c.*owner.*field = *value;
            return value.has_value();
          },
          [owner, field](const Config& c) { return std::string(c.*owner.*field ? "true" : "false"); },
          "true or false"};
}

template <class Owner>
Row texts(std::string_view section, std::string_view key, Owner Config::* owner,
          std::vector<std::string> Owner::* field, std::string_view meaning) {
  return {section,
          key,
          meaning,
          [owner, field](Config& c, const toml::node& node) {
            const auto* array = node.as_array();
            if (!array) return false;
            std::vector<std::string> out;
            for (const auto& item : *array) {
              const auto value = item.value_exact<std::string>();
              if (!value) return false;
              out.push_back(*value);
            }
            c.*owner.*field = std::move(out);
            return true;
          },
          [owner, field](const Config& c) {
            std::string out;
            for (const auto& each : c.*owner.*field) out += (out.empty() ? "" : ", ") + quoted(each);
            return "[" + out + "]";
          },
          "a list of strings"};
}

constexpr std::string_view kLevels[] = {"debug", "info", "warn", "error"};

const std::vector<Row>& rows() {
  static const std::vector<Row> table = {
      {"", "data", "directory of everything this node keeps",
       [](Config& c, const toml::node& node) {
         const auto value = node.value_exact<std::string>();
         if (value) c.data = *value;
         return value.has_value();
       },
       [](const Config& c) { return quoted(c.data); }, "a string"},
      texts("", "roles", &Config::node, &NodeOptions::roles,
            "what this node does: \"member\" votes, \"store\" keeps chunks, \"gateway\" serves S3, depot and API"),
      number("cluster", "groups", &Config::cluster, &ClusterOptions::groups,
             "repository groups, the same on all nodes for ever; 0: coordination alone"),
      number("cluster", "copies", &Config::cluster, &ClusterOptions::copies, "of each chunk, on stores of their own"),
      text("cluster", "place", &Config::cluster, &ClusterOptions::place,
           "of this node's store: \"site/rack/host\"; copies are kept apart. Empty: a host of its own"),
      number("cluster", "weight", &Config::cluster, &ClusterOptions::weight,
             "of this node's store: its share of the chunks"),
      text("http", "address", &Config::http, &http::ServerOptions::address,
           "address to listen on; 0.0.0.0 or :: for all"),
      number("http", "port", &Config::http, &http::ServerOptions::port, "0: any free one"),
      number("http", "threads", &Config::http, &http::ServerOptions::threads, "0: one per core"),
      text("http", "tls_certificate", &Config::http, &http::ServerOptions::tls_certificate,
           "PEM chain; with tls_key it switches TLS on"),
      text("http", "tls_key", &Config::http, &http::ServerOptions::tls_key, "PEM private key"),
      number("http", "head_bytes_max", &Config::http, &http::ServerOptions::head_bytes_max,
             "request line and fields: 431 beyond it"),
      number("http", "connections_max", &Config::http, &http::ServerOptions::connections_max,
             "newer ones are refused with 503"),
      number("http", "head_timeout_ms", &Config::http, &http::ServerOptions::head_timeout_ms,
             "first byte of a request to the end of its head"),
      number("http", "idle_timeout_ms", &Config::http, &http::ServerOptions::idle_timeout_ms,
             "between requests of a kept connection"),
      number("http", "stall_timeout_ms", &Config::http, &http::ServerOptions::stall_timeout_ms,
             "a body, either way, without a byte of progress"),
      number("http", "min_bytes_per_second", &Config::http, &http::ServerOptions::min_bytes_per_second,
             "slower transfers are cut"),
      number("http", "drain_timeout_ms", &Config::http, &http::ServerOptions::drain_timeout_ms,
             "what is under way at a stop may finish this long"),
      number("http", "blocking_threads", &Config::blocking_threads, "for API calls that wait for disks"),
      number("store", "segment_bytes", &Config::store_segment_bytes, "a segment file is closed when it passes this"),
      number("store", "reserve_bytes", &Config::store_reserve_bytes,
             "new data is refused when the disk has less than this free"),
      {"store", "verify_on_open", "read and check every record at start, not only indexes",
       [](Config& c, const toml::node& node) {
         const auto value = node.value_exact<bool>();
         if (value) c.store_verify_on_open = *value;
         return value.has_value();
       },
       [](const Config& c) { return std::string(c.store_verify_on_open ? "true" : "false"); }, "true or false"},
      text("depot", "base_url", &Config::depot, &depot::Options::base_url,
           "scheme and host in mirrorlist, metalink and feed, where a proxy hides them; empty: as asked for"),
      number("depot", "cookie_pin_seconds", &Config::depot, &depot::Options::cookie_pin_seconds,
             "a browser's pin, in volumes that pin"),
      number("depot", "retry_after_seconds", &Config::depot, &depot::Options::retry_after_seconds, "told with 503"),
      number("depot", "listing_entries_max", &Config::depot, &depot::Options::listing_entries_max,
             "of a directory, on a page"),
      number("depot", "hot_bytes", &Config::depot, &depot::Options::hot_bytes,
             "small files answered from memory, per thread"),
      number("cache", "content_bytes", &Config::cache_content_bytes,
             "larger chunks that are read often, kept in memory; 0: none"),
      number("cache", "nodes_bytes", &Config::cache_nodes_bytes, "decoded directory nodes kept in memory"),
      number("group", "segment_bytes", &Config::group_segment_bytes,
             "size of a command log file; a spare one is kept zero-filled"),
      number("group", "flush_bytes", &Config::group_flush_bytes,
             "the database is flushed and the log trimmed after this much"),
      number("database", "memtable_bytes", &Config::database_memtable_bytes, "recent changes kept in memory"),
      number("database", "cache_bytes", &Config::database_cache_bytes, "blocks of older ones"),
      number("seal", "edits", &Config::seal, &volume::SealOptions::edits,
             "unsealed changes of a head or draft beyond this are sealed"),
      number("seal", "bytes", &Config::seal, &volume::SealOptions::bytes, "the same, by size"),
      number("draft", "lease_seconds", &Config::draft_lease_seconds, "an untouched draft is dropped after this"),
      {"s3", "enabled", "whether S3 is served",
       [](Config& c, const toml::node& node) {
         const auto value = node.value_exact<bool>();
         if (value) c.s3_enabled = *value;
         return value.has_value();
       },
       [](const Config& c) { return std::string(c.s3_enabled ? "true" : "false"); }, "true or false"},
      {"s3", "address", "address to serve S3 on; empty: that of http",
       [](Config& c, const toml::node& node) {
         const auto value = node.value_exact<std::string>();
         if (value) c.s3_address = *value;
         return value.has_value();
       },
       [](const Config& c) { return quoted(c.s3_address); }, "a string"},
      number("s3", "port", &Config::s3_port, "0: any free one"),
      text("s3", "region", &Config::s3, &s3::Options::region, "what clients must sign for"),
      texts("s3", "domains", &Config::s3, &s3::Options::domains,
            "names under which BUCKET.NAME is served, besides NAME/BUCKET"),
      flag("s3", "own_buckets", &Config::s3, &s3::Options::own_buckets,
           "an admin key may make S3 buckets outside its volumes, which are then its own"),
      number("s3", "stale_upload_days", &Config::s3, &s3::Options::stale_upload_days,
             "older multipart uploads are aborted; 0: by lifecycle rules alone"),
      flag("s3", "signature_v2", &Config::s3, &s3::Options::signature_v2,
           "accept the old signatures that s3cmd signurl still makes"),
      number("cell", "id", &Config::cell, &CellConfig::id, "of this node; never given twice in a cell"),
      text("cell", "name", &Config::cell, &CellConfig::name, "cells of other names are refused"),
      text("cell", "address", &Config::cell, &CellConfig::address, "numeric; members and clients connect here"),
      number("cell", "port", &Config::cell, &CellConfig::port, "for clients; 0: any free one"),
      number("cell", "member_port", &Config::cell, &CellConfig::member_port, "for other nodes; 0: any free one"),
      number("cell", "data_port", &Config::cell, &CellConfig::data_port,
             "for other nodes' chunks and questions; 0: any free one"),
      text("cell", "at", &Config::cell, &CellConfig::at,
           "where members serve clients, for a node that is none: HOST:PORT,HOST:PORT or srv:DOMAIN"),
      text("cell", "advertise", &Config::cell, &CellConfig::advertise,
           "host that others reach this node by; empty: address"),
      texts("cell", "members", &Config::cell, &CellConfig::members,
            "ID=HOST:MEMBER_PORT of the cell's founders, this one too; empty: it founds a cell alone"),
      flag("cell", "join", &Config::cell, &CellConfig::join,
           "wait to be added to the running cell of `members` (hailstone cell members add)"),
      text("cell", "tls_authority", &Config::cell, &CellConfig::tls_authority,
           "PEM; with the two below it switches mutual TLS on (hailstone cert)"),
      text("cell", "tls_certificate", &Config::cell, &CellConfig::tls_certificate, "PEM chain, for node-ID"),
      text("cell", "tls_key", &Config::cell, &CellConfig::tls_key, "PEM private key"),
      flag("cell", "plain_anywhere", &Config::cell, &CellConfig::plain_anywhere,
           "no TLS beyond loopback either: anybody who reaches the ports is anybody"),
      number("cell", "flush_bytes", &Config::cell, &CellConfig::flush_bytes,
             "the state is flushed and the log trimmed after this much"),
      number("cell", "segment_bytes", &Config::cell, &CellConfig::segment_bytes,
             "size of a log file; a spare one is kept zero-filled"),
      number("cell", "memtable_bytes", &Config::cell, &CellConfig::memtable_bytes, "recent changes kept in memory"),
      {"keys", "master_key_file",
       "64 hex digits that seal access keys' secrets; empty: DATA/master.key, made at the first start",
       [](Config& c, const toml::node& node) {
         const auto value = node.value_exact<std::string>();
         if (value) c.master_key_file = *value;
         return value.has_value();
       },
       [](const Config& c) { return quoted(c.master_key_file); }, "a string"},
      number("collect", "interval_seconds", &Config::collect_interval_seconds,
             "between retention, collection and compaction; 0: only when asked"),
      number("collect", "trash_seconds", &Config::collect_trash_seconds,
             "between losing its last reference and being erased; 0: at once"),
      number("collect", "compact_dead_percent", &Config::compact_dead_percent,
             "segment files with more dead than this are rewritten; 0: only when asked"),
      number("collect", "compact_bytes_per_second", &Config::compact_bytes_per_second,
             "written by that; 0: as fast as it goes"),
      number("scrub", "bytes_per_second", &Config::scrub_bytes_per_second,
             "chunks read and verified in the background; 0: only when asked"),
      {"log", "level", "debug, info, warn or error",
       [](Config& c, const toml::node& node) {
         const auto value = node.value_exact<std::string>();
         const auto found = value ? std::ranges::find(kLevels, *value) : std::end(kLevels);
         if (found == std::end(kLevels)) return false;
         c.log_level = static_cast<Level>(found - std::begin(kLevels));
         return true;
       },
       [](const Config& c) { return quoted(kLevels[static_cast<size_t>(c.log_level)]); },
       "one of debug, info, warn, error"},
      {"log", "format", "logfmt or json",
       [](Config& c, const toml::node& node) {
         const auto value = node.value_exact<std::string>();
         if (!value || (*value != "logfmt" && *value != "json")) return false;
         c.log_format = *value == "json" ? FdLogger::Format::Json : FdLogger::Format::Logfmt;
         return true;
       },
       [](const Config& c) { return quoted(c.log_format == FdLogger::Format::Json ? "json" : "logfmt"); },
       "logfmt or json"},
      {"publish", "absent_directory",
       "an index listed in Release whose directory is absent: refuse, or warn (partial mirrors)",
       [](Config& c, const toml::node& node) {
         const auto value = node.value_exact<std::string>();
         if (!value || (*value != "refuse" && *value != "warn")) return false;
         c.publish.absent_directory =
             *value == "warn" ? publish::Finding::Severity::Warn : publish::Finding::Severity::Refuse;
         return true;
       },
       [](const Config& c) {
         return quoted(c.publish.absent_directory == publish::Finding::Severity::Warn ? "warn" : "refuse");
       },
       "refuse or warn"},
  };
  return table;
}

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::string full_name(std::string_view section, std::string_view key) {
  return section.empty() ? std::string(key) : fmt::format("{}.{}", section, key);
}

std::string nearest(std::string_view name) {
  std::string best;
  size_t distance = SIZE_MAX;
  for (const Row& row : rows()) {
    const std::string known = full_name(row.section, row.key);
    if (const size_t d = edit_distance(name, known); d < distance) {
      distance = d;
      best = known;
    }
  }
  return best;
}

std::unexpected<Error> wrong(const toml::node& node, std::string message) {
  return fail(Code::Invalid, fmt::format("line {}: {}", node.source().begin.line, message));
}

Result<void> read_key(Config& config, std::string_view section, std::string_view key, const toml::node& node) {
  for (const Row& row : rows()) {
    if (row.section != section || row.key != key) continue;
    if (row.read(config, node)) return {};
    return wrong(node, fmt::format("{} must be {}", full_name(section, key), row.expects));
  }
  const std::string name = full_name(section, key);
  return wrong(node, fmt::format("unknown key '{}': did you mean '{}'?", name, nearest(name)));
}

// [[check]] volumes = "...", command = ["/path", "arg"], timeout_ms = N
Result<void> read_check(Config& config, const toml::table& table) {
  publish::HookRule rule;
  for (const auto& [key, node] : table) {
    if (key == "volumes" && node.is_string()) {
      rule.volumes = **node.as_string();
    } else if (key == "timeout_ms" && node.is_integer() && **node.as_integer() > 0) {
      rule.command.timeout_ms = static_cast<uint32_t>(**node.as_integer());
    } else if (key == "command" && node.is_array()) {
      for (const toml::node& word : *node.as_array()) {
        if (!word.is_string()) return wrong(word, "check.command must be an array of strings");
        rule.command.argv.push_back(**word.as_string());
      }
    } else {
      return wrong(node,
                   fmt::format("unknown or malformed key 'check.{}': known are volumes (string), command (array of "
                               "strings) and timeout_ms (number)",
                               std::string_view(key.str())));
    }
  }
  if (auto valid = rule.command.validate(); !valid) return wrong(table, "check: " + valid.error().message);
  config.publish.hooks.push_back(std::move(rule));
  return {};
}

}  // namespace

bool Config::has_role(std::string_view role) const { return std::ranges::find(node.roles, role) != node.roles.end(); }

Result<void> Config::validate() const {
  if (data.empty()) return fail(Code::Invalid, "data: name a directory");
  if (blocking_threads == 0 || blocking_threads > 1024)
    return fail(Code::Invalid, fmt::format("http.blocking_threads: {} is not within 1..1024", blocking_threads));
  if (http.tls_certificate.empty() != http.tls_key.empty())
    return fail(Code::Invalid, "http.tls_certificate and http.tls_key go together");
  for (const std::string& role : node.roles)
    if (role != kMemberRole && role != kStoreRole && role != kGatewayRole)
      return fail(Code::Invalid, fmt::format("roles: '{}' is none; there are '{}', '{}' and '{}'", role, kMemberRole,
                                             kStoreRole, kGatewayRole));
  if (node.roles.empty()) return fail(Code::Invalid, "roles: name at least one");
  if (cluster.groups > kGroupsOfOneMax)
    return fail(Code::Invalid, fmt::format("cluster.groups: {} is more than {}", cluster.groups, kGroupsOfOneMax));
  if (cluster.copies == 0) return fail(Code::Invalid, "cluster.copies: at least 1");
  if (!has_role(kMemberRole) && cell.at.empty())
    return fail(Code::Invalid, "cell.at: a node that is no member must know where the cell's members are");
  TRY_DO(cell.validate());
  TRY_DO(depot.validate());
  TRY_DO(s3.validate());
  return http.validate();
}

Result<void> overlay_config(std::string_view source, Config& config) {
  toml::table table;
  try {
    table = toml::parse(source);
  } catch (const toml::parse_error& e) {
    return fail(Code::Invalid, fmt::format("line {}: {}", e.source().begin.line, std::string_view(e.description())));
  }
  for (const auto& [name, node] : table) {
    if (name == "check") {
      const toml::array* checks = node.as_array();
      if (!checks) return wrong(node, "write [[check]], with two brackets");
      for (const toml::node& check : *checks) {
        if (!check.is_table()) return wrong(check, "write [[check]], with two brackets");
        TRY_DO(read_check(config, *check.as_table()));
      }
    } else if (const toml::table* section = node.as_table()) {
      for (const auto& [key, value] : *section) TRY_DO(read_key(config, name.str(), key.str(), value));
    } else {
      TRY_DO(read_key(config, "", name.str(), node));
    }
  }
  return {};
}

Result<void> parse_config(std::string_view source, Config& config) {
  TRY_DO(overlay_config(source, config));
  return config.validate();
}

Result<Config> load_config(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(Code::NotFound, fmt::format("{}: cannot be read", path));
  std::ostringstream content;
  content << file.rdbuf();
  Config config;
  if (auto parsed = parse_config(content.str(), config); !parsed)
    return std::unexpected(std::move(parsed).error().within(path));
  return config;
}

std::string render_config(const Config& config) {
  std::string out;
  std::string_view section;
  for (const Row& row : rows()) {
    if (row.section != section) {
      section = row.section;
      out += fmt::format("\n[{}]\n", section);
    }
    out += fmt::format("{:<40} # {}\n", fmt::format("{} = {}", row.key, row.show(config)), row.meaning);
  }
  for (const publish::HookRule& rule : config.publish.hooks) {
    out += fmt::format("\n[[check]]\nvolumes = {}\ncommand = [", quoted(rule.volumes));
    for (size_t i = 0; i < rule.command.argv.size(); ++i) out += (i ? ", " : "") + quoted(rule.command.argv[i]);
    out += fmt::format("]\ntimeout_ms = {}\n", rule.command.timeout_ms);
  }
  return out;
}

std::string sample_config() {
  const Config defaults;
  return "# Hailstone node configuration; every key with its default. hailstone serve --config FILE\n\n" +
         render_config(defaults) +
         "\n# A check of your own, run at each publish of the volumes named; a non-zero exit refuses it.\n"
         "#[[check]]\n#volumes = \"*\"\n#command = [\"/usr/local/bin/my-check\", \"--strict\"]\n#timeout_ms = 600000\n";
}

}  // namespace hailstone::server
