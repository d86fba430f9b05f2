#include "cli/api.h"

#include "cli/testing_cli.h"

namespace hailstone::cli {
namespace {

class ApiTest : public ::testing::Test {
 protected:
  ApiTest() {
    ApiOptions options;
    options.key = "K:s";
    options.sleep = [this](std::chrono::milliseconds time) { pauses_.push_back(time.count()); };
    api_.emplace(
        options, std::make_unique<FakeTransport>([this](const FakeRequest& request) -> Result<Answer> {
          keys_.push_back(request.fields.contains("Idempotency-Key") ? request.fields.at("Idempotency-Key") : "");
          bodies_.push_back(request.body);
          if (failures_ > 0 && failures_-- > 0) return std::unexpected(failure_);
          return ok({{"fine", true}});
        }));
  }
  std::optional<Api> api_;
  unsigned failures_ = 0;
  Error failure_{Code::Unavailable, "connection refused"};
  std::vector<std::string> keys_, bodies_;
  std::vector<int64_t> pauses_;
};

TEST_F(ApiTest, RetriesWithTheSameIdempotencyKeyAndGrowingPauses) {
  failures_ = 3;
  failure_.code = Code::Timeout;
  ASSERT_TRUE(api_->send("POST", "/x", {{"a", 1}}));
  ASSERT_EQ(keys_.size(), 4u);
  EXPECT_EQ(keys_[0].size(), 32u);
  for (const auto& key : keys_) EXPECT_EQ(key, keys_[0]);
  EXPECT_EQ(pauses_, (std::vector<int64_t>{200, 400, 800}));
  ASSERT_TRUE(api_->send("POST", "/x", {{"a", 1}}));
  EXPECT_NE(keys_.back(), keys_.front());
}

TEST_F(ApiTest, GivesUpAfterFiveAttempts) {
  failures_ = 100;
  EXPECT_EQ(api_->get("/x").error().code, Code::Unavailable);
  EXPECT_EQ(keys_.size(), 5u);
}

TEST_F(ApiTest, DoesNotRetryWhatWillNotHelp) {
  failures_ = 1;
  failure_.code = Code::Denied;
  EXPECT_FALSE(api_->get("/x"));
  EXPECT_EQ(keys_.size(), 1u);
}

TEST_F(ApiTest, StartsAnUploadAgain) {
  failures_ = 1;
  const auto make_pull = [] {
    auto left = std::make_shared<int>(3);
    return Result<BodyPull>([left](Bytes& out) -> Result<bool> {
      if (*left == 0) return false;
      out += std::to_string((*left)--);
      return true;
    });
  };
  ASSERT_TRUE(api_->upload("POST", "/x", "text/plain", {}, make_pull));
  EXPECT_EQ(bodies_, (std::vector<std::string>{"321", "321"}));
}

TEST_F(ApiTest, ReadsErrorsInWhateverFormTheyCome) {
  EXPECT_EQ(error_of(refusal(409, "exists", "there")), (Error{Code::Exists, "there"}));
  EXPECT_EQ(error_of({503, {}, "busy"}).code, Code::Unavailable);
  EXPECT_EQ(error_of({507, {}, ""}).code, Code::Exhausted);
  EXPECT_EQ(error_of(refusal(418, "of_the_future", "x")).code, Code::Invalid);
  Json keys = Json::array();
  for (int i = 0; i < 12; ++i) keys.push_back("k" + std::to_string(i));
  EXPECT_THAT(error_of(refusal(409, "conflict", "m", keys)).message, ::testing::EndsWith("\n  k9\n  and 2 more"));
}

}  // namespace
}  // namespace hailstone::cli
