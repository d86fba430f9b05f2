// Streams over loopback: what is promised, who is refused, peers that hang, crawl or lie.
#include "net/streams.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <sys/resource.h>

#include <map>
#include <vector>

#include "net/testing.h"
#include "net/testing_socket.h"

namespace hailstone::net {
namespace {

using testing::HasSubstr;

/// One end. Everything runs on the test's thread, in the loop's turns.
struct End final : StreamReceiver {
  End(asio::io_context& loop, StreamOptions options)
      : streams(Streams::make(loop, std::move(options), *this, logger).value()) {}

  void on_open(StreamId stream, const StreamPeer& peer) override {
    opened.push_back(stream);
    peers[stream] = peer;
  }
  void on_frame(StreamId stream, uint8_t channel, ByteView payload) override {
    if (echoes) streams->send(stream, channel, Bytes(payload));
    frames[stream].emplace_back(payload);
    bytes += payload.size();
    if (each) each(stream);
  }
  void on_written(StreamId stream, uint64_t queue_bytes) override {
    ++writes[stream];
    left[stream] = queue_bytes;
  }
  void on_closed(StreamId stream, const Error& reason) override { closed[stream].push_back(reason); }
  bool is_open(StreamId stream) const { return peers.contains(stream) && !closed.contains(stream); }

  MemoryLogger logger;
  std::vector<StreamId> opened;
  std::map<StreamId, StreamPeer> peers;
  std::map<StreamId, std::vector<Bytes>> frames;
  std::map<StreamId, int> writes;
  std::map<StreamId, uint64_t> left;
  std::map<StreamId, std::vector<Error>> closed;
  uint64_t bytes = 0;
  bool echoes = false;
  std::function<void(StreamId)> each;
  std::unique_ptr<Streams> streams;
};

StreamOptions patient(std::optional<TlsFiles> tls = {}) {
  StreamOptions out{.tls = std::move(tls)};
  out.connect_timeout_ms = out.handshake_timeout_ms = out.close_timeout_ms = 60'000;
  out.ping_after_ms = out.dead_after_ms = 60'000;
  return out;
}

class StreamsTest : public testing::Test {
 protected:
  /// Turns of the loop until it holds. A pause of the whole process counts as one short turn.
  bool run_until(const std::function<bool()>& holds) {
    constexpr auto kTurn = std::chrono::milliseconds(100);
    auto left = std::chrono::steady_clock::duration(kPatience);
    while (!holds() && left.count() > 0) {
      const auto began = std::chrono::steady_clock::now();
      loop.run_one_for(kTurn);
      loop.restart();
      left -= std::min<std::chrono::steady_clock::duration>(std::chrono::steady_clock::now() - began, kTurn);
    }
    return holds();
  }
  /// What is under way is done.
  void settle() {
    run_until([&] { return loop.poll() == 0; });
  }
  End& server(StreamOptions options) {
    server_ = std::make_unique<End>(loop, std::move(options));
    port = server_->streams->listen("127.0.0.1", 0).value();
    return *server_;
  }
  End& client(StreamOptions options) {
    clients_.push_back(std::make_unique<End>(loop, std::move(options)));
    return *clients_.back();
  }
  StreamId dial(End& end) {
    const StreamId stream = end.streams->connect("127.0.0.1", port);
    EXPECT_TRUE(run_until([&] { return end.is_open(stream) || end.closed.contains(stream); }));
    return stream;
  }
  Error why_closed(End& end, StreamId stream) {
    EXPECT_TRUE(run_until([&] { return end.closed.contains(stream); }));
    return end.closed.contains(stream) ? end.closed[stream].front() : Error{};
  }

  asio::io_context loop{1};
  uint16_t port = 0;
  TestCell cell;

