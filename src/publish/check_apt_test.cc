#include <gtest/gtest.h>

#include "publish/check_test_support.h"

namespace hailstone::publish {
namespace {

std::string paragraph(const std::string& name, const std::string& file, const std::string& content) {
  return "Package: " + name + "\nFilename: " + file + "\nSize: " + std::to_string(content.size()) +
         "\nSHA256: " + sha256(content).hex() + "\n\n";
}

const std::string kIndex = "dists/stable/main/binary-amd64/Packages";

/// A repository with two packages, signed both ways.
class AptCheck : public ::testing::Test, protected CheckFixture {
 protected:
  AptCheck() {
    files_["pool/a_1_all.deb"] = "bytes of a";
    files_["pool/b_1_all.deb"] = "bytes of b";
    packages_ = paragraph("a", "pool/a_1_all.deb", "bytes of a") + paragraph("b", "./pool/b_1_all.deb", "bytes of b");
    sign();
  }
  /// Packages and Release from the members, signatures over them.
  void sign() {
    files_[kIndex] = packages_;
    const std::string release = "Origin: x\nDate: " + date_ + "\n" + more_ + "SHA256:\n" +
                                listed("main/binary-amd64/Packages", packages_) +
                                listed("main/binary-amd64/Packages.xz", "absent");
    files_["dists/stable/Release"] = release;
    files_["dists/stable/Release.gpg"] = "signature of " + sha256(release).hex();
    files_["dists/stable/InRelease"] = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n" + release +
                                       "-----BEGIN PGP SIGNATURE-----\n\nx\n-----END PGP SIGNATURE-----\n";
  }
  std::string findings() { return text(check(files_)); }
  std::string findings_after(const Files& before) { return text(check(before, files_)); }

