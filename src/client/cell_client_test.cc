// The client over real sockets, against a cell of one member.
#include "client/cell_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>

#include "client/blocking_client.h"
#include "client/testing.h"
#include "net/testing.h"
#include "net/testing_dns.h"

namespace hailstone::client {
namespace {

using testing::HasSubstr;
using Change = core::SessionChanged::Change;

constexpr Within kSoon{120'000};  // a failed test's wait, never a passing one's

Options options_for(const std::string& address) {
  Options out;
  out.cell = net::CellAddress::parse(address).value();
  return out;
}

class CellClientTest : public testing::Test {
 protected:
  void connect(Options options) {
    client = CellClient::make(loop, std::move(options), logger).value();
    client->on_session([this](const auto& change) { changes.push_back(change.change); });
    client->on_lock_lost([this](const cell::Sequencer& sequencer) { lost.push_back(sequencer.path); });
  }
  void connect() { connect(options_for(member->address())); }
  void connect_and_open() {
    connect();
    ASSERT_TRUE(run(client->open(kSoon)));
  }
  /// Turns of the loop until it holds. A pause of the whole process counts as one short turn.
  bool run_until(const std::function<bool()>& holds) {
    constexpr auto kTurn = std::chrono::milliseconds(100);
    auto left = std::chrono::steady_clock::duration(net::kPatience);
    while (!holds() && left.count() > 0) {
      const auto began = std::chrono::steady_clock::now();
      loop.run_one_for(kTurn);
      loop.restart();
      left -= std::min<std::chrono::steady_clock::duration>(std::chrono::steady_clock::now() - began, kTurn);
    }
    return holds();
  }
  template <class T>
  T run(Task<T> task) {
    auto result = std::make_shared<std::optional<T>>();
    asio::co_spawn(loop, std::move(task), [result](const std::exception_ptr&, T value) { *result = std::move(value); });
    EXPECT_TRUE(run_until([&] { return result->has_value(); }));
    return std::move(**result);
  }
  Called<cell::FileStat> put(Bytes path, Bytes content, PutOptions put_options = {}) {
    return run(client->put(std::move(path), std::move(content), put_options, kSoon));
  }
  Bytes content(Bytes path) {
    const auto copy = run(client->get(std::move(path), kSoon));
    if (!copy) return "failed: " + copy.error().error.message;
    return copy->file ? copy->file->content : "(none)";
  }

  asio::io_context loop{1};
  NullLogger logger;
  std::unique_ptr<TestMember> member = std::make_unique<TestMember>(loop);
  std::vector<Change> changes;
  std::vector<Bytes> lost;
  std::unique_ptr<CellClient> client;
};

TEST_F(CellClientTest, WritesAndReadsBack) {
  connect_and_open();
  const auto written = put("/a/b", "hello", {.mode = cell::Put::Mode::Create});
  ASSERT_TRUE(written) << written.error().error.message;
  EXPECT_EQ(written->generation, 1);
  EXPECT_EQ(content("/a/b"), "hello");
  EXPECT_EQ(content("/a/c"), "(none)");
  EXPECT_EQ(put("/a/b", "x", {.mode = cell::Put::Mode::Create}).error().verdict, core::Verdict::Refused);
  EXPECT_EQ(put("/a/b", "x", {.mode = cell::Put::Mode::Create}).error().error.code, Code::Exists);
  EXPECT_EQ(put("/a/b", "two", {.generation = 7}).error().error.code, Code::Conflict);
  EXPECT_EQ(put("/a/b", "two", {.generation = 1})->generation, 2);
  const auto listing = run(client->list({"/a"}, kSoon));
  ASSERT_TRUE(listing);
  ASSERT_EQ(listing->entries.size(), 1);
  EXPECT_EQ(listing->entries[0].name, "b");
  EXPECT_EQ(run(client->remove("/a/b", 1, kSoon)).error().error.code, Code::Conflict);
  EXPECT_TRUE(run(client->remove("/a/b", 2, kSoon)));
  EXPECT_EQ(run(client->remove("/a/b", 0, kSoon)).error().error.code, Code::NotFound);
  EXPECT_EQ(run(client->manage("members", kSoon)).value(), "managed members");
}

TEST_F(CellClientTest, ClosingTheSessionTakesItsFiles) {
  connect_and_open();
  ASSERT_TRUE(put("/here", "me", {.life = cell::Put::Life::Ephemeral}));
  EXPECT_TRUE(run(client->close(kSoon)));
  EXPECT_THAT(changes, testing::ElementsAre(Change::Opened, Change::Closed));
  EXPECT_EQ(content("/here"), "(none)");
  EXPECT_EQ(put("/here", "me").error().verdict, core::Verdict::NotDone);
}

TEST_F(CellClientTest, OtherThreadsMayReadACopyUntilAWriteThatWaitsForIt) {
  Options options = options_for(member->address());
  options.core.caching = core::Options::Caching::On;
  options.core.drops = core::Options::Drops::Told;
  connect(std::move(options));
  int64_t ends_ns = 0;
  bool lent = false;
  client->on_copies_end([&](int64_t until_ns) { ends_ns = until_ns; });
  client->on_copy_dropped([&](ByteView path) { lent &= path != "/a"; });
  ASSERT_TRUE(run(client->open(kSoon)));
  ASSERT_TRUE(run_until([&] {  // the first ones may come before the cache lease
    EXPECT_EQ(content("/a"), "(none)");
    return client->cached("/a") != nullptr;
  }));
  lent = true;
  EXPECT_GT(ends_ns, 0);
  const int64_t first_ns = ends_ns;
  ASSERT_TRUE(run_until([&] { return ends_ns > first_ns; }));  // kept up

  const auto writer = CellClient::make(loop, options_for(member->address()), logger).value();
  ASSERT_TRUE(run(writer->open(kSoon)));
  ASSERT_TRUE(run(writer->put("/a", "new", {}, kSoon)));
  EXPECT_FALSE(lent);
  EXPECT_EQ(content("/a"), "new");
  client->stop();
  EXPECT_EQ(ends_ns, 0);
}

TEST_F(CellClientTest, ASessionOutlivesItsConnections) {
  connect_and_open();
  const cell::SessionId session = client->session();
  for (int i = 0; i < 3; ++i) {
    member->disconnect_all();
    ASSERT_TRUE(put("/n", std::to_string(i)));
  }
  EXPECT_EQ(client->session(), session);
  EXPECT_EQ(content("/n"), "2");
  EXPECT_GE(member->connections, 4);
}

TEST_F(CellClientTest, GoesOnToTheNextAddress) {
  const uint16_t nobody = std::make_unique<TestMember>(loop)->port();
  connect(options_for("127.0.0.1:" + std::to_string(nobody) + "," + member->address() +
                      ",127.0.0.1:" + std::to_string(nobody)));
  EXPECT_TRUE(run(client->open(kSoon)));
}

TEST_F(CellClientTest, CallsEndByTheirDeadlinesAndSayWhatBecameOfThem) {
  connect_and_open();
  member->silent = true;
  const auto sent = run(client->put("/a", "1", {}, {50}));
  EXPECT_EQ(sent.error().verdict, core::Verdict::Unknown);
  EXPECT_EQ(sent.error().error.code, Code::Timeout);
  member.reset();
  run_until([&] { return loop.poll() == 0; });
  const auto unsent = run(client->put("/b", "1", {}, {50}));
  EXPECT_EQ(unsent.error().verdict, core::Verdict::NotDone);
}

TEST_F(CellClientTest, WithoutACellThereIsNoSessionAndItSaysWhy) {
  const std::string address = member->address();
  member.reset();
  connect(options_for(address));
  const auto opened = run(client->open({100}));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().error.code, Code::Unavailable);
  EXPECT_THAT(opened.error().error.message, HasSubstr("no session within 100 ms: "));
  EXPECT_THAT(opened.error().error.message, HasSubstr(address));
}

TEST_F(CellClientTest, AnExpiredSessionLosesItsLocks) {
  connect_and_open();
  ASSERT_TRUE(run(client->lock("/l", {}, kSoon)));
  member->expire(client->session());
  member->disconnect_all();  // so that it asks at once
  ASSERT_TRUE(run_until([&] { return changes.back() == Change::Expired; }));
  EXPECT_THAT(lost, testing::ElementsAre("/l"));
  ASSERT_TRUE(run(client->open(kSoon)));
  EXPECT_TRUE(put("/again", "x"));
}

TEST_F(CellClientTest, LocksAreHandedOnAndTheirSequencersStand) {
  connect_and_open();
  const auto other = CellClient::make(loop, options_for(member->address()), logger).value();
  ASSERT_TRUE(run(other->open(kSoon)));
  const auto first = run(client->lock("/l", {}, kSoon));
  ASSERT_TRUE(first);
  EXPECT_TRUE(run(other->stands(*first, kSoon)).value());
  const auto refused = run(other->lock("/l", {.wait = cell::Lock::Wait::Try}, kSoon));
  EXPECT_EQ(refused.error().verdict, core::Verdict::Refused);
  EXPECT_EQ(refused.error().error.code, Code::Unavailable);
  std::optional<Called<cell::Sequencer>> second;
  asio::co_spawn(loop, other->lock("/l", {}, kSoon),
                 [&](const std::exception_ptr&, auto sequencer) { second = std::move(sequencer); });
  ASSERT_TRUE(run(client->get("/l", kSoon)));  // it is in the queue by now
  EXPECT_FALSE(second);
  ASSERT_TRUE(run(client->unlock("/l", kSoon)));
  ASSERT_TRUE(run_until([&] { return second.has_value(); }));
  ASSERT_TRUE(*second);
  EXPECT_GT((*second)->generation, first->generation);
  EXPECT_FALSE(run(client->stands(*first, kSoon)).value());
}

TEST_F(CellClientTest, AWatchHasEachEventOnceOverConnections) {
  connect_and_open();
  const auto watch = client->watch("/w", cell::Revision(0));
  std::vector<Bytes> seen;
  for (int i = 0; i < 20; ++i) {
    member->put("/w/" + std::to_string(i), "x");
    if (i % 5 == 2) member->disconnect_all();
    while (seen.size() < static_cast<size_t>(i) + 1) {
      const auto batch = run(watch->next(kSoon));
      ASSERT_TRUE(batch) << batch.error().message;
      for (const auto& item : batch->events) seen.push_back(item.event.path);
    }
  }
  ASSERT_EQ(seen.size(), 20);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(seen[static_cast<size_t>(i)], "/w/" + std::to_string(i));
  EXPECT_EQ(run(watch->next({10})).error().code, Code::Timeout);
}

TEST_F(CellClientTest, ACachedReadAsksNobodyAndAWriteElsewhereEndsIt) {
  Options options = options_for(member->address());
  options.core.caching = core::Options::Caching::On;
  connect(options);
  ASSERT_TRUE(run(client->open(kSoon)));
  const auto writer = CellClient::make(loop, options_for(member->address()), logger).value();
  ASSERT_TRUE(run(writer->open(kSoon)));
  ASSERT_TRUE(run(writer->put("/c", "old", {}, kSoon)));
  EXPECT_EQ(client->cached("/c"), nullptr);
  ASSERT_TRUE(run_until([&] { return content("/c") == "old" && client->cached("/c") != nullptr; }));
  const uint64_t messages = member->messages;
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(content("/c"), "old");
  EXPECT_LT(member->messages - messages, 100) << "keep-alives at most";
  ASSERT_TRUE(run(writer->put("/c", "new", {}, kSoon)));
  EXPECT_EQ(content("/c"), "new");
}

TEST_F(CellClientTest, FindsTheCellByDns) {
  if (!net::Dnsmasq::is_installed()) GTEST_SKIP() << "needs Debian's dnsmasq-base";
  // The first to be tried is not there.
  const uint16_t nobody = std::make_unique<TestMember>(loop)->port();
  net::Dnsmasq dns({"_hailstone._tcp.x.test,localhost," + std::to_string(nobody) + ",1",
                    "_hailstone._tcp.x.test,localhost," + std::to_string(member->port()) + ",2"});
  ASSERT_TRUE(dns.ask("x.test"));
  Options options = options_for("srv:x.test");
  options.resolver.servers = {dns.at()};
  connect(options);
  ASSERT_TRUE(run(client->open(kSoon)));
  EXPECT_TRUE(put("/a", "1"));
  options.cell = net::CellAddress::parse("srv:y.test").value();
  connect(options);
  const auto opened = run(client->open({500}));
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().error.message, HasSubstr("_hailstone._tcp.y.test: no such name"));
}

TEST_F(CellClientTest, StopEndsAllThatWaits) {
  connect_and_open();
  member->silent = true;
  std::optional<Called<cell::FileStat>> written;
  std::optional<Result<cell::EventBatch>> event;
  const auto watch = client->watch("/w", {});
  asio::co_spawn(loop, client->put("/a", "1", {}, kSoon),
                 [&](const std::exception_ptr&, auto result) { written = std::move(result); });
  asio::co_spawn(loop, watch->next(kSoon), [&](const std::exception_ptr&, auto result) { event = std::move(result); });
  run_until([&] { return loop.poll() == 0; });
  client->stop();
  ASSERT_TRUE(run_until([&] { return written && event; }));
  EXPECT_EQ(written->error().error.code, Code::Cancelled);
  EXPECT_EQ(written->error().verdict, core::Verdict::Unknown);
  EXPECT_EQ(event->error().code, Code::Cancelled);
  EXPECT_EQ(put("/b", "1").error().verdict, core::Verdict::NotDone);
  EXPECT_EQ(run(client->open(kSoon)).error().error.code, Code::Cancelled);
  member.reset();
  loop.restart();
  loop.run();  // nothing of it is left on the loop
}

Task<bool> close_and_destroy(std::unique_ptr<CellClient> client) {
  const auto closed = co_await client->close(kSoon);
  client.reset();
  co_return closed.has_value();
}

TEST_F(CellClientTest, MayEndInACoroutineThatItResumed) {
  connect_and_open();
  const auto watch = client->watch("/w", {});
  std::optional<Called<cell::Sequencer>> locked;
  asio::co_spawn(loop, client->lock("/l", {}, kSoon),
                 [&](const std::exception_ptr&, auto result) { locked = std::move(result); });
  EXPECT_TRUE(run(close_and_destroy(std::move(client))));
  ASSERT_TRUE(run_until([&] { return locked.has_value(); }));
  auto last = run(watch->next(kSoon));
  if (last) last = run(watch->next(kSoon));  // the first said where it began
  ASSERT_FALSE(last);
  EXPECT_EQ(last.error().code, Code::Cancelled);
}

TEST_F(CellClientTest, MayEndWhileItIsWaitedForToOpen) {
  member->silent = true;
  connect();
  std::optional<Called<cell::SessionId>> opened;
  asio::co_spawn(loop, client->open(kSoon),
                 [&](const std::exception_ptr&, auto result) { opened = std::move(result); });
  run_until([&] { return member->connections > 0; });
  client.reset();
  ASSERT_TRUE(run_until([&] { return opened.has_value(); }));
  EXPECT_EQ(opened->error().error.code, Code::Cancelled);
}

TEST_F(CellClientTest, TheCertificateIsThePrincipal) {
  net::TestCell cell;
  TestMember secure(loop, cell.files(1));
  Options options = options_for(secure.address());
  options.tls = cell.client_files("ann");
  connect(options);
  ASSERT_TRUE(run(client->open(kSoon)));
  EXPECT_TRUE(put("/a", "1"));
  EXPECT_EQ(secure.seen.count("ann"), 1);
  // One of another authority is told so.
  net::TestCell other;
  options.tls = other.client_files("eve");
  connect(options);
  const auto opened = run(client->open({200}));
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().error.message, HasSubstr("certificate"));
}

