// What a local store may look like after a crash or damage, for the tests: which chunks must, may and must not be
// there.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/logger.h"
#include "chunk/local_store.h"
#include "chunk/test_bytes.h"
#include "disk/sim_disk.h"

namespace hailstone::chunk {

/// Keeps what was logged as an error: after a crash there must be none.
class ErrorLog final : public Logger {
 public:
  void log(Level level, std::string_view event, std::initializer_list<Field> fields) override {
    if (level != Level::Error) return;
    std::string line(event);
    for (const Field& field : fields)
      if (const auto* text = std::get_if<std::string_view>(&field.value)) line += " " + std::string(*text);
    std::lock_guard lock(mutex_);
    errors_.push_back(line);
  }
  bool enabled(Level) const override { return true; }
  std::vector<std::string> take() {
    std::lock_guard lock(mutex_);
    return std::exchange(errors_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> errors_;
};

/// Follows the calls made to a store. A call that failed leaves open whether it happened.
class StoreModel {
 public:
  void put(ChunkStore& store, const Bytes& bytes, Compress compress = Compress::Auto) {
    const ChunkId id(sha256(bytes));
    Fate& fate = fates_[id];
    fate.bytes = bytes;
    const bool ok = note(store.put(bytes, compress));
    fate.now = ok ? Presence::Yes : fate.now == Presence::Yes ? Presence::Yes : Presence::Maybe;
    if (fate.now != fate.durable) fate.durable = Presence::Maybe;
  }
  void erase(ChunkStore& store, const ChunkId& id) {
    Fate& fate = fates_[id];
    const bool ok = note(store.erase(std::span(&id, 1)));
    fate.now = ok ? Presence::No : Presence::Maybe;
    if (fate.now != fate.durable) fate.durable = Presence::Maybe;
  }
  void sync(ChunkStore& store) {
    if (!note(store.sync())) return;
    for (auto& [id, fate] : fates_) fate.durable = fate.now;
  }

  /// What was not durable may or may not be there now.
  void crashed() {
    for (auto& [id, fate] : fates_) {
      if (fate.now != fate.durable) fate.durable = Presence::Maybe;
      fate.now = fate.durable;
    }
  }

  /// After a crash: what was durable is there, byte for byte, what was durably erased is not, nothing is damaged.
  void check(ChunkStore& store) {
    uint64_t present = 0, bytes = 0;
    for (auto& [id, fate] : fates_) {
      const auto got = store.get(id);
      if (got) {
        EXPECT_TRUE(**got == fate.bytes) << "wrong bytes for " << id.brief();
        EXPECT_NE(fate.durable, Presence::No) << id.brief() << " came back";
        ++present;
        bytes += fate.bytes.size();
      } else {
        EXPECT_EQ(got.error().code, Code::NotFound) << got.error().message;
        EXPECT_NE(fate.durable, Presence::Yes) << id.brief() << " is lost: " << got.error().message;
      }
      fate.now = fate.durable = got ? Presence::Yes : Presence::No;
    }
    EXPECT_EQ(store.list({}, 100'000).value().size(), present);
    EXPECT_EQ(store.stats().chunks, present);
    EXPECT_EQ(store.stats().uncompressed_bytes, bytes);
    EXPECT_EQ(store.stats().quarantined, 0u);
  }

  std::vector<ChunkId> ids() const {
    std::vector<ChunkId> out;
    for (const auto& [id, fate] : fates_) out.push_back(id);
    return out;
  }
  const Bytes& bytes(const ChunkId& id) const { return fates_.at(id).bytes; }
  /// Some call was answered with Io.
  bool saw_io() const { return saw_io_; }

 private:
  enum class Presence : uint8_t { No, Maybe, Yes };
  struct Fate {
    Bytes bytes;
    Presence now = Presence::No;
    Presence durable = Presence::No;
  };
  template <class T>
  bool note(const Result<T>& result) {
    if (!result && result.error().code == Code::Io) saw_io_ = true;
    return result.has_value();
  }
  std::map<ChunkId, Fate> fates_;
  bool saw_io_ = false;
};

}  // namespace hailstone::chunk
