#include "mirror/restore.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/sysmacros.h>

#include "mirror/restore_paths.h"
#include "mirror/testing_server.h"

namespace hailstone::mirror {
namespace {

using ::testing::HasSubstr;

// Everything a tree holds that an import records, as text.
std::string describe(const std::string& root) {
  auto scanned = scan(root, {});
  EXPECT_TRUE(scanned) << scanned.error().message;
  auto probe = *TreeProbe::open(root, "");
  std::string out;
  for (const Item& item : scanned->items) {
    out += fmt::format("{} kind={} mode={:o} {}:{} device={} sparse={} link={} mtime={} target={}", printable(item.key),
                       static_cast<int>(item.kind), item.posix.mode, item.posix.uid, item.posix.gid, item.posix.device,
                       item.posix.sparse, printable(item.posix.link), item.modified_ns, printable(item.target));
    if (item.kind == volume::Kind::File) out += " sha256=" + probe->content_sha256(item)->brief();
    for (const auto& [name, value] : *probe->xattrs(item)) out += " " + name + "=" + to_hex(value);
    out += "\n";
  }
  return out;
}

class RestoreTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(::mkdir(source_.c_str(), 0755), 0); }

  RestoreOptions options() const {
    RestoreOptions options;
    options.directory = out_;
    options.owners = ::geteuid() == 0 ? Owners::Restore : Owners::Ignore;
    options.origin = "origin";
    return options;
  }
  void put(const std::string& name, std::string_view text, int64_t mtime = 1'000'000'000) {
    write_text(source_ + "/" + name, text);
    set_mtime(source_ + "/" + name, mtime, 5);
  }
  void import() {
    server_ = {};
    import_tree(source_, server_);
  }
  RestoreReport must_export(RestoreOptions options) {
    auto restore = Restore::begin(*disk_, std::move(options), server_.manifest());
    EXPECT_TRUE(restore) << restore.error().message;
    if (!restore) return {};
    feed(**restore, server_);
    auto report = (*restore)->commit();
    EXPECT_TRUE(report) << report.error().message;
    return report ? std::move(*report) : RestoreReport{};
  }
  RestoreReport must_export() { return must_export(options()); }
  Error refused(RestoreOptions options) {
    auto restore = Restore::begin(*disk_, std::move(options), server_.manifest());
    if (restore) ADD_FAILURE() << "was not refused";
    return restore ? Error{} : restore.error();
  }
  std::vector<std::string> beside() { return *disk_->list(dir_.path()); }

  TemporaryDirectory dir_;
  std::string source_ = dir_ / "source";
  std::string out_ = dir_ / "out";
  std::unique_ptr<disk::Disk> disk_ = disk::make_real_disk();
  MemoryServer server_;
};

