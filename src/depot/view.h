// What "/volume@selector" means at the start of a request: a channel with its flips, or one release. Kept to its end.
#pragma once

#include <memory>

#include "depot/lru.h"
#include "depot/path.h"
#include "volume/repository.h"

namespace hailstone::depot {

using ReleasePtr = std::shared_ptr<const volume::ReleaseRecord>;

/// Release records by volume and number. They never change, but go when they are let go: one that is remembered is
/// looked up again once its volume has changed in any way. One per thread.
class Releases {
 public:
  Releases(const volume::Repository& repository, size_t records_max) : repository_(repository), records_(records_max) {}
  /// NotFound when there is none.
  Result<ReleasePtr> get(const std::shared_ptr<const volume::Volume>& volume, ReleaseNumber number);

 private:
  const volume::Repository& repository_;
  struct Known {
    ReleasePtr record;
    std::weak_ptr<const volume::Volume> as_of;
  };
  Lru<Known> records_;
};

inline constexpr std::string_view kDefaultChannel = "current";

struct View {
  enum class Kind : uint8_t {
    Channel,  // moves with each flip
    Tag,      // one release, until somebody moves the tag
    Pinned,   // one release for ever
  };
  Kind kind = Kind::Channel;
  std::shared_ptr<const volume::Volume> volume;
  Bytes base;              // "/volume@selector" as asked, encoded
  Bytes name;              // "volume@selector" as asked
  Bytes channel;           // Channel
  volume::Flips flips;     // Channel
  ReleaseNumber release;   // Channel: the current one
  tree::Root root;         // of that release
  UnixMicros published;    // when it was made, or when it became current
  ReleasePtr record;       // Tag, Pinned
  bool by_cookie = false;  // Channel: the reader's cookie may choose the release
};

/// A selector that is not a time. No selector means the channel "current". NotFound names what there isn't.
Result<View> open_view(Releases& releases, std::shared_ptr<const volume::Volume> volume, const Selector& selector);

/// Cache-Control of what a view answers.
std::string_view cache_control(const View& view);
/// Of what never changes under its path.
std::string_view immutable_cache_control(const volume::Volume& volume);

}  // namespace hailstone::depot
