// For tests: a server in memory that takes and gives wire streams.
#pragma once

#include <map>

#include "mirror/pack.h"
#include "mirror/restore.h"
#include "mirror/testing_tree.h"
#include "mirror/wire.h"

namespace hailstone::mirror {

/// Entries by key, contents beside them.
class MemoryServer {
 public:
  struct Object {
    volume::Entry entry;
    Bytes content;
  };
  std::map<Bytes, Object> objects;
  uint64_t puts = 0, copies = 0, deletes = 0, abandoned = 0;

  /// Applies one upload stream as the real server would.
  void upload(ByteView stream) {
    WireDecoder in;
    in.feed(stream);
    std::optional<WirePut> put;
    Bytes content;
    while (true) {
      auto event = in.next();
      ASSERT_TRUE(event) << event.error().message;
      if (!*event) break;
      if (auto* started = std::get_if<WirePut>(&**event)) {
        content.clear();
        if (started->inlined) {
          store(*started, *started->inlined);
        } else {
          put = std::move(*started);
        }
      } else if (auto* data = std::get_if<WireData>(&**event)) {
        content += data->bytes;
      } else if (auto* done = std::get_if<WireDone>(&**event)) {
        ASSERT_EQ(done->sha256, sha256(content));
        store(*put, content);
      } else if (std::holds_alternative<WireAbandon>(**event)) {
        ++abandoned;
      } else if (auto* copy = std::get_if<WireCopy>(&**event)) {
        ++copies;
        ASSERT_EQ(copy->entry.content, objects.at(copy->key).entry.content);
        objects.at(copy->key).entry = copy->entry;
      } else if (auto* gone = std::get_if<WireDelete>(&**event)) {
        ++deletes;
        objects.erase(gone->key);
      }
    }
    ASSERT_TRUE(in.finish());
  }

  std::vector<KeyEntry> manifest() const {
    std::vector<KeyEntry> out;
    for (const auto& [key, object] : objects) out.push_back({key, object.entry});
    return out;
  }

 private:
  void store(const WirePut& put, const Bytes& content) {
    ++puts;
    Object object{put.entry, content};
    object.entry.content = content_of(content);
    objects[put.key] = std::move(object);
  }
};

/// scan, plan, pack and upload, as `hailstone import` does it. Returns the plan's step results.
struct Import {
  Scan scan;
  Plan plan;
  std::vector<StepResult> results;
  ImportState state;
};
inline Import import_tree(const std::string& root, MemoryServer& server, const ImportState* state = nullptr,
                          const Bytes& prefix = {}, Extraneous extraneous = Extraneous::Keep, BatchLimits limits = {}) {
  Import out;
  ScanOptions options;
  options.prefix = prefix;
  auto scanned = scan(root, options);
  EXPECT_TRUE(scanned) << scanned.error().message;
  out.scan = std::move(*scanned);
  const auto manifest = server.manifest();
  auto probe = *TreeProbe::open(root, prefix);
  const Excludes none;
  out.plan =
      make_plan({out.scan, prefix, none, extraneous, Compare::Times, state, state ? nullptr : &manifest}, *probe);
  const auto lookup = [&](const Bytes& key) -> Result<std::optional<volume::Entry>> {
    const auto at = server.objects.find(key);
    return at == server.objects.end() ? std::optional<volume::Entry>() : at->second.entry;
  };
  auto packer = *Packer::open(root, out.scan, out.plan, prefix, lookup, limits);
  Bytes stream;
  while (true) {
    const auto progress = packer->produce(stream, 100'000);
    EXPECT_TRUE(progress);
    if (*progress == Packer::Progress::Done) break;
    if (*progress == Packer::Progress::BatchEnd) {
      server.upload(stream);
      stream.clear();
    }
  }
  EXPECT_EQ(stream, "");
  out.results = packer->results();
  std::map<Bytes, StateRecord> records;
  for (const StateRecord& record : out.plan.unchanged) records[record.key] = record;
  for (const StepResult& result : out.results)
    if (result.record) records[result.record->key] = *result.record;
  for (auto& [key, record] : records) out.state.records.push_back(record);
  return out;
}

/// Feeds a restore everything it wants.
inline void feed(Restore& restore, const MemoryServer& server) {
  for (const Bytes& key : restore.wanted()) {
    ASSERT_TRUE(restore.begin_content(key));
    const Bytes& content = server.objects.at(key).content;
    for (size_t at = 0; at < content.size(); at += 70'000)
      ASSERT_TRUE(restore.write(ByteView(content).substr(at, 70'000)));
    const auto finished = restore.finish_content();
    ASSERT_TRUE(finished) << finished.error().message;
  }
}

}  // namespace hailstone::mirror
