// A load generator for replicated services: so many clients, each with one call under way, on one thread; the same for
// every service. Prints one JSON object.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "bench/register/client.h"

namespace hailstone::bench {
namespace {

using Clock = std::chrono::steady_clock;

struct Settings {
  std::string service;
  std::vector<std::string> members;  // ID=PORT on loopback
  std::string operation = "put";
  size_t clients = 64, value_bytes = 256, keys = 10'000;
  double seconds = 5, warm_up = 1;
  uint64_t calls = 0;  // so many in all, and then it ends; 0: as long as it lasts
};

volatile sig_atomic_t stopped = 0;  // by SIGTERM: what was measured is reported

struct Conn {
  std::unique_ptr<Client> client;
  int fd = -1;
  uint64_t member = 0;
  Bytes out;
  Clock::time_point began;
  uint64_t calls = 0;
};

class Load {
 public:
  explicit Load(const Settings& settings) : settings_(settings) {
    for (uint64_t state = 1; value_.size() < settings.value_bytes;) {  // nothing that compresses
      state = state * 6364136223846793005u + 1442695040888963407u;
      value_.push_back(static_cast<char>(state >> 56));
    }
    for (const std::string& member : settings.members) {
      const size_t equals = member.find('=');
      ports_[std::stoull(member.substr(0, equals))] = static_cast<uint16_t>(std::stoul(member.substr(equals + 1)));
    }
  }

