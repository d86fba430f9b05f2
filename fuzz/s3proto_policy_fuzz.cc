// Any bytes as a bucket policy: never a crash, and what is accepted can be evaluated.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "s3proto/policy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hailstone::s3proto;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto policy = parse_policy(input, "vol");
  if (!policy) return 0;
  CHECK(!policy->statements.empty());
  for (std::string_view user : {"", "ann"})
    (void)evaluate(*policy, {user, "s3:GetObject", "vol/key", [&](std::string_view key) {
                               return std::vector<std::string>{std::string(key), "10.0.0.1", "7"};
                             }});
  return 0;
}
