// Random work on a repository for tests of collection, and what must be true after it.
#pragma once

#include <random>

#include "collect/test_cell.h"

namespace hailstone::collect::testing {

inline bool never() { return false; }

/// Random work of writers and publishers on two volumes, with uploads left open and dropped.
class Workload {
 public:
  Workload(Cell& cell, uint64_t seed) : cell_(cell), random_(seed) {}

  void step() {
    const uint64_t what = random_() % 100;
    const Bytes name = random_() % 3 == 0 ? "two" : "one";
    if (!cell_.repository->volume(name)) cell_.create(name, {.grace_seconds = 20});
    const Bytes key = "key" + std::to_string(random_() % 60);
    cell_.clock.advance_seconds(1);
    if (what < 40) {
      cell_.put(name, key, content());
    } else if (what < 50) {
      cell_.remove(name, key);
    } else if (what < 60) {
      cell_.release(name, what % 3 == 0);
    } else if (what < 63) {
      ASSERT_TRUE(cell_.repository->submit(cell_.caller, volume::DeleteVolume{name}));
    } else if (what < 70) {
      open_draft(name);
    } else if (what < 78 && !drafts_.empty()) {
      const auto& [volume, draft] = drafts_[random_() % drafts_.size()];
      const Bytes where = volume + "@draft-" + std::to_string(draft.value);
      if (cell_.repository->resolve(where)) cell_.put(where, key, content());
    } else if (what < 82 && !drafts_.empty()) {
      const auto& [volume, draft] = drafts_[random_() % drafts_.size()];
      (void)cell_.repository->submit(cell_.caller, volume::DropDraft{volume, draft});
    } else if (what < 90) {
      uploads_.push_back({cell_.chunks->begin_writes(), {}});
      uploads_.back().entry = cell_.file(content());
    } else if (!uploads_.empty()) {
      const size_t i = random_() % uploads_.size();
      if (random_() % 3 != 0) cell_.commit(name, key, uploads_[i].entry);
      uploads_.erase(uploads_.begin() + static_cast<ptrdiff_t>(i));
    }
  }
  /// Of the process: sessions and their uploads are gone.
  void restarted() { uploads_.clear(); }

 private:
  struct Upload {
    std::unique_ptr<chunk::WriteSession> session;
    volume::Entry entry;
  };
  Bytes content() {
    const size_t sizes[] = {10, 300, 2500, 20'000, 150'000};
    return chunk::noise(sizes[random_() % 100 < 3 ? 4 : random_() % 4], random_() % 12);
  }
  void open_draft(const Bytes& name) {
    const auto volume = cell_.repository->volume(name).value();
    volume::OpenDraft open{name, volume->record.last_release, {}, {}};
    if (open.base.value > 0) open.base_root = cell_.repository->release(*volume, open.base)->root;
    const auto reply = cell_.repository->submit(cell_.caller, open);
    ASSERT_TRUE(reply) << reply.error().message;
    drafts_.emplace_back(name, DraftId(reply->number));
  }
  Cell& cell_;
  std::mt19937_64 random_;
  std::vector<std::pair<Bytes, DraftId>> drafts_;
  std::vector<Upload> uploads_;
};

/// In the end the store holds what the state refers to and nothing else, and the counts say so.
inline void expect_exact(Cell& cell) {
  // Twice: what a session held is due only in a collection that began after it.
  for (int i = 0; i < 2; ++i) {
    const auto report = cell.run();
    ASSERT_TRUE(report) << report.error().message;
  }
  cell.expect_whole();
  EXPECT_TRUE(cell.stored() == cell.reachable()) << cell.stored().size() << " stored";
  const auto verified = cell.collector->verify(never);
  EXPECT_TRUE(verified) << verified.error().message;
}

}  // namespace hailstone::collect::testing