  int run() {
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    conns_.resize(settings_.clients);
    for (size_t i = 0; i < conns_.size(); ++i) {
      auto at = ports_.begin();
      // Services that forward are asked everywhere, as their clients do.
      std::advance(at, settings_.service == "register" || settings_.service == "floor" ? 0 : i % ports_.size());
      connect(i, at->first);
    }
    measure_from_ =
        Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(settings_.warm_up));
    end_ =
        measure_from_ + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(settings_.seconds));
    std::vector<epoll_event> events(1024);
    bool told = false;
    while (Clock::now() < end_ && !stopped && (settings_.calls == 0 || latencies_.size() < settings_.calls)) {
      if (!told && Clock::now() >= measure_from_) {
        fmt::print(stderr, "measuring\n");
        fflush(stderr);
        told = true;
      }
      const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 10);
      for (int i = 0; i < count; ++i) serve(events[i].data.u64, events[i].events);
    }
    report();
    return latencies_.empty() ? 1 : 0;
  }

 private:
  std::unique_ptr<Client> make() const {
    if (settings_.service == "etcd") return make_etcd_client();
    if (settings_.service == "zookeeper") return make_zookeeper_client();
    if (settings_.service == "cell") return make_cell_client();
    if (settings_.service == "floor") return make_floor_client();
    return make_register_client();
  }

  void connect(size_t i, uint64_t member) {
    Conn& conn = conns_[i];
    if (conn.fd >= 0) close(conn.fd);
    conn.client = make();
    conn.member = member;
    conn.out.clear();
    conn.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(ports_.at(member));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(conn.fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      close(conn.fd);
      conn.fd = -1;
      auto next = ports_.upper_bound(member);
      conn.member = (next == ports_.end() ? ports_.begin() : next)->first;
      if (++failures_ > 10'000) throw std::runtime_error("nobody listens");
      usleep(10'000);
      return connect(i, conn.member);
    }
    const int one = 1;
    setsockopt(conn.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(conn.fd, F_SETFL, O_NONBLOCK);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = i;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, conn.fd, &event);
    send(conn, conn.client->hello());
    Bytes more;
    // Services without a handshake are ready at once.
    if (settings_.service != "zookeeper" && settings_.service != "cell" &&
        conn.client->take({}, more) == Client::Event::Ready)
      call(conn);
  }

  void call(Conn& conn) {
    conn.began = Clock::now();
    if (settings_.operation == "lock") {
      ++conn.calls;
      return send(conn, conn.client->call(Call::LockPair, fmt::format("lock-{:08}", &conn - conns_.data()), {}));
    }
    const uint64_t scattered = conn.calls++ * 7919 + static_cast<uint64_t>(&conn - conns_.data()) * 104729;
    const uint64_t number = settings_.calls ? next_++ : scattered;  // a count of calls fills all keys
    const std::string key = fmt::format("key-{:08}", number % settings_.keys);
    // The first call of a connection writes: that finds the leader.
    const bool write = settings_.operation == "put" || conn.calls == 1;
    send(conn, conn.client->call(write ? Call::Put : Call::Get, key, value_));
  }

  void send(Conn& conn, const Bytes& bytes) {
    for (ByteView left = bytes; !left.empty();) {
      const ssize_t sent = ::send(conn.fd, left.data(), left.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EAGAIN) continue;
      if (sent < 0) return;
      left.remove_prefix(static_cast<size_t>(sent));
    }
  }

  void serve(size_t i, uint32_t) {
    Conn& conn = conns_[i];
    char bytes[16384];
    const ssize_t got = recv(conn.fd, bytes, sizeof bytes, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
      ++failures_;
      auto next = ports_.upper_bound(conn.member);
      return connect(i, (next == ports_.end() ? ports_.begin() : next)->first);
    }
    Bytes out;
    const auto event = conn.client->take({bytes, static_cast<size_t>(got)}, out);
    send(conn, out);
    switch (event) {
      case Client::Event::None: return;
      case Client::Event::Ready: return call(conn);
      case Client::Event::Done: {
        const auto now = Clock::now();
        if (conn.began >= measure_from_ && now < end_)
          latencies_.push_back(static_cast<uint32_t>(std::chrono::nanoseconds(now - conn.began).count() / 100));
        return call(conn);
      }
      case Client::Event::Elsewhere:
        if (conn.client->elsewhere && ports_.contains(conn.client->elsewhere))
          return conn.calls = 0, connect(i, conn.client->elsewhere);
        ++failures_;
        return call(conn);
      case Client::Event::Failed:
        why_ = conn.client->why;
        ++failures_;
        return call(conn);
    }
  }

  void report() {
    std::ranges::sort(latencies_);
    const auto at = [&](double part) {
      return latencies_.empty()
                 ? 0.0
                 : latencies_[static_cast<size_t>(part * static_cast<double>(latencies_.size() - 1))] / 10.0;
    };
    fmt::print(
        "{{\"service\": \"{}\", \"operation\": \"{}\", \"clients\": {}, \"done\": {}, \"seconds\": {}, "
        "\"per_second\": {:.0f}, \"p50_us\": {:.1f}, \"p99_us\": {:.1f}, \"max_us\": {:.1f}, \"failures\": {}, "
        "\"why\": \"{}\"}}\n",
        settings_.service, settings_.operation, settings_.clients, latencies_.size(), settings_.seconds,
        static_cast<double>(latencies_.size()) / settings_.seconds, at(0.5), at(0.99), at(1), failures_, why_);
  }

  const Settings& settings_;
  Bytes value_;
  std::map<uint64_t, uint16_t> ports_;
  int epoll_ = -1;
  std::vector<Conn> conns_;
  Clock::time_point measure_from_, end_;
  std::vector<uint32_t> latencies_;  // tenths of a microsecond
  uint64_t next_ = 0;
  uint64_t failures_ = 0;
  std::string why_;
};

}  // namespace
}  // namespace hailstone::bench

int main(int argc, char** argv) {
  using namespace hailstone::bench;
  Settings settings;
  CLI::App app("Load on a replicated service.");
  app.add_option("service", settings.service)
      ->required()
      ->check(CLI::IsMember({"register", "etcd", "zookeeper", "cell", "floor"}));
  app.add_option("--member", settings.members, "ID=PORT of each member")->required();
  app.add_option("--operation", settings.operation)->check(CLI::IsMember({"put", "get", "lock"}));
  app.add_option("--clients", settings.clients);
  app.add_option("--value-bytes", settings.value_bytes);
  app.add_option("--keys", settings.keys);
  app.add_option("--seconds", settings.seconds);
  app.add_option("--calls", settings.calls);
  app.add_option("--warm-up", settings.warm_up);
  CLI11_PARSE(app, argc, argv);
  signal(SIGTERM, [](int) { stopped = 1; });
  return Load(settings).run();
}
