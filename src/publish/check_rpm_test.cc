#include <gtest/gtest.h>
#include <zstd.h>

#include "publish/check_test_support.h"

namespace hailstone::publish {
namespace {

std::string file_element(const std::string& href, const std::string& content, const std::string& size) {
  return "<checksum type=\"sha256\">" + sha256(content).hex() + "</checksum><location href=\"" + href + "\"/>" + size;
}

class RpmCheck : public ::testing::Test, protected CheckFixture {
 protected:
  RpmCheck() {
    files_["f/Packages/a-1-1.noarch.rpm"] = "bytes of a";
    files_["f/Packages/b+c-1-1.noarch.rpm"] = "bytes of b";
    primary_ = "<metadata packages=\"2\">" + package("Packages/a-1-1.noarch.rpm", "bytes of a") +
               package("Packages/b%2Bc-1-1.noarch.rpm", "bytes of b") + "</metadata>";
    describe();
  }
  static std::string package(const std::string& href, const std::string& content) {
    return "<package type=\"rpm\"><name>n</name><arch>noarch</arch><version epoch=\"0\" ver=\"1\" rel=\"1\"/>" +
           file_element(href, content, "<size package=\"" + std::to_string(content.size()) + "\"/>") + "</package>";
  }
  void describe() {
    std::string packed(ZSTD_compressBound(primary_.size()), '\0');
    packed.resize(ZSTD_compress(packed.data(), packed.size(), primary_.data(), primary_.size(), 1));
    files_["f/repodata/p.xml.zst"] = packed;
    files_["f/repodata/repomd.xml"] =
        "<repomd><data type=\"primary\">" +
        file_element("repodata/p.xml.zst", packed, "<size>" + std::to_string(packed.size()) + "</size>") +
        "</data></repomd>";
    files_["f/repodata/repomd.xml.asc"] = "signature of " + sha256(files_["f/repodata/repomd.xml"]).hex();
  }
  std::string findings() { return text(check(files_)); }

  Files files_;
  std::string primary_;
};

TEST_F(RpmCheck, WholeRepositoryHasNoFindings) { EXPECT_EQ(findings(), ""); }

TEST_F(RpmCheck, RefusesPackagesThatAreMissingOrDifferent) {
  files_["f/Packages/a-1-1.noarch.rpm"] = "bytes of A";
  files_.erase("f/Packages/b+c-1-1.noarch.rpm");
  const std::string found = findings();
  EXPECT_NE(found.find("refuse rpm.package f/Packages/a-1-1.noarch.rpm: has SHA-256"), found.npos) << found;
  EXPECT_NE(
      found.find(
          "refuse rpm.package f/Packages/b%2Bc-1-1.noarch.rpm: is listed in f/repodata/p.xml.zst as n-1-1.noarch"),
      found.npos)
      << found;
}

TEST_F(RpmCheck, RefusesMetadataThatIsMissingOrDifferent) {
  files_["f/repodata/p.xml.zst"] += "x";
  EXPECT_EQ(findings().find("refuse rpm.repomd f/repodata/p.xml.zst: is "), 0u) << findings();
  files_.erase("f/repodata/p.xml.zst");
  EXPECT_EQ(findings().find("refuse rpm.repomd f/repodata/p.xml.zst: is listed in f/repodata/repomd.xml as primary"),
            0u);
  files_["f/repodata/repomd.xml"] = "<repomd>";
  EXPECT_EQ(findings().find("refuse rpm.repomd f/repodata/repomd.xml: XML at byte"), 0u) << findings();
}

TEST_F(RpmCheck, RefusesAPrimaryThatIsCut) {
  primary_.resize(primary_.size() - 30);
  describe();
  EXPECT_EQ(findings().find("refuse rpm.repomd f/repodata/p.xml.zst: ends within a <package>"), 0u) << findings();
}

TEST_F(RpmCheck, RefusesTheSignatureOfAnotherRepomd) {
  const Files before = files_;
  primary_ = "<metadata packages=\"0\"/>";
  describe();
  EXPECT_EQ(text(check(before, files_)), "");
  files_["f/repodata/repomd.xml.asc"] = before.at("f/repodata/repomd.xml.asc");
  EXPECT_EQ(text(check(before, files_)).find("refuse rpm.signature f/repodata/repomd.xml.asc: is still"), 0u);
  files_.erase("f/repodata/repomd.xml.asc");
  EXPECT_EQ(text(check(before, files_)).find("warn rpm.signature f/repodata/repomd.xml.asc: was removed"), 0u);
}

TEST_F(RpmCheck, FindsPackagesRemovedUnderUnchangedMetadata) {
  const Files before = files_;
  files_.erase("f/Packages/a-1-1.noarch.rpm");
  EXPECT_EQ(text(check(before, files_)).find("refuse rpm.package f/Packages/a-1-1.noarch.rpm"), 0u)
      << text(check(before, files_));
}

TEST_F(RpmCheck, ReplacedVersionIsAWarning) {
  const Files before = {{"x/serde-1.0.0.crate", "old"}, {"x/art-1.0-SNAPSHOT.jar", "old"}};
  const Files after = {{"x/serde-1.0.0.crate", "new"}, {"x/art-1.0-SNAPSHOT.jar", "new"}};
  const CheckReport report = check(before, after);
  EXPECT_EQ(report.warned, 1u);
  EXPECT_FALSE(report.refuses());
  EXPECT_EQ(text(report).find("warn package.bytes x/serde-1.0.0.crate: serde 1.0.0 has other bytes than before"), 0u)
      << text(report);
}

class ReleaseViewTest : public ::testing::Test, protected CheckFixture {};

TEST_F(ReleaseViewTest, FollowsLinksWithinTheVolumeOnly) {
  const auto root = root_of({{"a/b/file", "x"}, {"top", "y"}}, {{"link", "a/b/file"},
                                                                {"a/up", "../top"},
                                                                {"dir", "a/b"},
                                                                {"a/deep", "../dir"},
                                                                {"loop", "loop"},
                                                                {"l1", "l2"},
                                                                {"l2", "l1/x"},
                                                                {"out", "../../top"},
                                                                {"absolute", "/top"}});
  const ReleaseView release = view(root);
  for (const char* path : {"link", "a/up", "dir/file", "a/deep/file"}) {
    const auto entry = release.lookup(path);
    ASSERT_TRUE(entry.has_value() && entry->has_value()) << path;
    EXPECT_EQ((*entry)->kind, volume::Kind::File) << path;
  }
  for (const char* path : {"loop", "l1", "l2", "l1/y", "out", "absolute", "dir/none", "none", ""})
    EXPECT_FALSE(release.lookup(path).value().has_value()) << path;
}

}  // namespace
}  // namespace hailstone::publish