TEST_F(RestoreTest, GivesBackTheTreeThatWasImported) {
  ::mkdir((source_ + "/d").c_str(), 0755);
  ::mkdir((source_ + "/d/empty").c_str(), 01777);
  put("plain", "hello");
  put("zero", "");
  put("big", Bytes(3'000'000, 'b'));
  put("d/new\nline \xc3\xa4 \xff", "odd name");
  ASSERT_EQ(::symlink("../outside/nowhere", (source_ + "/dangling").c_str()), 0);
  ASSERT_EQ(::symlink(std::string(1000, 't').c_str(), (source_ + "/long").c_str()), 0);
  ASSERT_EQ(::link((source_ + "/plain").c_str(), (source_ + "/d/linked").c_str()), 0);
  ASSERT_EQ(::mkfifo((source_ + "/fifo").c_str(), 0640), 0);
  put("sparse", "start");
  ASSERT_EQ(::truncate((source_ + "/sparse").c_str(), 5 << 20), 0);
  set_mtime(source_ + "/sparse", 1'234, 987'654'321);
  ::chmod((source_ + "/plain").c_str(), 0640);
  if (::geteuid() == 0) {
    ASSERT_EQ(::chown((source_ + "/big").c_str(), 1234, 4321), 0);
    ::chmod((source_ + "/big").c_str(), 06755);
    (void)::mknod((source_ + "/null").c_str(), S_IFCHR | 0666, makedev(1, 3));
    ASSERT_EQ(::lchown((source_ + "/dangling").c_str(), 77, 78), 0);
    (void)::setxattr((source_ + "/zero").c_str(), "trusted.mark", "t", 1, 0);
  }
  (void)::setxattr((source_ + "/plain").c_str(), "user.note", "a\0b", 3, 0);
  const Bytes acl = sample_acl();
  const bool acls = ::setxattr((source_ + "/zero").c_str(), "system.posix_acl_access", acl.data(), acl.size(), 0) == 0;
  (void)::setxattr((source_ + "/d").c_str(), "system.posix_acl_default", acl.data(), acl.size(), 0);
  ::chmod((source_ + "/d").c_str(), 0550);
  set_mtime(source_ + "/d/empty", 42);
  set_mtime(source_ + "/d", 43, 7);
  set_mtime(source_, 44);
  import();
  must_export();
  EXPECT_EQ(describe(out_), describe(source_));
  EXPECT_EQ(read_text(out_ + "/plain"), "hello");
  if (acls) EXPECT_THAT(describe(out_), HasSubstr("posix_acl_access=" + to_hex(acl)));
  // And the exported tree imports as unchanged.
  EXPECT_EQ(import_tree(out_ + "/", server_).plan.steps.size(), 0u);
}

TEST_F(RestoreTest, GivesBackADeepTree) {
  std::string path = source_;
  for (int i = 0; i < 500; ++i) {
    path += "/d";
    ASSERT_EQ(::mkdir(path.c_str(), 0755), 0);
  }
  write_text(path + "/leaf", "x");
  import();
  must_export();
  EXPECT_EQ(describe(out_), describe(source_));
}

TEST_F(RestoreTest, FetchesOnlyWhatChangedAndSharesTheRest) {
  put("same", Bytes(1000, 's'));
  put("changed", Bytes(1000, 'c'));
  put("chmodded", Bytes(1000, 'm'));
  import();
  EXPECT_EQ(must_export().fetched, 3u);
  struct stat before{}, after{}, chmodded{};
  ASSERT_EQ(::stat((out_ + "/same").c_str(), &before), 0);
  put("changed", Bytes(1001, 'C'));
  ::chmod((source_ + "/chmodded").c_str(), 0600);
  import();
  const RestoreReport report = must_export();
  EXPECT_EQ(report.fetched, 1u);
  EXPECT_EQ(report.reused, 2u);
  EXPECT_EQ(describe(out_), describe(source_));
  ASSERT_EQ(::stat((out_ + "/same").c_str(), &after), 0);
  EXPECT_EQ(after.st_ino, before.st_ino);
  // The old tree keeps the old mode: another inode.
  ASSERT_EQ(::stat((dir_ / "out.hailstone-000001/chmodded").c_str(), &chmodded), 0);
  EXPECT_EQ(chmodded.st_mode & 07777, 0644u);
}

TEST_F(RestoreTest, CopiesInsteadOfLinkingWhenAsked) {
  put("same", Bytes(300'000, 's'));
  import();
  must_export();
  struct stat before{}, after{};
  ASSERT_EQ(::stat((out_ + "/same").c_str(), &before), 0);
  for (const Reuse reuse : {Reuse::Copy, Reuse::Reflink}) {
    RestoreOptions copy = options();
    copy.reuse = reuse;
    EXPECT_EQ(must_export(copy).reused, 1u);
    ASSERT_EQ(::stat((out_ + "/same").c_str(), &after), 0);
    EXPECT_NE(after.st_ino, before.st_ino);
    EXPECT_EQ(describe(out_), describe(source_));
  }
}

TEST_F(RestoreTest, FetchesAgainWhatSomeoneTouched) {
  put("a", Bytes(1000, 'a'));
  put("b", Bytes(1000, 'b'));
  import();
  must_export();
  write_text(out_ + "/a", Bytes(1000, 'X'));
  write_text(out_ + "/b", Bytes(1000, 'X'));
  set_mtime(out_ + "/b", 1'000'000'000, 5);  // a forged mtime: only a copy, which is hashed, can notice
  for (const Reuse reuse : {Reuse::HardLink, Reuse::Copy}) {
    RestoreOptions reusing = options();
    reusing.reuse = reuse;
    auto restore = Restore::begin(*disk_, reusing, server_.manifest());
    ASSERT_TRUE(restore);
    EXPECT_EQ((*restore)->wanted(), reuse == Reuse::Copy ? (std::vector<Bytes>{"a", "b"}) : (std::vector<Bytes>{"a"}));
  }
}

TEST_F(RestoreTest, IgnoresADamagedManifest) {
  put("a", Bytes(1000, 'a'));
  import();
  must_export();
  write_text(dir_ / "out.hailstone-000001.manifest", "garbage");
  EXPECT_EQ(must_export().fetched, 1u);
}

TEST_F(RestoreTest, KeepsSoManyOldTrees) {
  put("a", "1");
  import();
  for (int i = 0; i < 5; ++i) must_export();
  EXPECT_EQ(beside(), (std::vector<std::string>{"out", "out.hailstone-000004", "out.hailstone-000004.manifest",
                                                "out.hailstone-000005", "out.hailstone-000005.manifest",
                                                "out.hailstone-lock", "source"}));
  RestoreOptions none = options();
  none.keep = 0;
  must_export(none);
  EXPECT_EQ(beside(), (std::vector<std::string>{"out", "out.hailstone-000006", "out.hailstone-000006.manifest",
                                                "out.hailstone-lock", "source"}));
}

TEST_F(RestoreTest, RefusesAWrongContentAndTakesItAgain) {
  put("a", Bytes(1000, 'a'));
  import();
  auto restore = *Restore::begin(*disk_, options(), server_.manifest());
  ASSERT_TRUE(restore->begin_content("a"));
  ASSERT_TRUE(restore->write(Bytes(1000, 'b')));
  EXPECT_EQ(restore->finish_content().error().code, Code::Corrupt);
  ASSERT_TRUE(restore->begin_content("a"));
  EXPECT_EQ(restore->write(Bytes(1001, 'a')).error().code, Code::Corrupt);
  restore->abandon_content();
  EXPECT_THAT(restore->commit().error().message, HasSubstr("1 files did not arrive, among them a"));
  feed(*restore, server_);
  EXPECT_TRUE(restore->commit());
  EXPECT_EQ(read_text(out_ + "/a"), Bytes(1000, 'a'));
}

TEST_F(RestoreTest, LeavesTheOldTreeOrTheNewOneWhereverItStops) {
  put("a", "old");
  import();
  must_export();
  const std::string old_tree = describe(out_);
  put("a", "new", 2'000'000'000);
  import();
  for (const std::string_view stop : {"links", "directories", "sync", "manifest", "flip", "rename", "remove"}) {
    RestoreOptions crashing = options();
    crashing.checkpoint = [&](std::string_view step) -> Result<void> {
      if (step == stop) return fail(Code::Cancelled, "crash");
      return {};
    };
    auto restore = *Restore::begin(*disk_, crashing, server_.manifest());
    feed(*restore, server_);
    EXPECT_FALSE(restore->commit());
    EXPECT_EQ(describe(out_), stop == "remove" ? describe(source_) : old_tree) << stop;
  }
  must_export();
  EXPECT_EQ(describe(out_), describe(source_));
  EXPECT_LE(beside().size(), 8u);  // what the crashes left is gone
}

TEST_F(RestoreTest, RemovesAnUnfinishedTreeOnAbandon) {
  put("a", Bytes(1000, 'a'));
  import();
  Restore::begin(*disk_, options(), server_.manifest());
  EXPECT_EQ(beside(), (std::vector<std::string>{"out.hailstone-lock", "source"}));
}

TEST_F(RestoreTest, RefusesToReplaceWhatItDidNotMake) {
  put("a", "1");
  import();
  ::mkdir(out_.c_str(), 0755);
  EXPECT_THAT(refused(options()).message, HasSubstr("--in-place"));
  ::rmdir(out_.c_str());
  ASSERT_EQ(::symlink("source", out_.c_str()), 0);
  EXPECT_THAT(refused(options()).message, HasSubstr("no export made"));
  ::unlink(out_.c_str());
  write_text(out_, "file");
  EXPECT_EQ(refused(options()).code, Code::Invalid);
  EXPECT_EQ(read_text(out_), "file");
}

TEST_F(RestoreTest, RunsOnceAtATime) {
  put("a", "1");
  import();
  auto first = Restore::begin(*disk_, options(), server_.manifest());
  ASSERT_TRUE(first);
  EXPECT_EQ(refused(options()).code, Code::Unavailable);
}

TEST_F(RestoreTest, UpdatesADirectoryInPlace) {
  ::mkdir((source_ + "/d").c_str(), 0755);
  put("d/gone", "1");
  put("same", Bytes(1000, 's'));
  put("changed", "1");
  import();
  ::mkdir(out_.c_str(), 0755);
  write_text(out_ + "/foreign", "stays");
  RestoreOptions in_place = options();
  in_place.place = Place::InPlace;
  must_export(in_place);
  struct stat before{}, after{};
  ASSERT_EQ(::stat((out_ + "/same").c_str(), &before), 0);
  ::unlink((source_ + "/d/gone").c_str());
  ::rmdir((source_ + "/d").c_str());
  put("d", "a file now");
  put("changed", "22");
  ::chmod((source_ + "/same").c_str(), 0400);
  set_mtime(source_, 44);
  import();
  const RestoreReport report = must_export(in_place);
  EXPECT_EQ(report.fetched, 0u);  // small contents come with the entries
  EXPECT_EQ(report.reused, 1u);
  ASSERT_EQ(::stat((out_ + "/same").c_str(), &after), 0);
  EXPECT_EQ(after.st_ino, before.st_ino);
  EXPECT_EQ(read_text(out_ + "/foreign"), "stays");
  ::unlink((out_ + "/foreign").c_str());
  set_mtime(out_, 44);
  EXPECT_EQ(describe(out_), describe(source_));
}

TEST_F(RestoreTest, DoesNotFollowASymlinkThatIsInTheWay) {
  ::mkdir((source_ + "/d").c_str(), 0755);
  put("d/f", "mine");
  import();
  ::mkdir(out_.c_str(), 0755);
  ::mkdir((dir_ / "victim").c_str(), 0755);
  ASSERT_EQ(::symlink("../victim", (out_ + "/d").c_str()), 0);
  RestoreOptions in_place = options();
  in_place.place = Place::InPlace;
  const Error error = refused(in_place);
  EXPECT_EQ(error.code, Code::Invalid);
  EXPECT_TRUE(disk_->list(dir_ / "victim")->empty());
}

TEST_F(RestoreTest, GivesKeysWithoutPosixMetadataOrdinaryModes) {
  server_.objects["a/b/object"] = {volume::Entry{}, "from S3"};
  server_.objects["a/b/object"].entry.content = content_of("from S3");
  server_.objects["folder/"] = {volume::Entry{}, ""};
  server_.objects["folder/"].entry.content = content_of("");
  must_export();
  struct stat st{};
  ASSERT_EQ(::stat((out_ + "/a/b").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0755u);
  ASSERT_EQ(::stat((out_ + "/a/b/object").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0644u);
  ASSERT_EQ(::stat((out_ + "/folder").c_str(), &st), 0);
  EXPECT_TRUE(S_ISDIR(st.st_mode));
}

TEST_F(RestoreTest, CutsThePrefixOff) {
  put("f", "x");
  server_ = {};
  import_tree(source_, server_, nullptr, "docs/");
  RestoreOptions prefixed = options();
  prefixed.prefix = "docs/";
  must_export(prefixed);
  EXPECT_EQ(describe(out_), describe(source_));
}

TEST(RestorePaths, RefusesWhatCanNotBeOneTree) {
  const auto entry = [](volume::Kind kind) {
    volume::Entry e;
    e.kind = kind;
    e.content = content_of(kind == volume::Kind::File ? "x" : "");
    return e;
  };
  using volume::Kind;
  struct {
    std::vector<std::pair<Bytes, Kind>> keys;
    const char* complaint;
  } table[] = {
      {{{"../x", Kind::File}}, "leave its place"},
      {{{"a/../../x", Kind::File}}, "leave its place"},
      {{{"a/./x", Kind::File}}, "leave its place"},
      {{{"/etc/passwd", Kind::File}}, "empty path component"},
      {{{"a//b", Kind::File}}, "empty path component"},
      {{{Bytes("a\0b", 3), Kind::File}}, "NUL"},
      {{{Bytes(256, 'n'), Kind::File}}, "over 255"},
      {{{"a", Kind::Directory}}, "lacks the '/'"},
      {{{"a/", Kind::Fifo}}, "ends with '/'"},
      {{{"a", Kind::Symlink}, {"a/b", Kind::File}}, "not a directory"},
      {{{"a", Kind::File}, {"a-", Kind::File}, {"a/", Kind::Directory}}, "both a directory"},
      {{{"d/.hailstone-restore.tmp", Kind::File}}, "reserved"},
  };
  for (const auto& row : table) {
    std::vector<KeyEntry> entries;
    for (const auto& [key, kind] : row.keys) entries.push_back({key, entry(kind)});
    const auto result = check_paths(entries, "");
    ASSERT_FALSE(result) << row.complaint;
    EXPECT_THAT(result.error().message, HasSubstr(row.complaint));
  }
  EXPECT_TRUE(
      check_paths({{"./", entry(Kind::Directory)}, {"a/", entry(Kind::Directory)}, {"a/..b", entry(Kind::File)}}, ""));
  EXPECT_FALSE(check_paths({{"other/x", entry(Kind::File)}}, "docs/"));
}

TEST(ExportManifest, DecodesWhatWasEncodedAndNoticesDamage) {
  ExportManifest manifest;
  manifest.origin = "o";
  manifest.release = 42;
  manifest.records = {{"a", volume::Kind::File, 5, -7, 8, sha256("x")}, {"b/", volume::Kind::Directory, 0, 1, 2, {}}};
  const Bytes bytes = manifest.encode();
  EXPECT_EQ(*ExportManifest::decode(bytes), manifest);
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    Bytes damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    EXPECT_FALSE(ExportManifest::decode(damaged));
  }
  std::string golden = read_text(HAILSTONE_MIRROR_TESTDATA "/export-manifest-v1.hex");
  std::erase(golden, '\n');
  EXPECT_EQ(to_hex(bytes), golden);
}

}  // namespace
}  // namespace hailstone::mirror
