// Deadlines, caps and the end of a server's life. Timeouts are tiny by option; nothing here sleeps.
#include <thread>

#include "http/client.h"
#include "http/server_fixture.h"

namespace hailstone::http {
namespace {

// Long enough that only the timeout under test can fire.
ServerOptions patient() {
  ServerOptions o;
  o.head_timeout_ms = o.idle_timeout_ms = o.stall_timeout_ms = 60'000;
  return o;
}

TEST(ServerLimits, RefusesHeadsThatAreTooLarge) {
  ServerOptions options = patient();
  options.head_bytes_max = 1024;
  options.fields_max = 5;
  TestServer s(options);
  const std::pair<std::string, std::string> cases[] = {
      {get("/", "A: " + std::string(2000, 'a') + "\r\n"), "431 Request Header Fields Too Large"},
      {get("/", "A:1\r\nB:1\r\nC:1\r\nD:1\r\nE:1\r\n"), "431 Request Header Fields Too Large"},
      {get("/" + std::string(5000, 'a')), "414 URI Too Long"},
      {"GET / HTTP/1.1\r\n\r\n", "400 Bad Request"},
      {"GET / HTTP/1.1\n\n", "400 Bad Request"},
      {"GET / HTTP/3.0\r\nHost: x\r\n\r\n", "505 HTTP Version Not Supported"},
      {get("/", "Transfer-Encoding: gzip\r\n"), "501 Not Implemented"},
      {get("/", "Expect: magic\r\n"), "417 Expectation Failed"},
      {"\x16\x03\x01\x02\x00\x01\x00", "400 Bad Request"},
  };
  for (const auto& [request, want] : cases) {
    RawSocket socket(s.server->port());
    socket.send(request);
    const std::string answer = socket.receive_all();
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 " + want + "\r\n")) << want << ": " << answer;
    EXPECT_NE(answer.find("Connection: close\r\n"), std::string::npos);
    EXPECT_NE(answer.find("Cache-Control: no-store\r\n"), std::string::npos);
    EXPECT_TRUE(socket.ended()) << want;
  }
  EXPECT_EQ(s.server->stats().parse_errors, std::size(cases));
}

TEST(ServerLimits, AnswersWhatCameBeforeABrokenRequest) {
  TestServer s(patient());
  RawSocket socket(s.server->port());
  socket.send(get("/one") + get("/two") + "BROKEN\r\n\r\n");
  const std::string answers = socket.receive_all();
  EXPECT_EQ(occurrences(answers, "HTTP/1.1 200"), 2u);
  EXPECT_LT(answers.find("hello /two"), answers.find("HTTP/1.1 400"));
}

TEST(ServerLimits, ASlowHeadIsA408) {
  ServerOptions options = patient();
  options.head_timeout_ms = 60;
  TestServer s(options);
  RawSocket socket(s.server->port());
  // A byte now and then does not help: the clock runs from the first.
  socket.send("GET / HTTP/1.1\r\nHost: x\r\n");
  std::atomic<bool> over{false};
  std::thread drip([&] {
    while (!over && socket.send("A")) ::poll(nullptr, 0, 5);
  });
  const std::string answer = socket.receive_all();
  over = true;
  drip.join();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n")) << answer;
  EXPECT_EQ(s.server->stats().timeouts, 1u);
}

TEST(ServerLimits, SilentConnectionsEndQuietly) {
  ServerOptions options = patient();
  options.head_timeout_ms = options.idle_timeout_ms = 60;
  TestServer s(options);
  RawSocket never(s.server->port()), once(s.server->port());
  EXPECT_TRUE(once.exchange(get("/"), "127.0.0.1").starts_with("HTTP/1.1 200"));
  EXPECT_EQ(never.receive_all(), "");
  EXPECT_TRUE(never.ended());
  EXPECT_EQ(once.receive_all(), "");
  EXPECT_TRUE(once.ended());
}

TEST(ServerLimits, AStalledUploadTimesOut) {
  ServerOptions options = patient();
  options.stall_timeout_ms = 60;
  TestServer s(options);
  RawSocket socket(s.server->port());
  socket.send("PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nabc");
  const std::string answer = socket.receive_all();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 408")) << answer;
  EXPECT_EQ(s.stage.body_failures, 1);
  EXPECT_EQ(s.server->stats().timeouts, 1u);
}

TEST(ServerLimits, ATrickledUploadIsTooSlow) {
  ServerOptions options = patient();
  options.stall_timeout_ms = 200;
  options.min_bytes_per_second = 100'000;
  TestServer s(options);
  RawSocket socket(s.server->port());
  socket.send("PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n");
  // Steady progress, never a stall, but far below the rate.
  std::atomic<bool> over{false};
  std::thread drip([&] {
    while (!over && socket.send("A")) ::poll(nullptr, 0, 5);
  });
  const std::string answer = socket.receive_until_text("too slowly");
  over = true;
  drip.join();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 408")) << answer;
}

TEST(ServerLimits, AReaderThatStallsIsCut) {
  ServerOptions options = patient();
  options.stall_timeout_ms = 100;
  TestServer s(options);
  for (const std::string target : {"/file", "/pages", "/shared?length=99990"}) {
    RawSocket socket(s.server->port(), 4096);
    std::string requests;
    for (int i = 0; i < 100; ++i) requests += get(target);
    socket.send(requests);
    const uint64_t before = s.server->stats().timeouts;
    EXPECT_TRUE(eventually([&] { return s.server->stats().timeouts > before; })) << target;
    EXPECT_TRUE(eventually([&] { return s.server->stats().connections_open == 0; })) << target;
    socket.receive_all();
    EXPECT_TRUE(socket.was_reset()) << target;
  }
}

TEST(ServerLimits, TheNewestConnectionsAboveTheCapAreRefused) {
  ServerOptions options = patient();
  options.connections_max = 2;
  TestServer s(options);
  auto first = std::make_unique<RawSocket>(s.server->port());
  RawSocket second(s.server->port());
  first->exchange(get("/"), "127.0.0.1");
  second.exchange(get("/"), "127.0.0.1");
  RawSocket third(s.server->port());
  const std::string refusal = third.receive_all();
  EXPECT_TRUE(refusal.starts_with("HTTP/1.1 503 Service Unavailable\r\n")) << refusal;
  EXPECT_NE(refusal.find("Retry-After: "), std::string::npos);
  EXPECT_EQ(s.server->stats().rejected, 1u);
  first.reset();
  EXPECT_TRUE(eventually([&] { return s.server->stats().connections_open == 1; }));
  RawSocket fourth(s.server->port());
  EXPECT_TRUE(fourth.exchange(get("/"), "127.0.0.1").starts_with("HTTP/1.1 200"));
}

TEST(ServerLimits, AConnectionServesSoManyRequestsOnly) {
  ServerOptions options = patient();
  options.requests_per_connection_max = 2;
  TestServer s(options);
  RawSocket socket(s.server->port());
  socket.send(get("/one") + get("/two") + get("/three"));
  const std::string answers = socket.receive_all();
  EXPECT_EQ(occurrences(answers, "HTTP/1.1 200"), 2u);
  EXPECT_GT(answers.find("Connection: close"), answers.find("hello /one"));
}

TEST(ServerLimits, StopLetsRequestsUnderWayFinish) {
  TestServer s(patient());
  RawSocket busy(s.server->port()), idle(s.server->port()), uploading(s.server->port());
  EXPECT_TRUE(idle.exchange(get("/"), "127.0.0.1").starts_with("HTTP/1.1 200"));
  busy.send(get("/gated"));
  uploading.send("PUT /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
  uploading.receive_until_text("100 Continue\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return s.stage.waiting == 1; }));
  std::atomic<bool> stopped{false};
  std::thread stopper([&] {
    s.server->stop();
    stopped = true;
  });
  EXPECT_EQ(idle.receive_all(), "");  // at once, while the others go on
  EXPECT_TRUE(idle.ended());
  EXPECT_FALSE(stopped);
  uploading.send("hello");
  EXPECT_TRUE(uploading.receive_until_text("hello").find("Connection: close") != std::string::npos);
  s.stage.gate = true;
  const std::string answer = busy.receive_all();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200")) << answer;
  EXPECT_NE(answer.find("Connection: close\r\n"), std::string::npos);
  EXPECT_TRUE(answer.ends_with("through"));
  stopper.join();
  EXPECT_EQ(s.server->stats().connections_open, 0u);
}

TEST(ServerLimits, StopWaitsNoLongerThanTold) {
  ServerOptions options = patient();
  options.drain_timeout_ms = 50;
  TestServer s(options);
  RawSocket stuck(s.server->port()), unread(s.server->port(), 4096);
  stuck.send(get("/gated"));
  unread.send(get("/file"));
  ASSERT_TRUE(eventually([&] { return s.stage.waiting == 1; }));
  s.server->stop();
  EXPECT_TRUE(s.logger.saw("http drain cut short"));
  s.server.reset();  // the connections' frames go with it
  EXPECT_EQ(stuck.receive_all(), "");
}

TEST(ServerLimits, OptionsAreCheckedByName) {
  const auto message = [](ServerOptions o) { return o.validate() ? "" : o.validate().error().message; };
  EXPECT_EQ(message({}), "");
  EXPECT_NE(message({.tls_key = "k"}).find("tls_certificate"), std::string::npos);
  EXPECT_NE(message({.head_bytes_max = 100}).find("head_bytes_max 100"), std::string::npos);
  EXPECT_NE(message({.idle_timeout_ms = 0}).find("idle_timeout_ms"), std::string::npos);
  EXPECT_NE(message({.threads = 5000}).find("threads 5000"), std::string::npos);
}

}  // namespace
}  // namespace hailstone::http
