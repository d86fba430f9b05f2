// Which endpoint a method and path mean, who may use it, and what it takes: one table, no I/O
// (docs/reference/http-api.md).
#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "http/message.h"
#include "volume/records.h"

namespace hailstone::api {

inline constexpr std::string_view kPrefix = "/api/v1/";

enum class Route : uint8_t {
  PublicKey,
  Status,
  Config,
  ListVolumes,
  CreateVolume,
  GetVolume,
  ChangeVolume,
  DeleteVolume,
  ListDrafts,
  OpenDraft,
  GetDraft,
  DropDraft,
  DiffDraft,
  ListReleases,
  GetRelease,
  DiffReleases,
  PutTag,
  DeleteTag,
  PutHold,
  DeleteHold,
  ListChannels,
  List,
  GetEntry,
  GetContent,
  PutContent,
  DeleteContent,
  Batch,
  Upload,
  Token,
  Manifest,
  Fetch,
  Search,
  Publish,
  Flip,
  Rollback,
  Revert,
  ListAccessKeys,
  CreateAccessKey,
  DeleteAccessKey,
  UpkeepStatus,
  AskUpkeep,
  WhyChunk,
  WhyTarget,
  ListAudit,
  ListTrash,
  TrashRelease,
  RestoreRelease,
  ClusterStatus,
  UseStore,
  RemoveNode,
  ReplaceNode,
};

/// What the caller's key must cover. A role is always needed too, but for Public.
enum class Scope : uint8_t {
  Public,    // nobody is asked who they are
  Cell,      // all volumes ("*")
  Key,       // any key: the volumes are named in the body, or the answer is cut down to those the key covers
  Volume,    // the {volume} of the path
  Releases,  // as Volume; reading it is open to anybody when the volume's releases are public
  Target,    // the volume of {target}; reading a release, channel or tag is open as above, heads and drafts are not
};

struct Endpoint {
  Route route;
  http::Method method;
  std::string_view pattern;  // below kPrefix; "{name}" matches one segment
  Scope scope;
  volume::Role role;
  std::string_view parameters;  // query parameters it knows, separated by spaces
  uint64_t body_bytes_max;      // of a JSON body; 0: takes none, or streams it
};

std::span<const Endpoint> endpoints();

/// A request's endpoint and the decoded segments that its pattern names.
struct Match {
  const Endpoint* endpoint = nullptr;
  std::map<std::string_view, Bytes> segments;  // by name as in the pattern

  const Bytes& segment(std::string_view name) const;  // CHECKed: the pattern has it
};

/// Why there is no match. `allow` lists the methods of the path ("GET, HEAD, PUT") when only the method is wrong.
struct NoMatch {
  Error error;
  Bytes allow;
};

/// HEAD goes where GET goes.
std::expected<Match, NoMatch> match(http::Method method, std::string_view path);

/// A request's query parameters, decoded.
class Query {
 public:
  /// Invalid: a malformed escape, a parameter twice, or one that is not among `known` (naming the nearest).
  static Result<Query> parse(std::string_view query, std::string_view known);

  std::optional<Bytes> text(std::string_view name) const;
  Bytes text_or(std::string_view name, std::string_view otherwise) const;
  Result<Bytes> required(std::string_view name) const;
  /// Decimal digits within least..most; `otherwise` when absent.
  Result<uint64_t> number(std::string_view name, uint64_t least, uint64_t most, uint64_t otherwise) const;

 private:
  std::map<Bytes, Bytes, std::less<>> values_;
};

/// Decimal digits only, within least..most. Invalid names `what`.
Result<uint64_t> parse_number(std::string_view what, std::string_view text, uint64_t least, uint64_t most);

/// The known word closest to `word` by edit distance, when it is close enough to be meant.
std::optional<std::string_view> nearest(std::string_view word, std::span<const std::string_view> known);
/// "; did you mean 'limit'?", or "" when nothing is near.
Bytes did_you_mean(std::string_view word, std::span<const std::string_view> known);

}  // namespace hailstone::api