  Files files_;
  std::string packages_, date_ = "Sat, 10 Feb 2024 11:07:25 UTC", more_;
};

TEST_F(AptCheck, WholeRepositoryHasNoFindings) {
  EXPECT_EQ(findings(), "");
  files_.erase("dists/stable/InRelease");
  EXPECT_EQ(findings(), "");
  Files below;
  for (const auto& [key, content] : files_) below["debian/" + key] = content;
  EXPECT_EQ(text(check(below)), "");
}

TEST_F(AptCheck, RefusesPackagesThatAreMissingOrDifferent) {
  files_["pool/a_1_all.deb"] = "bytes of A";
  files_.erase("pool/b_1_all.deb");
  const std::string found = findings();
  EXPECT_NE(found.find("refuse apt.package pool/a_1_all.deb: has SHA-256"), found.npos) << found;
  EXPECT_NE(found.find(
                "refuse apt.package pool/b_1_all.deb: is listed in dists/stable/main/binary-amd64/Packages but is not"),
            found.npos)
      << found;
  files_["pool/a_1_all.deb"] = "more bytes of a";
  EXPECT_NE(findings().find("is 15 bytes, but"), found.npos);
}

TEST_F(AptCheck, RefusesAnIndexThatReleaseDoesNotDescribe) {
  files_[kIndex] += "\n";
  EXPECT_NE(findings().find("refuse apt.index " + kIndex + ": is "), std::string::npos) << findings();
}

TEST_F(AptCheck, RefusesAnIndexThatExistsInNoForm) {
  files_.erase(kIndex);
  EXPECT_NE(
      findings().find("refuse apt.index " + kIndex + ": is listed in dists/stable/InRelease but exists in no form"),
      std::string::npos);
  files_["dists/stable/main/binary-amd64/by-hash/SHA256/" + sha256(packages_).hex()] = packages_;
  EXPECT_EQ(findings(), "");
  files_.erase("pool/b_1_all.deb");  // read through its hash
  EXPECT_NE(findings().find("refuse apt.package pool/b_1_all.deb"), std::string::npos);
}

TEST_F(AptCheck, PartialMirrorMayLackAWholeDirectory) {
  options.absent_directory = Finding::Severity::Warn;
  files_.erase(kIndex);
  EXPECT_EQ(findings().find("warn apt.index"), 0u);
  files_["dists/stable/main/binary-amd64/Packages.xz"] = "absent";
  EXPECT_EQ(findings().find("refuse apt.index"), 0u) << "an xz index that is no xz: " << findings();
}

TEST_F(AptCheck, RefusesDatesThatAptWouldRefuse) {
  date_ = "Sat, 10 Feb 2024 11:07:35 UTC";
  sign();
  EXPECT_EQ(findings(), "");
  date_ = "Sat, 10 Feb 2024 11:07:36 UTC";
  sign();
  EXPECT_NE(findings().find("refuse apt.date dists/stable/InRelease: Date 2024-02-10T11:07:36Z is 11 s in the future"),
            std::string::npos)
      << findings();
  date_ = "Sat, 10 Feb 2024 11:00:00 UTC";
  more_ = "Valid-Until: Sat, 10 Feb 2024 11:07:24 UTC\n";
  sign();
  EXPECT_NE(findings().find("refuse apt.date dists/stable/InRelease: Valid-Until"), std::string::npos);
}

TEST_F(AptCheck, RefusesSignaturesOfAnotherRelease) {
  const Files before = files_;
  more_ = "Label: new\n";
  sign();
  EXPECT_EQ(findings_after(before), "");
  files_["dists/stable/Release.gpg"] = before.at("dists/stable/Release.gpg");
  EXPECT_NE(findings_after(before).find("refuse apt.signature dists/stable/Release.gpg: is still that of the old"),
            std::string::npos);
  sign();
  files_["dists/stable/InRelease"] = before.at("dists/stable/InRelease");
  EXPECT_NE(findings_after(before).find("refuse apt.signature dists/stable/InRelease: signs another text"),
            std::string::npos);
  files_["dists/stable/InRelease"] = "Origin: x\n";
  EXPECT_NE(findings_after(before).find("refuse apt.signature dists/stable/InRelease: does not begin"),
            std::string::npos);
  sign();
  files_.erase("dists/stable/Release.gpg");
  EXPECT_EQ(findings_after(before).find("warn apt.signature dists/stable/Release.gpg: was removed"), 0u);
}

TEST_F(AptCheck, FindsPackagesRemovedUnderAnUnchangedIndex) {
  const Files before = files_;
  files_.erase("pool/b_1_all.deb");
  EXPECT_EQ(findings_after(before).find("refuse apt.package pool/b_1_all.deb"), 0u) << findings_after(before);
  files_ = before;
  files_["pool/a_1_all.deb"] = "BYTES of a";
  const std::string found = findings_after(before);
  EXPECT_NE(found.find("warn package.bytes pool/a_1_all.deb: a 1 has other bytes"), found.npos) << found;
  EXPECT_NE(found.find("refuse apt.package pool/a_1_all.deb"), found.npos);
}

TEST_F(AptCheck, LeavesAloneWhatDidNotChange) {
  files_.erase("pool/b_1_all.deb");  // broken already
  const Files before = files_;
  files_["README"] = "new";
  files_["pool/c_1_all.deb"] = "not listed yet";
  EXPECT_EQ(findings_after(before), "");
}

TEST_F(AptCheck, FlatRepositoryIsRelativeToItself) {
  Files flat;
  flat["repo/a_1_all.deb"] = "bytes of a";
  flat["repo/Packages"] = paragraph("a", "./a_1_all.deb", "bytes of a");
  flat["repo/Release"] = "SHA256:\n" + listed("Packages", flat["repo/Packages"]);
  EXPECT_EQ(text(check(flat)), "");
  flat.erase("repo/a_1_all.deb");
  EXPECT_EQ(text(check(flat)).find("refuse apt.package repo/a_1_all.deb"), 0u) << text(check(flat));
}

TEST_F(AptCheck, SourcesNameTheirFilesToo) {
  const std::string sources = "Package: a\nDirectory: pool/a\nChecksums-Sha256:\n" + listed("a_1.dsc", "dsc") +
                              listed("a_1.tar.gz", "tar") + "\n";
  Files files;
  files["pool/a/a_1.dsc"] = "dsc";
  files["dists/s/main/source/Sources"] = sources;
  files["dists/s/Release"] = "SHA256:\n" + listed("main/source/Sources", sources);
  EXPECT_EQ(text(check(files)).find("refuse apt.package pool/a/a_1.tar.gz: is listed in"), 0u) << text(check(files));
  files["pool/a/a_1.tar.gz"] = "tar";
  EXPECT_EQ(text(check(files)), "");
}

TEST_F(AptCheck, OtherFilesCalledReleaseAreNoneOfItsBusiness) {
  EXPECT_EQ(text(check({{"docs/Release", "notes\n\nof this release"},
                        {"Release", std::string(1000, '\0')},
                        {"dists/x/main/binary-amd64/Release", "Archive: stable\n"}})),
            "");
  EXPECT_EQ(
      text(check({{"dists/x/Release", "Date: never\n"}})).find("refuse apt.release dists/x/Release: Date \"never\""),
      0u);
}

TEST_F(AptCheck, FindingsAreCappedAndCounted) {
  packages_.clear();
  for (int i = 0; i < 50; ++i) packages_ += paragraph("p", "pool/p" + std::to_string(i), "x");
  packages_ += "Package: last\n";
  sign();
  options.findings_max = 10;
  const CheckReport report = check(files_);
  EXPECT_EQ(report.findings.size(), 10u);
  EXPECT_EQ(report.refused, 51u);
  EXPECT_TRUE(report.refuses());
}

TEST_F(AptCheck, NamesThatLeaveTheVolumeAreRefused) {
  packages_ = paragraph("evil", "../../etc/passwd", "x");
  sign();
  EXPECT_EQ(findings().find("refuse apt.package " + kIndex + ": names \"../../etc/passwd\", which is no path"), 0u)
      << findings();
}

}  // namespace
}  // namespace hailstone::publish
