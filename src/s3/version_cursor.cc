#include "s3/version_cursor.h"

#include "s3/versions.h"

namespace hailstone::s3 {

Result<VersionCursor> VersionCursor::open(const volume::Repository& repository, const volume::Target& target) {
  VersionCursor out;
  TRY(out.head_contents_, repository.open(target));
  out.head_ = out.head_contents_->cursor();
  if (!target.release && target.layer == volume::kHeadLayer) {
    TRY(out.former_contents_, repository.open_layer(*target.volume, volume::kVersionsLayer));
    out.former_ = out.former_contents_->cursor();
  }
  return out;
}

Result<void> VersionCursor::seek(ByteView key) {
  TRY_DO(head_->seek(key));
  if (former_) TRY_DO(former_->seek(key));
  last_key_.clear();
  any_ = false;
  return settle();
}

Result<void> VersionCursor::next() {
  last_key_ = key_;
  any_ = true;
  TRY_DO(from_head_ ? head_->next() : former_->next());
  return settle();
}

Result<void> VersionCursor::settle() {
  const bool head = head_->valid();
  const bool former = former_ && former_->valid();
  valid_ = head || former;
  if (!valid_) return {};
  // A key's current version is newer than all its former ones.
  from_head_ = head && (!former || head_->key() <= key_of_version(former_->key()));
  key_ = from_head_ ? Bytes(head_->key()) : Bytes(key_of_version(former_->key()));
  TRY(entry_, volume::Entry::decode(from_head_ ? head_->value() : former_->value()));
  return {};
}

}  // namespace hailstone::s3
