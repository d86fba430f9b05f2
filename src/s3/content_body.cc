#include "s3/content_body.h"

namespace hailstone::s3 {

namespace {

Error not_as_said(const ChunkId& id) {
  return {Code::Corrupt, "chunk " + id.brief() + " is shorter or longer than its content says"};
}

}  // namespace

Answer<> set_body(chunk::ExtentCache& extents, SmallChunks& small, const chunk::Content& content, uint64_t offset,
                  uint64_t length, http::Response& response) {
  response.content_length = length;
  if (length == 0) {
    response.body = http::Part(Bytes());
    return {};
  }
  if (content.refs.empty()) {
    response.body = http::Part(content.inlined.substr(offset, length));
    return {};
  }
  if (content.depth == 0 && content.refs.size() == 1 && content.bytes <= kMemoryBodyMax) {
    const ChunkId& id = content.refs.front().id;
    const chunk::SharedBytes* kept = small.find(id.view());
    if (!kept) {
      TRY(auto bytes, extents.store().fetch(id));
      if (bytes->size() != content.bytes) return std::unexpected(Refused(not_as_said(id)));
      kept = small.put(id.view(), std::move(bytes), content.bytes);
    }
    response.body = http::Part(http::SharedSpan{*kept, offset, length});
    return {};
  }
  std::vector<depot::Segment> segments;
  TRY_DO(depot::append_slices(extents.store(), content, offset, length, segments));
  TRY(auto body, depot::make_body(extents, std::move(segments), kMemoryBodyMax));
  std::visit([&](auto&& part) { response.body = std::forward<decltype(part)>(part); }, std::move(body));
  return {};
}

}  // namespace hailstone::s3
