// One of each record, command and entry, byte for byte as the golden file has it: what this program writes, later ones
// must read.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "volume/command.h"
#include "volume/entry.h"
#include "volume/schema.h"

namespace hailstone::volume {
namespace {

chunk::Content content(uint8_t depth) {
  chunk::Content out{.bytes = 3000, .sha256 = sha256("whole"), .depth = depth};
  out.refs = {{ChunkId(sha256("a")), 1000}, {ChunkId(sha256("b")), 2000}};
  return out;
}

Entry full_entry() {
  Entry entry{.content = content(0), .modified_ns = 1'790'000'000'123'456'789};
  entry.posix = Posix{
      .mode = 0644, .uid = 1, .gid = 2, .device = 0, .sparse = true, .link = "first", .xattrs = {{"user.a", "1"}}};
  entry.content_type = "text/plain";
  entry.metadata = {{"colour", "blue"}};
  entry.etag = "0cc175b9c0f1b6a831c399e269772661-2";
  entry.object = ObjectFacts{.headers = {{"cache-control", "no-cache"}},
                             .tags = {{"team", "x"}},
                             .version = "fff9a1",
                             .version_order = 1'790'000'000'000'000,
                             .checksum_algorithm = "CRC32C",
                             .checksum = "AAAAAA==-2",
                             .part_count = 2,
                             .parts = content(0),
                             .owner = "ann",
                             .acl = "<AccessControlPolicy/>",
                             .retention = 2,
                             .retain_until = 1'800'000'000'000'000,
                             .legal_hold = true};
  return entry;
}

Bytes inline_entry() {
  Entry entry;
  entry.content.inlined = "hello";
  entry.content.bytes = 5;
  entry.content.sha256 = sha256("hello");
  return *entry.encode();
}

ReleaseRecord release() {
  ReleaseRecord r;
  r.volume = VolumeId(3);
  r.volume_name = "repo";
  r.number = ReleaseNumber(42);
  r.kind = ReleaseKind::Revert;
  r.root.id = ChunkId(sha256("root"));
  r.derived.id = ChunkId(sha256("derived"));
  r.totals = {10, 1000};
  r.base = ReleaseNumber(40);
  r.parent = ReleaseNumber(41);
  r.parent_hash = sha256("parent");
  r.time = UnixMicros{1'790'000'000'000'001};
  r.author = "ann";
  r.message = "go back";
  r.added = 1;
  r.changed = 2;
  r.removed = 3;
  r.key_id = "0011";
  r.signature = Bytes(64, 's');
  return r;
}

Bytes encoded(const Layer& layer) {
  Bytes bytes;
  Encoder out(bytes);
  layer.encode(out);
  return bytes;
}

std::map<std::string, Bytes> samples() {
  const tree::Root root{ChunkId(sha256("root"))};
  const tree::Root next{ChunkId(sha256("next"))};
  VolumeRecord volume{.id = VolumeId(7),
                      .name = "repo",
                      .settings = {.keep_releases = 9, .description = "all of it"},
                      .created = UnixMicros{5},
                      .last_release = ReleaseNumber(2),
                      .last_draft = DraftId(1)};
  volume.channels["current"] = {3, ReleaseNumber(2), root, UnixMicros{5}, 6};
  volume.documents["cors"] = "<xml/>";
  std::map<std::string, Bytes> out{
      {"entry_full", *full_entry().encode()},
      {"entry_inline", inline_entry()},
      {"record_volume", volume.encode()},
      {"record_draft",
       DraftRecord{DraftId(1), ReleaseNumber(2), root, "a", "m", UnixMicros{3}, UnixMicros{4}}.encode()},
      {"record_release", release().encode()},
      {"record_layer", encoded({root, 4, 3, 17, 1700, Slot(99)})},
      {"record_key", AccessKey{"id", "name", Role::Publisher, {"*", "repo"}, "hash", "sealed", UnixMicros{1}}.encode()},
      {"record_audit", AuditRecord{Slot(1), UnixMicros{2}, "ann", "publish", "repo@1"}.encode()},
      {"edit_removed", schema::encode_edit(std::nullopt, 0)},
      {"edit_put", schema::encode_edit(inline_entry(), 5)},
      {"reply", Reply{.number = 4, .root = root, .releases = {ReleaseNumber(1)}, .time = UnixMicros{2}, .slot = Slot(3)}
                    .encode()},
      {"reply_refused",
       Reply{.refused = Error{Code::Conflict, "moved on"}, .time = UnixMicros{2}, .slot = Slot(3)}.encode()},
  };
  Write write{"repo", {}, {"bytes of a chunk"}};
  write.layers.push_back({9, {{"a", 7u}, {"b", {}}}, root, {{"a", inline_entry(), 5}, {"b", {}, 0}}});
  Commit commit;
  commit.releases.push_back({"repo", release(), DraftId(1), 2, root, next});
  commit.flips.push_back({"repo", "current", ReleaseNumber(42), ReleaseNumber(41)});
  const std::vector<std::pair<std::string, Body>> bodies = {
      {"create_volume", CreateVolume{"repo", {}, release()}},
      {"delete_volume", DeleteVolume{"repo"}},
      {"change_settings", ChangeSettings{"repo", {}}},
      {"write", std::move(write)},
      {"open_draft", OpenDraft{"repo", ReleaseNumber(1), root, "m"}},
      {"drop_draft", DropDraft{"repo", DraftId(1)}},
      {"expire_draft", ExpireDraft{"repo", DraftId(1), UnixMicros{8}}},
      {"begin_seal", BeginSeal{"repo", 9}},
      {"end_seal", EndSeal{"repo", 9, 3, root, next}},
      {"commit", std::move(commit)},
      {"set_tag", SetTag{"repo", "t", ReleaseNumber(1)}},
      {"set_hold", SetHold{"repo", ReleaseNumber(1), "h", "why", SetHold::Action::Remove}},
      {"put_key", PutKey{{"id", "name", Role::Admin, {"*"}, "hash", "sealed", UnixMicros{1}}}},
      {"remove_key", RemoveKey{"id"}},
      {"change_document", ChangeDocument{"repo", "cors", "<xml/>"}},
      {"trash_releases", TrashReleases{"repo", {ReleaseNumber(1), ReleaseNumber(2)}}},
      {"restore_release", RestoreRelease{"repo", ReleaseNumber(1)}},
      {"purge_releases", PurgeReleases{"repo", {ReleaseNumber(2)}}},
      {"delete_empty_volume", DeleteEmptyVolume{"repo", VolumeId(7), Slot(300), Slot(4)}},
  };
  EXPECT_EQ(bodies.size(), std::variant_size_v<Body>);
  for (const auto& [name, body] : bodies) out["command_" + name] = Command{UnixMicros{99}, "ann", "key", body}.encode();
  return out;
}

TEST(Golden, EveryRecordCommandAndEntryIsWrittenAsBefore) {
  const auto path = std::filesystem::path(__FILE__).parent_path() / "testdata/state_v1.txt";
  const auto made = samples();
  if (std::getenv("HAILSTONE_WRITE_GOLDEN") != nullptr) {
    std::ofstream out(path);
    for (const auto& [name, bytes] : made) out << name << ' ' << to_hex(bytes) << '\n';
  }
  std::ifstream in(path);
  std::map<std::string, Bytes> kept;
  for (std::string name, hex; in >> name >> hex;) {
    Bytes bytes;
    ASSERT_TRUE(from_hex(hex, bytes)) << name;
    kept[name] = bytes;
  }
  ASSERT_EQ(kept.size(), made.size());
  for (const auto& [name, bytes] : made) EXPECT_EQ(to_hex(kept[name]), to_hex(bytes)) << name;
  for (const auto& [name, bytes] : kept)
    if (name.starts_with("command_")) EXPECT_EQ(Command::decode(bytes)->encode(), bytes) << name;
  EXPECT_EQ(*Entry::decode(kept["entry_full"]), full_entry());
  EXPECT_EQ(*ReleaseRecord::decode(kept["record_release"]), release());
}

}  // namespace
}  // namespace hailstone::volume
