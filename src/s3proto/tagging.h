// Tags of objects and buckets: the Tagging document, the x-amz-tagging header, and S3's rules for both. Pure.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "s3proto/errors.h"

namespace hailstone::s3proto {

/// Keys are unique; in the order sent.
using Tags = std::vector<std::pair<std::string, std::string>>;

enum class TagLevel : uint8_t { Object, Bucket };
inline constexpr size_t kObjectTagsMax = 10;
inline constexpr size_t kBucketTagsMax = 50;
inline constexpr size_t kTagKeyCharactersMax = 128;
inline constexpr size_t kTagValueCharactersMax = 256;

/// Number, lengths in characters, characters (letters, digits and space of any script, + - = . _ : / @), no duplicates,
/// no "aws:" prefix. InvalidTag; BadRequest for too many on an object.
Parsed<void> validate_tags(const Tags& tags, TagLevel level);
Parsed<Tags> parse_tagging(ByteView body, TagLevel level);
/// "a=1&b=2", percent-encoded, '+' a space.
Parsed<Tags> parse_tagging_header(std::string_view header);
Bytes render_tagging(const Tags& tags);

}  // namespace hailstone::s3proto
