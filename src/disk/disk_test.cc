// What every Disk promises, checked on the kernel's and on the simulated one.
#include "disk/disk.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "disk/sim_disk.h"

namespace hailstone::disk {
namespace {

enum class Kind { Real, Simulated };

class DiskConformance : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    if (GetParam() == Kind::Real) {
      std::string pattern = testing::TempDir() + "/disk_test_XXXXXX";
      ASSERT_NE(mkdtemp(pattern.data()), nullptr);
      root_ = pattern;
      disk_ = make_real_disk();
    } else {
      root_ = "/data";
      disk_ = std::make_unique<SimDisk>();
      ASSERT_TRUE(disk_->make_directories(root_));
    }
  }
  void TearDown() override {
    disk_.reset();
    if (GetParam() == Kind::Real) std::filesystem::remove_all(root_);
  }
  std::string at(const std::string& name) const { return root_ + "/" + name; }
  Bytes content(const std::string& name) {
    auto read = read_file(*disk_, at(name), 1 << 20);
    return read ? *read : Bytes("?") + read.error().message;
  }

  std::string root_;
  std::unique_ptr<Disk> disk_;
};

TEST_P(DiskConformance, OpenModesCreateOrRefuseAsTheySay) {
  EXPECT_EQ(disk_->open(at("a"), OpenMode::Read).error().code, Code::NotFound);
  EXPECT_EQ(disk_->open(at("a"), OpenMode::Write).error().code, Code::NotFound);
  EXPECT_EQ(disk_->open(at("none/a"), OpenMode::Create).error().code, Code::NotFound);
  EXPECT_TRUE(disk_->open(at("a"), OpenMode::CreateNew));
  EXPECT_EQ(disk_->open(at("a"), OpenMode::CreateNew).error().code, Code::Exists);
  EXPECT_TRUE(disk_->open(at("a"), OpenMode::Create));
  EXPECT_TRUE(disk_->open(at("a"), OpenMode::Write));
}

TEST_P(DiskConformance, ErrorsNameThePath) {
  EXPECT_NE(disk_->open(at("missing-file"), OpenMode::Read).error().message.find("missing-file"), std::string::npos);
}

TEST_P(DiskConformance, ReadsAreShortOnlyAtTheEnd) {
  auto file = disk_->open(at("a"), OpenMode::Create);
  ASSERT_TRUE(file);
  ASSERT_TRUE((*file)->write_at(0, "hello"));
  Bytes out(4, '\0');
  EXPECT_EQ(*(*file)->read_at(0, out), 4u);
  EXPECT_EQ(out, "hell");
  EXPECT_EQ(*(*file)->read_at(3, out), 2u);
  EXPECT_EQ(*(*file)->read_at(5, out), 0u);
  EXPECT_EQ(*(*file)->read_at(500, out), 0u);
}

TEST_P(DiskConformance, WritingBeyondTheEndLeavesZeros) {
  auto file = disk_->open(at("a"), OpenMode::Create);
  ASSERT_TRUE(file);
  ASSERT_TRUE((*file)->write_at(3, "x"));
  ASSERT_TRUE((*file)->sync());
  EXPECT_EQ(*(*file)->size(), 4u);
  EXPECT_EQ(content("a"), Bytes("\0\0\0x", 4));
  ASSERT_TRUE((*file)->truncate(1));
  EXPECT_EQ(content("a"), Bytes("\0", 1));
  EXPECT_EQ(*disk_->file_size(at("a")), 1u);
}

TEST_P(DiskConformance, RenameReplaces) {
  ASSERT_TRUE(write_file_atomic(*disk_, at("a"), "new"));
  ASSERT_TRUE(write_file_atomic(*disk_, at("b"), "old"));
  ASSERT_TRUE(disk_->rename(at("a"), at("b")));
  EXPECT_EQ(content("b"), "new");
  EXPECT_FALSE(*disk_->exists(at("a")));
  EXPECT_EQ(disk_->rename(at("a"), at("b")).error().code, Code::NotFound);
}

TEST_P(DiskConformance, RemovedFilesStayReadableThroughOpenHandles) {
  ASSERT_TRUE(write_file_atomic(*disk_, at("a"), "still here"));
  auto file = disk_->open(at("a"), OpenMode::Read);
  ASSERT_TRUE(file);
  ASSERT_TRUE(disk_->remove(at("a")));
  EXPECT_EQ(disk_->remove(at("a")).error().code, Code::NotFound);
  Bytes out(10, '\0');
  EXPECT_EQ(*(*file)->read_at(0, out), 10u);
  EXPECT_EQ(out, "still here");
}

