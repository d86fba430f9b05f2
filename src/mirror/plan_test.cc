#include "mirror/plan.h"

#include <gtest/gtest.h>

#include <map>

#include "mirror/fingerprint.h"
#include "mirror/testing_tree.h"

namespace hailstone::mirror {
namespace {

constexpr int64_t kNow = 1'000'000'000'000'000;

// Contents and attributes by key.
struct FakeProbe final : Probe {
  std::map<Bytes, Bytes> contents;
  std::map<Bytes, Xattrs> attributes;
  unsigned contents_read = 0;
  Result<Xattrs> xattrs(const Item& item) override { return attributes[item.key]; }
  Result<Hash256> content_sha256(const Item& item) override {
    ++contents_read;
    return sha256(contents[item.key]);
  }
};

Item file(const Bytes& key, uint64_t bytes, int64_t modified, int64_t changed = 5) {
  Item item;
  item.key = key;
  item.bytes = bytes;
  item.modified_ns = modified;
  item.changed_ns = changed;
  item.inode = 1;
  item.posix.mode = 0644;
  return item;
}

Item directory(const Bytes& key) {
  Item item = file(key, 0, 1);
  item.kind = volume::Kind::Directory;
  return item;
}

KeyEntry server_file(const Bytes& key, ByteView content, int64_t modified) {
  KeyEntry out{key, entry_of(file(key, content.size(), modified))};
  out.entry.content = content_of(content);
  return out;
}

class PlanTest : public ::testing::Test {
 protected:
  PlanTest() { scan_.started_ns = kNow; }
  std::string plan_with_server(std::vector<KeyEntry> server, Extraneous extraneous = Extraneous::Keep,
                               Compare compare = Compare::Times) {
    server_ = std::move(server);
    plan_ = make_plan({scan_, prefix_, excludes_, extraneous, compare, nullptr, &server_}, probe_);
    return to_text(plan_, scan_);
  }
  std::string plan_with_state(std::vector<StateRecord> records, Extraneous extraneous = Extraneous::Keep) {
    state_.records = std::move(records);
    plan_ = make_plan({scan_, prefix_, excludes_, extraneous, Compare::Times, &state_, nullptr}, probe_);
    return to_text(plan_, scan_);
  }
  Scan scan_;
  Bytes prefix_;
  Excludes excludes_;
  FakeProbe probe_;
  std::vector<KeyEntry> server_;
  ImportState state_;
  Plan plan_;
};

TEST_F(PlanTest, PutsWhatIsNewOrChangedAndKeepsTheRest) {
  scan_.items = {file("a", 3, 10), file("b", 3, 10), file("c", 4, 10), file("d", 3, 11)};
  EXPECT_EQ(plan_with_server({server_file("b", "xxx", 10), server_file("c", "xxx", 10), server_file("d", "xxx", 10),
                              server_file("only there", "x", 1)}),
            "put    a  3 bytes  (new)\n"
            "put    c  4 bytes  (changed)\n"
            "put    d  3 bytes  (changed)\n"
            "3 to put (10 bytes), 0 metadata only, 0 to delete, 1 unchanged\n");
  ASSERT_EQ(plan_.unchanged.size(), 2u);
  EXPECT_EQ(plan_.unchanged[0].changed_ns, 5);
  EXPECT_EQ(plan_.unchanged[1].key, "only there");
  EXPECT_EQ(plan_.unchanged[1].changed_ns, 0);
}

TEST_F(PlanTest, UpdatesMetadataWithoutContent) {
  scan_.items = {file("a", 3, 10), file("b", 3, 10)};
  scan_.items[0].posix.mode = 0600;
  probe_.attributes["b"] = {{"user.x", "1"}};
  plan_with_server({server_file("a", "xxx", 10), server_file("b", "xxx", 10)});
  ASSERT_EQ(plan_.metas, 2u);
  EXPECT_EQ(plan_.puts, 0u);
  EXPECT_EQ(plan_.steps[0].server->content.bytes, 3u);
}

TEST_F(PlanTest, ChecksumReadsContentsInsteadOfTrustingTimes) {
  scan_.items = {file("same", 3, 11), file("differs", 3, 10)};
  std::swap(scan_.items[0], scan_.items[1]);
  probe_.contents = {{"same", "xxx"}, {"differs", "yyy"}};
  EXPECT_EQ(plan_with_server({server_file("differs", "xxx", 10), server_file("same", "xxx", 10)}, Extraneous::Keep,
                             Compare::Checksum),
            "put    differs  3 bytes  (changed)\n"
            "meta   same  (mode, owner or attributes)\n"
            "1 to put (3 bytes), 1 metadata only, 0 to delete, 0 unchanged\n");
}

TEST_F(PlanTest, DeletesOnlyWhenAskedAndNeverWhatIsExcluded) {
  excludes_ = *Excludes::parse({"cache/"});
  const std::vector<KeyEntry> server = {server_file("cache/x", "x", 1), server_file("gone", "x", 1)};
  plan_with_server(server);
  EXPECT_EQ(plan_.deletes, 0u);
  EXPECT_EQ(plan_with_server(server, Extraneous::Delete),
            "delete gone  (gone)\n0 to put (0 bytes), 0 metadata only, 1 to delete, 0 unchanged\n");
}

TEST_F(PlanTest, DeletesNothingWhenPartOfTheTreeCouldNotBeRead) {
  scan_.unreadable.add("open directory d: Permission denied");
  plan_with_server({server_file("d/x", "x", 1)}, Extraneous::Delete);
  EXPECT_EQ(plan_.deletes, 0u);
  EXPECT_EQ(plan_.warnings.size(), 1u);
}

TEST_F(PlanTest, DeletesAFileThatBecameADirectoryFirst) {
  scan_.items = {file("0", 1, 1), directory("a/"), file("a/x", 1, 1)};
  plan_with_server({server_file("a", "x", 1)});
  ASSERT_EQ(plan_.deletes, 1u);
  EXPECT_EQ(plan_.steps[0].action, Action::Delete);
  EXPECT_EQ(plan_.steps[0].key, "a");
}

TEST_F(PlanTest, TrustsTheStateForFilesWhoseStatIsEqual) {
  scan_.items = {file("a", 3, 10, 20), file("b", 3, 10, 21), file("c", 9'000'000, 10, 21), file("d", 4, 10, 20)};
  EXPECT_EQ(
      plan_with_state(
          {{"a", 3, 10, 20, 1, 77}, {"b", 3, 10, 20, 1, 78}, {"c", 9'000'000, 10, 20, 1, 79}, {"d", 4, 10, 0, 1, 80}}),
      "put    b  3 bytes  (changed)\n"
      "meta   c  (mode, owner or attributes)\n"
      "put    d  4 bytes  (changed)\n"
      "2 to put (7 bytes), 1 metadata only, 0 to delete, 1 unchanged\n");
  EXPECT_EQ(plan_.steps[0].known, 78u);
  EXPECT_FALSE(plan_.steps[1].server);
  EXPECT_TRUE(plan_.steps[2].hash_first);
  EXPECT_EQ(probe_.contents_read, 0u);
}

TEST_F(PlanTest, DeletesByTheStateToo) {
  scan_.items = {file("a", 3, 10, 20)};
  plan_with_state({{"a", 3, 10, 20, 1, 77}, {"gone", 3, 10, 20, 1, 78}}, Extraneous::Delete);
  EXPECT_EQ(plan_.deletes, 1u);
  plan_with_state({{"a", 3, 10, 20, 1, 77}, {"gone", 3, 10, 20, 1, 78}});
  EXPECT_EQ(plan_.unchanged.size(), 2u);
}

TEST_F(PlanTest, CutsLongListings) {
  scan_.items = {file("a", 1, 1), file("b", 1, 1), file("c", 1, 1)};
  plan_with_server({});
  EXPECT_EQ(to_text(plan_, scan_, 1),
            "put    a  1 bytes  (new)\n... and 2 more\n"
            "3 to put (3 bytes), 0 metadata only, 0 to delete, 0 unchanged\n");
}

}  // namespace
}  // namespace hailstone::mirror
