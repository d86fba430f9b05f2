#include "net/discover.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <random>

namespace hailstone::net {
namespace {

constexpr std::string_view kService = "_hailstone._tcp.";
constexpr std::string_view kSrvPrefix = "srv:";
constexpr size_t kMembersMax = 64;
constexpr size_t kSrvFixedBytes = 6;  // priority, weight, port

/// A resolver's state of libc, ours alone.
class Resolver {
 public:
  Resolver() { ready_ = ::res_ninit(&state_) == 0; }
  ~Resolver() {
    if (ready_) ::res_nclose(&state_);
  }
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  Result<void> set(const ResolverOptions& options) {
    if (!ready_) return fail(Code::Unavailable, "dns: the resolver can't be set up");
    state_.retrans = options.timeout_s;
    state_.retry = options.rounds;
    if (options.servers.empty()) return {};
    state_.nscount = static_cast<int>(std::min<size_t>(options.servers.size(), MAXNS));
    for (int i = 0; i < state_.nscount; ++i) {
      const HostPort& server = options.servers[static_cast<size_t>(i)];
      sockaddr_in& address = state_.nsaddr_list[i];
      address = {};
      address.sin_family = AF_INET;
      address.sin_port = htons(server.port);
      if (::inet_pton(AF_INET, server.host.c_str(), &address.sin_addr) != 1)
        return fail(Code::Invalid, fmt::format("dns server {}: not a numeric IPv4 address", to_string(server)));
    }
    return {};
  }
  int query(const std::string& name, std::vector<unsigned char>& answer) {
    return ::res_nquery(&state_, name.c_str(), ns_c_in, ns_t_srv, answer.data(), static_cast<int>(answer.size()));
  }
  int reason() const { return state_.res_h_errno; }

 private:
  struct __res_state state_{};
  bool ready_ = false;
};

Result<SrvRecord> read_record(const ns_msg& message, const ns_rr& record) {
  const unsigned char* data = ns_rr_rdata(record);
  if (ns_rr_rdlen(record) <= kSrvFixedBytes) return fail(Code::Corrupt, "dns: an SRV record is too short");
  SrvRecord out;
  out.priority = static_cast<uint16_t>(ns_get16(data));
  out.weight = static_cast<uint16_t>(ns_get16(data + 2));
  out.target.port = static_cast<uint16_t>(ns_get16(data + 4));
  char name[NS_MAXDNAME];
  if (::dn_expand(ns_msg_base(message), data + ns_rr_rdlen(record), data + kSrvFixedBytes, name, sizeof name) < 0)
    return fail(Code::Corrupt, "dns: the target of an SRV record is malformed");
  out.target.host = name;  // "" is the root, "."
  return out;
}

}  // namespace

std::string to_string(const HostPort& at) {
  return at.host.contains(':') ? fmt::format("[{}]:{}", at.host, at.port) : fmt::format("{}:{}", at.host, at.port);
}

Result<HostPort> parse_host_port(ByteView text) {
  const auto refuse = [&](const char* what) {
    return fail(Code::Invalid, fmt::format("address '{}': {}: write host:port", printable(text), what));
  };
  const size_t colon = text.rfind(':');
  if (colon == ByteView::npos) return refuse("no port");
  ByteView host = text.substr(0, colon);
  const ByteView digits = text.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.contains(':')) {
    return refuse("an IPv6 address goes in brackets");
  }
  if (host.empty() || host.size() > NS_MAXDNAME) return refuse("no host");
  if (std::ranges::any_of(host, [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == '[' || c == '/'; }))
    return refuse("no host has such a name");
  HostPort out{std::string(host)};
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out.port);
  if (error != std::errc() || end != digits.data() + digits.size() || out.port == 0)
    return refuse("no port 1 to 65535");
  return out;
}

Result<CellAddress> CellAddress::parse(ByteView text) {
  CellAddress out;
  if (text.starts_with(kSrvPrefix)) {
    out.domain = text.substr(kSrvPrefix.size());
    const bool usable = !out.domain.empty() && out.domain.size() + kService.size() < NS_MAXDNAME &&
                        std::ranges::all_of(out.domain, [](unsigned char c) { return c > ' ' && c < 0x7f; });
    if (!usable) return fail(Code::Invalid, fmt::format("cell '{}': no domain: write srv:DOMAIN", printable(text)));
    return out;
  }
  while (true) {
    const size_t comma = text.find(',');
    TRY(HostPort member, parse_host_port(text.substr(0, comma)));
    out.members.push_back(std::move(member));
    if (out.members.size() > kMembersMax)
      return fail(Code::Invalid, fmt::format("cell: more than {} addresses", kMembersMax));
    if (comma == ByteView::npos) return out;
    text.remove_prefix(comma + 1);
  }
}

