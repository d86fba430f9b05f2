#include "http/response_head.h"

#include <gtest/gtest.h>

namespace hailstone::http {
namespace {

using Body = ResponseFraming::Body;
using Connection = ResponseFraming::Connection;

TEST(ResponseHead, IsWrittenInOrder) {
  Bytes out = "before|";
  HeaderBlock headers;
  headers.add("ETag", "\"a\"");
  append_response_head(out, 200, "Date: d\r\n", {Body::Length, 12, Connection::Default}, headers.lines());
  EXPECT_EQ(out, "before|HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 12\r\nETag: \"a\"\r\n\r\n");
  out.clear();
  append_response_head(out, 416, "", {Body::Chunked, 0, Connection::Close}, "");
  EXPECT_EQ(out, "HTTP/1.1 416 Range Not Satisfiable\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
  out.clear();
  append_response_head(out, 204, "", {Body::None, 0, Connection::KeepAlive}, "");
  EXPECT_EQ(out, "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n");
}

TEST(DateLines, ChangeWithTheSecond) {
  DateLines date;
  EXPECT_EQ(date.lines(784111777), "Server: hailstone\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
  EXPECT_EQ(date.lines(784111778), "Server: hailstone\r\nDate: Sun, 06 Nov 1994 08:49:38 GMT\r\n");
}

class NoSource final : public BodySource {
 public:
  Task<Result<std::optional<Part>>> next() override { co_return std::optional<Part>(); }
};

TEST(ResponseFraming, FollowsMethodStatusAndVersion) {
  enum class Kind : uint8_t { Empty, Part, Source };
  const struct {
    Method method;
    uint8_t minor;
    int status;
    Kind kind;
    std::optional<uint64_t> length;
    Body want;
    uint64_t want_length;
    bool keeps;
  } cases[] = {
      {Method::Get, 1, 200, Kind::Empty, {}, Body::Length, 0, true},
      {Method::Get, 1, 200, Kind::Part, {}, Body::Length, 3, true},
      {Method::Get, 1, 200, Kind::Part, 99, Body::Length, 3, true},
      {Method::Get, 1, 200, Kind::Source, {}, Body::Chunked, 0, true},
      {Method::Get, 1, 200, Kind::Source, 7, Body::Length, 7, true},
      {Method::Get, 0, 200, Kind::Source, {}, Body::UntilClose, 0, false},
      {Method::Get, 0, 200, Kind::Source, 7, Body::Length, 7, true},
      {Method::Head, 1, 200, Kind::Empty, {}, Body::None, 0, true},
      {Method::Head, 1, 200, Kind::Empty, 5, Body::Length, 5, true},
      {Method::Head, 1, 200, Kind::Source, {}, Body::Chunked, 0, true},
      {Method::Head, 0, 200, Kind::Source, {}, Body::UntilClose, 0, true},
      {Method::Get, 1, 204, Kind::Part, 5, Body::None, 0, true},
      {Method::Get, 1, 304, Kind::Empty, {}, Body::None, 0, true},
      {Method::Get, 1, 304, Kind::Empty, 5, Body::Length, 5, true},
      {Method::Get, 1, 304, Kind::Source, {}, Body::None, 0, true},
  };
  for (size_t i = 0; i < std::size(cases); ++i) {
    const auto& c = cases[i];
    RequestHead request;
    request.method = c.method;
    request.minor_version = c.minor;
    Response response;
    response.status = c.status;
    response.content_length = c.length;
    if (c.kind == Kind::Part) response.body = Part(Bytes("abc"));
    if (c.kind == Kind::Source) response.body = std::make_unique<NoSource>();
    bool keep_alive = true;
    const ResponseFraming framing = frame_response(request, response, keep_alive);
    EXPECT_EQ(framing.body, c.want) << i;
    EXPECT_EQ(framing.length, c.want_length) << i;
    EXPECT_EQ(keep_alive, c.keeps) << i;
    const Connection wanted =
        !c.keeps ? Connection::Close : (c.minor == 0 ? Connection::KeepAlive : Connection::Default);
    EXPECT_EQ(framing.connection, wanted) << i;
  }
}

}  // namespace
}  // namespace hailstone::http
