// What only sockets can do: refusals, peers that hang, damage, garbage, streams cut anywhere.
#include "net/tcp_transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <optional>

#include "net/frame.h"
#include "net/testing.h"
#include "net/testing_socket.h"

namespace hailstone::net {
namespace {

using testing::HasSubstr;

constexpr NodeId kOne(1), kTwo(2), kThree(3);

TcpOptions options(NodeId self) {
  TcpOptions out{.self = self, .cell = "east"};
  out.dead_after_ms = out.connect_timeout_ms = 20'000;  // not what ends a test, unless it says so
  return out;
}

struct Node {
  explicit Node(const TcpOptions& o) : transport(TcpTransport::start(o, inbox, logger).value()) {}
  explicit Node(NodeId self) : Node(options(self)) {}
  uint16_t port() const { return transport->port(); }
  void know(NodeId id, uint16_t at, const std::string& host = "127.0.0.1") {
    ASSERT_TRUE(transport->set_peers({{id, host, at}}));
  }
  PeerMetrics metrics() const { return transport->metrics().at(0); }

  MemoryLogger logger;
  Inbox inbox;
  std::unique_ptr<TcpTransport> transport;
};

Hello hello_of(NodeId from, NodeId to, HelloKind kind = HelloKind::Hello) {
  return {.kind = kind, .from = from, .to = to, .incarnation = 5, .cell = "east"};
}

bool eventually(const std::function<bool()>& holds) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

// ---- who may talk to whom ----

TEST(TcpRefusal, OfAnotherCell) {
  TcpOptions west = options(kTwo);
  west.cell = "west";
  Node one(kOne), two(west);
  one.know(kTwo, two.port());
  two.know(kOne, 1);
  ASSERT_TRUE(one.inbox.wait_reason(kTwo, "refused: node-1 is of cell 'east', node-2 of cell 'west'"));
  EXPECT_EQ(one.inbox.downs(kTwo)[0].code, Code::Denied);
  EXPECT_TRUE(two.logger.wait_for("net connection refused"));
  EXPECT_TRUE(one.logger.wait_for("net peer down"));
  EXPECT_GE(two.transport->tcp_metrics().refused, 1u);
  EXPECT_EQ(one.inbox.ups(kTwo), 0);
}

TEST(TcpRefusal, OfTheSameId) {
  Node one(kOne), impostor(kOne);
  one.know(kTwo, impostor.port());
  EXPECT_TRUE(one.inbox.wait_reason(kTwo, "refused: two nodes are called node-1"));
}

TEST(TcpRefusal, OfAnotherNodeThanTheOneDialled) {
  Node one(kOne), three(kThree);
  one.know(kTwo, three.port());
  three.know(kOne, one.port());
  EXPECT_TRUE(one.inbox.wait_reason(kTwo, "refused: looking for node-2, found node-3"));
}

TEST(TcpRefusal, OfStrangersUntilTheyAreKnown) {
  Node one(kOne), two(kTwo);
  one.know(kTwo, two.port());
  ASSERT_TRUE(one.inbox.wait_reason(kTwo, "refused: node-1 is not among the peers of node-2"));
  two.know(kOne, one.port());
  EXPECT_TRUE(one.inbox.wait_up(kTwo));
  EXPECT_EQ(one.inbox.downs(kTwo).size(), 1u) << "the same reason is told once";
}

TEST(TcpRefusal, OfVersionsThatAreNotShared) {
  Node one(kOne);
  one.know(kTwo, 1);
  Hello later = hello_of(kTwo, kOne);
  later.version_min = 2;
  later.version_max = 3;
  Raw raw = Raw::dial(one.port());
  raw.send(encode_hello(later));
  const Hello answer = raw.receive_hello();
  EXPECT_EQ(answer.kind, HelloKind::Refusal);
  EXPECT_EQ(answer.refusal, Refusal::Version);
  EXPECT_EQ(raw.receive_all(), "");

  uint16_t port = 0;
  Raw listener = Raw::listen(port);
  one.know(kTwo, port);
  Raw accepted = listener.accept();
  EXPECT_EQ(accepted.receive_hello().from, kOne);
  later.kind = HelloKind::Welcome;
  accepted.send(encode_hello(later));
  ASSERT_TRUE(one.inbox.wait_reason(kTwo, "node-2 speaks versions 2..3, node-1 speaks 1..1"));
  EXPECT_EQ(one.inbox.downs(kTwo).back().code, Code::Unsupported);
}

TEST(TcpRefusal, OfAnotherAuthority) {
  TestCell cell, other;
  TcpOptions first = options(kOne), second = options(kTwo);
  first.tls = cell.files(1);
  second.tls = other.files(2);
  Node one(first), two(second);
  one.know(kTwo, two.port());
  two.know(kOne, one.port());
  ASSERT_TRUE(one.inbox.wait_reason(kTwo, "the peer's certificate: "));
  EXPECT_EQ(one.inbox.downs(kTwo)[0].code, Code::Denied);
  EXPECT_TRUE(two.logger.wait_for("net connection refused"));
  EXPECT_EQ(one.inbox.ups(kTwo), 0);
}

TEST(TcpRefusal, OfAnotherNodesCertificate) {
  TestCell cell;
  TcpOptions first = options(kOne), third = options(kThree);
  first.tls = cell.files(1);
  third.tls = cell.files(3);
  Node one(first), three(third);
  one.know(kTwo, three.port());
  EXPECT_TRUE(one.inbox.wait_reason(kTwo, "its certificate is for 'node-3'"));

  // The other way: node 3's certificate, and a hello that says node 2.
  const auto context = TlsContext::load(cell.files(3), kThree).value();
  TlsSession tls(*context, Side::Dialled);
  Raw raw = Raw::dial(one.port());
  bool said = false;
  Bytes answer;
  Hello refusal;
  const auto exchange = [&] {
    if (!said && tls.handshake().value()) said = tls.write(encode_hello(hello_of(kTwo, kOne))).has_value();
    raw.send(tls.output());
    tls.sent(tls.output().size());
    const char byte = raw.receive_byte();
    tls.feed({&byte, 1});
    char room[2048];
    if (const auto count = said ? tls.read(room, sizeof room) : Result<size_t>(0)) answer.append(room, *count);
    return read_hello(answer, refusal).value() > 0;
  };
  while (!exchange()) {
  }
  EXPECT_EQ(refusal.refusal, Refusal::Name);
  EXPECT_EQ(refusal.text, "node-2 shows a certificate for 'node-3'");
}

TEST(TcpRefusal, OfPlainConnectionsBeyondLoopback) {
  Inbox inbox;
  NullLogger logger;
  TcpOptions open = options(kOne);
  open.listen_host = "0.0.0.0";
  const auto refused = TcpTransport::start(open, inbox, logger);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Denied);
  EXPECT_THAT(refused.error().message, HasSubstr("0.0.0.0 without TLS"));
  open.plain = TcpOptions::Plain::Anywhere;
  EXPECT_TRUE(TcpTransport::start(open, inbox, logger));

