// Limits: each refuses clearly, and gives way again.
#include <gtest/gtest.h>

#include "cell/testing.h"

namespace hailstone::cell {
namespace {

struct Limits : testing::Test {
  TestCell cell;
  void set(auto change) {
    Settings settings;
    change(settings);
    EXPECT_EQ(refusal(cell.cell(ChangeSettings{settings})), std::nullopt);
  }
};

TEST_F(Limits, Sessions) {
  set([](Settings& s) { s.sessions_max = 1; });
  const SessionId ann = cell.open();
  const Reply refused = cell.as("ben", OpenSession{nonce_of(9), 0});
  EXPECT_EQ(refusal(refused), Code::Exhausted);
  EXPECT_EQ(refused.refused->message, "1 sessions, at most 1 (setting sessions_max)");
  cell.in(ann, CloseSession{});
  EXPECT_EQ(refusal(cell.as("ben", OpenSession{nonce_of(9), 0})), std::nullopt);
}

TEST_F(Limits, FilesAndBytes) {
  set([](Settings& s) { s.files_max = 2, s.bytes_max = 10, s.file_bytes_max = 8; });
  EXPECT_EQ(refusal(cell.put("/a", "12345678")), std::nullopt);
  EXPECT_EQ(refusal(cell.put("/a", "123456789")), Code::Invalid);
  EXPECT_EQ(refusal(cell.put("/b", "123")), Code::Exhausted);
  EXPECT_EQ(refusal(cell.put("/b", "12")), std::nullopt);
  EXPECT_EQ(refusal(cell.put("/c", "")), Code::Exhausted);
  EXPECT_EQ(refusal(cell.put("/b", "123")), Code::Exhausted);
  EXPECT_EQ(refusal(cell.put("/a", "1")), std::nullopt);
  EXPECT_EQ(refusal(cell.put("/b", "123")), std::nullopt);
}

TEST_F(Limits, FilesThatOutgrewALoweredLimitStayAndMayShrink) {
  cell.put("/a", "12345");
  set([](Settings& s) { s.bytes_max = 2; });
  EXPECT_EQ(cell.content("/a"), "12345");
  EXPECT_EQ(refusal(cell.put("/a", "1234")), std::nullopt);
  EXPECT_EQ(refusal(cell.put("/a", "12345")), Code::Exhausted);
}

TEST_F(Limits, AFileIsAtMost256KiB) {
  EXPECT_EQ(refusal(cell.put("/a", Bytes(kFileBytesMax, 'x'))), std::nullopt);
  EXPECT_EQ(refusal(cell.put("/a", Bytes(kFileBytesMax + 1, 'x'))), Code::Invalid);
}

TEST_F(Limits, WaitersOfALockAndHoldsOfASession) {
  set([](Settings& s) { s.waiters_max = 1, s.holds_max = 2; });
  const SessionId ann = cell.open(), ben = cell.open(), cid = cell.open();
  const auto lock = [&](SessionId session, const Bytes& path) {
    return refusal(cell.in(session, Lock{path, LockMode::Exclusive, Lock::Wait::Queue, 0}));
  };
  EXPECT_EQ(lock(ann, "/l"), std::nullopt);
  EXPECT_EQ(lock(ben, "/l"), std::nullopt);
  EXPECT_EQ(lock(cid, "/l"), Code::Exhausted);
  EXPECT_EQ(lock(ann, "/m"), std::nullopt);
  EXPECT_EQ(lock(ann, "/n"), Code::Exhausted);
  EXPECT_EQ(refusal(cell.in(ann, Txn{{}, {Put{"/e", "", Put::Mode::Create, Put::Life::Ephemeral}}, {}})),
            Code::Exhausted);
  cell.in(ann, Unlock{"/m"});
  EXPECT_EQ(lock(ann, "/n"), std::nullopt);
}

TEST_F(Limits, OperationsOfATransaction) {
  EXPECT_EQ(refusal(cell.cell(Txn{{}, std::vector<Operation>(kOperationsMax, Get{"/a"}), {}})), std::nullopt);
  EXPECT_EQ(refusal(cell.cell(Txn{{}, std::vector<Operation>(kOperationsMax + 1, Get{"/a"}), {}})), Code::Invalid);
  EXPECT_EQ(refusal(cell.cell(Txn{{}, {}, std::vector<Operation>(kOperationsMax + 1, Get{"/a"})})), Code::Invalid);
  EXPECT_EQ(refusal(cell.cell(Txn{std::vector<Compare>(kOperationsMax + 1, FileExists{"/a"}), {}, {}})), Code::Invalid);
}

TEST_F(Limits, BytesOfACommandAndOfItsReply) {
  const Operation put = Put{"/a", Bytes(kFileBytesMax, 'x')};
  EXPECT_EQ(refusal(cell.cell(Txn{{}, {put, put, put}, {}})), std::nullopt);
  EXPECT_EQ(refusal(cell.cell(Txn{{}, {put, put, put, put}, {}})), Code::Invalid);
  EXPECT_EQ(refusal(cell.cell(Txn{{}, {Get{"/a"}, Get{"/a"}, Get{"/a"}}, {}})), std::nullopt);
  const Revision before = cell.counters().revision;
  EXPECT_EQ(refusal(cell.cell(Txn{{}, {Put{"/b", ""}, Get{"/a"}, Get{"/a"}, Get{"/a"}, Get{"/a"}}, {}})),
            Code::Exhausted);
  EXPECT_FALSE(cell.file("/b"));
  EXPECT_EQ(cell.counters().revision, before);
}

TEST_F(Limits, FilesOfADeletedSubtree) {
  for (int i = 0; i < 3; ++i) cell.put(fmt::format("/d/{}", i), "");
  set([](Settings& s) { s.subtree_files_max = 2; });
  const Reply refused = cell.cell(Txn{{}, {DeleteSubtree{"/d", 100}}, {}});
  EXPECT_EQ(refusal(refused), Code::Exhausted);
  EXPECT_NE(refused.refused->message.find("subtree_files_max"), Bytes::npos);
  EXPECT_EQ(refusal(cell.cell(Txn{{}, {DeleteSubtree{"/d", 2}}, {}})), Code::Conflict);
}

TEST_F(Limits, FilesOfAllSubtreesOfATransaction) {
  for (const char* path : {"/a/1", "/a/2", "/b/1", "/b/2"}) cell.put(path, "");
  set([](Settings& s) { s.subtree_files_max = 3; });
  EXPECT_EQ(refusal(cell.cell(Txn{{}, {DeleteSubtree{"/a", 9}, DeleteSubtree{"/b", 9}}, {}})), Code::Exhausted);
  EXPECT_TRUE(cell.file("/a/1"));
  EXPECT_EQ(refusal(cell.cell(Txn{{}, {DeleteSubtree{"/a", 9}}, {}})), std::nullopt);
  EXPECT_EQ(refusal(cell.cell(Txn{{}, {DeleteSubtree{"/b", 9}}, {}})), std::nullopt);
}

TEST_F(Limits, AListingIsCutAtAThousandEntries) {
  for (int i = 0; i < 1001; i += 91)
    cell.cell(Txn{{},
                  [&] {
                    std::vector<Operation> puts;
                    for (int j = i; j < i + 91; ++j) puts.push_back(Put{fmt::format("/d/{:04}", j), ""});
                    return puts;
                  }(),
                  {}});
  const Listing first = *list(cell.database(), List{"/d", List::Depth::Children, "", 5000});
  EXPECT_EQ(first.entries.size(), kListMax);
  EXPECT_EQ(first.next, "0999");
  EXPECT_EQ(list(cell.database(), List{"/d", List::Depth::Children, first.next, 0})->entries.size(), 1u);
}

TEST_F(Limits, SettingsThatMakeNoSenseAreRefused) {
  Settings settings;
  settings.lease_ms_max = settings.lease_ms_min - 1;
  EXPECT_EQ(refusal(cell.cell(ChangeSettings{settings})), Code::Invalid);
  settings = {};
  settings.file_bytes_max = kFileBytesMax + 1;
  EXPECT_EQ(refusal(cell.cell(ChangeSettings{settings})), Code::Invalid);
  EXPECT_EQ(refusal(cell.as("ann", OpenSession{nonce_of(1), 0})), std::nullopt);
  EXPECT_EQ(refusal(cell.as(Bytes(256, 'a'), OpenSession{nonce_of(2), 0})), Code::Invalid);
}

}  // namespace
}  // namespace hailstone::cell