TEST_P(DiskConformance, DirectoriesNestAndMustBeEmptyToGo) {
  ASSERT_TRUE(disk_->make_directories(at("x/y/z")));
  ASSERT_TRUE(disk_->make_directories(at("x/y/z")));
  EXPECT_TRUE(*disk_->is_directory(at("x/y")));
  EXPECT_EQ(disk_->remove_directory(at("x/y")).error().code, Code::Conflict);
  ASSERT_TRUE(disk_->remove_directory(at("x/y/z")));
  ASSERT_TRUE(disk_->remove_directory(at("x/y")));
  EXPECT_FALSE(*disk_->exists(at("x/y")));
  EXPECT_TRUE(disk_->sync_directory(at("x")));
  ASSERT_TRUE(write_file_atomic(*disk_, at("file"), ""));
  EXPECT_EQ(disk_->make_directories(at("file")).error().code, Code::Exists);
  EXPECT_FALSE(*disk_->is_directory(at("file")));
}

TEST_P(DiskConformance, ListsNamesInByteOrder) {
  for (const char* name : {"b", "a", "B", "a.1", "c"}) ASSERT_TRUE(write_file_atomic(*disk_, at(name), name));
  ASSERT_TRUE(disk_->make_directories(at("sub")));
  ASSERT_TRUE(write_file_atomic(*disk_, at("sub/inner"), ""));
  EXPECT_EQ(*disk_->list(root_), (std::vector<std::string>{"B", "a", "a.1", "b", "c", "sub"}));
  EXPECT_EQ(disk_->list(at("none")).error().code, Code::NotFound);
}

TEST_P(DiskConformance, LocksAreHeldOnceAndReleased) {
  for (const std::string& path : {root_, at("LOCK")}) {
    auto first = disk_->lock(path);
    ASSERT_TRUE(first);
    auto second = disk_->lock(path);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Code::Unavailable);
    EXPECT_NE(second.error().message.find(path), std::string::npos);
    first->reset();
    EXPECT_TRUE(disk_->lock(path));
  }
}

TEST_P(DiskConformance, ReadFileRefusesWhatIsTooLarge) {
  ASSERT_TRUE(write_file_atomic(*disk_, at("a"), "12345"));
  EXPECT_EQ(*read_file(*disk_, at("a"), 5), "12345");
  EXPECT_EQ(read_file(*disk_, at("a"), 4).error().code, Code::Invalid);
  EXPECT_EQ(read_file(*disk_, at("b"), 4).error().code, Code::NotFound);
}

TEST_P(DiskConformance, AtomicWritesReplaceAndLeaveNoTemporaryFile) {
  ASSERT_TRUE(write_file_atomic(*disk_, at("a"), "a long first content"));
  ASSERT_TRUE(write_file_atomic(*disk_, at("a"), "short"));
  EXPECT_EQ(content("a"), "short");
  EXPECT_EQ(*disk_->list(root_), std::vector<std::string>{"a"});
}

TEST_P(DiskConformance, KnowsFreeSpace) { EXPECT_GT(*disk_->free_bytes(root_), 0u); }

INSTANTIATE_TEST_SUITE_P(Disks, DiskConformance, testing::Values(Kind::Real, Kind::Simulated),
                         [](const auto& info) { return info.param == Kind::Real ? "Real" : "Simulated"; });

TEST(RealDisk, FullDeviceIsExhausted) {
  auto disk = make_real_disk();
  auto file = disk->open("/dev/full", OpenMode::Write);
  ASSERT_TRUE(file);
  EXPECT_EQ((*file)->write_at(0, "x").error().code, Code::Exhausted);
}

TEST(RealDisk, AFailedSyncPoisonsTheFile) {
  auto disk = make_real_disk();
  auto file = disk->open("/dev/null", OpenMode::Write);  // fdatasync on it is EINVAL
  ASSERT_TRUE(file);
  EXPECT_EQ((*file)->sync().error().code, Code::Io);
  EXPECT_EQ((*file)->write_at(0, "x").error().code, Code::Io);
  EXPECT_EQ((*file)->sync().error().code, Code::Io);
}

TEST(Paths, ParentDirectory) {
  EXPECT_EQ(parent_directory("a/b/c"), "a/b");
  EXPECT_EQ(parent_directory("c"), ".");
  EXPECT_EQ(parent_directory("/c"), "/");
}

}  // namespace
}  // namespace hailstone::disk
