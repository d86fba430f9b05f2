#include "publish/repomd.h"

#include <gtest/gtest.h>

namespace hailstone::publish {
namespace {

TEST(Repomd, ReadsDataElements) {
  const auto files = parse_repomd(R"(<?xml version="1.0"?>
<repomd xmlns="http://linux.duke.edu/metadata/repo"><revision>1</revision>
<data type="primary"><checksum type="sha256">ab</checksum><open-checksum type="sha256">cd</open-checksum>
<location href="repodata/p.xml.gz"/><size>12</size><open-size>34</open-size></data>
<data type="other"><location xml:base="http://x/" href="o.xml"/></data></repomd>)");
  ASSERT_TRUE(files.has_value()) << files.error().message;
  ASSERT_EQ(files->size(), 2u);
  EXPECT_EQ(files->at(0), (RpmFile{"primary", "repodata/p.xml.gz", false, 12, "sha256", "ab"}));
  EXPECT_EQ(files->at(1), (RpmFile{"other", "o.xml", true, std::nullopt, "", ""}));
}

TEST(Repomd, RefusesWhatIsNone) {
  for (const char* bad : {"", "x", "<a/>", "<repomd>", "<repomd><data type='primary'/></repomd>"})
    EXPECT_EQ(parse_repomd(bad).error().code, Code::Invalid) << bad;
}

constexpr ByteView kPrimary = R"(<metadata packages="2"><package type="rpm"><name>a</name><arch>noarch</arch>
<version epoch="0" ver="1.0" rel="2"/><checksum type="sha256" pkgid="YES">aa</checksum><packager>me</packager>
<size package="7" installed="1"/><location href="Packages/a&amp;b.rpm"/></package>
<package type="rpm"><name>b</name><location href="b.rpm"/></package></metadata>)";

TEST(Primary, PackagesComeOutTheSameWhereverTheStreamIsCut) {
  for (size_t cut = 0; cut <= kPrimary.size(); ++cut) {
    std::vector<RpmFile> seen;
    PrimaryParser parser([&](const RpmFile& file) -> Result<void> {
      seen.push_back(file);
      return {};
    });
    ASSERT_TRUE(parser.feed(kPrimary.substr(0, cut)).has_value()) << cut;
    ASSERT_TRUE(parser.feed(kPrimary.substr(cut)).has_value()) << cut;
    ASSERT_TRUE(parser.finish().has_value()) << cut;
    ASSERT_EQ(seen.size(), 2u) << cut;
    EXPECT_EQ(seen[0], (RpmFile{"a-1.0-2.noarch", "Packages/a&b.rpm", false, 7, "sha256", "aa"}));
    EXPECT_EQ(seen[1].href, "b.rpm");
  }
}

TEST(Primary, RefusesWhatIsCutOrMalformed) {
  const auto parse = [](ByteView xml) -> Result<void> {
    PrimaryParser parser([](const RpmFile&) -> Result<void> { return {}; });
    TRY_DO(parser.feed(xml));
    return parser.finish();
  };
  EXPECT_TRUE(parse("<metadata packages=\"0\"/>").has_value());
  EXPECT_TRUE(parse("<metadata packages=\"0\"></metadata>").has_value());
  for (ByteView bad :
       {ByteView(""), kPrimary.substr(0, 100), kPrimary.substr(0, kPrimary.size() - 11), ByteView("</package>"),
        ByteView("<package><name></package></metadata>"), ByteView("<package></package></metadata>")})
    EXPECT_EQ(parse(bad).error().code, Code::Invalid) << bad;
}

}  // namespace
}  // namespace hailstone::publish
