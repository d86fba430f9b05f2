// All versions of a bucket's objects in order: by key, newest first, the current ones among the former ones.
#pragma once

#include <memory>

#include "volume/repository.h"

namespace hailstone::s3 {

/// Reads one state of the layers, whatever is written meanwhile.
class VersionCursor {
 public:
  static Result<VersionCursor> open(const volume::Repository& repository, const volume::Target& target);

  /// At the first version of the first key >= `key`.
  Result<void> seek(ByteView key);
  Result<void> next();
  bool valid() const { return valid_; }
  const Bytes& key() const { return key_; }
  const volume::Entry& entry() const { return entry_; }
  /// Its key in the layer that it is in, the head or the former versions'.
  ByteView place() const { return from_head_ ? head_->key() : former_->key(); }
  /// The newest version of its key, a delete marker too.
  bool latest() const { return !any_ || last_key_ != key_; }

 private:
  Result<void> settle();

  std::unique_ptr<volume::Contents> head_contents_, former_contents_;
  std::unique_ptr<volume::ContentsCursor> head_, former_;
  Bytes key_, last_key_;
  volume::Entry entry_;
  bool from_head_ = false, valid_ = false, any_ = false;
};

}  // namespace hailstone::s3
