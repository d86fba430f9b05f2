// The volume state machine: applies commands to the group's database, deterministically, and shows readers the result.
#pragma once

#include <memory>

#include "chunk/store.h"
#include "replica/group.h"
#include "volume/catalog.h"
#include "volume/command.h"
#include "volume/state.h"

namespace hailstone::volume {

class Machine final : public replica::StateMachine {
 public:
  /// Chunks that travel in commands go to `store`, when there is one. `group` is part of the ids of the volumes that
  /// are made here; `catalog` is shown every state.
  explicit Machine(chunk::ChunkStore* store = nullptr, uint8_t group = 0, Catalog* catalog = nullptr)
      : store_(store), group_(group), catalog_(catalog) {}

  /// Reads the state that the database already holds. Call before the group replays its log.
  Result<void> load(const replica::Reader& database);

  Result<Bytes> apply(Slot slot, ByteView command, const replica::Reader& state, replica::Batch& out) override;
  void applied(Slot slot) override;
  Result<void> persist() override;
  Result<void> restored(const replica::Reader& state, Slot) override { return load(state); }

  const PublishedState& published() const { return published_; }

 private:
  class Applying;  // one command's working set
  void publish();

  chunk::ChunkStore* const store_;
  const uint8_t group_;
  Catalog* const catalog_;
  std::shared_ptr<const State> state_ = std::make_shared<State>();  // shows every applied command
  std::shared_ptr<State> next_;                                     // shows the one between apply() and applied()
  uint64_t last_volume_ = 0;
  uint64_t next_last_volume_ = 0;
  PublishedState published_;
};

}  // namespace hailstone::volume
