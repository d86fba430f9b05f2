#include "api/router.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/check.h"

namespace hailstone::api {
namespace {

using enum http::Method;
using volume::Role;

constexpr uint64_t kSmallBody = 64u << 10;
constexpr uint64_t kBigBody = 8u << 20;  // a whole batch of edits, or a list of keys

// One row an endpoint. The docs' table and the tests' are made to agree with this one.
constexpr Endpoint kEndpoints[] = {
    {Route::PublicKey, Get, "public-key", Scope::Public, Role::Reader, "", 0},
    {Route::Status, Get, "status", Scope::Cell, Role::Reader, "", 0},
    {Route::Config, Get, "config", Scope::Cell, Role::Admin, "", 0},

    {Route::ListVolumes, Get, "volumes", Scope::Key, Role::Reader, "", 0},
    {Route::CreateVolume, Post, "volumes", Scope::Key, Role::Admin, "", kSmallBody},
    {Route::GetVolume, Get, "volumes/{volume}", Scope::Volume, Role::Reader, "", 0},
    {Route::ChangeVolume, Patch, "volumes/{volume}", Scope::Volume, Role::Admin, "", kSmallBody},
    {Route::DeleteVolume, Delete, "volumes/{volume}", Scope::Volume, Role::Admin, "confirm", 0},

    {Route::ListDrafts, Get, "volumes/{volume}/drafts", Scope::Volume, Role::Reader, "", 0},
    {Route::OpenDraft, Post, "volumes/{volume}/drafts", Scope::Volume, Role::Writer, "", kSmallBody},
    {Route::GetDraft, Get, "volumes/{volume}/drafts/{draft}", Scope::Volume, Role::Reader, "", 0},
    {Route::DropDraft, Delete, "volumes/{volume}/drafts/{draft}", Scope::Volume, Role::Writer, "", 0},
    {Route::DiffDraft, Get, "volumes/{volume}/drafts/{draft}/diff", Scope::Volume, Role::Reader, "limit after", 0},

    {Route::ListReleases, Get, "volumes/{volume}/releases", Scope::Releases, Role::Reader, "before limit", 0},
    {Route::GetRelease, Get, "volumes/{volume}/releases/{release}", Scope::Releases, Role::Reader, "", 0},
    {Route::DiffReleases, Get, "volumes/{volume}/diff", Scope::Releases, Role::Reader, "from to limit after", 0},
    {Route::PutTag, Put, "volumes/{volume}/releases/{release}/tags/{tag}", Scope::Volume, Role::Publisher, "",
     kSmallBody},
    {Route::DeleteTag, Delete, "volumes/{volume}/releases/{release}/tags/{tag}", Scope::Volume, Role::Publisher, "", 0},
    {Route::PutHold, Put, "volumes/{volume}/releases/{release}/holds/{hold}", Scope::Volume, Role::Publisher, "",
     kSmallBody},
    {Route::DeleteHold, Delete, "volumes/{volume}/releases/{release}/holds/{hold}", Scope::Volume, Role::Publisher, "",
     0},
    {Route::ListChannels, Get, "volumes/{volume}/channels", Scope::Releases, Role::Reader, "", 0},

    {Route::List, Get, "targets/{target}/list", Scope::Target, Role::Reader, "prefix start_after delimiter limit", 0},
    {Route::GetEntry, Get, "targets/{target}/entry", Scope::Target, Role::Reader, "key", 0},
    {Route::GetContent, Get, "targets/{target}/content", Scope::Target, Role::Reader, "key", 0},
    {Route::PutContent, Put, "targets/{target}/content", Scope::Target, Role::Writer, "key content_type", 0},
    {Route::DeleteContent, Delete, "targets/{target}/content", Scope::Target, Role::Writer, "key", 0},
    {Route::Batch, Post, "targets/{target}/batch", Scope::Target, Role::Writer, "", kBigBody},
    {Route::Upload, Post, "targets/{target}/upload", Scope::Target, Role::Writer, "", 0},
    {Route::Token, Get, "targets/{target}/token", Scope::Target, Role::Reader, "", 0},
    {Route::Manifest, Get, "targets/{target}/manifest", Scope::Target, Role::Reader, "prefix", 0},
    {Route::Fetch, Post, "targets/{target}/fetch", Scope::Target, Role::Reader, "", kBigBody},
    {Route::Search, Get, "targets/{target}/search", Scope::Target, Role::Reader, "q limit offset", 0},

    {Route::Publish, Post, "publish", Scope::Key, Role::Publisher, "", kSmallBody},
    {Route::Flip, Post, "flip", Scope::Key, Role::Publisher, "", kSmallBody},
    {Route::Rollback, Post, "rollback", Scope::Key, Role::Publisher, "", kSmallBody},
    {Route::Revert, Post, "revert", Scope::Key, Role::Publisher, "", kSmallBody},

    {Route::ListAccessKeys, Get, "keys", Scope::Cell, Role::Admin, "", 0},
    {Route::CreateAccessKey, Post, "keys", Scope::Cell, Role::Admin, "", kSmallBody},
    {Route::DeleteAccessKey, Delete, "keys/{id}", Scope::Cell, Role::Admin, "", 0},

    {Route::UpkeepStatus, Get, "upkeep", Scope::Cell, Role::Reader, "", 0},
    {Route::AskUpkeep, Post, "upkeep", Scope::Cell, Role::Admin, "", kSmallBody},
    {Route::WhyChunk, Get, "chunks/{chunk}/why", Scope::Cell, Role::Reader, "limit", 0},
    {Route::WhyTarget, Get, "targets/{target}/why", Scope::Cell, Role::Reader, "key limit", 0},
    {Route::ListAudit, Get, "audit", Scope::Cell, Role::Admin, "before limit", 0},
    {Route::ListTrash, Get, "volumes/{volume}/trash", Scope::Volume, Role::Reader, "", 0},
    {Route::TrashRelease, Delete, "volumes/{volume}/releases/{release}", Scope::Volume, Role::Publisher, "", 0},
    {Route::RestoreRelease, Post, "volumes/{volume}/releases/{release}/restore", Scope::Volume, Role::Publisher, "", 0},

    {Route::ClusterStatus, Get, "cluster", Scope::Cell, Role::Admin, "", 0},
    {Route::UseStore, Put, "cluster/stores/{node}", Scope::Cell, Role::Admin, "", kSmallBody},
    {Route::RemoveNode, Delete, "cluster/nodes/{node}", Scope::Cell, Role::Admin, "lost", 0},
    {Route::ReplaceNode, Post, "cluster/nodes/{node}/replace", Scope::Cell, Role::Admin, "", kSmallBody},
};

std::string_view next_segment(std::string_view& rest, char separator) {
  const size_t end = rest.find(separator);
  const std::string_view segment = rest.substr(0, end);
  rest = end == rest.npos ? std::string_view() : rest.substr(end + 1);
  return segment;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> out;
  if (text.empty()) return out;
  const auto count = std::ranges::count(text, separator) + 1;
  for (std::ptrdiff_t i = 0; i < count; ++i) out.push_back(next_segment(text, separator));
  return out;
}

std::string_view method_name(http::Method method) {
  switch (method) {
    case Get: return "GET, HEAD";
    case Put: return "PUT";
    case Post: return "POST";
    case Delete: return "DELETE";
    case Patch: return "PATCH";
    case Head:
    case Options:
    case Other: break;
  }
  return "";
}

bool is_name(std::string_view pattern_segment) { return pattern_segment.starts_with('{'); }

bool fits(std::string_view pattern, std::span<const Bytes> segments) {
  const size_t count = static_cast<size_t>(std::ranges::count(pattern, '/')) + 1;
  if (count != segments.size()) return false;
  for (const Bytes& segment : segments) {
    const std::string_view expected = next_segment(pattern, '/');
    if (is_name(expected) ? segment.empty() : segment != expected) return false;
  }
  return true;
}

}  // namespace

std::span<const Endpoint> endpoints() { return kEndpoints; }

const Bytes& Match::segment(std::string_view name) const {
  const auto found = segments.find(name);
  CHECK(found != segments.end());
  return found->second;
}

std::expected<Match, NoMatch> match(http::Method method, std::string_view path) {
  const auto refuse = [&](Code code, std::string message, Bytes allow = {}) {
    return std::unexpected(NoMatch{{code, std::move(message)}, std::move(allow)});
  };
  if (!path.starts_with(kPrefix))
    return refuse(Code::NotFound, fmt::format("no endpoint '{}': the API is below {}", printable(path), kPrefix));
  std::vector<Bytes> segments;
  for (std::string_view encoded : split(path.substr(kPrefix.size()), '/')) {
    Bytes segment;
    if (!percent_decode(encoded, segment))
      return refuse(Code::Invalid, fmt::format("path '{}': malformed percent-encoding", printable(path)));
    segments.push_back(std::move(segment));
  }
  if (method == Head) method = Get;
  Bytes allow;
  for (const Endpoint& endpoint : kEndpoints) {
    if (!fits(endpoint.pattern, segments)) continue;
    if (endpoint.method != method) {
      if (!allow.empty()) allow += ", ";
      allow += method_name(endpoint.method);
      continue;
    }
    Match out;
    out.endpoint = &endpoint;
    std::string_view pattern = endpoint.pattern;
    for (Bytes& segment : segments) {
      const std::string_view name = next_segment(pattern, '/');
      if (is_name(name)) out.segments[name.substr(1, name.size() - 2)] = std::move(segment);
    }
    return out;
  }
  if (!allow.empty())
    return refuse(Code::Unsupported, fmt::format("'{}' takes {} only", printable(path), allow), allow);
  return refuse(Code::NotFound, fmt::format("no endpoint '{}'", printable(path)));
}

Result<Query> Query::parse(std::string_view query, std::string_view known) {
  const auto names = split(known, ' ');
  Query out;
  while (!query.empty()) {
    std::string_view value = next_segment(query, '&');
    if (value.empty()) continue;
    const std::string_view name = next_segment(value, '=');
    const auto decode = [](std::string_view text, Bytes& decoded) {
      Bytes spaced(text);
      std::ranges::replace(spaced, '+', ' ');  // application/x-www-form-urlencoded
      return percent_decode(spaced, decoded);
    };
    Bytes decoded_name, decoded_value;
    if (!decode(name, decoded_name) || !decode(value, decoded_value))
      return fail(Code::Invalid, fmt::format("query parameter '{}': malformed percent-encoding", printable(name)));
    if (std::ranges::find(names, decoded_name) == names.end())
      return fail(Code::Invalid, fmt::format("unknown query parameter '{}'{}", printable(decoded_name),
                                             did_you_mean(decoded_name, names)));
    const auto [at, first] = out.values_.try_emplace(std::move(decoded_name), std::move(decoded_value));
    if (!first) return fail(Code::Invalid, fmt::format("query parameter '{}' is there twice", at->first));
  }
  return out;
}

std::optional<Bytes> Query::text(std::string_view name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? std::nullopt : std::optional(found->second);
}

Bytes Query::text_or(std::string_view name, std::string_view otherwise) const {
  return text(name).value_or(Bytes(otherwise));
}

Result<Bytes> Query::required(std::string_view name) const {
  auto value = text(name);
  if (!value || value->empty()) return fail(Code::Invalid, fmt::format("query parameter '{}' is missing", name));
  return *std::move(value);
}

Result<uint64_t> Query::number(std::string_view name, uint64_t least, uint64_t most, uint64_t otherwise) const {
  const auto value = text(name);
  if (!value) return otherwise;
  return parse_number(fmt::format("query parameter '{}'", name), *value, least, most);
}

Result<uint64_t> parse_number(std::string_view what, std::string_view text, uint64_t least, uint64_t most) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || value < least || value > most)
    return fail(Code::Invalid,
                fmt::format("{}: '{}' is not a number from {} to {}", what, printable(text), least, most));
  return value;
}

std::optional<std::string_view> nearest(std::string_view word, std::span<const std::string_view> known) {
  if (word.size() > 64) return std::nullopt;
  std::optional<std::string_view> best;
  size_t best_distance = std::max<size_t>(2, word.size() / 3) + 1;  // farther than this is another word
  for (std::string_view candidate : known) {
    // Levenshtein distance, one row at a time.
    std::vector<size_t> row(candidate.size() + 1);
    for (size_t j = 0; j < row.size(); ++j) row[j] = j;
    for (size_t i = 1; i <= word.size(); ++i) {
      size_t diagonal = row[0];
      row[0] = i;
      for (size_t j = 1; j < row.size(); ++j) {
        const size_t replaced = diagonal + (word[i - 1] == candidate[j - 1] ? 0 : 1);
        diagonal = row[j];
        row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
      }
    }
    if (row.back() < best_distance && row.back() < candidate.size()) {
      best_distance = row.back();
      best = candidate;
    }
  }
  return best;
}

Bytes did_you_mean(std::string_view word, std::span<const std::string_view> known) {
  const auto near = nearest(word, known);
  return near ? fmt::format("; did you mean '{}'?", *near) : Bytes();
}

}  // namespace hailstone::api
