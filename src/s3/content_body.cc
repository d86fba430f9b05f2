#include "s3/content_body.h"

namespace hailstone::s3 {

Answer<> set_body(chunk::ExtentCache& extents, const chunk::Content& content, uint64_t offset, uint64_t length,
                  http::Response& response) {
  response.content_length = length;
  if (length == 0) {
    response.body = http::Part(Bytes());
    return {};
  }
  if (content.refs.empty()) {
    response.body = http::Part(content.inlined.substr(offset, length));
    return {};
  }
  std::vector<depot::Segment> segments;
  TRY_DO(depot::append_slices(extents.store(), content, offset, length, segments));
  TRY(auto body, depot::make_body(extents, std::move(segments), kMemoryBodyMax));
  std::visit([&](auto&& part) { response.body = std::forward<decltype(part)>(part); }, std::move(body));
  return {};
}

}  // namespace hailstone::s3
