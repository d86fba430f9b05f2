#include "http/client.h"

#include <thread>

#include "http/server_fixture.h"

namespace hailstone::http {
namespace {

// A server of prepared answers: accepts connections one after the other; to each, for each request head that arrives
// (bodies are not read), the next answer. An answer of "!" closes.
class Script {
 public:
  explicit Script(std::vector<std::vector<std::string>> connections) : connections_(std::move(connections)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&at), size) != 0 || ::listen(listener_, 5) != 0)
      throw std::runtime_error("listen");
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size);
    port_ = ntohs(at.sin_port);
    thread_ = std::thread([this] { play(); });
  }
  ~Script() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  Client client(ClientOptions options = {}) const {
    return Client(*BaseUrl::parse("http://127.0.0.1:" + std::to_string(port_) + "/base"), std::move(options));
  }
  std::string received() {
    const std::scoped_lock lock(mutex_);
    return received_;
  }

 private:
  void play() {
    for (const auto& answers : connections_) {
      const int fd = ::accept(listener_, nullptr, nullptr);
      if (fd < 0) return;
      std::string in;
      size_t next = 0;
      char buffer[4096];
      while (next < answers.size()) {
        if (answers[next] == "!") break;
        const ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
        if (n <= 0) break;
        in.append(buffer, static_cast<size_t>(n));
        {
          const std::scoped_lock lock(mutex_);
          received_.append(buffer, static_cast<size_t>(n));
        }
        if (in.find("\r\n\r\n") == std::string::npos) continue;
        in.clear();
        const std::string& answer = answers[next++];
        if (::send(fd, answer.data(), answer.size(), MSG_NOSIGNAL) < 0) break;
        // A silent answer means: hold the connection until the client gives up.
        if (answer.empty()) {
          while (::recv(fd, buffer, sizeof buffer, 0) > 0) {
          }
        }
      }
      ::close(fd);
    }
  }

  std::vector<std::vector<std::string>> connections_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::mutex mutex_;
  std::string received_;
  std::thread thread_;
};

