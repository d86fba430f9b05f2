#include "s3/lifecycle.h"

#include <gtest/gtest.h>

#include "s3/bucket.h"
#include "s3/multipart.h"
#include "s3/version_cursor.h"
#include "s3/versions.h"
#include "volume/schema.h"
#include "volume/testing.h"

namespace hailstone::s3 {
namespace {

using s3proto::Versioning;
using volume::Entry;
using volume::kHeadLayer;
using volume::kUploadsLayer;
using volume::Transaction;

constexpr int64_t kDay = 86'400;

class Lifecycle : public ::testing::Test {
 protected:
  Lifecycle() { cell.create("vol"); }

  void set(const char* document, Bytes text) {
    ASSERT_TRUE(cell.repository.submit(cell.caller, volume::ChangeDocument{"vol", document, std::move(text)}));
  }
  void rules(const Bytes& inside) {
    set(document::kLifecycle, "<LifecycleConfiguration><Rule><ID>r</ID><Status>Enabled</Status>" + inside +
                                  "</Rule></LifecycleConfiguration>");
  }
  void keep_versions(Versioning how) {
    versioning = how;
    set(document::kVersioning, s3proto::render_versioning(how));
  }
  void transact(const std::function<Result<void>(Transaction&)>& body) {
    const auto volume = *cell.repository.volume("vol");
    const auto done = cell.repository.transact(cell.caller, *volume, body);
    ASSERT_TRUE(done) << done.error().message;
  }
  void put(const Bytes& key, const std::function<void(Entry&)>& change = {}) {
    transact([&](Transaction& t) -> Result<void> {
      Entry entry = cell.file(key);
      entry.object.emplace();
      if (change) change(entry);
      TRY_DO(put_object(t, kHeadLayer, versioning, key, entry, cell.clock.wall()));
      return {};
    });
  }
  void remove(const Bytes& key) {
    transact([&](Transaction& t) -> Result<void> {
      TRY_DO(delete_object(t, kHeadLayer, versioning, key, "me", cell.clock.wall()));
      return {};
    });
  }
  void upload(const Bytes& key, char id, int parts, bool begun = true) {
    transact([&](Transaction& t) -> Result<void> {
      Entry entry = cell.file("");
      entry.object.emplace();
      const Bytes hex(32, id);
      if (begun)
        TRY_DO(t.put(kUploadsLayer, "u" + volume::schema::big_endian(kHeadLayer) + key + Bytes(1, '\0') + hex, entry));
      for (int i = 1; i <= parts; ++i)
        TRY_DO(t.put(kUploadsLayer, "p" + hex + volume::schema::big_endian(static_cast<uint64_t>(i)).substr(4), entry));
      return {};
    });
  }
  size_t upload_entries() {
    auto contents = cell.repository.open_layer(**cell.repository.volume("vol"), kUploadsLayer);
    auto cursor = (*contents)->cursor();
    size_t count = 0;
    EXPECT_TRUE(cursor->seek(""));
    for (; cursor->valid(); ++count) EXPECT_TRUE(cursor->next());
    return count;
  }
  LifecycleReport run(LifecycleOptions options = {}) {
    const auto done = run_lifecycle(cell.repository, *cell.repository.volume("vol"), options, [] { return false; });
    EXPECT_TRUE(done) << done.error().message;
    return done ? *done : LifecycleReport{};
  }
  // "key" for an object, "key!" for a delete marker, by key and newest first.
  std::vector<Bytes> versions() {
    std::vector<Bytes> out;
    auto cursor = VersionCursor::open(cell.repository, cell.target("vol"));
    EXPECT_TRUE(cursor->seek(""));
    while (cursor->valid()) {
      out.push_back(cursor->key() + (cursor->entry().object && cursor->entry().object->delete_marker ? "!" : ""));
      EXPECT_TRUE(cursor->next());
    }
    return out;
  }

