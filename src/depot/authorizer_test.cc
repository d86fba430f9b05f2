#include "depot/authorizer.h"

#include <gtest/gtest.h>

namespace hailstone::depot {
namespace {

TEST(Authorization, Table) {
  const Credentials good{"id", "se:cret"};
  EXPECT_EQ(parse_authorization("Basic " + to_base64("id:se:cret")), good);
  EXPECT_EQ(parse_authorization("bAsIc  " + to_base64("id:se:cret")), good);
  EXPECT_EQ(parse_authorization("Bearer id:se:cret"), good);
  for (Bytes value : {Bytes(), Bytes("Basic"), Bytes("Basic "), Bytes("Basic !!!!"), "Basic " + to_base64("nocolon"),
                      "Basic " + to_base64(":x"), Bytes("Bearer token"), Bytes("AWS4-HMAC-SHA256 Credential=a:b"),
                      Bytes("Basicx aWQ6")})
    EXPECT_EQ(parse_authorization(value), std::nullopt) << value;
}

}  // namespace
}  // namespace hailstone::depot
