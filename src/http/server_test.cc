#include "http/server.h"

#include <thread>

#include "http/client.h"
#include "http/server_fixture.h"

namespace hailstone::http {
namespace {

using testing::Test;

TEST(Server, KeepsAConnectionForManyRequests) {
  TestServer s;
  RawSocket socket(s.server->port());
  for (int i = 0; i < 3; ++i) {
    const std::string answer = socket.exchange(get("/a" + std::to_string(i)), "127.0.0.1");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\nServer: hailstone\r\nDate: ")) << answer;
    EXPECT_NE(answer.find("hello /a" + std::to_string(i)), std::string::npos);
    EXPECT_EQ(answer.find("Connection:"), std::string::npos);
  }
  EXPECT_EQ(s.server->stats().connections_total, 1u);
  EXPECT_EQ(s.server->stats().requests_total, 3u);
  EXPECT_EQ(s.server->stats().responses_by_class[2], 3u);
}

TEST(Server, ClosesWhenTheClientAsksAndForOldClients) {
  TestServer s;
  for (const std::string& request :
       {get("/", "Connection: close\r\n"), std::string("GET / HTTP/1.0\r\n\r\n"), get("/close")}) {
    RawSocket socket(s.server->port());
    socket.send(request);
    const std::string answer = socket.receive_all();
    EXPECT_TRUE(socket.ended());
    EXPECT_NE(answer.find("Connection: close\r\n"), std::string::npos);
  }
  RawSocket kept(s.server->port());
  const std::string request = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
  EXPECT_NE(kept.exchange(request, "127.0.0.1").find("Connection: keep-alive\r\n"), std::string::npos);
  kept.exchange(request, "127.0.0.1");
}

TEST(Server, AnswersPipelinedRequestsInOrder) {
  TestServer s;
  RawSocket socket(s.server->port());
  std::string many;
  // Small, big, streamed and with bodies, mixed: enough to pass every buffer's size.
  for (int i = 0; i < 200; ++i) {
    many += get("/n" + std::to_string(i));
    if (i % 10 == 3) many += get(i % 20 == 3 ? "/file?length=70000" : "/pages?length=70000");
    if (i % 10 == 5) many += get("/parts");
    if (i % 10 == 7) many += "PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab" + std::to_string(100 + i);
    if (i % 10 == 9) many += "PUT /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n";
  }
  many += get("/last");
  socket.send(many);
  const std::string answers = socket.receive_until_text("hello /last from 127.0.0.1");
  size_t at = 0;
  for (int i = 0; i < 200; ++i) {
    at = answers.find("hello /n" + std::to_string(i) + " ", at);
    ASSERT_NE(at, std::string::npos) << i;
  }
  EXPECT_EQ(occurrences(answers, "HTTP/1.1 200 OK\r\n"), 281u);
}

TEST(Server, ASlowResponseDoesNotHoldThoseBeforeIt) {
  TestServer s;
  RawSocket socket(s.server->port());
  socket.send(get("/first") + get("/gated") + get("/third"));
  const std::string first = socket.receive_until_text("hello /first from 127.0.0.1");
  EXPECT_EQ(occurrences(first, "HTTP/1.1"), 1u);
  s.stage.gate = true;
  const std::string rest = socket.receive_until_text("hello /third from 127.0.0.1");
  EXPECT_LT(rest.find("through"), rest.find("/third"));
}

TEST(Server, HeadGivesTheLengthAndNoBody) {
  TestServer s;
  RawSocket socket(s.server->port());
  for (const auto& [target, length] :
       {std::pair("/file?length=70000", "70000"), {"/promise", "12345"}, {"/known", "100011"}}) {
    const std::string answer =
        socket.exchange("HEAD " + std::string(target) + " HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n\r\n");
    EXPECT_NE(answer.find("Content-Length: " + std::string(length) + "\r\n"), std::string::npos) << answer;
    EXPECT_TRUE(answer.ends_with("\r\n\r\n"));
  }
  EXPECT_NE(socket.exchange("HEAD /parts HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n\r\n").find("chunked"), std::string::npos);
  EXPECT_EQ(socket.exchange(get("/next"), "127.0.0.1").find("HTTP/1.1 200"), 0u);
}

TEST(Server, BodilessStatusesHaveNoLength) {
  TestServer s;
  RawSocket socket(s.server->port());
  EXPECT_EQ(socket.exchange(get("/status?code=204"), "\r\n\r\n").find("Content-Length"), std::string::npos);
  EXPECT_EQ(socket.exchange(get("/status?code=304"), "\r\n\r\n").find("Content-Length"), std::string::npos);
  EXPECT_NE(socket.exchange(get("/status?code=404"), "\r\n\r\n").find("Content-Length: 0\r\n"), std::string::npos);
}

TEST(Server, SendsEveryKindOfBodyByteForByte) {
  TestServer s;
  Client client(*BaseUrl::parse(s.url()), {});
  const auto body = [&client](const std::string& target) {
    ClientRequest request;
    request.target = target;
    auto whole = client.fetch(request);
    return whole ? whole->body : "error: " + whole.error().message;
  };
  for (const Bytes path : {"/file", "/pages"}) {
    for (const uint64_t length : {0u, 1u, 2048u, 2049u, 16384u, 16385u, 70'000u, 9u << 20})
      EXPECT_TRUE(body(path + "?length=" + std::to_string(length)) == s.stage.content.substr(0, length)) << length;
    EXPECT_TRUE(body(path + "?offset=12345&length=5000000") == s.stage.content.substr(12345, 5'000'000));
  }
  for (const uint64_t length : {0u, 1u, 3000u, 20'000u, 99'990u})
    EXPECT_EQ(body("/shared?length=" + std::to_string(length)), Bytes(length, 's'));
  const Bytes parts = "one,two," + s.stage.content.substr(5, 3) + s.stage.content.substr(0, 100'000);
  EXPECT_TRUE(body("/parts") == parts);
  EXPECT_TRUE(body("/known") == parts);
}

// What one reader leaves in the pipe must not reach another.
TEST(Server, PagesReachSlowReadersSideBySide) {
  TestServer s({.threads = 1});
  std::vector<std::unique_ptr<RawSocket>> readers;
  for (int i = 0; i < 6; ++i) {
    readers.push_back(std::make_unique<RawSocket>(s.server->port(), 4096));
    const uint64_t offset = static_cast<uint64_t>(i) * 1001;
    readers.back()->send(get("/pages?offset=" + std::to_string(offset) + "&length=6000000", "Connection: close\r\n"));
  }
  readers[3]->reset();
  std::vector<std::thread> threads;
  for (size_t i = 0; i < readers.size(); ++i) {
    if (i == 3) continue;
    threads.emplace_back([&, i] {
      const std::string answer = readers[i]->receive_all();
      EXPECT_TRUE(answer.ends_with(s.stage.content.substr(i * 1001, 6'000'000))) << i << ": " << answer.size();
    });
  }
  for (auto& thread : threads) thread.join();
}

TEST(Server, StreamsToOldClientsUntilClose) {
  TestServer s;
  RawSocket socket(s.server->port());
  socket.send("GET /parts HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  const std::string answer = socket.receive_all();
  EXPECT_TRUE(socket.ended());
  EXPECT_EQ(answer.find("chunked"), std::string::npos);
  EXPECT_NE(answer.find("Connection: close"), std::string::npos);
  EXPECT_TRUE(answer.ends_with(s.stage.content.substr(0, 100'000)));
}

TEST(Server, ABodyThatFailsIsCutShortNotCompleted) {
  TestServer s;
  for (const std::string target : {"/cut", "/lies", "/missing-bytes?length=100000", "/missing-bytes"}) {
    RawSocket socket(s.server->port());
    socket.send(get(target));
    const std::string answer = socket.receive_all();
    EXPECT_TRUE(socket.was_reset()) << target;
    EXPECT_FALSE(answer.ends_with("0\r\n\r\n")) << target;
  }
  EXPECT_TRUE(s.logger.saw("http body cut short"));
  EXPECT_TRUE(s.logger.saw("http body differs from its announced length"));
  EXPECT_TRUE(s.logger.saw("http file part is shorter than promised"));
}

TEST(Server, ReadsBodiesOfBothFramings) {
  TestServer s;
  Client client(*BaseUrl::parse(s.url()), {});
  for (const size_t size : {0u, 1u, 5000u, 3'000'000u}) {
    const Bytes body = s.stage.content.substr(0, size);
    ClientRequest fixed{.method = "PUT", .target = "/echo", .body = body};
    EXPECT_TRUE(client.fetch(fixed)->body == body) << size;
    ClientRequest chunked{.method = "PUT", .target = "/echo"};
    size_t at = 0;
    chunked.body_source = [&](char* out, size_t room) -> Result<size_t> {
      const size_t count = std::min({room, body.size() - at, size_t{7777}});
      std::copy_n(body.data() + at, count, out);
      at += count;
      return count;
    };
    EXPECT_TRUE(client.fetch(chunked)->body == body) << size;
  }
  EXPECT_EQ(s.server->stats().connections_total, 1u);
}

TEST(Server, ReadsABodyThatComesByteByByte) {
  TestServer s;
  RawSocket socket(s.server->port());
  const std::string request =
      "PUT /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nT: "
      "v\r\n\r\n";
  for (char c : request) socket.send({&c, 1});
  EXPECT_TRUE(socket.receive_until_text("hello!").ends_with("\r\n\r\nhello!"));
  EXPECT_TRUE(socket.exchange(get("/next"), "127.0.0.1").starts_with("HTTP/1.1 200"));
}

TEST(Server, SendsContinueWhenTheHandlerReads) {
  TestServer s;
  RawSocket socket(s.server->port());
  const std::string head = "PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
  EXPECT_EQ(socket.exchange(head, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_TRUE(socket.exchange("hello", "hello").starts_with("HTTP/1.1 200"));
  // Its body on the heels of the head: nothing to wait for.
  EXPECT_TRUE(socket.exchange(head + "hello", "hello").starts_with("HTTP/1.1 200"));
  // A handler that answers without reading: no 100, and the connection ends, for the body may or may not come.
  std::string refused = head;
  refused.replace(5, 4, "none");
  socket.send(refused);
  const std::string answer = socket.receive_all();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200")) << answer;
  EXPECT_NE(answer.find("Connection: close"), std::string::npos);
}

TEST(Server, DropsUnreadBodiesOrTheConnection) {
  TestServer s;
  RawSocket socket(s.server->port());
  const std::string small = "PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + std::string(100'000, 'x');
  EXPECT_TRUE(socket.exchange(small, "127.0.0.1").starts_with("HTTP/1.1 200"));
  const std::string chunked = "PUT /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
  EXPECT_TRUE(socket.exchange(chunked, "127.0.0.1").starts_with("HTTP/1.1 200"));
  socket.send("PUT /c HTTP/1.1\r\nHost: x\r\nContent-Length: 900000000\r\n\r\n" + std::string(10'000, 'x'));
  const std::string answer = socket.receive_all();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200")) << answer;
  EXPECT_NE(answer.find("Connection: close"), std::string::npos);
  EXPECT_TRUE(socket.ended());
}

TEST(Server, AThrowingHandlerIsA500AndNoMore) {
  TestServer s;
  RawSocket socket(s.server->port());
  for (const char* target : {"/throw", "/throw-int"}) {
    const std::string answer = socket.exchange(get(target), "internal error\n");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 500 Internal Server Error\r\n"));
    EXPECT_NE(answer.find("Cache-Control: no-store\r\n"), std::string::npos);
    EXPECT_EQ(answer.find("broke"), std::string::npos);
  }
  EXPECT_TRUE(socket.exchange(get("/next"), "127.0.0.1").starts_with("HTTP/1.1 200"));
  EXPECT_TRUE(s.logger.saw("http handler threw"));
}

TEST(Server, SurvivesClientsThatLeaveAtAnyPoint) {
  TestServer s({.threads = 2});
  const std::string requests[] = {
      "",
      "GET / HT",
      get("/hello"),
      get("/gated"),
      get("/file"),
      get("/pages"),
      get("/parts") + get("/file") + get("/hello"),
      "PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\nabc",
      "PUT /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
  };
  for (const std::string& request : requests) {
    for (const bool hard : {false, true}) {
      RawSocket socket(s.server->port());
      socket.send(request);
      if (hard) {
        socket.reset();
      } else {
        socket.close();
      }
    }
  }
  s.stage.gate = true;
  EXPECT_TRUE(eventually([&] { return s.server->stats().connections_open == 0; }));
  RawSocket socket(s.server->port());
  EXPECT_TRUE(socket.exchange(get("/alive"), "127.0.0.1").starts_with("HTTP/1.1 200"));
}

TEST(Server, RefusesBrokenFraming) {
  TestServer s;
  RawSocket socket(s.server->port());
  socket.send("PUT /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n");
  const std::string answer = socket.receive_all();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 400")) << answer;
  EXPECT_NE(answer.find("malformed chunk"), std::string::npos);
  EXPECT_TRUE(socket.ended());
  EXPECT_EQ(s.stage.body_failures, 1);
}

TEST(Server, NamesAPortThatIsTaken) {
  TestServer s;
  ServerOptions options;
  options.port = s.server->port();
  options.threads = 2;  // sharing among our own threads must not mean sharing with others
  auto second = Server::listen(options, [](unsigned) { return std::unique_ptr<Handler>(); }, s.logger);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::Unavailable);
  EXPECT_NE(second.error().message.find("127.0.0.1:" + std::to_string(options.port)), std::string::npos);
  options.address = "localhost";
  EXPECT_EQ(Server::listen(
                options, [](unsigned) { return std::unique_ptr<Handler>(); }, s.logger)
                .error()
                .code,
            Code::Invalid);
}

TEST(Server, StopsTwiceAndWithoutAStart) {
  TestServer s;
  s.server->stop();
  s.server->stop();
  auto idle = Server::listen({}, [](unsigned) { return std::unique_ptr<Handler>(); }, s.logger);
  ASSERT_TRUE(idle);
  (*idle)->stop();
}

}  // namespace
}  // namespace hailstone::http