  volume::testing::TestCell cell;
  Versioning versioning = Versioning::Never;
};

using Rows = std::vector<Bytes>;

TEST_F(Lifecycle, ExpiresByAgeAndPrefixAndNothingBefore) {
  rules("<Filter><Prefix>log/</Prefix></Filter><Expiration><Days>2</Days></Expiration>");
  put("log/old");
  put("other");
  cell.clock.advance_seconds(kDay);
  put("log/young");
  EXPECT_EQ(run().total(), 0u);
  cell.clock.advance_seconds(2 * kDay);
  EXPECT_EQ(run().expired, 1u);
  EXPECT_EQ(versions(), (Rows{"log/young", "other"}));
  EXPECT_EQ(run().total(), 0u) << "a second pass finds nothing";
}

TEST_F(Lifecycle, ExpiresByDate) {
  rules("<Filter><Prefix>a</Prefix></Filter><Expiration><Date>2020-01-01T00:00:00Z</Date></Expiration>");
  put("a");
  put("b");
  EXPECT_EQ(run().expired, 1u);
  EXPECT_EQ(versions(), (Rows{"b"}));
}

TEST_F(Lifecycle, ExpiresByTagAndSize) {
  rules(
      "<Filter><And><Tag><Key>k</Key><Value>v</Value></Tag><ObjectSizeGreaterThan>1</ObjectSizeGreaterThan></And>"
      "</Filter><Expiration><Days>1</Days></Expiration>");
  put("tagged", [](Entry& e) { e.object->tags["k"] = "v"; });
  put("t", [](Entry& e) { e.object->tags["k"] = "v"; });
  put("untagged");
  cell.clock.advance_seconds(3 * kDay);
  EXPECT_EQ(run().expired, 1u);
  EXPECT_EQ(versions(), (Rows{"t", "untagged"}));
}

TEST_F(Lifecycle, HidesWhereVersionsAreKept) {
  keep_versions(Versioning::Enabled);
  rules("<Filter/><Expiration><Days>1</Days></Expiration>");
  put("a");
  cell.clock.advance_seconds(3 * kDay);
  EXPECT_EQ(run().expired, 1u);
  EXPECT_EQ(versions(), (Rows{"a!", "a"}));
  EXPECT_EQ(run().total(), 0u) << "the marker hides a version: it stays";
}

TEST_F(Lifecycle, RemovesFormerVersionsButTheNewestAsked) {
  keep_versions(Versioning::Enabled);
  rules(
      "<Filter/><NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays>"
      "<NewerNoncurrentVersions>2</NewerNoncurrentVersions></NoncurrentVersionExpiration>");
  for (int i = 0; i < 6; ++i) put("a");
  put("b");
  cell.clock.advance_seconds(3 * kDay);
  EXPECT_EQ(run().versions, 3u);
  EXPECT_EQ(versions(), (Rows{"a", "a", "a", "b"}));
}

TEST_F(Lifecycle, AVersionAgesFromWhenItWasReplaced) {
  keep_versions(Versioning::Enabled);
  rules("<Filter/><NoncurrentVersionExpiration><NoncurrentDays>5</NoncurrentDays></NoncurrentVersionExpiration>");
  put("a");
  cell.clock.advance_seconds(20 * kDay);
  put("a");
  EXPECT_EQ(run().versions, 0u);
  cell.clock.advance_seconds(7 * kDay);
  EXPECT_EQ(run().versions, 1u);
}

TEST_F(Lifecycle, RemovesLoneMarkersOnly) {
  keep_versions(Versioning::Enabled);
  rules("<Filter/><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>");
  remove("lone");
  put("over");
  remove("over");
  remove("twice");
  remove("twice");
  EXPECT_EQ(run().markers, 1u);
  EXPECT_EQ(versions(), (Rows{"over!", "over", "twice!", "twice!"}));
}

TEST_F(Lifecycle, LeavesLockedVersions) {
  keep_versions(Versioning::Enabled);
  rules("<Filter/><NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration>");
  put("held", [](Entry& e) { e.object->legal_hold = true; });
  put("held");
  put("retained", [&](Entry& e) {
    e.object->retention = 1;
    e.object->retain_until = cell.clock.wall().value + 10 * kDay * 1'000'000;
  });
  put("retained");
  cell.clock.advance_seconds(3 * kDay);
  const auto report = run();
  EXPECT_EQ(report.versions, 0u);
  EXPECT_EQ(report.locked, 2u);
  cell.clock.advance_seconds(20 * kDay);
  EXPECT_EQ(run().versions, 1u) << "retention ends, a hold does not";
}

TEST_F(Lifecycle, GoesOnWhereABatchEnds) {
  keep_versions(Versioning::Enabled);
  rules(
      "<Filter/><Expiration><Days>1</Days></Expiration>"
      "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration>");
  for (int i = 0; i < 20; ++i)
    for (int n = 0; n <= i % 4; ++n) put("k" + std::to_string(100 + i));
  cell.clock.advance_seconds(3 * kDay);
  const auto report = run({.batch = 3});
  EXPECT_EQ(report.expired, 20u);
  EXPECT_EQ(report.versions, 30u);
  EXPECT_EQ(versions().size(), 40u);
}

TEST_F(Lifecycle, KeepsWhatBecameTheNewestMeanwhile) {
  keep_versions(Versioning::Enabled);
  rules("<Filter/><NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration>");
  remove("a");
  remove("a");
  put("b");
  cell.clock.advance_seconds(3 * kDay);
  // The older marker of "a" is due while the walk is at "b": then the newer one is removed by its id.
  int asked = 0;
  const auto report = run_lifecycle(cell.repository, *cell.repository.volume("vol"), {}, [&] {
    if (++asked == 4) {
      transact([&](Transaction& t) -> Result<void> {
        TRY(const auto newest, newest_former(t, "a"));
        TRY_DO(delete_version(t, "a", *newest));
        return {};
      });
    }
    return false;
  });
  ASSERT_TRUE(report);
  EXPECT_GE(asked, 4);
  EXPECT_EQ(report->versions, 0u);
  EXPECT_EQ(versions(), (Rows{"a!", "b"}));
}

TEST_F(Lifecycle, DoesNothingOnceStopped) {
  rules("<Filter/><Expiration><Days>1</Days></Expiration>");
  put("a");
  cell.clock.advance_seconds(3 * kDay);
  const auto done = run_lifecycle(cell.repository, *cell.repository.volume("vol"), {}, [] { return true; });
  ASSERT_TRUE(done);
  EXPECT_EQ(done->total(), 0u);
}

TEST_F(Lifecycle, AbortsUploadsByRule) {
  rules(
      "<Filter><Prefix>a/</Prefix></Filter><AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation>"
      "</AbortIncompleteMultipartUpload>");
  upload("a/x", '1', 3);
  upload("b/x", '2', 2);
  EXPECT_EQ(run().uploads, 0u);
  cell.clock.advance_seconds(3 * kDay);
  upload("a/y", '3', 1);
  EXPECT_EQ(run().uploads, 1u);
  EXPECT_EQ(upload_entries(), 3u + 2u);
}

TEST_F(Lifecycle, AbortsUploadsByTheNodesOwnAge) {
  upload("a", '1', 3);
  cell.clock.advance_seconds(8 * kDay);
  EXPECT_EQ(run().uploads, 0u);
  EXPECT_EQ(run({.stale_upload_days = 7}).uploads, 1u);
  EXPECT_EQ(upload_entries(), 0u);
}

TEST_F(Lifecycle, SweepsPartsOfUploadsThatAreGone) {
  upload("a", '1', 3);
  upload("a", '2', 2, /*begun=*/false);
  EXPECT_EQ(run().parts, 2u);
  EXPECT_EQ(upload_entries(), 4u);
}

}  // namespace
}  // namespace hailstone::s3
