// Ten thousand idle connections on one thread: what each costs in memory and, with its pings, in CPU; and what a frame
// to all of them takes. The clients are a process of their own. `stream_bench [CONNECTIONS [SECONDS]]`
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <vector>

#include "net/certificates.h"
#include "net/streams.h"
#include "net/task.h"

using namespace hailstone;
using namespace hailstone::net;

namespace {

double cpu_seconds() {
  rusage use{};
  ::getrusage(RUSAGE_SELF, &use);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(use.ru_utime) + seconds(use.ru_stime);
}

uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  uint64_t all = 0, resident = 0;
  file >> all >> resident;
  return resident * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

double seconds_since(SteadyTime then) { return std::chrono::duration<double>(SteadyClock::now() - then).count(); }

struct End final : StreamReceiver {
  void on_open(StreamId stream, const StreamPeer&) override { open.push_back(stream); }
  void on_frame(StreamId stream, uint8_t, ByteView payload) override {
    ++frames;
    if (echoes) streams->send(stream, 2, Bytes(payload));
  }
  void on_written(StreamId, uint64_t) override {}
  void on_closed(StreamId, const Error& reason) override {
    if (closed++ == 0) last = reason.message;
  }
  std::vector<StreamId> open;
  uint64_t frames = 0, closed = 0;
  std::string last;
  bool echoes = false;
  std::unique_ptr<Streams> streams;
};

struct Certificates {
  std::optional<TlsFiles> server, client;
};

StreamOptions options(const std::optional<TlsFiles>& tls) {
  StreamOptions out{.tls = tls};
  out.connect_timeout_ms = out.handshake_timeout_ms = 120'000;
  return out;
}

/// Dials `count` times, says a word on each, echoes what comes, until the server is gone.
int run_clients(uint16_t port, size_t count, const std::optional<TlsFiles>& tls) {
  asio::io_context loop(1);
  NullLogger logger;
  End end;
  end.echoes = true;
  end.streams = Streams::make(loop, options(tls), end, logger).value();
  size_t dialled = 0, spoken = 0;
  while (end.closed < count) {
    // Not all at once: the server's backlog is finite.
    for (; dialled < count && dialled < end.open.size() + 500; ++dialled) end.streams->connect("127.0.0.1", port);
    for (; spoken < end.open.size(); ++spoken) end.streams->send(end.open[spoken], 1, "hello");
    loop.run_one();
  }
  return 0;
}

/// Clients must not share what the server measures: they are forked before it makes anything.
void measure(const char* kind, size_t count, int seconds, const Certificates& certificates) {
  int ports[2];
  if (::pipe(ports) != 0) std::abort();
  const pid_t child = ::fork();
  if (child == 0) {
    uint16_t port = 0;
    if (::read(ports[0], &port, sizeof port) != sizeof port) std::_Exit(1);
    std::_Exit(run_clients(port, count, certificates.client));
  }
  asio::io_context loop(1);
  NullLogger logger;
  End end;
  end.streams = Streams::make(loop, options(certificates.server), end, logger).value();
  const uint16_t port = end.streams->listen("127.0.0.1", 0).value();
  const uint64_t before = resident_bytes();
  const SteadyTime began = SteadyClock::now();
  const double cpu_began = cpu_seconds();
  if (::write(ports[1], &port, sizeof port) != sizeof port) std::abort();
  while (end.frames < count && end.closed == 0) loop.run_one();
  if (end.closed > 0) fmt::print("{}: {} connections ended: {}\n", kind, end.closed, end.last);
  const double setup = cpu_seconds() - cpu_began;
  fmt::print("{}: {} connections in {:.1f} s, {:.0f} us CPU each\n", kind, count, seconds_since(began),
             1e6 * setup / static_cast<double>(count));
  fmt::print("{}: {:.2f} KiB resident each\n", kind,
             static_cast<double>(resident_bytes() - before) / 1024 / static_cast<double>(count));

  const double cpu_idle = cpu_seconds();
  const uint64_t bytes_idle = end.streams->metrics().bytes_in;
  loop.run_for(std::chrono::seconds(seconds));
  const uint64_t pings = (end.streams->metrics().bytes_in - bytes_idle) / kFrameHeaderBytes;
  fmt::print("{}: idle for {} s: {:.2f} % of a core, {} pings and pongs came\n", kind, seconds,
             100 * (cpu_seconds() - cpu_idle) / seconds, pings);

  // A frame to each, and its echo.
  const uint64_t frames = end.frames;
  const double cpu_all = cpu_seconds();
  const SteadyTime sent = SteadyClock::now();
  for (const StreamId stream : end.open) end.streams->send(stream, 1, Bytes(200, 'e'));
  while (end.frames < frames + count && end.closed == 0) loop.run_one();
  fmt::print("{}: 200 bytes to each and back: {:.0f} ms, {:.1f} us CPU each\n", kind, 1e3 * seconds_since(sent),
             1e6 * (cpu_seconds() - cpu_all) / static_cast<double>(count));
  fmt::print("{}: {:.2f} KiB resident each after that\n", kind,
             static_cast<double>(resident_bytes() - before) / 1024 / static_cast<double>(count));
  end.streams->stop();
  loop.restart();
  loop.run();
  ::close(ports[0]);
  ::close(ports[1]);
  ::waitpid(child, nullptr, 0);
}

/// In a process of its own: what one kind leaves to the allocator is not to flatter the next.
void measure_apart(const char* kind, size_t count, int seconds, const Certificates& certificates) {
  const pid_t child = ::fork();
  if (child == 0) {
    measure(kind, count, seconds, certificates);
    std::fflush(stdout);
    std::_Exit(0);
  }
  ::waitpid(child, nullptr, 0);
}

}  // namespace

int main(int argc, char** argv) {
  const size_t count = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 10'000;
  const int seconds = argc > 2 ? std::atoi(argv[2]) : 20;
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_cur < count + 100) {
    fmt::print("{} connections need as many open files, the limit is {}\n", count, files.rlim_cur);
    return 1;
  }
  char directory[] = "/tmp/stream_bench_XXXXXX";
  if (::mkdtemp(directory) == nullptr) return 1;
  const auto write = [&](const char* name, const std::string& text) {
    std::ofstream(std::string(directory) + "/" + name) << text;
    return std::string(directory) + "/" + name;
  };
  const Certified authority = make_authority("bench").value();
  const Certified node = make_node_certificate(authority, NodeId(1)).value();
  const Certified client = make_client_certificate(authority, "ann").value();
  const std::string ca = write("ca.pem", authority.certificate);
  Certificates certificates;
  certificates.server = TlsFiles{ca, write("node.pem", node.certificate), write("node.key", node.key)};
  certificates.client = TlsFiles{ca, write("ann.pem", client.certificate), write("ann.key", client.key)};
  measure_apart("plain", count, seconds, {});
  measure_apart("tls", count, seconds, certificates);
  std::filesystem::remove_all(directory);
}