TEST_F(CellClientTest, NonsenseFromAMemberIsLeftForAnother) {
  struct Liar final : net::StreamReceiver {
    void on_open(net::StreamId stream, const net::StreamPeer&) override {
      ++visits;
      streams->send(stream, cell::wire::kClientChannel, "\xff what?");
    }
    void on_frame(net::StreamId, uint8_t, ByteView) override {}
    void on_written(net::StreamId, uint64_t) override {}
    void on_closed(net::StreamId, const Error&) override {}
    std::unique_ptr<net::Streams> streams;
    int visits = 0;
  } liar;
  liar.streams = net::Streams::make(loop, {}, liar, logger).value();
  const uint16_t port = liar.streams->listen("127.0.0.1", 0).value();
  connect(options_for("127.0.0.1:" + std::to_string(port)));
  EXPECT_FALSE(run(client->open({50})));
  EXPECT_GE(liar.visits, 1);
  connect(options_for("127.0.0.1:" + std::to_string(port) + "," + member->address()));
  EXPECT_TRUE(run(client->open(kSoon)));
}

TEST_F(CellClientTest, BadOptionsAreSaid) {
  EXPECT_EQ(CellClient::make(loop, {}, logger).error().code, Code::Invalid);
  Options options = options_for("127.0.0.1:1");
  options.core.lease_ms = 0;
  EXPECT_THAT(CellClient::make(loop, options, logger).error().message, HasSubstr("lease_ms"));
  options = options_for("127.0.0.1:1");
  options.tls = net::TlsFiles{"/nonexistent", "", ""};
  EXPECT_THAT(CellClient::make(loop, options, logger).error().message, HasSubstr("/nonexistent"));
}