  Node one(kOne);
  const auto far = one.transport->set_peers({{kTwo, "192.0.2.1", 7}});
  ASSERT_FALSE(far);
  EXPECT_EQ(far.error().code, Code::Denied);
  EXPECT_THAT(far.error().message, HasSubstr("node-2 at 192.0.2.1:7"));
  EXPECT_TRUE(one.transport->set_peers({{kTwo, "::1", 7}, {kThree, "127.9.9.9", 7}}));
}

TEST(TcpOptions, SayWhatIsWrong) {
  Inbox inbox;
  NullLogger logger;
  const auto refused = [&](auto change) {
    TcpOptions o = options(kOne);
    change(o);
    const auto started = TcpTransport::start(o, inbox, logger);
    return started ? std::string("started") : started.error().message;
  };
  EXPECT_EQ(refused([](TcpOptions& o) { o.self = NodeId(); }), "net: node id 0");
  EXPECT_EQ(refused([](TcpOptions& o) { o.cell = ""; }), "net: cell '': 1 to 64 bytes");
  EXPECT_THAT(refused([](TcpOptions& o) { o.dead_after_ms = o.heartbeat_ms; }), HasSubstr("must be longer"));
  EXPECT_THAT(refused([](TcpOptions& o) { o.backoff_max_ms = 1; }), HasSubstr("backoff of 10 to 1 ms"));
  EXPECT_THAT(refused([](TcpOptions& o) { o.listen_host = "localhost"; }), HasSubstr("not a numeric address"));
  Node taken(kTwo);
  EXPECT_THAT(refused([&](TcpOptions& o) { o.listen_port = taken.port(); }), HasSubstr("Address already in use"));
}

// ---- peers that come, go, hang ----

TEST(TcpPeer, ListensLaterOrElsewhere) {
  uint16_t nobody = 0;
  {
    Raw closed = Raw::listen(nobody);
  }
  Node one(kOne);
  one.know(kTwo, nobody);
  ASSERT_TRUE(one.inbox.wait_reason(kTwo, "connect: Connection refused"));
  EXPECT_EQ(one.inbox.downs(kTwo)[0].code, Code::Unavailable);
  Node two(kTwo);
  two.know(kOne, one.port());
  one.know(kTwo, two.port(), "localhost");
  ASSERT_TRUE(one.inbox.wait_up(kTwo));
  EXPECT_EQ(one.inbox.downs(kTwo).size(), 1u);
  Node moved(kTwo);
  moved.know(kOne, one.port());
  one.know(kTwo, moved.port());
  ASSERT_TRUE(one.inbox.wait_reason(kTwo, "its address has changed"));
  EXPECT_TRUE(one.inbox.wait_up(kTwo));
}

TEST(TcpPeer, WithoutAHelloIsGivenUp) {
  uint16_t port = 0;
  Raw silent = Raw::listen(port);
  TcpOptions hasty = options(kOne);
  hasty.connect_timeout_ms = 30;
  Node one(hasty);
  one.know(kTwo, port);
  ASSERT_TRUE(one.inbox.wait_reason(kTwo, "not connected within 30 ms"));
  EXPECT_EQ(one.inbox.downs(kTwo)[0].code, Code::Timeout);
}

TEST(TcpPeer, ThatAnswersNoPingsIsDeadAndItsQueueDropped) {
  uint16_t port = 0;
  Raw listener = Raw::listen(port, 4096);
  TcpOptions hasty = options(kOne);
  hasty.heartbeat_ms = 10;
  hasty.dead_after_ms = 100;
  hasty.queue_bytes_max = 1u << 20;
  Node one(hasty);
  one.know(kTwo, port);
  Raw two = listener.accept();
  two.receive_hello();
  two.send(encode_hello(hello_of(kTwo, kOne, HelloKind::Welcome)));
  ASSERT_TRUE(one.inbox.wait_up(kTwo));
  uint64_t accepted = 0;
  while (one.transport->send(kTwo, 0, Bytes(50'000, 'x'))) ++accepted;
  ASSERT_TRUE(one.inbox.wait_reason(kTwo, "no answer to a ping within 100 ms"));
  EXPECT_GT(accepted, 0u);
  EXPECT_GT(one.metrics().dropped, 1u);
  EXPECT_EQ(one.metrics().queue_bytes, 0u);
  EXPECT_EQ(one.metrics().incarnation, 5u);
}

TEST(TcpPeer, ThatFallsSilentIsDisconnected) {
  TcpOptions hasty = options(kOne);
  hasty.heartbeat_ms = 10;
  hasty.dead_after_ms = 100;
  Node one(hasty);
  one.know(kTwo, 1);
  Raw two = Raw::dial(one.port());
  two.send(encode_hello(hello_of(kTwo, kOne)));
  EXPECT_EQ(two.receive_hello().kind, HelloKind::Welcome);
  EXPECT_TRUE(one.metrics().heard);
  EXPECT_EQ(two.receive_all(), "");
  EXPECT_TRUE(one.logger.wait_for("silent for 100 ms"));
  EXPECT_TRUE(eventually([&] { return !one.metrics().heard; }));
}

TEST(TcpPeer, IsPinged) {
  TcpOptions brisk = options(kOne);
  brisk.heartbeat_ms = 2;
  Node one(brisk), two(kTwo);
  one.know(kTwo, two.port());
  two.know(kOne, one.port());
  EXPECT_TRUE(eventually([&] { return one.metrics().round_trip_us > 0; }));
}

TEST(TcpPeer, ANewerConnectionReplacesTheOlder) {
  Node one(kOne);
  one.know(kTwo, 1);
  Raw older = Raw::dial(one.port());
  older.send(encode_hello(hello_of(kTwo, kOne)));
  EXPECT_EQ(older.receive_hello().kind, HelloKind::Welcome);
  Raw newer = Raw::dial(one.port());
  newer.send(encode_hello(hello_of(kTwo, kOne)));
  EXPECT_EQ(newer.receive_hello().kind, HelloKind::Welcome);
  EXPECT_EQ(older.receive_all(), "");
  newer.send(encode_frame(FrameType::Data, 1, "x"));
  EXPECT_TRUE(one.inbox.wait_frames(1));
  EXPECT_TRUE(one.metrics().heard);
}

TEST(TcpPeer, OfAnUnknownNameIsTriedAgain) {
  TcpOptions hasty = options(kOne);
  hasty.connect_timeout_ms = 500;
  Node one(hasty);
  one.know(kTwo, 1, "no-such-host.invalid");
  ASSERT_TRUE(one.inbox.wait_down(kTwo));
  EXPECT_THAT(one.inbox.downs(kTwo)[0].message, HasSubstr("node-2 at no-such-host.invalid:1: "));
}

TEST(TcpStop, IsBoundedByItsDeadlineAndLeavesNoThread) {
  const auto threads = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/task"), std::filesystem::directory_iterator());
  };
  const auto before = threads();
  uint16_t port = 0;
  Raw listener = Raw::listen(port, 4096);
  TcpOptions hasty = options(kOne);
  hasty.stop_timeout_ms = 50;
  Node one(hasty);
  one.know(kTwo, port);
  Raw two = listener.accept();  // and reads nothing of what follows
  two.receive_hello();
  two.send(encode_hello(hello_of(kTwo, kOne, HelloKind::Welcome)));
  ASSERT_TRUE(one.inbox.wait_up(kTwo));
  while (one.transport->send(kTwo, 0, Bytes(1u << 20, 'x'))) {
  }
  const auto begun = std::chrono::steady_clock::now();
  one.transport->stop();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(10));
  EXPECT_EQ(one.inbox.downs(kTwo).back().code, Code::Cancelled);
  EXPECT_TRUE(eventually([&] { return threads() == before; }));
}

// ---- damage and garbage ----

TEST(TcpStream, MayBeCutAnywhere) {
  Node one(kOne);
  one.know(kTwo, 1);
  Bytes stream = encode_hello(hello_of(kTwo, kOne));
  for (const char* payload : {"first", "", "third"}) stream += encode_frame(FrameType::Data, 4, payload);
  stream += encode_frame(FrameType::Ping, 0, "?") + encode_frame(FrameType::Data, 4, "last");
  // Two parts, cut at each byte: the second goes when the kernel has taken the first.
  for (size_t cut = 0; cut <= stream.size(); ++cut) {
    Raw raw = Raw::dial(one.port());
    raw.send(ByteView(stream).substr(0, cut));
    raw.wait_taken();
    raw.send(ByteView(stream).substr(cut));
    ASSERT_TRUE(one.inbox.wait_frames(4 * (cut + 1))) << "cut at " << cut;
  }
  Raw drops = Raw::dial(one.port());
  for (const char& byte : stream) drops.send({&byte, 1});
  ASSERT_TRUE(one.inbox.wait_frames(4 * (stream.size() + 2)));
  const auto frames = one.inbox.frames();
  for (size_t i = 0; i < frames.size(); ++i) {
    const char* expected[] = {"first", "", "third", "last"};
    EXPECT_EQ(frames[i], (Inbox::Frame{kTwo, 4, expected[i % 4]})) << i;
  }
}

TEST(TcpStream, ADamagedFrameEndsItUndelivered) {
  Node one(kOne);
  one.know(kTwo, 1);
  const Bytes good = encode_frame(FrameType::Data, 1, "good"), bad = encode_frame(FrameType::Data, 1, "bad!");
  for (size_t at = 0; at < bad.size(); ++at) {
    Raw raw = Raw::dial(one.port());
    Bytes damaged = bad;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    raw.send(encode_hello(hello_of(kTwo, kOne)) + good + damaged + good);
    EXPECT_EQ(raw.receive_hello().kind, HelloKind::Welcome);
    EXPECT_EQ(raw.receive_all(), "") << "damaged at " << at;
    EXPECT_TRUE(eventually([&] { return one.transport->tcp_metrics().corrupt == at + 1; }));
  }
  const auto frames = one.inbox.frames();
  EXPECT_EQ(frames.size(), bad.size());
  for (const auto& frame : frames) EXPECT_EQ(frame.payload, "good");
}

TEST(TcpStream, DamagedAnswersEndItToo) {
  uint16_t port = 0;
  Raw listener = Raw::listen(port);
  Node one(kOne);
  one.know(kTwo, port);
  Raw two = listener.accept();
  two.receive_hello();
  Bytes pong = encode_frame(FrameType::Pong, 0, "12345678");
  pong.back() = static_cast<char>(pong.back() ^ 1);
  two.send(encode_hello(hello_of(kTwo, kOne, HelloKind::Welcome)) + pong);
  ASSERT_TRUE(one.inbox.wait_reason(kTwo, "frame of 8 bytes: crc"));
  EXPECT_EQ(one.transport->tcp_metrics().corrupt, 1u);
}

TEST(TcpStream, GarbageIsCutOffAtOnce) {
  TestCell cell;
  TcpOptions secure = options(kTwo);
  secure.tls = cell.files(2);
  Node plain(kOne), tls(secure);
  for (Node* node : {&plain, &tls}) {
    Raw raw = Raw::dial(node->port());
    raw.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_NE(raw.receive_all(), "timeout");
    EXPECT_TRUE(eventually([&] { return node->transport->tcp_metrics().refused == 1; }));
  }
}

TEST(TcpStream, SlowHellosAreCutOffAtTheirDeadline) {
  TcpOptions hasty = options(kOne);
  hasty.connect_timeout_ms = 40;
  Node one(hasty);
  Raw silent = Raw::dial(one.port()), slow = Raw::dial(one.port());
  slow.send("HAIL");
  EXPECT_EQ(silent.receive_all(), "");
  EXPECT_EQ(slow.receive_all(), "");
}

TEST(TcpStream, ACrowdOfStrangersKeepsNobodyOut) {
  Node one(kOne), two(kTwo);
  std::vector<Raw> crowd;
  for (int i = 0; i < 100; ++i) crowd.push_back(Raw::dial(one.port()));
  EXPECT_EQ(crowd.front().receive_all(), "") << "the oldest gives way";
  one.know(kTwo, two.port());
  two.know(kOne, one.port());
  EXPECT_TRUE(two.inbox.wait_up(kOne));
}

}  // namespace
}  // namespace hailstone::net
