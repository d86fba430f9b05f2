// What copies cost: put and sync of chunks by many callers, on one local store, on a cell of one, and on three stores
// over TCP on loopback. All nodes are in this process, so the CPU time is that of all of them.
//
//   cluster_store_bench DIRECTORY [SECONDS]
#include <fmt/core.h>
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "base/logger.h"
#include "chunk/cluster_store.h"
#include "chunk/local_store.h"
#include "disk/disk.h"
#include "net/tcp_transport.h"

using namespace hailstone;
using namespace hailstone::chunk;
using net::NodeId;

namespace {

constexpr int kCallers = 32;

Bytes noise(size_t size, uint64_t seed) {
  std::mt19937_64 random(seed);
  Bytes out(size, '\0');
  for (size_t i = 0; i + 8 <= size; i += 8) {
    const uint64_t word = random();
    __builtin_memcpy(out.data() + i, &word, 8);
  }
  return out;
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::unique_ptr<LocalStore> open(disk::Disk& disk, const std::string& directory, Logger& logger) {
  auto store = LocalStore::open(disk, {.directory = directory}, logger);
  if (!store) {
    fmt::print(stderr, "{}\n", store.error().message);
    std::exit(1);
  }
  return std::move(*store);
}

/// A node with its store.
struct Node {
  Node(disk::Disk& disk, const std::string& directory, uint64_t number, Logger& logger)
      : local(open(disk, directory, logger)),
        rpc({}, logger),
        store({.self = NodeId(number), .term = 1, .place = "s/r/h" + std::to_string(number)}, local.get(), rpc,
              logger) {
    rpc.watch([this](NodeId, bool up) {
      const std::lock_guard lock(mutex);
      peers += up ? 1 : -1;
      changed.notify_all();
    });
    transport = std::move(*net::TcpTransport::start({.self = NodeId(number), .cell = "bench"}, rpc, logger));
    rpc.start(*transport);
  }
  ~Node() {
    rpc.stop();
    transport->stop();
  }

  std::mutex mutex;
  std::condition_variable changed;
  int peers = 0;
  std::unique_ptr<LocalStore> local;
  net::Rpc rpc;
  ClusterStore store;
  std::unique_ptr<net::TcpTransport> transport;
};

/// Every caller puts a chunk of its own and syncs, again and again.
void measure(const std::string& name, const std::vector<ChunkStore*>& stores, size_t bytes, double seconds) {
  std::atomic<uint64_t> done = 0;
  std::atomic<bool> stop = false;
  std::vector<std::thread> callers;
  const double cpu_before = cpu_seconds();
  const auto begun = std::chrono::steady_clock::now();
  for (size_t t = 0; t < kCallers; ++t)
    callers.emplace_back([&, t] {
      ChunkStore& store = *stores[t % stores.size()];
      Bytes chunk = noise(bytes, std::random_device()());
      for (uint64_t i = 0; !stop; ++i) {
        __builtin_memcpy(chunk.data(), &i, sizeof i);
        const auto id = store.put(chunk, Compress::Never);
        const auto synced = store.sync();
        if (!id || !synced) {
          fmt::print(stderr, "{}\n", !id ? id.error().message : synced.error().message);
          std::exit(1);
        }
        ++done;
      }
    });
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  stop = true;
  for (std::thread& caller : callers) caller.join();
  const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  const double cpu = cpu_seconds() - cpu_before;
  const double count = static_cast<double>(done), total = count * static_cast<double>(bytes);
  fmt::print("{:<28} {:>8} bytes  {:>9.0f}/s  {:>8.1f} MB/s  {:>8.1f} us CPU each  {:>6.2f} ns CPU per byte\n", name,
             bytes, count / wall, total / wall / 1e6, cpu / count * 1e6, cpu / total * 1e9);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "cluster_store_bench DIRECTORY [SECONDS]\n");
    return 2;
  }
  const std::string directory = argv[1];
  const double seconds = argc > 2 ? std::atof(argv[2]) : 3;
  NullLogger logger;
  const auto disk = disk::make_real_disk();
  enum class What { Local, CellOfOne, OneGateway, ThreeGateways };
  const auto run = [&](What what, size_t bytes) {
    const uint64_t nodes = what == What::Local || what == What::CellOfOne ? 1 : 3;
    std::filesystem::remove_all(directory);
    std::vector<std::unique_ptr<Node>> all;
    std::vector<StoreInfo> stores;
    std::vector<net::PeerAddress> peers;
    for (uint64_t i = 1; i <= nodes; ++i) {
      all.push_back(std::make_unique<Node>(*disk, fmt::format("{}/{}", directory, i), i, logger));
      stores.push_back({.id = NodeId(i), .place = "s/r/h" + std::to_string(i)});
      peers.push_back({NodeId(i), "127.0.0.1", all.back()->transport->port()});
    }
    std::vector<ChunkStore*> cluster;
    for (const auto& node : all) {
      if (!node->store.set_stores(stores) || !node->transport->set_peers(peers)) std::exit(1);
      cluster.push_back(&node->store);
    }
    for (const auto& node : all) {
      std::unique_lock lock(node->mutex);
      node->changed.wait(lock, [&] { return node->peers == static_cast<int>(nodes) - 1; });
    }
    switch (what) {
      case What::Local: return measure("local store", {all[0]->local.get()}, bytes, seconds);
      case What::CellOfOne: return measure("cell of one", cluster, bytes, seconds);
      case What::OneGateway: return measure("three stores, one gateway", {cluster[0]}, bytes, seconds);
      case What::ThreeGateways: return measure("three stores, three gateways", cluster, bytes, seconds);
    }
  };
  for (const size_t bytes : {size_t{4096}, size_t{1} << 20})
    for (const What what : {What::Local, What::CellOfOne, What::OneGateway, What::ThreeGateways}) run(what, bytes);
  std::filesystem::remove_all(directory);
  return 0;
}
