#include "base/sealing.h"

#include <gtest/gtest.h>

namespace hailstone {
namespace {

TEST(Sealing, OpensWithTheSameKeyAndBindingOnly) {
  const Bytes key(kMasterKeyBytes, 'k');
  for (const Bytes secret : {"", "s", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}) {
    const Bytes sealed = *seal_secret(key, "id", secret);
    EXPECT_EQ(*open_secret(key, "id", sealed), secret);
    EXPECT_EQ(open_secret(key, "other", sealed).error().code, Code::Corrupt);
    EXPECT_EQ(open_secret(Bytes(kMasterKeyBytes, 'x'), "id", sealed).error().code, Code::Corrupt);
    for (size_t i = 0; i < sealed.size(); ++i) {
      Bytes damaged = sealed;
      damaged[i] = static_cast<char>(damaged[i] ^ 1);
      EXPECT_EQ(open_secret(key, "id", damaged).error().code, Code::Corrupt) << i;
      EXPECT_EQ(open_secret(key, "id", sealed.substr(0, i)).error().code, Code::Corrupt) << i;
    }
    EXPECT_NE(*seal_secret(key, "id", secret), sealed);
  }
}

}  // namespace
}  // namespace hailstone
