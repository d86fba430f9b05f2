// Any bytes as each document an S3 client may send: never a crash, and what is accepted survives being written again.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "s3proto/requests.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hailstone::s3proto;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  (void)parse_complete_multipart_upload(input);
  (void)parse_delete(input);
  (void)parse_create_bucket(input);
  (void)parse_versioning(input);
  (void)parse_retention(input);
  (void)parse_legal_hold(input);
  (void)parse_public_access_block(input);
  (void)parse_ownership(input);
  (void)parse_tagging_header(input);
  if (const auto tags = parse_tagging(input, TagLevel::Bucket))
    CHECK(parse_tagging(render_tagging(*tags), TagLevel::Bucket) == tags);
  if (const auto rules = parse_cors(input)) CHECK(parse_cors(render_cors(*rules)).has_value());
  if (const auto rules = parse_lifecycle(input)) CHECK(parse_lifecycle(render_lifecycle(*rules)).has_value());
  if (const auto lock = parse_object_lock(input)) CHECK(parse_object_lock(render_object_lock(*lock)) == lock);
  if (const auto acl = parse_acl(input)) CHECK(parse_acl(render_acl(*acl)) == acl);
  return 0;
}
