#include "mirror/scan.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>

#include "mirror/testing_tree.h"

namespace hailstone::mirror {
namespace {

Scan must_scan(const std::string& root, const ScanOptions& options = {}) {
  auto out = scan(root, options);
  EXPECT_TRUE(out) << out.error().message;
  return out ? std::move(*out) : Scan{};
}

std::vector<std::string> keys_of(const Scan& scan) {
  std::vector<std::string> keys;
  for (const Item& item : scan.items) keys.push_back(item.key);
  return keys;
}

const Item& item_of(const Scan& scan, const std::string& key) {
  const auto at = std::find_if(scan.items.begin(), scan.items.end(), [&](const Item& i) { return i.key == key; });
  if (at == scan.items.end()) throw std::out_of_range(key);
  return *at;
}

TEST(Scan, ListsInKeyOrderWithDirectoriesAsSlashKeys) {
  TemporaryDirectory dir;
  ::mkdir((dir / "a").c_str(), 0755);
  ::mkdir((dir / "a/empty").c_str(), 0700);
  for (const char* name : {"a-b", "a.b", "a/z", "a0", "!bang", ".hidden", "\xff", "new\nline"})
    write_text(dir / name, "x");
  const auto keys = keys_of(must_scan(dir.path()));
  EXPECT_TRUE(std::is_sorted(keys.begin(), keys.end()));
  EXPECT_EQ(keys, (std::vector<std::string>{"!bang", "./", ".hidden", "a-b", "a.b", "a/", "a/empty/", "a/z", "a0",
                                            "new\nline", "\xff"}));
}

TEST(Scan, PutsThePrefixInFrontAndTheRootAtIt) {
  TemporaryDirectory dir;
  write_text(dir / "!x", "x");
  ScanOptions options;
  options.prefix = "docs/";
  EXPECT_EQ(keys_of(must_scan(dir.path(), options)), (std::vector<std::string>{"docs/", "docs/!x"}));
  EXPECT_EQ(path_of("docs/", "docs/"), "");
  EXPECT_EQ(path_of("docs/a/", "docs/"), "a");
  EXPECT_EQ(path_of("./", ""), "");
}

TEST(Scan, RecordsKindsTimesAndTargets) {
  TemporaryDirectory dir;
  write_text(dir / "file", "12345");
  ::chmod((dir / "file").c_str(), 04751);
  set_mtime(dir / "file", 1'000'000'000, 123'456'789);
  ASSERT_EQ(::symlink("/nowhere/at all", (dir / "dangling").c_str()), 0);
  ASSERT_EQ(::mkfifo((dir / "fifo").c_str(), 0600), 0);
  const Scan out = must_scan(dir.path());
  const Item& file = item_of(out, "file");
  EXPECT_EQ(file.bytes, 5u);
  EXPECT_EQ(file.posix.mode, 04751u);
  EXPECT_EQ(file.posix.uid, ::getuid());
  EXPECT_EQ(file.modified_ns, 1'000'000'000'123'456'789);
  EXPECT_EQ(item_of(out, "dangling").kind, volume::Kind::Symlink);
  EXPECT_EQ(item_of(out, "dangling").target, "/nowhere/at all");
  EXPECT_EQ(item_of(out, "fifo").kind, volume::Kind::Fifo);
  EXPECT_EQ(out.bytes, 5u);
}

TEST(Scan, GroupsHardLinksUnderTheFirstName) {
  TemporaryDirectory dir;
  ::mkdir((dir / "d").c_str(), 0755);
  write_text(dir / "d/z", "x");
  ASSERT_EQ(::link((dir / "d/z").c_str(), (dir / "e").c_str()), 0);
  ASSERT_EQ(::link((dir / "d/z").c_str(), (dir / "c").c_str()), 0);
  const Scan out = must_scan(dir.path());
  EXPECT_EQ(item_of(out, "c").posix.link, "");
  EXPECT_EQ(item_of(out, "d/z").posix.link, "c");
  EXPECT_EQ(item_of(out, "e").posix.link, "c");
}

TEST(Scan, FindsHoles) {
  TemporaryDirectory dir;
  write_text(dir / "dense", Bytes(1 << 20, 'x'));
  write_text(dir / "sparse", "x");
  ASSERT_EQ(::truncate((dir / "sparse").c_str(), 10 << 20), 0);
  const Scan out = must_scan(dir.path());
  EXPECT_FALSE(item_of(out, "dense").posix.sparse);
  EXPECT_TRUE(item_of(out, "sparse").posix.sparse);
}

TEST(Scan, NeverFollowsSymlinksToDirectories) {
  TemporaryDirectory dir, outside;
  write_text(outside / "secret", "x");
  ASSERT_EQ(::symlink(outside.path().c_str(), (dir / "out").c_str()), 0);
  EXPECT_EQ(keys_of(must_scan(dir.path())), (std::vector<std::string>{"./", "out"}));
}

TEST(Scan, SkipsSocketsWithAWarning) {
  TemporaryDirectory dir;
  const Fd fd(::socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof address.sun_path, "%s", (dir / "sock").c_str());
  ASSERT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  const Scan out = must_scan(dir.path());
  EXPECT_EQ(keys_of(out), (std::vector<std::string>{"./"}));
  EXPECT_EQ(out.warnings.total(), 1u);
}

TEST(Scan, ListsKeysThatAreTooLong) {
  TemporaryDirectory dir;
  std::string path = dir.path();
  for (int i = 0; i < 5; ++i) {
    path += "/" + std::string(240, 'd');
    ASSERT_EQ(::mkdir(path.c_str(), 0755), 0);
  }
  const auto out = scan(dir.path(), {});
  ASSERT_FALSE(out);
  EXPECT_EQ(out.error().code, Code::Invalid);
  EXPECT_NE(out.error().message.find("1205 bytes, limit 1024"), std::string::npos) << out.error().message;
}

TEST(Scan, WalksTreesAsDeepAsKeysAllow) {
  TemporaryDirectory dir;
  std::string path = dir.path();
  for (int i = 0; i < 511; ++i) {
    path += "/d";
    ASSERT_EQ(::mkdir(path.c_str(), 0755), 0);
  }
  EXPECT_EQ(must_scan(dir.path()).items.size(), 512u);
}

TEST(Scan, LeavesExcludedNamesOutWithAllBelowThem) {
  TemporaryDirectory dir;
  ::mkdir((dir / "keep").c_str(), 0755);
  ::mkdir((dir / "skip").c_str(), 0755);
  write_text(dir / "skip/a", "x");
  write_text(dir / "keep/a.o", "x");
  write_text(dir / "keep/a.c", "x");
  ScanOptions options;
  options.excludes = *Excludes::parse({"skip/", "*.o"});
  EXPECT_EQ(keys_of(must_scan(dir.path(), options)), (std::vector<std::string>{"./", "keep/", "keep/a.c"}));
}

TEST(Scan, ReadsOnlyAttributesThatAreKept) {
  EXPECT_TRUE(is_kept_xattr("user.x"));
  EXPECT_TRUE(is_kept_xattr("system.posix_acl_default"));
  EXPECT_FALSE(is_kept_xattr("security.selinux"));
  TemporaryDirectory dir;
  write_text(dir / "f", "x");
  const std::string path = dir / "f";
  if (::setxattr(path.c_str(), "user.b", "2", 1, 0) != 0) GTEST_SKIP() << "no user attributes here";
  ASSERT_EQ(::setxattr(path.c_str(), "user.a", "1", 1, 0), 0);
  const Fd fd(::open(path.c_str(), O_RDONLY));
  const auto xattrs = read_xattrs(fd.get(), "f");
  ASSERT_TRUE(xattrs);
  EXPECT_EQ(*xattrs, (Xattrs{{"user.a", "1"}, {"user.b", "2"}}));
}

}  // namespace
}  // namespace hailstone::mirror
