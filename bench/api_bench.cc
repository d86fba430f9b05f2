// The import path through the API on a real node directory: an upload of many small files, and the way back. Prints one
// JSON object. Links: hailstone_server.
//
//   api_bench DIRECTORY [FILES [BYTES_EACH]]      DIRECTORY must not exist yet; it is left behind
#include <fmt/format.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <thread>

#include "api/handler.h"
#include "disk/disk.h"
#include "http/client.h"
#include "http/server.h"
#include "mirror/wire.h"
#include "server/node.h"

namespace {

using namespace hailstone;
using Steady = std::chrono::steady_clock;

[[noreturn]] void stop(const Error& error) {
  fmt::print(stderr, "api_bench: {}\n", error.message);
  std::exit(1);
}
template <class T>
T need(Result<T> result) {
  if (!result) stop(result.error());
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

double cpu_seconds(int who) {
  rusage usage{};
  getrusage(who, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Measured {
  double wall = 0;    // seconds
  double server = 0;  // CPU of the process but for the client's thread
};
template <class F>
Measured measure(const F& work) {
  const auto start = Steady::now();
  const double all = cpu_seconds(RUSAGE_SELF), own = cpu_seconds(RUSAGE_THREAD);
  work();
  return {std::chrono::duration<double>(Steady::now() - start).count(),
          (cpu_seconds(RUSAGE_SELF) - all) - (cpu_seconds(RUSAGE_THREAD) - own)};
}

class NoStatus final : public api::StatusSource {
 public:
  api::NodeStatus status() const override { return {}; }
  Bytes config_json() const override { return "{}"; }
};

Bytes encode(uint64_t files, uint64_t bytes_each) {
  std::mt19937_64 random(1);
  Bytes content(bytes_each, '\0');
  for (char& c : content) c = static_cast<char>(random());
  mirror::WireEncoder wire;
  volume::Entry entry;
  entry.posix = volume::Posix{.mode = 0644, .uid = 1000, .gid = 1000, .link = {}, .xattrs = {}};
  for (uint64_t i = 0; i < files; ++i) {
    if (bytes_each >= sizeof i) std::memcpy(content.data(), &i, sizeof i);  // no two alike
    entry.modified_ns = static_cast<int64_t>(i);
    need(wire.put_inline(fmt::format("pool/main/{:04}/package-{:07}.deb", i / 1000, i), entry, content));
  }
  wire.end();
  return wire.take();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) stop({Code::Invalid, "name a directory"});
  const uint64_t files = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 100'000;
  const uint64_t bytes_each = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 4096;
  NullLogger logger;
  server::Config config;
  config.data = argv[1];
  const auto node = need(server::Node::open(config, disk::make_real_disk(), logger));
  need(node->repository().submit({"bench", {}}, volume::CreateVolume{"bench", {}, {}}));

  http::BlockingPool pool({});
  const NoStatus status;
  api::Api api({node->repository(), node->publisher(), status, node->signing_key().public_key(), logger}, pool);
  const auto server = need(http::Server::listen({.threads = 1}, [&](unsigned) { return api.make_handler(); }, logger));
  server->start();
  http::Client client(need(http::BaseUrl::parse(fmt::format("http://127.0.0.1:{}", server->port()))), {});

  const Bytes stream = encode(files, bytes_each);
  const auto send = [&](const char* method, const char* path, ByteView body) {
    http::ClientRequest request;
    request.method = method;
    request.target = path;
    request.headers.add("Authorization", "Bearer " + node->admin_key());
    request.body = body;
    auto answer = need(client.fetch(request, 16ull << 30));
    if (answer.head.status != 200)
      stop({Code::Io, fmt::format("{} {}: {} {}", method, path, answer.head.status, answer.body)});
    return answer.body.size();
  };
  const Measured first = measure([&] { send("POST", "/api/v1/targets/bench/upload", stream); });
  const Measured again = measure([&] { send("POST", "/api/v1/targets/bench/upload", stream); });
  const Measured manifest = measure([&] { send("GET", "/api/v1/targets/bench/manifest", {}); });
  const Measured fetch = measure([&] { send("POST", "/api/v1/targets/bench/fetch", R"({"prefix":""})"); });
  const auto rate = [&](const Measured& m) {
    return fmt::format(R"({{"files_per_second":{:.0f},"server_cpu_us_per_file":{:.2f}}})",
                       static_cast<double>(files) / m.wall, m.server * 1e6 / static_cast<double>(files));
  };
  fmt::print(R"({{"files":{},"bytes_each":{},"upload":{},"upload_again":{},"manifest":{},"fetch":{}}})"
             "\n",
             files, bytes_each, rate(first), rate(again), rate(manifest), rate(fetch));
  server->stop();
  node->drain();
}
