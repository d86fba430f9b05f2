#include "replica/supervisor.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace hailstone::replica {
namespace {

class SupervisorTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/supervisor_test_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  /// Which life of the child this is; told through a file, as it is another process.
  int next_life() const {
    const auto path = directory_ / "lives";
    int lives = 0;
    std::ifstream(path) >> lives;
    std::ofstream(path) << lives + 1;
    return lives + 1;
  }

  std::filesystem::path directory_;
  NullLogger logger_;
  const Ward ward_{.life = paxos::LifeId(7), .node = net::NodeId(1), .cell = "c", .tls = {}, .peers = {}};
};

TEST_F(SupervisorTest, StartsAKilledChildAgainAndEndsWithIt) {
  const int status = supervise(
      [&](const WardReporter& supervisor) {
        if (!supervisor.report(ward_)) return 9;
        if (next_life() < 3) raise(SIGKILL);
        return 0;
      },
      logger_);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(next_life(), 4);
}

TEST_F(SupervisorTest, AChildThatCannotStartIsNotTriedAgain) {
  const int status = supervise(
      [&](const WardReporter&) {
        next_life();
        return 3;
      },
      logger_);
  EXPECT_EQ(status, 3);
  EXPECT_EQ(next_life(), 2);
}

TEST_F(SupervisorTest, HandsTheWishToStopOn) {
  const int status = supervise(
      [&](const WardReporter& supervisor) {
        if (!supervisor.report(ward_)) return 9;
        if (next_life() > 1) return 8;
        kill(getppid(), SIGTERM);
        pause();  // until the parent hands it on
        return 7;
      },
      logger_);
  EXPECT_EQ(status, 128 + SIGTERM);
}

TEST(Ward, SurvivesTheWay) {
  Ward ward{
      .life = paxos::LifeId(7),
      .node = net::NodeId(3),
      .cell = "east",
      .tls = net::TlsFiles{.authority = "a", .certificate = "c", .key = "k"},
      .plain = net::TcpOptions::Plain::Anywhere,
      .peers = {{.id = net::NodeId(1), .host = "h", .port = 9}, {.id = net::NodeId(2), .host = "::1", .port = 65535}}};
  const auto back = Ward::decode(ward.encode());
  ASSERT_TRUE(back);
  EXPECT_EQ(back->encode(), ward.encode());
  EXPECT_EQ(back->peers, ward.peers);
  EXPECT_EQ(back->tls, ward.tls);
  EXPECT_FALSE(Ward::decode(ward.encode().substr(1)));
}

}  // namespace
}  // namespace hailstone::replica
