#include "net/discover.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <map>
#include <set>

#include "base/codec.h"
#include "net/testing.h"
#include "net/testing_dns.h"

namespace hailstone::net {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// ---- texts ----

TEST(CellAddress, IsAListOrADomain) {
  const auto list = CellAddress::parse("a.example:7000,192.0.2.1:7001,[2001:db8::1]:65535").value();
  EXPECT_THAT(list.members,
              ElementsAre(HostPort{"a.example", 7000}, HostPort{"192.0.2.1", 7001}, HostPort{"2001:db8::1", 65535}));
  EXPECT_EQ(list.domain, "");
  EXPECT_EQ(to_string(list.members[0]), "a.example:7000");
  EXPECT_EQ(to_string(list.members[2]), "[2001:db8::1]:65535");
  const auto domain = CellAddress::parse("srv:cell.example").value();
  EXPECT_EQ(domain.domain, "cell.example");
  EXPECT_TRUE(domain.members.empty());
}

TEST(CellAddress, SaysWhatIsWrong) {
  for (const char* text : {"", "a", "a:", "a:0", "a:65536", "a:-1", "a:7x", ":7", "a:7,", ",a:7", "2001:db8::1:7",
                           "[]:7", "a b:7", "http://a:7", "srv:", "srv:a b", "a:7, b:7"}) {
    const auto parsed = CellAddress::parse(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, Code::Invalid);
  }
  EXPECT_THAT(CellAddress::parse("a:70000").error().message, HasSubstr("address 'a:70000': no port 1 to 65535"));
  std::string many = "a:1";
  for (int i = 0; i < 64; ++i) many += ",a:1";
  EXPECT_FALSE(CellAddress::parse(many));
}

// ---- order ----

SrvRecord record(uint16_t priority, uint16_t weight, const std::string& host) { return {priority, weight, {host, 1}}; }

std::string hosts(const std::vector<HostPort>& order) {
  std::string out;
  for (const HostPort& at : order) out += at.host;
  return out;
}

TEST(SrvOrder, LowerPrioritiesFirst) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const std::string order = hosts(order_by_priority_and_weight(
        {record(20, 9, "d"), record(10, 5, "b"), record(10, 1, "c"), record(5, 0, "a"), record(65535, 65535, "e")},
        seed));
    EXPECT_THAT(order, testing::AnyOf("abcde", "acbde"));
  }
  EXPECT_TRUE(order_by_priority_and_weight({}, 1).empty());
}

TEST(SrvOrder, WeightIsTheShareOfFirstPlaces) {
  std::map<std::string, int> first;
  constexpr int kDraws = 60'000;
  for (uint64_t seed = 0; seed < kDraws; ++seed)
    ++first[order_by_priority_and_weight(
                {record(1, 10, "a"), record(1, 30, "b"), record(1, 20, "c"), record(1, 0, "z")}, seed)
                .front()
                .host];
  // The draw is from 0 to 60 inclusive: 0 is z's, then 10, 30 and 20 each.
  const auto near = [](double share) {
    return testing::AllOf(testing::Gt(kDraws * share * 0.9), testing::Lt(kDraws * share * 1.1));
  };
  EXPECT_THAT(first["a"], near(10.0 / 61));
  EXPECT_THAT(first["b"], near(30.0 / 61));
  EXPECT_THAT(first["c"], near(20.0 / 61));
  EXPECT_THAT(first["z"], near(1.0 / 61));
}

TEST(SrvOrder, WithoutWeightsAllComeFirstAlike) {
  std::map<std::string, int> seen;
  for (uint64_t seed = 0; seed < 6000; ++seed)
    ++seen[hosts(order_by_priority_and_weight({record(1, 0, "a"), record(1, 0, "b"), record(1, 0, "c")}, seed))];
  ASSERT_EQ(seen.size(), 6);
  for (const auto& [order, count] : seen) EXPECT_NEAR(count, 1000, 150) << order;
}

// ---- answers ----

Bytes name(ByteView dotted) {
  Bytes out;
  while (!dotted.empty()) {
    const size_t dot = std::min(dotted.find('.'), dotted.size());
    Encoder(out).bytes(dotted.substr(0, dot));
    dotted.remove_prefix(std::min(dot + 1, dotted.size()));
  }
  return out + '\0';
}

Bytes big16(unsigned v) { return {static_cast<char>(v >> 8), static_cast<char>(v)}; }

Bytes srv(unsigned priority, unsigned weight, unsigned port, const Bytes& target) {
  const Bytes data = big16(priority) + big16(weight) + big16(port) + target;
  return Bytes("\xc0\x0c", 2) + big16(33) + big16(1) + Bytes(4, '\0') + big16(static_cast<unsigned>(data.size())) +
         data;
}

Bytes answer(const std::vector<Bytes>& records, unsigned flags = 0x8180) {
  Bytes out = big16(7) + big16(flags) + big16(1) + big16(static_cast<unsigned>(records.size())) + big16(0) + big16(0) +
              name("_hailstone._tcp.x.test") + big16(33) + big16(1);
  for (const Bytes& each : records) out += each;
  return out;
}

TEST(SrvAnswer, IsReadInItsOrder) {
  const auto read = parse_srv_answer(
      answer({srv(10, 60, 7000, name("a.x.test")), srv(20, 0, 7001, Bytes("\x01", 1) + "b" + Bytes("\xc0\x1c", 2))}));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_THAT(*read, ElementsAre(SrvRecord{10, 60, {"a.x.test", 7000}}, SrvRecord{20, 0, {"b.x.test", 7001}}));
}

