// What the depot's tests share: a repository in memory with links and releases, and its trees as lookups want them.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "depot/find.h"
#include "volume/testing.h"

namespace hailstone::depot::testing {

struct Cell : volume::testing::TestCell {
  Store store{nodes, *chunks};

  void link(std::string_view where, Bytes key, ByteView target) {
    volume::Entry entry = file(target);
    entry.kind = volume::Kind::Symlink;
    ASSERT_TRUE(repository.write(caller, this->target(where), {}, {{std::move(key), entry}}));
  }
  void put_entry(std::string_view where, Bytes key, volume::Entry entry) {
    ASSERT_TRUE(repository.write(caller, target(where), {}, {{std::move(key), std::move(entry)}}));
  }
  void flip(const Bytes& name, ReleaseNumber release, const Bytes& channel = "current") {
    volume::Commit commit;
    commit.flips.push_back({name, channel, release, {}});
    ASSERT_TRUE(repository.submit(caller, commit));
  }
  void set(const Bytes& name, const volume::Settings& settings) {
    ASSERT_TRUE(repository.submit(caller, volume::ChangeSettings{name, settings}));
  }
  volume::Flips flips(std::string_view name, std::string_view channel = "current") {
    const auto v = *repository.volume(name);
    return v->channels.find(channel)->second;
  }
  tree::Root root(std::string_view name) { return flips(name)->back().root; }
};

}  // namespace hailstone::depot::testing
