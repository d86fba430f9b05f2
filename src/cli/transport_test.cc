// The transport against a real server on the loopback.
#include "cli/transport.h"

#include "base/logger.h"
#include "cli/testing_cli.h"
#include "http/server.h"

namespace hailstone::cli {
namespace {

// Tells what it was asked; /stream answers with a long body, /refuse with an error before it has read the request.
class Echo final : public http::Handler {
 public:
  http::Task<http::Response> handle(http::Request request) override {
    const Bytes path(request.head.path), method(request.head.method_text);
    const Bytes key(request.head.field("Authorization").value_or(""));
    const bool chunked = request.head.chunked;
    if (path == "/refuse") co_return http::Response::json(409, refusal(409, "conflict", "no").body);
    auto body = co_await http::read_all(request.body, 64u << 20);
    if (!body) co_return http::Response::text(400, body.error().message);
    if (path == "/stream") co_return http::Response::text(200, Bytes(3'000'000, 's'));
    co_return http::Response::json(
        200,
        Json{{"method", method}, {"path", path}, {"key", key}, {"bytes", body->size()}, {"chunked", chunked}}.dump());
  }
};

class TransportTest : public ::testing::Test {
 protected:
  void SetUp() override {
    http::ServerOptions options;
    options.threads = 1;
    auto server = http::Server::listen(options, [](unsigned) { return std::make_unique<Echo>(); }, logger_);
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
    server_->start();
    url_ = "http://127.0.0.1:" + std::to_string(server_->port());
    transport_ = std::move(*make_transport({url_, ""}));
  }
  void TearDown() override { server_->stop(); }

  NullLogger logger_;
  std::unique_ptr<http::Server> server_;
  std::string url_;
  std::unique_ptr<Transport> transport_;
};

TEST_F(TransportTest, CarriesMethodsFieldsAndBodies) {
  const auto answer =
      transport_->call({"PATCH", "/x", {{"Authorization", "Bearer K:s"}}, "12345", nullptr, {}}, nullptr);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(Json::parse(answer->body),
            (Json{{"method", "PATCH"}, {"path", "/x"}, {"key", "Bearer K:s"}, {"bytes", 5}, {"chunked", false}}));
  EXPECT_EQ(*answer->field("content-type"), "application/json");
}

TEST_F(TransportTest, StreamsBodiesBothWays) {
  for (const std::optional<uint64_t> length : {std::optional<uint64_t>(), std::optional<uint64_t>(5'000'000)}) {
    int left = 50;
    Call call{"POST", "/up", {}, {}, nullptr, length};
    call.pull = [&](Bytes& out) -> Result<bool> {
      if (left == 0) return false;
      --left;
      out.append(100'000, 'u');
      return true;
    };
    const auto answer = transport_->call(call, nullptr);
    ASSERT_TRUE(answer) << answer.error().message;
    const Json told = Json::parse(answer->body);
    EXPECT_EQ(told["bytes"], 5'000'000);
    EXPECT_EQ(told["chunked"], !length);
  }
  uint64_t received = 0;
  const BodySink sink = [&](ByteView bytes) -> Result<void> {
    received += bytes.size();
    return {};
  };
  ASSERT_TRUE(transport_->call({"GET", "/stream", {}, {}, nullptr, {}}, &sink));
  EXPECT_EQ(received, 3'000'000u);
}

TEST_F(TransportTest, GoesOnAfterASinkThatFailed) {
  const BodySink full = [](ByteView) -> Result<void> { return fail(Code::Exhausted, "full"); };
  EXPECT_EQ(transport_->call({"GET", "/stream", {}, {}, nullptr, {}}, &full).error().code, Code::Exhausted);
  const auto answer = transport_->call({"GET", "/x", {}, {}, nullptr, {}}, nullptr);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(Json::parse(answer->body)["path"], "/x");
}

TEST_F(TransportTest, KeepsTheBodyOfARefusalFromTheSink) {
  bool called = false;
  const BodySink sink = [&](ByteView) -> Result<void> {
    called = true;
    return {};
  };
  const auto answer = transport_->call({"GET", "/refuse", {}, {}, nullptr, {}}, &sink);
  ASSERT_TRUE(answer);
  EXPECT_EQ(error_of(*answer).code, Code::Conflict);
  EXPECT_FALSE(called);
}

TEST_F(TransportTest, IsUnavailableWhenNobodyListens) {
  server_->stop();
  EXPECT_EQ(transport_->call({"GET", "/x", {}, {}, nullptr, {}}, nullptr).error().code, Code::Unavailable);
}

TEST(Transport, RefusesWhatIsNoUrl) {
  EXPECT_EQ(make_transport({"ftp://x", ""}).error().code, Code::Invalid);
  EXPECT_EQ(make_transport({"host:8080", ""}).error().code, Code::Invalid);
}

}  // namespace
}  // namespace hailstone::cli