 private:
  std::unique_ptr<End> server_;
  std::vector<std::unique_ptr<End>> clients_;
};

class EachKind : public StreamsTest, public testing::WithParamInterface<bool> {
 protected:
  std::optional<TlsFiles> node() { return GetParam() ? std::optional(cell.files(1)) : std::nullopt; }
  std::optional<TlsFiles> ann() { return GetParam() ? std::optional(cell.client_files("ann")) : std::nullopt; }
};
INSTANTIATE_TEST_SUITE_P(Streams, EachKind, testing::Bool(),
                         [](const auto& kind) { return kind.param ? "Tls" : "Plain"; });

TEST_P(EachKind, FramesComeInOrderAndWhole) {
  End& there = server(patient(node()));
  End& here = client(patient(ann()));
  there.echoes = true;
  const StreamId stream = dial(here);
  std::vector<Bytes> sent;
  for (const size_t size : {0u, 1u, 100u, 65'536u, 3u << 20, 7u})
    sent.emplace_back(size, static_cast<char>('a' + sent.size()));
  for (const Bytes& payload : sent) ASSERT_TRUE(here.streams->send(stream, 3, payload));
  ASSERT_TRUE(run_until([&] { return here.frames[stream].size() == sent.size(); }));
  EXPECT_TRUE(here.frames[stream] == sent);
  EXPECT_TRUE(there.frames.begin()->second == sent);
  EXPECT_EQ(there.peers.begin()->second.principal, GetParam() ? "ann" : "anonymous");
  EXPECT_THAT(there.peers.begin()->second.address, HasSubstr("127.0.0.1:"));
  EXPECT_EQ(here.peers[stream].principal, GetParam() ? "node-1" : "anonymous");
  EXPECT_EQ(here.streams->queue_bytes(stream), 0);
  EXPECT_EQ(here.streams->metrics().frames_out, sent.size());
  EXPECT_EQ(here.streams->metrics().bytes_out, there.streams->metrics().bytes_in);
}

TEST_P(EachKind, WhatIsQueuedGoesBeforeTheEnd) {
  End& there = server(patient(node()));
  End& here = client(patient(ann()));
  const StreamId stream = dial(here);
  ASSERT_TRUE(run_until([&] { return there.opened.size() == 1; }));
  const StreamId other = there.opened.front();
  for (int i = 0; i < 64; ++i) ASSERT_TRUE(there.streams->send(other, 1, Bytes(100'000, 'x')));
  there.streams->close(other, Streams::Close::WhenWritten, {Code::Unavailable, "moving"});
  EXPECT_FALSE(there.streams->send(other, 1, "late"));
  here.streams->send(stream, 1, "late");
  EXPECT_EQ(why_closed(here, stream).code, Code::Unavailable);
  EXPECT_EQ(here.frames[stream].size(), 64);
  EXPECT_EQ(there.bytes, 0) << "closing: nothing is delivered";
  EXPECT_EQ(why_closed(there, other), (Error{Code::Unavailable, "moving"}));
  EXPECT_EQ(there.streams->metrics().open, 0);
}

TEST_P(EachKind, ClosingIsToldOnceAndNothingComesAfter) {
  End& there = server(patient(node()));
  End& here = client(patient(ann()));
  const StreamId stream = dial(here);
  there.each = [&](StreamId from) {
    there.streams->close(from, Streams::Close::Now, {Code::Denied, "enough"});
    there.streams->close(from, Streams::Close::Now, {Code::Io, "again"});
    EXPECT_FALSE(there.closed.contains(from)) << "not from within the call";
  };
  for (int i = 0; i < 10; ++i) here.streams->send(stream, 1, "x");
  why_closed(here, stream);
  settle();
  ASSERT_EQ(there.frames.size(), 1);
  EXPECT_EQ(there.frames.begin()->second.size(), 1);
  EXPECT_THAT(there.closed.begin()->second, testing::ElementsAre(Error{Code::Denied, "enough"}));
  EXPECT_EQ(here.closed[stream].size(), 1);
  EXPECT_FALSE(here.streams->send(stream, 1, "y"));
}

TEST_P(EachKind, FramesOfOneTurnLeaveInOneWrite) {
  server(patient(node()));
  End& here = client(patient(ann()));
  const StreamId stream = dial(here);
  for (int i = 0; i < 200; ++i) here.streams->send(stream, 1, "small");
  EXPECT_EQ(here.streams->queue_bytes(stream), 200 * (kFrameHeaderBytes + 5));
  ASSERT_TRUE(run_until([&] { return here.writes[stream] > 0; }));
  EXPECT_EQ(here.left[stream], 0);
  settle();
  EXPECT_EQ(here.writes[stream], 1);
}

TEST_P(EachKind, PingsKeepTheIdleAlive) {
  StreamOptions quick = patient(node());
  quick.ping_after_ms = 5;
  End& there = server(quick);
  End& here = client(patient(ann()));
  const StreamId stream = dial(here);
  here.streams->send(stream, 1, "");
  // The client hears nothing but pings.
  ASSERT_TRUE(run_until([&] { return here.streams->metrics().bytes_in >= 10 * kFrameHeaderBytes; }));
  EXPECT_TRUE(here.is_open(stream));
  EXPECT_TRUE(there.closed.empty());
}

TEST_P(EachKind, StopEndsAllWithoutACall) {
  End& there = server(patient(node()));
  End& here = client(patient(ann()));
  const StreamId stream = dial(here);
  there.each = [&](StreamId) { there.streams->stop(); };
  for (int i = 0; i < 10; ++i) here.streams->send(stream, 1, "x");
  EXPECT_EQ(why_closed(here, stream).code, Code::Unavailable);
  EXPECT_EQ(there.bytes, 1);
  EXPECT_TRUE(there.closed.empty());
  here.streams->stop();
  loop.restart();
  loop.run();  // returns: nothing of theirs is left on it
}

TEST_P(EachKind, AnEndWithoutARunLeavesNothingBehind) {
  asio::io_context other(1);
  End there(other, patient(node()));
  const uint16_t at = there.streams->listen("127.0.0.1", 0).value();
  End here(other, patient(ann()));
  here.streams->connect("localhost", at);
  other.run_one();
}

TEST_P(EachKind, TwoThousandAtOnce) {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_cur < 4200) GTEST_SKIP() << "needs 4,200 open files, the limit is " << files.rlim_cur;
  End& there = server(patient(node()));
  End& here = client(patient(ann()));
  there.echoes = true;
  std::vector<StreamId> all;
  for (int i = 0; i < 2000; ++i) all.push_back(here.streams->connect("127.0.0.1", port));
  ASSERT_TRUE(run_until([&] { return there.opened.size() == all.size() && here.opened.size() == all.size(); }));
  for (const StreamId stream : all) ASSERT_TRUE(here.streams->send(stream, 1, std::to_string(stream.value)));
  ASSERT_TRUE(run_until([&] { return here.frames.size() == all.size(); }));
  for (const StreamId stream : all)
    EXPECT_THAT(here.frames[stream], testing::ElementsAre(std::to_string(stream.value)));
  EXPECT_EQ(there.streams->metrics().open, all.size());
}

// ---- who is refused ----

TEST_F(StreamsTest, ANodesCertificateIsAPrincipal) {
  End& there = server(patient(cell.files(1)));
  dial(client(patient(cell.files(7))));
  ASSERT_TRUE(run_until([&] { return there.opened.size() == 1; }));
  EXPECT_EQ(there.peers.begin()->second.principal, "node-7");
}

TEST_F(StreamsTest, AnotherAuthorityIsRefusedOnBothSides) {
  TestCell other;
  End& there = server(patient(cell.files(1)));
  End& stranger = client(patient(other.client_files("ann")));
  EXPECT_EQ(why_closed(stranger, dial(stranger)).code, Code::Denied);
  // It trusts us, we don't trust it.
  TlsFiles mixed = other.client_files("ann");
  mixed.authority = cell.files(9).authority;
  End& half = client(patient(mixed));
  const Error why = why_closed(half, dial(half));
  EXPECT_EQ(why.code, Code::Denied);
  EXPECT_THAT(why.message, HasSubstr("unknown ca"));
  EXPECT_TRUE(run_until([&] { return there.streams->metrics().refused == 2; }));
  EXPECT_TRUE(there.opened.empty());
  EXPECT_TRUE(there.logger.wait_for("the peer's certificate: "));
}

TEST_F(StreamsTest, NoCertificateIsRefused) {
  End& there = server(patient(cell.files(1)));
  const auto context = TlsContext::load(cell.client_files("ann")).value();
  SSL_CTX_set_cert_cb(
      context->native(),
      [](SSL* ssl, void*) {
        SSL_certs_clear(ssl);
        return 1;
      },
      nullptr);
  TlsSession session(*context, Side::Dialled);
  Raw raw = Raw::dial(port);
  Result<bool> done = false;
  ASSERT_TRUE(run_until([&] {
    if (done && !*done) done = session.handshake();
    raw.send(session.output());
    session.sent(session.output().size());
    session.feed(raw.receive_some());
    return there.streams->metrics().refused == 1;
  }));
  EXPECT_TRUE(there.opened.empty());
  EXPECT_TRUE(there.logger.wait_for("peer did not return a certificate"));
}

TEST_F(StreamsTest, AClientsCertificateIsNoServers) {
  server(patient(cell.client_files("ann")));
  End& here = client(patient(cell.client_files("ben")));
  const Error why = why_closed(here, dial(here));
  EXPECT_EQ(why.code, Code::Denied);
  EXPECT_THAT(why.message, HasSubstr("certificate"));
}

TEST_F(StreamsTest, OnlyANodesCertificateIsAServers) {
  server(patient(cell.odd_files({"ann"}, "DNS:node-1")));
  End& here = client(patient(cell.client_files("ben")));
  const Error why = why_closed(here, dial(here));
  EXPECT_EQ(why.code, Code::Denied);
  EXPECT_THAT(why.message, HasSubstr("for 'ann', not for a node"));
}

TEST_F(StreamsTest, PlainAndTlsDontMix) {
  End& there = server(patient(cell.files(1)));
  Raw plain = Raw::dial(port);
  plain.send(encode_frame(FrameType::Data, 1, "hello"));
  EXPECT_TRUE(run_until([&] { return there.streams->metrics().refused == 1; }));
  EXPECT_TRUE(there.opened.empty());
}

TEST_F(StreamsTest, PlainIsForLoopback) {
  End& here = client(patient());
  EXPECT_EQ(here.streams->listen("0.0.0.0", 0).error().code, Code::Denied);
  EXPECT_EQ(here.streams->listen("nowhere", 0).error().code, Code::Invalid);
  EXPECT_EQ(why_closed(here, here.streams->connect("192.0.2.1", 1)).code, Code::Denied);
  StreamOptions anywhere = patient();
  anywhere.plain = StreamOptions::Plain::Anywhere;
  EXPECT_TRUE(client(anywhere).streams->listen("0.0.0.0", 0));
}

TEST_F(StreamsTest, NobodyThereIsUnavailable) {
  End& here = client(patient());
  uint16_t nobody = 0;
  {
    const Raw closed = Raw::listen(nobody);
  }
  const Error why = why_closed(here, here.streams->connect("127.0.0.1", nobody));
  EXPECT_EQ(why.code, Code::Unavailable);
  EXPECT_THAT(why.message, HasSubstr("127.0.0.1:" + std::to_string(nobody)));
  EXPECT_TRUE(here.opened.empty());
}

TEST_F(StreamsTest, NamesAreLookedUp) {
  server(patient());
  End& here = client(patient());
  const StreamId stream = here.streams->connect("localhost", port);
  EXPECT_TRUE(run_until([&] { return here.is_open(stream); }));
  EXPECT_EQ(why_closed(here, here.streams->connect("nobody.invalid", port)).code, Code::Unavailable);
}

TEST_F(StreamsTest, DiallingCanBeGivenUp) {
  server(patient());
  End& here = client(patient());
  for (const char* host : {"127.0.0.1", "localhost"}) {
    const StreamId stream = here.streams->connect(host, port);
    here.streams->close(stream, Streams::Close::WhenWritten, {Code::Cancelled, "changed my mind"});
    EXPECT_EQ(why_closed(here, stream), (Error{Code::Cancelled, "changed my mind"}));
  }
  EXPECT_TRUE(here.opened.empty());
}

TEST_F(StreamsTest, AnAddressHasALimit) {
  StreamOptions few = patient();
  few.connections_per_address_max = 2;
  End& there = server(few);
  End& here = client(patient());
  const StreamId first = dial(here), second = dial(here), third = dial(here);
  why_closed(here, third);
  here.streams->send(first, 1, "x");
  ASSERT_TRUE(run_until([&] { return there.bytes == 1; }));
  EXPECT_TRUE(here.is_open(first) && here.is_open(second));
  here.streams->close(first, Streams::Close::Now, {Code::Cancelled, "room"});
  ASSERT_TRUE(run_until([&] { return there.closed.size() == 1; }));
  const StreamId fourth = dial(here);
  settle();
  EXPECT_TRUE(here.is_open(fourth));
  EXPECT_EQ(there.streams->metrics().refused, 1);
}

TEST_F(StreamsTest, TheSilentGiveWayToTheNew) {
  StreamOptions few = patient();
  few.connections_max = 2;
  End& there = server(few);
  End& here = client(patient());
  const auto speak = [&](StreamId stream) {
    const uint64_t before = there.bytes;
    here.streams->send(stream, 1, "x");
    ASSERT_TRUE(run_until([&] { return there.bytes > before; }));
  };
  const StreamId first = dial(here);
  speak(first);
  const StreamId silent = dial(here), third = dial(here);
  why_closed(here, silent);
  speak(third);
  EXPECT_TRUE(here.is_open(first));
  const StreamId fourth = dial(here);  // nobody is silent now
  why_closed(here, fourth);
  EXPECT_TRUE(here.is_open(first) && here.is_open(third));
}

TEST_F(StreamsTest, UnfinishedHandshakesGiveWayToNewOnes) {
  StreamOptions few = patient(cell.files(1));
  few.handshakes_max = 2;
  End& there = server(few);
  End& here = client(patient(cell.client_files("ann")));
  const StreamId known = dial(here);
  ASSERT_TRUE(run_until([&] { return there.opened.size() == 1; }));  // authenticated: does not count, silent as it is
  Raw first = Raw::dial(port), second = Raw::dial(port), third = Raw::dial(port);
  EXPECT_TRUE(run_until([&] { return there.streams->metrics().refused == 1; }));
  EXPECT_EQ(first.receive_all(), "");
  EXPECT_EQ(there.streams->metrics().accepted, 4);
  EXPECT_TRUE(here.is_open(known));
}

TEST_F(StreamsTest, TimeToAuthenticateIsLimited) {
  StreamOptions quick = patient(cell.files(1));
  quick.handshake_timeout_ms = 20;
  End& there = server(quick);
  Raw mute = Raw::dial(port);
  EXPECT_TRUE(run_until([&] { return there.streams->metrics().refused == 1; }));
  EXPECT_EQ(mute.receive_all(), "");
  // One that authenticates and says nothing, too.
  End& here = client(patient(cell.client_files("ann")));
  why_closed(here, dial(here));
  ASSERT_EQ(there.opened.size(), 1);
  EXPECT_EQ(why_closed(there, there.opened.front()).code, Code::Timeout);
}

// ---- peers that hang, crawl or lie ----

TEST_F(StreamsTest, AHalfOpenPeerIsCut) {
  StreamOptions quick = patient();
  quick.ping_after_ms = 10;
  quick.dead_after_ms = 40;
  End& there = server(quick);
  Raw raw = Raw::dial(port);
  raw.send(encode_frame(FrameType::Data, 1, "hello"));
  ASSERT_TRUE(run_until([&] { return there.opened.size() == 1; }));
  EXPECT_EQ(why_closed(there, there.opened.front()).code, Code::Timeout);
  EXPECT_TRUE(raw.receive_all() == encode_frame(FrameType::Ping, 0, ""));
  EXPECT_EQ(there.streams->metrics().cut, 1);
}

TEST_F(StreamsTest, ASlowReaderIsCutNotGivenGaps) {
  StreamOptions small = patient();
  small.queue_bytes_max = 1u << 20;
  End& there = server(small);
  Raw raw = Raw::dial(port);
  raw.send(encode_frame(FrameType::Data, 1, "all of it, please"));
  ASSERT_TRUE(run_until([&] { return there.bytes > 0; }));
  const StreamId stream = there.opened.front();
  int sent = 0;
  while (there.streams->send(stream, 1, Bytes(50'000, 'x'))) {
    ++sent;
    loop.poll();
    ASSERT_LE(there.streams->queue_bytes(stream), small.queue_bytes_max);
  }
  EXPECT_GE(sent, 20);
  const Error why = why_closed(there, stream);
  EXPECT_EQ(why.code, Code::Exhausted);
  EXPECT_THAT(why.message, HasSubstr("reads too slowly"));
  EXPECT_EQ(there.streams->metrics().cut, 1);
}

TEST_F(StreamsTest, ASlowReaderIsNotDead) {
  StreamOptions quick = patient();
  quick.ping_after_ms = 5;
  quick.dead_after_ms = 2000;
  End& there = server(quick);
  Raw raw = Raw::dial(port);
  raw.send(encode_frame(FrameType::Data, 1, "hello"));
  ASSERT_TRUE(run_until([&] { return there.bytes > 0; }));
  const StreamId stream = there.opened.front();
  ASSERT_TRUE(there.streams->send(stream, 1, Bytes(8u << 20, 'x')));
  uint64_t read = 0;
  // It reads on, pings are queued behind what it has not read, and it never answers.
  ASSERT_TRUE(run_until([&] {
    read += raw.receive_some(10'000).size();
    return read > 8u << 20 || there.closed.contains(stream);
  }));
  EXPECT_FALSE(there.closed.contains(stream));
}

TEST_F(StreamsTest, WhatIsNoFrameEndsIt) {
  StreamOptions options = patient();
  options.payload_bytes_max = 1000;
  End& there = server(options);
  Bytes damaged = encode_frame(FrameType::Data, 1, "hello");
  damaged.back() = 'x';
  const std::pair<Bytes, Code> wrong[] = {{"GET / HTTP/1.1\r\nHost: cell\r\n\r\n", Code::Corrupt},
                                          {damaged, Code::Corrupt},
                                          {encode_frame(FrameType::Pong, 0, ""), Code::Corrupt},
                                          {encode_frame(FrameType::Data, 1, Bytes(1001, 'x')), Code::Unsupported}};
  size_t count = 0;
  for (const auto& [bytes, code] : wrong) {
    Raw raw = Raw::dial(port);
    raw.send(encode_frame(FrameType::Data, 1, Bytes(1000, 'x')) + bytes);
    ASSERT_TRUE(run_until([&] { return there.closed.size() > count; }));
    EXPECT_EQ(there.closed[there.opened.back()].front().code, code) << printable(bytes);
    EXPECT_EQ(there.frames[there.opened.back()].size(), 1);
    ++count;
  }
}

TEST_F(StreamsTest, AFrameMayComeAByteAtATime) {
  End& there = server(patient());
  Raw raw = Raw::dial(port);
  Bytes all;
  for (const size_t size : {5u, 0u, 300u}) all += encode_frame(FrameType::Data, 1, Bytes(size, 'x'));
  for (const char& byte : all) {
    raw.send({&byte, 1});
    loop.poll();
  }
  ASSERT_TRUE(run_until([&] { return there.bytes == 305; }));
  EXPECT_EQ(there.frames[there.opened.front()].size(), 3);
}

TEST(StreamOptions, SayWhatIsWrong) {
  EXPECT_EQ(StreamOptions().problem(), "");
  EXPECT_THAT(StreamOptions{.ping_after_ms = 0}.problem(), HasSubstr("ping_after_ms 0"));
  EXPECT_THAT(StreamOptions{.handshake_timeout_ms = -1}.problem(), HasSubstr("handshake_timeout_ms -1"));
  EXPECT_THAT(StreamOptions{.payload_bytes_max = kPayloadBytesMax + 1}.problem(), HasSubstr("payload_bytes_max"));
}

}  // namespace
}  // namespace hailstone::net
