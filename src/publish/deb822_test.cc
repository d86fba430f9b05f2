#include "publish/deb822.h"

#include <gtest/gtest.h>

#include "publish/paths.h"

namespace hailstone::publish {
namespace {

constexpr const char* kHash = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

TEST(Deb822, ParagraphsComeOutTheSameWhereverTheStreamIsCut) {
  const Bytes text =
      "Package: a\nSize: 1\nDescription: x\n more\n .\n end\n\n \n\nPackage: b\nsize:2\r\n\r\nPackage:\nX: last";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    Bytes seen;
    ParagraphParser parser([&](const Paragraph& paragraph) -> Result<void> {
      seen += Bytes(paragraph.field("Package").value_or("-")) + "," + Bytes(paragraph.field("Size").value_or("-")) +
              "," + Bytes(paragraph.field("Description").value_or("-")) + "," +
              Bytes(paragraph.field("X").value_or("-")) + ";";
      return {};
    });
    ASSERT_TRUE(parser.feed(ByteView(text).substr(0, cut)).has_value());
    ASSERT_TRUE(parser.feed(ByteView(text).substr(cut)).has_value());
    ASSERT_TRUE(parser.finish().has_value());
    ASSERT_EQ(seen, "a,1,x\n more\n .\n end,-;b,2,-,-;,-,-,last;") << cut;
  }
}

TEST(Deb822, StopsAtAnErrorOfTheVisitor) {
  ParagraphParser parser([](const Paragraph&) -> Result<void> { return fail(Code::Cancelled, "enough"); });
  EXPECT_EQ(parser.feed("a: b\n\nc: d\n\n").error().code, Code::Cancelled);
}

TEST(Deb822, ReleaseGivesDatesAndFiles) {
  const auto release =
      parse_apt_release(Bytes("Origin: x\nDate: Sat, 10 Feb 2024 11:07:25 UTC\nValid-Until: Sat, 17 Feb 2024 "
                              "11:07:25 UTC\nMD5Sum:\n d41d8cd98f00b204e9800998ecf8427e 0 x\nSHA256:\n ") +
                        kHash + "  12 main/binary-amd64/Packages\n " + kHash + " 3 ./Sources.gz\n");
  ASSERT_TRUE(release.has_value()) << release.error().message;
  EXPECT_EQ(release->date, 1707563245);
  EXPECT_EQ(release->valid_until, 1707563245 + 7 * 86400);
  EXPECT_FALSE(release->lists_weak_only);
  ASSERT_EQ(release->files.size(), 2u);
  EXPECT_EQ(release->files[0], (ListedFile{*Hash256::parse_hex(kHash), 12, "main/binary-amd64/Packages"}));
  EXPECT_EQ(release->files[1].name, "Sources.gz");
  EXPECT_TRUE(parse_apt_release("MD5Sum:\n d41d8cd98f00b204e9800998ecf8427e 0 x\n")->lists_weak_only);
}

TEST(Deb822, ReleaseRefusesWhatAptWouldMisread) {
  for (const Bytes& bad :
       {Bytes(), Bytes("\n\n"), Bytes("Date: yesterday\n"), Bytes("A: b\n\nSHA256:\n"), Bytes("SHA256:\n abc 1 x\n"),
        Bytes("SHA256:\n ") + kHash + " -1 x\n", Bytes("SHA256:\n ") + kHash + " 1 ../../etc/passwd\n",
        Bytes("SHA256:\n ") + kHash + " 1 /etc/passwd\n", Bytes("SHA256:\n ") + kHash + " 1\n",
        Bytes("SHA256:\n ") + kHash + " 99999999999999999999 x\n"})
    EXPECT_EQ(parse_apt_release(bad).error().code, Code::Invalid) << bad;
}

TEST(Deb822, DatesInTheFormsThatToolsWrite) {
  for (const char* good :
       {"Sat, 10 Feb 2024 11:07:25 UTC", "Sat, 10 Feb 2024 11:07:25 GMT", "Sat, 10 Feb 2024 11:07:25 +0000"})
    EXPECT_EQ(parse_apt_date(good), 1707563245) << good;
  for (const char* good :
       {"Thu, 01 Feb 2024 11:07:25 UTC", "Thu, 1 Feb 2024 11:07:25 UTC", "Thu,  1 Feb 2024 11:07:25 UTC"})
    EXPECT_EQ(parse_apt_date(good), 1706785645) << good;
  for (const char* bad : {"", "now", "Sat, 10 Feb 2024 11:07:25 CET", "Sat, 10 Feb 2024 11:07:25 +0100"})
    EXPECT_FALSE(parse_apt_date(bad).has_value()) << bad;
}

TEST(Deb822, ClearSignedTextIsExactlyWhatWasSigned) {
  const Bytes begin = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n";
  const Bytes end = "-----BEGIN PGP SIGNATURE-----\n\niQIz=\n-----END PGP SIGNATURE-----\n";
  EXPECT_EQ(clear_signed_text(begin + "Origin: x\n- -dash\n- - y\n" + end).value(), "Origin: x\n-dash\n- y\n");
  EXPECT_EQ(clear_signed_text(begin + end + "\n").value(), "");
  for (const Bytes& bad :
       {Bytes(), Bytes("Origin: x\n"), "junk\n" + begin + end, begin + "Origin: x\n", begin + end + "Origin: evil\n",
        begin + begin + end, begin + "a: b\n-----BEGIN PGP SIGNATURE-----\n\niQIz", begin + end + begin + end})
    EXPECT_EQ(clear_signed_text(bad).error().code, Code::Invalid) << bad;
}

TEST(Paths, RelativeReferencesStayInTheVolume) {
  EXPECT_EQ(relative_path("a/b", "c"), "a/b/c");
  EXPECT_EQ(relative_path("a/b", "./c//d/"), "a/b/c/d");
  EXPECT_EQ(relative_path("a/b", "../../c"), "c");
  EXPECT_EQ(relative_path("", "c"), "c");
  EXPECT_FALSE(relative_path("a", "../../c").has_value());
  EXPECT_FALSE(relative_path("a", "..").has_value());
  EXPECT_FALSE(relative_path("a", "/c").has_value());
  EXPECT_FALSE(relative_path("", ".").has_value());
}

}  // namespace
}  // namespace hailstone::publish