std::string ok(const std::string& body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

TEST(Client, SendsAWellFormedRequest) {
  Script script({{ok("hi")}});
  Client client = script.client();
  ClientRequest request{.target = "/a?b"};
  request.headers.add("X-Test", "1");
  const auto whole = client.fetch(request);
  ASSERT_TRUE(whole) << whole.error().message;
  EXPECT_EQ(whole->head.status, 200);
  EXPECT_EQ(whole->head.reason, "OK");
  EXPECT_EQ(whole->head.field("content-length"), "2");
  EXPECT_EQ(whole->body, "hi");
  EXPECT_EQ(script.received(), "GET /base/a?b HTTP/1.1\r\nHost: " + client.base().authority() +
                                   "\r\nUser-Agent: hailstone\r\nX-Test: 1\r\n\r\n");
}

TEST(Client, ReadsEveryFraming) {
  const std::pair<std::string, std::string> cases[] = {
      {ok(""), ""},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: v\r\n\r\n", "abcde"},
      {"HTTP/1.1 200 OK\r\n\r\nuntil close", "until close"},
      {"HTTP/1.1 204 No Content\r\n\r\n", ""},
      {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok("late"), "late"},
  };
  for (const auto& [answer, body] : cases) {
    Script script({{answer}});
    Client client = script.client();
    const auto whole = client.fetch({});
    ASSERT_TRUE(whole) << whole.error().message;
    EXPECT_EQ(whole->body, body);
  }
}

TEST(Client, NamesWhatWentWrong) {
  const struct {
    std::string answer;
    Code code;
    std::string_view text;
  } cases[] = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", Code::Unavailable, "cut short"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc", Code::Unavailable, "cut short"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", Code::Corrupt, "malformed chunk"},
      {"SSH-2.0-OpenSSH_9\r\n\r\n", Code::Corrupt, "unsupported HTTP version"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", Code::Corrupt, "Content-Length"},
      {"HTTP/1.1 200", Code::Unavailable, "closed the connection before it answered"},
  };
  for (const auto& c : cases) {
    Script script({{c.answer}});
    Client client = script.client();
    const auto whole = client.fetch({});
    ASSERT_FALSE(whole) << c.answer;
    EXPECT_EQ(whole.error().code, c.code) << c.answer << whole.error().message;
    EXPECT_NE(whole.error().message.find(c.text), std::string::npos) << whole.error().message;
    EXPECT_NE(whole.error().message.find("127.0.0.1:"), std::string::npos) << whole.error().message;
  }
}

TEST(Client, SaysWhereItCouldNotConnect) {
  uint16_t port = 0;
  {
    TestServer s;
    port = s.server->port();
    s.server.reset();
  }
  Client client(*BaseUrl::parse("http://127.0.0.1:" + std::to_string(port)), {});
  const auto whole = client.fetch({});
  ASSERT_FALSE(whole);
  EXPECT_EQ(whole.error().code, Code::Unavailable);
  EXPECT_EQ(whole.error().message, "cannot connect to 127.0.0.1:" + std::to_string(port) + ": Connection refused");
}

TEST(Client, AServerThatSaysNothingIsATimeout) {
  Script script({{""}});
  Client client = script.client({.stall_timeout_ms = 50});
  const auto whole = client.fetch({});
  ASSERT_FALSE(whole);
  EXPECT_EQ(whole.error().code, Code::Timeout);
}

TEST(Client, ReplacesADeadConnectionOnceWhereThatIsSafe) {
  {
    Script script({{ok("1"), "!"}, {ok("2")}});
    Client client = script.client();
    EXPECT_EQ(client.fetch({})->body, "1");
    const auto again = client.fetch({});
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(again->body, "2");
  }
  // A fresh connection that dies is not replaced; whether a POST was acted on nobody knows.
  Script script({{"!"}, {"!"}});
  Client client = script.client();
  EXPECT_EQ(client.fetch({}).error().code, Code::Unavailable);
  EXPECT_EQ(client.fetch({.method = "POST", .body = "x"}).error().code, Code::Timeout);
}

TEST(Client, SkipsAnUnreadResponseOrItsConnection) {
  TestServer s;
  Client client(*BaseUrl::parse(s.url()), {});
  ASSERT_TRUE(client.send({.target = "/file?length=50000"}));
  EXPECT_EQ(client.fetch({.target = "/a"})->body.substr(0, 8), "hello /a");
  EXPECT_EQ(s.server->stats().connections_total, 1u);
  ASSERT_TRUE(client.send({.target = "/file"}));
  EXPECT_EQ(client.fetch({.target = "/b"})->body.substr(0, 8), "hello /b");
  EXPECT_EQ(s.server->stats().connections_total, 2u);
}

TEST(Client, TakesARefusalThatComesBeforeItsBodyIsSent) {
  TestServer s;
  Client client(*BaseUrl::parse(s.url()), {});
  uint64_t pulled = 0;
  ClientRequest request{.method = "PUT", .target = "/unread"};
  request.body_source = [&pulled](char* out, size_t size) -> Result<size_t> {
    std::fill_n(out, size, 'x');
    pulled += size;
    return pulled > (1u << 30) ? 0 : size;
  };
  const auto whole = client.fetch(request);
  ASSERT_TRUE(whole) << whole.error().message;
  EXPECT_EQ(whole->head.status, 200);
  EXPECT_LT(pulled, 1u << 30);
  EXPECT_TRUE(client.fetch({}));  // on a new connection
}

TEST(Client, PassesOnItsSourcesErrors) {
  TestServer s;
  Client client(*BaseUrl::parse(s.url()), {});
  ClientRequest request{.method = "PUT", .target = "/echo"};
  request.body_source = [](char*, size_t) -> Result<size_t> { return fail(Code::Corrupt, "chunk 0f is damaged"); };
  EXPECT_EQ(client.fetch(request).error().message, "chunk 0f is damaged");
  request.body_length = 5;
  request.body_source = [](char*, size_t) -> Result<size_t> { return 0; };
  EXPECT_EQ(client.fetch(request).error().code, Code::Invalid);
  EXPECT_EQ(client.fetch({.method = "BAD METHOD"}).error().code, Code::Invalid);
  EXPECT_EQ(client.fetch({.target = "/a b"}).error().code, Code::Invalid);
}

TEST(Client, BoundsWhatItKeepsInMemory) {
  TestServer s;
  Client client(*BaseUrl::parse(s.url()), {});
  const auto whole = client.fetch({.target = "/file?length=1001"}, 1000);
  ASSERT_FALSE(whole);
  EXPECT_EQ(whole.error().code, Code::Exhausted);
  EXPECT_EQ(client.fetch({.target = "/file?length=1000"}, 1000)->body.size(), 1000u);
}

}  // namespace
}  // namespace hailstone::http