// ---- without a loop of one's own ----

class BlockingClientTest : public testing::Test {
 protected:
  BlockingClientTest() : thread([this] { loop.run(); }) {}
  ~BlockingClientTest() override {
    loop.stop();
    thread.join();
  }
  asio::io_context loop{1};
  TestMember member{loop};
  std::thread thread;
};

TEST_F(BlockingClientTest, ManyThreadsShareOne) {
  std::atomic<int> told = 0;
  auto client = BlockingClient::make(options_for(member.address()), [&](const auto&) { ++told; }).value();
  ASSERT_TRUE(client->open(kSoon));
  EXPECT_EQ(client->state(), core::Core::State::Connected);
  const auto watch = client->watch("/t", cell::Revision(0));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const Bytes path = "/t/" + std::to_string(t);
        ASSERT_TRUE(client->put(path, std::to_string(i), {}, kSoon));
        EXPECT_EQ(client->get(path, kSoon)->file->content, std::to_string(i));
      }
    });
  for (std::thread& each : threads) each.join();
  size_t events = 0;
  while (events < 200) {
    const auto batch = watch->next(kSoon);
    ASSERT_TRUE(batch);
    events += batch->events.size();
  }
  EXPECT_EQ(events, 200);
  EXPECT_EQ(watch->next({5}).error().code, Code::Timeout);
  EXPECT_TRUE(client->lock("/t/lock", {}, kSoon));
  EXPECT_TRUE(client->unlock("/t/lock", kSoon));
  EXPECT_TRUE(client->close(kSoon));
  EXPECT_EQ(client->state(), core::Core::State::None);  // the loop has gone on: the listener was told, too
  EXPECT_EQ(told, 2);
}

TEST_F(CellClientTest, AsMuchAsMayBeAskedAtOnceFitsIntoTheConnection) {
  connect_and_open();
  size_t done = 0;
  for (int i = 0; i < 28; ++i) {
    cell::Txn txn;  // of half a MB
    for (int file = 0; file < 2; ++file)
      txn.then_operations.emplace_back(cell::Put{"/f/" + std::to_string(2 * i + file), Bytes(250 << 10, 'x')});
    asio::co_spawn(loop, client->txn(std::move(txn), kSoon), [&](const std::exception_ptr&, const auto& reply) {
      EXPECT_TRUE(reply);
      ++done;
    });
  }
  ASSERT_TRUE(run_until([&] { return done == 28; }));
  EXPECT_EQ(member->connections, 1u);
}

}  // namespace
}  // namespace hailstone::client
