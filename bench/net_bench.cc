// Two nodes on loopback: how long a small frame takes, how many go through, what that costs. `net_bench [tls]`
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "net/certificates.h"
#include "net/tcp_transport.h"

using namespace hailstone;
using namespace hailstone::net;

namespace {

constexpr NodeId kOne(1), kTwo(2);
constexpr size_t kFrameBytes = 300;

int64_t now_ns() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

double cpu_seconds() {
  rusage use{};
  ::getrusage(RUSAGE_SELF, &use);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(use.ru_utime) + seconds(use.ru_stime);
}

struct Node final : Receiver {
  void on_frame(NodeId from, uint8_t channel, ByteView payload) override {
    const uint64_t n = frames.fetch_add(1) + 1;
    if (channel == 0) {
      int64_t sent = 0;
      std::memcpy(&sent, payload.data(), sizeof sent);
      took_ns[(n - 1) % took_ns.size()] = now_ns() - sent;
      frames.notify_all();
    } else if (channel == 1) {  // echo, from the receiver's thread
      transport->send(from, 2, Bytes(payload));
    } else if (channel == 2 && left-- > 0) {
      transport->send(from, 1, Bytes(payload));
    }
    if (channel == 2 && left <= 0) left.notify_all();
  }
  void on_up(NodeId) override {
    up = true;
    up.notify_all();
  }
  void on_down(NodeId, const Error& reason) override { fmt::print("down: {}\n", reason.message); }

  std::atomic<uint64_t> frames{0};
  std::atomic<int> left{0};
  std::atomic<bool> up{false};
  std::vector<int64_t> took_ns = std::vector<int64_t>(20'000);
  std::unique_ptr<TcpTransport> transport;
};

void one_way(Node& one, Node& two, bool posted) {
  const size_t rounds = two.took_ns.size();
  two.frames = 0;
  const double cpu = cpu_seconds();
  for (uint64_t i = 0; i < rounds; ++i) {
    const auto send = [&] {
      Bytes payload(kFrameBytes, 'x');
      const int64_t at = now_ns();
      std::memcpy(payload.data(), &at, sizeof at);
      one.transport->send(kTwo, 0, std::move(payload));
    };
    if (posted) {
      one.transport->post(send);
    } else {
      send();
    }
    two.frames.wait(i);
  }
  const double each_us = (cpu_seconds() - cpu) / static_cast<double>(rounds) * 1e6;
  std::ranges::sort(two.took_ns);
  fmt::print("one way, {}: median {:.1f} us, 99% {:.1f} us; CPU of all threads {:.1f} us a frame\n",
             posted ? "sent on the transport's thread" : "sent on another thread",
             static_cast<double>(two.took_ns[rounds / 2]) / 1e3,
             static_cast<double>(two.took_ns[rounds * 99 / 100]) / 1e3, each_us);
}

void ping_pong(Node& one) {
  const int rounds = 20'000;
  one.left = rounds;
  const double cpu = cpu_seconds();
  const int64_t begun = now_ns();
  one.transport->send(kTwo, 1, Bytes(kFrameBytes, 'x'));
  for (int left = one.left; left > 0; left = one.left) one.left.wait(left);
  fmt::print("there and back between the receivers: {:.1f} us, CPU {:.1f} us\n",
             static_cast<double>(now_ns() - begun) / 1e3 / rounds, (cpu_seconds() - cpu) / rounds * 1e6);
}

void flood(Node& one, Node& two) {
  constexpr uint64_t kFrames = 1'000'000;
  one.frames = two.frames = 0;
  const double cpu = cpu_seconds();
  const int64_t begun = now_ns();
  const auto sender = [](Node& from, NodeId to) {
    const Bytes payload(kFrameBytes, 'x');
    for (uint64_t i = 0; i < kFrames; ++i)
      while (!from.transport->send(to, 3, payload)) std::this_thread::yield();
  };
  std::thread there(sender, std::ref(one), kTwo), back(sender, std::ref(two), kOne);
  there.join();
  back.join();
  while (one.frames < kFrames || two.frames < kFrames) std::this_thread::yield();
  const double seconds = static_cast<double>(now_ns() - begun) / 1e9;
  fmt::print("both ways at once, {} B: {:.0f} frames/s, {:.0f} MB/s; CPU {:.2f} us a frame\n", kFrameBytes,
             2 * kFrames / seconds, 2 * kFrames * kFrameBytes / seconds / 1e6,
             (cpu_seconds() - cpu) / (2 * kFrames) * 1e6);
}

}  // namespace

int main(int argc, char** argv) {
  const bool tls = argc > 1 && std::string(argv[1]) == "tls";
  NullLogger logger;
  Node one, two;
  char directory[] = "/tmp/hailstone_net_bench_XXXXXX";
  if (tls && ::mkdtemp(directory) == nullptr) return 1;
  const auto authority = make_authority("bench").value();
  const auto write = [&](const std::string& name, const std::string& text) {
    std::ofstream(std::string(directory) + "/" + name) << text;
    return std::string(directory) + "/" + name;
  };
  const auto start = [&](NodeId id, Node& node) {
    TcpOptions options{.self = id, .cell = "bench"};
    if (tls) {
      const auto made = make_node_certificate(authority, id).value();
      options.tls =
          TlsFiles{write("ca", authority.certificate), write("crt", made.certificate), write("key", made.key)};
    }
    node.transport = TcpTransport::start(options, node, logger).value();
  };
  start(kOne, one);
  start(kTwo, two);
  if (tls) std::filesystem::remove_all(directory);
  for (Node* node : {&one, &two})
    node->transport->set_peers({{kOne, "127.0.0.1", one.transport->port()}, {kTwo, "127.0.0.1", two.transport->port()}})
        .value();
  one.up.wait(false);
  two.up.wait(false);
  one_way(one, two, false);
  one_way(one, two, true);
  ping_pong(one);
  flood(one, two);
  one.transport->stop();
  two.transport->stop();
}