Result<std::vector<SrvRecord>> parse_srv_answer(ByteView bytes) {
  ns_msg message;
  if (::ns_initparse(reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()), &message) !=
      0)
    return fail(Code::Corrupt, "dns: the answer is malformed");
  switch (const int code = ns_msg_getflag(message, ns_f_rcode)) {
    case ns_r_noerror: break;
    case ns_r_nxdomain: return fail(Code::NotFound, "dns: no such name");
    default: return fail(Code::Unavailable, fmt::format("dns: the server answers with code {}", code));
  }
  if (ns_msg_getflag(message, ns_f_tc) != 0) return fail(Code::Corrupt, "dns: the answer is cut short");
  std::vector<SrvRecord> out;
  bool none = false;
  for (int i = 0; i < ns_msg_count(message, ns_s_an); ++i) {
    ns_rr record;
    if (::ns_parserr(&message, ns_s_an, i, &record) != 0) return fail(Code::Corrupt, "dns: a record is malformed");
    if (ns_rr_type(record) != ns_t_srv || ns_rr_class(record) != ns_c_in) continue;  // aliases on the way
    TRY(SrvRecord read, read_record(message, record));
    none = none || read.target.host.empty();
    if (!read.target.host.empty() && read.target.port != 0) out.push_back(std::move(read));
  }
  if (out.empty())
    return fail(Code::NotFound, none ? "dns: the service is decidedly not available there" : "dns: no SRV records");
  return out;
}

std::vector<HostPort> order_by_priority_and_weight(std::vector<SrvRecord> records, uint64_t seed) {
  std::mt19937_64 random(seed);
  // Among equals, those of weight 0 first, in any order: then they have a very small chance of being drawn early.
  std::ranges::shuffle(records, random);
  std::ranges::sort(records, {}, [](const SrvRecord& r) { return std::pair(r.priority, r.weight > 0); });
  std::vector<HostPort> out;
  while (!records.empty()) {
    const auto others = std::ranges::find_if(records, [&](auto& r) { return r.priority != records.front().priority; });
    uint64_t sum = 0;
    for (auto record = records.begin(); record != others; ++record) sum += record->weight;
    const uint64_t drawn = std::uniform_int_distribution<uint64_t>(0, sum)(random);
    uint64_t running = 0;
    const auto chosen = std::find_if(records.begin(), others, [&](const SrvRecord& record) {
      running += record.weight;
      return running >= drawn;
    });
    out.push_back(std::move(chosen->target));
    records.erase(chosen);
  }
  return out;
}

Result<std::vector<SrvRecord>> look_up_srv(const std::string& domain, const ResolverOptions& options) {
  const std::string name = std::string(kService) + domain;
  Resolver resolver;
  TRY_DO(resolver.set(options));
  std::vector<unsigned char> answer(NS_MAXMSG);
  errno = 0;
  const int length = resolver.query(name, answer);
  const int why = errno;
  if (length < 0) {
    switch (resolver.reason()) {
      case HOST_NOT_FOUND: return fail(Code::NotFound, fmt::format("dns: {}: no such name", name));
      case NO_DATA: return fail(Code::NotFound, fmt::format("dns: {}: no SRV records", name));
      default:
        return fail(why == ETIMEDOUT ? Code::Timeout : Code::Unavailable,
                    fmt::format("dns: {}: {}", name, why != 0 ? std::strerror(why) : "no server could tell"));
    }
  }
  // The length is that of the whole answer even where it did not fit.
  const size_t kept = std::min(static_cast<size_t>(length), answer.size());
  auto records = parse_srv_answer({reinterpret_cast<const char*>(answer.data()), kept});
  if (!records) return std::unexpected(std::move(records).error().within(name));
  return records;
}

SrvResolver::~SrvResolver() {
  if (thread_) thread_->join();
}

void SrvResolver::look_up(std::string domain, Executor loop, std::function<void(Result<std::vector<SrvRecord>>)> done) {
  if (!thread_) thread_ = std::make_unique<asio::thread_pool>(1);
  asio::post(*thread_, [this, domain = std::move(domain), loop, done = std::move(done)]() mutable {
    asio::post(loop,
               [done = std::move(done), found = look_up_srv(domain, options_)]() mutable { done(std::move(found)); });
  });
}

}  // namespace hailstone::net
