// The state as one command has changed it so far: its changes in front of what is there, for the rest of the command.
#pragma once

#include <map>
#include <optional>

#include "replica/database.h"

namespace hailstone::cell {

class Merged;

class Overlay final : public replica::Reader {
 public:
  using Changes = std::map<Bytes, std::optional<Bytes>, std::less<>>;  // nothing: erased

  /// `under` outlives it.
  explicit Overlay(const replica::Reader& under) : under_(under) {}

  Result<std::optional<Bytes>> get(ByteView key) const override;
  /// No change may be made while it is in use.
  std::unique_ptr<replica::Iterator> iterate(ByteView begin, ByteView end) const override;

  void put(Bytes key, Bytes value) { changes_.insert_or_assign(std::move(key), std::move(value)); }
  void erase(Bytes key) { changes_.insert_or_assign(std::move(key), std::nullopt); }

  const Changes& changes() const { return changes_; }
  void restore(Changes changes) { changes_ = std::move(changes); }
  /// In the order of the keys.
  void move_to(replica::Batch& out);

  /// The first error of the state underneath, whatever became of it: this member cannot tell what the command does, and
  /// must not take it for a refusal, which others would not give.
  const std::optional<Error>& failure() const { return failure_; }

 private:
  friend class Merged;

  const replica::Reader& under_;
  Changes changes_;
  mutable std::optional<Error> failure_;
};

}  // namespace hailstone::cell
