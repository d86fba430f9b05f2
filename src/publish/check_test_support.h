// For tests: releases made from a map of paths to contents.
#pragma once

#include <map>
#include <memory>

#include "chunk/store.h"
#include "publish/checks.h"
#include "tree/cache.h"

namespace hailstone::publish {

/// Files of a release under construction, as text.
using Files = std::map<std::string, std::string>;

class CheckFixture {
 public:
  tree::Root root_of(const Files& files, const Files& links = {});
  ReleaseView view(const tree::Root& root) { return ReleaseView(nodes_, *chunks_, root); }
  /// The report of publishing `after` on top of `before`.
  CheckReport check(const Files& before, const Files& after);
  CheckReport check(const Files& after) { return check({}, after); }

  /// "check key: message" of each finding, one a line, with "refuse " or "warn " before it.
  static std::string text(const CheckReport& report);

  CheckOptions options{.now = UnixMicros{1'707'563'245'000'000}};  // Sat, 10 Feb 2024 11:07:25 UTC

 private:
  std::unique_ptr<chunk::ChunkStore> chunks_ = chunk::make_memory_store();
  tree::CachedNodes nodes_{*chunks_, {}};
};

/// " SHA256 SIZE NAME\n", as Release lists a file.
std::string listed(const std::string& name, const std::string& content);

}  // namespace hailstone::publish
