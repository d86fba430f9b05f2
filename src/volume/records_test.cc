#include "volume/records.h"

#include <gtest/gtest.h>

#include "volume/command.h"

namespace hailstone::volume {
namespace {

ReleaseRecord sample_release() {
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

template <class T>
void survives_damage(const T& value) {
  const Bytes bytes = value.encode();
  auto back = T::decode(bytes);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->encode(), bytes);
  for (size_t cut = 0; cut < bytes.size(); ++cut) EXPECT_FALSE(T::decode(ByteView(bytes).substr(0, cut))) << cut;
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    Bytes damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ 1 << bit % 8);
    (void)T::decode(damaged);  // anything but a crash
  }
}

TEST(Records, RoundTripAndSurviveDamage) {
  VolumeRecord v;
  v.id = VolumeId(7);
  v.name = "repo";
  v.settings.description = "all of it";
  v.channels["current"] = {3, ReleaseNumber(2), {}, UnixMicros{5}, 6};
  survives_damage(v);
  EXPECT_EQ(*VolumeRecord::decode(v.encode()), v);
  survives_damage(sample_release());
  EXPECT_EQ(*ReleaseRecord::decode(sample_release().encode()), sample_release());
  survives_damage(DraftRecord{DraftId(1), ReleaseNumber(2), {}, "a", "m", UnixMicros{3}, UnixMicros{4}});
  survives_damage(AccessKey{"id", "name", Role::Publisher, {"*", "repo"}, "hash", "sealed", UnixMicros{1}});
}

TEST(Records, SignatureCoversEveryFieldButItself) {
  const ReleaseRecord r = sample_release();
  ReleaseRecord changed = r;
  changed.signature.clear();
  EXPECT_EQ(changed.signed_bytes(), r.signed_bytes());
  changed.message = "go forward";
  EXPECT_NE(changed.signed_bytes(), r.signed_bytes());
  EXPECT_NE(changed.hash(), r.hash());
}

TEST(Commands, EveryBodyRoundTrips) {
  Commit commit;
  commit.releases.push_back({"repo", sample_release(), DraftId(5), 2, tree::Root{ChunkId(sha256("h"))}, {}});
  commit.flips.push_back({"repo", "current", ReleaseNumber(42), ReleaseNumber(41)});
  Write write;
  write.volume = "repo";
  write.layers = {{9, {{"a", 7u}, {"b", {}}}, tree::Root{}, {{"a", "entry", 5}, {"b", {}, 0}}},
                  {kUploadsLayer, {}, {}, {}}};
  write.chunks = {"bytes of a chunk"};
  const std::vector<Body> bodies = {CreateVolume{"repo", {}, sample_release()},
                                    DeleteVolume{"repo"},
                                    ChangeSettings{"repo", {}},
                                    write,
                                    OpenDraft{"repo", ReleaseNumber(1), {}, "m"},
                                    DropDraft{"repo", DraftId(1)},
                                    ExpireDraft{"repo", DraftId(1), UnixMicros{-5}},
                                    BeginSeal{"repo", 1},
                                    EndSeal{"repo", 1, 2, {}, {}},
                                    commit,
                                    SetTag{"repo", "t", ReleaseNumber(1)},
                                    SetHold{"repo", ReleaseNumber(1), "h", "why", SetHold::Action::Remove},
                                    PutKey{{"id", "name", Role::Admin, {"*"}, "hash", "sealed", UnixMicros{1}}},
                                    RemoveKey{"id"},
                                    ChangeDocument{"repo", "cors", "<xml/>"},
                                    TrashReleases{"repo", {ReleaseNumber(1), ReleaseNumber(2)}},
                                    RestoreRelease{"repo", ReleaseNumber(1)},
                                    PurgeReleases{"repo", {ReleaseNumber(2)}},
                                    DeleteEmptyVolume{"repo", VolumeId(7), Slot(300), Slot(4)}};
  ASSERT_EQ(bodies.size(), std::variant_size_v<Body>);
  for (const Body& body : bodies) survives_damage(Command{UnixMicros{99}, "ann", "key", body});
}

TEST(Names, VolumesAreS3BucketNamesWithoutDoubleDash) {
  for (const char* good : {"abc", "debian", "my.site.org", "a-b-c", "1ab"})
    EXPECT_TRUE(validate_volume_name(good)) << good;
  for (const char* bad :
       {"", "ab", "Abc", "a_b", "-ab", "ab-", "a--b", "a..b", "192.168.0.1", "api", "metrics", "a/b", "a@b"})
    EXPECT_FALSE(validate_volume_name(bad)) << bad;
  EXPECT_FALSE(validate_volume_name(std::string(64, 'a')));
}

TEST(Names, LabelsNeverLookLikeNumbersTimesOrDrafts) {
  for (const char* good : {"current", "v1.0", "Stable_2"}) EXPECT_TRUE(validate_label("channel", good)) << good;
  for (const char* bad : {"", "42", "2026-11-22", "draft-7", "a--b", "a b", "a/b", "-x"})
    EXPECT_FALSE(validate_label("channel", bad)) << bad;
}

}  // namespace
}  // namespace hailstone::volume
