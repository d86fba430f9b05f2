// The HTTP read side: channels and releases as plain files. One per server thread (docs/reference/depot.md).
#pragma once

#include <map>
#include <memory>

#include "depot/answer.h"
#include "depot/authorizer.h"
#include "depot/by_hash.h"
#include "depot/facts.h"
#include "depot/file.h"
#include "depot/listing.h"
#include "depot/lru.h"
#include "depot/modified.h"
#include "depot/options.h"
#include "depot/resolve.h"
#include "depot/view.h"
#include "flip/live.h"
#include "flip/shown.h"
#include "http/message.h"
#include "http/offload.h"
#include "publish/search.h"
#include "volume/repository.h"

namespace hailstone::depot {

/// Answers GET and HEAD of every path but those of the server's own that are routed before it. A request sees one state
/// of the repository, taken at its start, and keeps the root that it resolved there to its last byte.
class Depot final : public http::Handler {
 public:
  /// All that is referred to outlives it; `options` are valid.
  /// `channels`: what all nodes show of channels; null: what this node's state says, which then nobody else serves.
  Depot(volume::Repository& repository, chunk::ExtentCache& extents, const Authorizer& authorizer,
        http::BlockingPool& pool, const Options& options, flip::LiveChannels* channels = nullptr,
        net::NodeId self = net::NodeId());
  ~Depot() override;

  http::Task<http::Response> handle(http::Request request) override;

 private:
  // A volume as this thread last saw it, with one of its channels as all nodes show it. The generation rises whenever
  // it is another one; answers made under an older generation are looked up again.
  struct Slot {
    Bytes name;
    Bytes channel;  // empty: of requests that name a release
    std::shared_ptr<const volume::Volume> seen;
    uint64_t generation = 0;
    uint64_t checked = 0;                       // version of the published state in which `seen` was confirmed
    std::shared_ptr<const volume::Volume> raw;  // and the volume there
    flip::LivePtr live;                         // that `seen` shows
  };
  // An answer for a path as sent by clients. Trees are immutable and named by their root, so a file answered once stays
  // right while the volume's record (channels, settings, tags) is the same object and `valid_until` is not reached.
  struct Hot {
    std::shared_ptr<Slot> slot;
    uint64_t generation = 0;
    UnixMicros valid_until;
    ReleaseNumber channel_release;  // 0: not on a channel
    FilePtr file;
  };
  struct Missing {
    std::shared_ptr<Slot> slot;
    uint64_t generation = 0;
    bool gone = false;
  };
  // One request on its way.
  struct Ask {
    const http::Request& request;
    const Facts& facts;
    UnixMicros now;
    std::shared_ptr<const volume::State> state;
    Path path;
    View view;
    std::shared_ptr<Slot> slot;
    uint64_t generation = 0;  // of the volume object that `view` was made from
  };
  // Where a key leads in a view.
  struct Place {
    Found found;
    ReleaseNumber release;  // that answers
    tree::Root root;
    std::optional<size_t> flip;  // Channel: its flip's index
    std::optional<UnixMicros> valid_until;
    bool gone = false;
    bool by_hash = false;
    bool pinned_by_cookie = false;
  };

  std::shared_ptr<Slot> slot_of(ByteView name, const Bytes& channel);
  /// False: whether it is still so has to be asked of others.
  bool confirm(Slot& slot);
  /// The volume with the channel asked for as it is shown everywhere, now in ask.slot. NotFound: there is none, for
  /// certain. Unavailable: this node cannot know in time.
  http::Task<Result<std::shared_ptr<const volume::Volume>>> open_volume(Ask& ask);
  http::Task<Result<void>> settle(Bytes volume);
  Access access_to(const volume::Volume& volume, const volume::State& state, const Facts& facts) const;
  FilePtr hot_file(const http::Request& request, const Facts& facts, UnixMicros now);

  http::Task<http::Response> route(const http::Request& request, const Facts& facts, UnixMicros now);
  std::optional<http::Response> refuse_access(const Ask& ask, const volume::Volume& volume) const;
  std::optional<http::Response> refuse_stale(const Ask& ask) const;
  http::Response redirect_to_time(const Ask& ask, const volume::Volume& volume);
  http::Response no_view(const Ask& ask, const volume::Volume& volume, const Error& error) const;
  http::Response missing(const Ask& ask, bool gone) const;
  Bytes lines_of(const Ask& ask, ReleaseNumber release, std::string_view cache_control) const;

  // files.cc
  http::Task<http::Response> serve_key(Ask& ask);
  Result<Place> locate(const Ask& ask, const std::optional<PageToken>& page);
  Result<Place> locate_on_channel(const Ask& ask, const std::optional<PageToken>& page);
  Result<void> locate_by_hash(const Ask& ask, Place& place);
  // `due`: when a date that is still to come must appear.
  Result<FilePtr> open_file(const Ask& ask, const Place& place, std::optional<UnixMicros>& due);
  http::Response with_pin(const Ask& ask, const Place& place, http::Response response) const;

  // listings.cc
  http::Task<http::Response> serve_listing(Ask& ask, const Place& place, const std::optional<PageToken>& page);
  http::Task<http::Response> serve_volumes(Ask& ask);

  // endpoints.cc
  http::Task<http::Response> serve_endpoint(Ask& ask);
  http::Task<http::Response> serve_derived(Ask& ask, std::string_view key, std::string_view content_type);
  http::Task<http::Response> serve_search(Ask& ask);
  http::Task<http::Response> serve_release(Ask& ask);
  http::Response serve_mirrorlist(Ask& ask) const;
  http::Response serve_metalink(Ask& ask);
  std::optional<Bytes> origin(const Ask& ask) const;
  Result<ReleasePtr> record_of(const Ask& ask);

  http::Response error(const Error& error) const;
  http::Task<http::Response> answer_page(const Ask& ask, Bytes body, std::string_view content_type, Bytes lines);

  volume::Repository& repository_;
  const Authorizer& authorizer_;
  http::BlockingPool& pool_;
  const Options options_;
  Store store_;
  volume::StateCache states_;
  flip::LiveChannels* const channels_;
  const net::NodeId self_;
  std::shared_ptr<flip::LiveCache> live_;
  std::map<std::pair<Bytes, Bytes>, std::shared_ptr<Slot>, std::less<>> slots_;  // by volume and channel
  Releases releases_;
  Answers answers_;
  Lru<Hot> hot_;          // by path as sent
  Lru<Missing> missing_;  // by path as sent
  ModifiedTimes modified_;
  Lru<std::shared_ptr<ByHashIndex>> by_hash_;
  Lru<std::shared_ptr<publish::SearchIndex>> searches_;  // by root
};

}  // namespace hailstone::depot
