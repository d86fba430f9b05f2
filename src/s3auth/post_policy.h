// Browser uploads (HTTP POST): the form's policy is signed, the form must keep to the policy. Pure.
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "s3auth/form_decoder.h"
#include "s3auth/refusals.h"
#include "s3auth/sigv4.h"

namespace hailstone::s3auth {

/// What came before the file's data.
struct PostForm {
  const std::vector<FormField>& fields;
  std::string_view bucket;    // of the URL; conditions see it as the field "bucket"
  std::string_view filename;  // stands for ${filename} in the key
};

struct PostGrant {
  Bytes access_key_id;
  Bytes key;                                                                   // ${filename} replaced
  uint64_t length_min = 0, length_max = std::numeric_limits<uint64_t>::max();  // of the file, bytes
  bool operator==(const PostGrant&) const = default;
};

enum class PostSigning : uint8_t { V4, V2 };
/// V2 when the form has AWSAccessKeyId and no X-Amz-Algorithm; the caller decides whether that will do.
PostSigning post_signing(const std::vector<FormField>& fields);

/// Names of fields match in any case, values exactly; a repeated field is refused, as are fields no condition names.
Verdict<PostGrant> verify_post_v4(const PostForm& form, const ScopeRule& rule, const SigningKeyLookup& keys,
                                  UnixMicros now);
Verdict<PostGrant> verify_post_v2(const PostForm& form, const SecretLookup& secrets, UnixMicros now);

/// EntityTooSmall or EntityTooLarge. Call with what has arrived to stop early (`Part::Begun`), and at the end.
enum class Part : uint8_t { Begun, Whole };
Verdict<> check_length(const PostGrant& grant, uint64_t bytes, Part part);

/// The fields that sign a policy document: policy, x-amz-algorithm, -credential, -date, -signature. The policy must
/// have conditions for those of them that are not exempt.
std::vector<FormField> sign_post_v4(std::string_view policy_json, const Credentials& credentials, UnixMicros time);

}  // namespace hailstone::s3auth