TEST(SrvAnswer, OfNoServiceSaysSo) {
  const auto code = [](const Bytes& bytes) { return parse_srv_answer(bytes).error().code; };
  EXPECT_EQ(code(answer({srv(0, 0, 0, name(""))})), Code::NotFound);
  EXPECT_THAT(parse_srv_answer(answer({srv(0, 0, 0, name(""))})).error().message, HasSubstr("decidedly"));
  EXPECT_EQ(code(answer({})), Code::NotFound);
  EXPECT_EQ(code(answer({}, 0x8183)), Code::NotFound);                        // NXDOMAIN
  EXPECT_EQ(code(answer({}, 0x8182)), Code::Unavailable);                     // SERVFAIL
  EXPECT_EQ(code(answer({srv(1, 1, 7, name("a"))}, 0x8380)), Code::Corrupt);  // truncated
}

TEST(SrvAnswer, CutAnywhereIsRefusedAndFlippedBitsDoNoHarm) {
  const Bytes whole = answer({srv(10, 60, 7000, name("a.x.test")), srv(20, 0, 7001, name("b.x.test"))});
  ASSERT_TRUE(parse_srv_answer(whole));
  for (size_t size = 0; size < whole.size(); ++size) EXPECT_FALSE(parse_srv_answer(whole.substr(0, size))) << size;
  for (size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    Bytes flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    if (const auto read = parse_srv_answer(flipped)) EXPECT_LE(read->size(), 2);
  }
}

// ---- a real server: Debian's dnsmasq ----

#define NEEDS_DNSMASQ \
  if (!Dnsmasq::is_installed()) GTEST_SKIP() << "needs Debian's dnsmasq-base"

TEST(RealDns, GivesWhatItHas) {
  NEEDS_DNSMASQ;
  Dnsmasq dns({"_hailstone._tcp.x.test,a.x.test,7000,10,60", "_hailstone._tcp.x.test,b.x.test,7001,20,0",
               "_hailstone._tcp.none.test"});
  auto found = dns.ask("x.test");
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_THAT(*found, testing::UnorderedElementsAre(SrvRecord{10, 60, {"a.x.test", 7000}},
                                                    SrvRecord{20, 0, {"b.x.test", 7001}}));
  const auto none = dns.ask("none.test");
  EXPECT_EQ(none.error().code, Code::NotFound);
  EXPECT_THAT(none.error().message, HasSubstr("_hailstone._tcp.none.test: dns: the service is decidedly"));
  EXPECT_EQ(dns.ask("unknown.test").error().code, Code::NotFound);
}

TEST(RealDns, AnAnswerTooLongForUdpComesWhole) {
  NEEDS_DNSMASQ;
  std::vector<std::string> records;
  std::set<std::string> expected;
  for (int i = 0; i < 60; ++i) {
    const std::string host = "member-" + std::to_string(i) + "-with-quite-a-long-name.x.test";
    records.push_back("_hailstone._tcp.x.test," + host + ",7000");
    expected.insert(host);
  }
  Dnsmasq dns(records);
  const auto found = dns.ask("x.test");
  ASSERT_TRUE(found) << found.error().message;
  std::set<std::string> got;
  for (const SrvRecord& each : *found) got.insert(each.target.host);
  EXPECT_EQ(got, expected);
}

TEST(RealDns, ADeadServerIsPassedOver) {
  NEEDS_DNSMASQ;
  // A port that nobody reads from, and one where nobody is.
  const int silent = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
  socklen_t length = sizeof at;
  ASSERT_EQ(::bind(silent, reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
  ::getsockname(silent, reinterpret_cast<sockaddr*>(&at), &length);
  const HostPort mute{"127.0.0.1", ntohs(at.sin_port)};
  Dnsmasq dns({"_hailstone._tcp.x.test,a.x.test,7000"});
  const auto found = dns.ask("x.test", {mute, {"127.0.0.1", 1}});
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->front().target.host, "a.x.test");
  // None that answers.
  EXPECT_EQ(look_up_srv("x.test", {.servers = {mute}, .timeout_s = 1, .rounds = 1}).error().code, Code::Timeout);
  ::close(silent);
}

TEST(RealDns, TheLoopGoesOnMeanwhile) {
  NEEDS_DNSMASQ;
  Dnsmasq dns({"_hailstone._tcp.x.test,a.x.test,7000"});
  ASSERT_TRUE(dns.ask("x.test"));
  asio::io_context loop(1);
  const auto working = asio::make_work_guard(loop);
  SrvResolver resolver({.servers = {dns.at()}});
  std::vector<Result<std::vector<SrvRecord>>> found;
  for (const char* domain : {"x.test", "y.test"})
    resolver.look_up(domain, loop.get_executor(), [&](auto result) { found.push_back(std::move(result)); });
  while (found.size() < 2) ASSERT_GT(loop.run_one_for(kPatience), 0);
  EXPECT_EQ(found[0].value().front().target, (HostPort{"a.x.test", 7000}));
  EXPECT_EQ(found[1].error().code, Code::NotFound);
}

TEST(LookUpSrv, ServersAreNumeric) {
  EXPECT_EQ(look_up_srv("x.test", {.servers = {{"dns.example", 53}}}).error().code, Code::Invalid);
}

}  // namespace
}  // namespace hailstone::net
