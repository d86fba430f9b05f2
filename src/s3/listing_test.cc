#include "s3/listing.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace hailstone::s3 {
namespace {

RC_GTEST_PROP(ContinuationTokens, ComeBackAsTheyWere, (uint64_t release, const std::string& after)) {
  const ContinuationToken token{ReleaseNumber(release), after};
  const auto back = ContinuationToken::decode(token.encode());
  RC_ASSERT(back.has_value());
  RC_ASSERT(back->release == token.release);
  RC_ASSERT(back->after == token.after);
}

TEST(ContinuationTokens, OfOthersAreRefused) {
  const std::string good = ContinuationToken{ReleaseNumber(7), "some/key"}.encode();
  for (size_t cut = 0; cut < good.size(); ++cut) {
    const auto refused = ContinuationToken::decode(good.substr(0, cut));
    ASSERT_FALSE(refused) << cut;
    EXPECT_EQ(refused.error().code, "InvalidArgument");
  }
  EXPECT_FALSE(ContinuationToken::decode(good + "AAAA"));
  EXPECT_FALSE(ContinuationToken::decode("nonsense"));
}

}  // namespace
}  // namespace hailstone::s3
