#include "depot/view.h"

#include "depot/test_cell.h"

namespace hailstone::depot {
namespace {

class Views : public ::testing::Test {
 protected:
  Views() {
    cell_.create("repo", {.grace_seconds = 0});
    for (const char* text : {"one", "two"}) {
      cell_.put("repo", "file", text);
      cell_.release("repo");
    }
  }
  Result<View> open(uint64_t number) {
    return open_view(releases_, cell_.repository.volume("repo").value(),
                     {.kind = Selector::Kind::Number, .number = ReleaseNumber(number), .text = std::to_string(number)});
  }
  void trash() {
    cell_.clock.advance_seconds(1);  // grace of no seconds ends when the clock has moved on

    ASSERT_TRUE(cell_.repository.submit(cell_.caller, volume::TrashReleases{"repo", {ReleaseNumber(1)}}));
  }

  testing::Cell cell_;
  Releases releases_{cell_.repository, 16};
};

TEST_F(Views, AreOfTheReleaseAskedFor) {
  const auto one = open(1), two = open(2);
  ASSERT_TRUE(one && two);
  EXPECT_EQ(two->root, cell_.root("repo"));
  EXPECT_NE(one->root, two->root);
  EXPECT_EQ(one->kind, View::Kind::Pinned);
  EXPECT_EQ(open(3).error().code, Code::NotFound);
}

TEST_F(Views, ARecordIsRememberedWhileItsVolumeStaysAsItIs) { EXPECT_EQ(open(1)->record, open(1)->record); }

// Its chunks go soon after: a remembered record would answer for a release whose files are not there any more.
TEST_F(Views, AReleaseThatWasLetGoIsForgotten) {
  ASSERT_TRUE(open(1));
  trash();
  EXPECT_EQ(open(1).error().code, Code::NotFound);
  EXPECT_TRUE(open(2));
  ASSERT_TRUE(cell_.repository.submit(cell_.caller, volume::PurgeReleases{"repo", {ReleaseNumber(1)}}));
  EXPECT_EQ(open(1).error().code, Code::NotFound);
}

TEST_F(Views, AReleaseTakenBackFromTheTrashIsThereAgain) {
  ASSERT_TRUE(open(1));
  trash();
  ASSERT_FALSE(open(1));
  ASSERT_TRUE(cell_.repository.submit(cell_.caller, volume::RestoreRelease{"repo", ReleaseNumber(1)}));
  EXPECT_TRUE(open(1));
}

// The ids of volumes never come again, so neither does what was remembered of one.
TEST_F(Views, AVolumeMadeAgainUnderTheSameNameHasReleasesOfItsOwn) {
  const auto before = open(1);
  ASSERT_TRUE(before);
  ASSERT_TRUE(cell_.repository.submit(cell_.caller, volume::DeleteVolume{"repo"}));
  cell_.create("repo");
  EXPECT_EQ(open(1).error().code, Code::NotFound);
  cell_.put("repo", "file", "three");
  cell_.release("repo");
  const auto after = open(1);
  ASSERT_TRUE(after);
  EXPECT_NE(after->root, before->root);
}

}  // namespace
}  // namespace hailstone::depot
