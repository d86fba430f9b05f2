#include "replica/supervisor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include "base/codec.h"
#include "replica/net_transport.h"

namespace hailstone::replica {
namespace {

using namespace std::chrono_literals;

/// For reaching the others; their grants run out by themselves soon after.
constexpr auto kTellTime = 500ms;
constexpr auto kPauseMin = 50ms, kPauseMax = 5'000ms;
/// A child that lived so long did not die of its start.
constexpr auto kSettled = 2s;
constexpr size_t kReportBytesMax = 60'000;  // a pipe holds that much

std::atomic<pid_t> child = 0;
volatile sig_atomic_t asked_to_stop = 0;

void hand_on(int signal) {
  asked_to_stop = 1;
  if (const pid_t pid = child; pid > 0) kill(pid, signal);
}

/// Counts whom it can speak to.
class Connections final : public net::Receiver {
 public:
  void on_frame(net::NodeId, uint8_t, ByteView) override {}
  void on_up(net::NodeId peer) override {
    const std::lock_guard hold(mutex_);
    fresh_.push_back(peer);
    changed_.notify_one();
  }
  void on_down(net::NodeId, const Error&) override {}
  std::vector<net::NodeId> next(std::chrono::steady_clock::time_point deadline) {
    std::unique_lock hold(mutex_);
    changed_.wait_until(hold, deadline, [&] { return !fresh_.empty(); });
    return std::exchange(fresh_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<net::NodeId> fresh_;
};

void tell_the_others(const Ward& ward, Logger& logger) {
  Connections connections;
  net::TcpOptions options{.self = ward.node, .cell = ward.cell, .tls = ward.tls, .plain = ward.plain};
  options.backoff_min_ms = 1;
  options.backoff_max_ms = 20;
  auto net = net::TcpTransport::start(options, connections, logger);
  Result<void> going = net ? (*net)->set_peers(ward.peers) : std::unexpected(net.error());
  if (!going) return logger.warn("obituary_not_sent", {{"error", going.error().message}});
  Bytes life;
  Encoder(life).u64(ward.life.value);
  std::set<net::NodeId> told;
  const auto deadline = std::chrono::steady_clock::now() + kTellTime;
  const size_t others = std::ranges::count_if(ward.peers, [&](const auto& peer) { return peer.id != ward.node; });
  while (told.size() < others && std::chrono::steady_clock::now() < deadline)
    for (const net::NodeId peer : connections.next(deadline))
      if ((*net)->send(peer, kObituaryChannel, life)) told.insert(peer);
  (*net)->stop();
  logger.info("obituary_sent", {{"to", static_cast<uint64_t>(told.size())}, {"of", static_cast<uint64_t>(others)}});
}

/// Until the other end is closed: the last whole report.
std::optional<Ward> read_reports(int fd) {
  std::optional<Ward> last;
  Bytes buffered;
  char bytes[4096];
  while (true) {
    const ssize_t got = read(fd, bytes, sizeof bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return last;
    buffered.append(bytes, static_cast<size_t>(got));
    while (buffered.size() >= 4) {
      const uint32_t size = Decoder(buffered).u32();
      if (buffered.size() - 4 < size) break;
      if (auto ward = Ward::decode(ByteView(buffered).substr(4, size))) last = std::move(*ward);
      buffered.erase(0, 4 + size);
    }
  }
}

}  // namespace

Bytes Ward::encode() const {
  Bytes out;
  Encoder to(out);
  to.u64(life.value);
  to.u64(node.value);
  to.bytes(cell);
  to.u8(plain == net::TcpOptions::Plain::Anywhere);
  to.u8(tls.has_value());
  if (tls)
    for (const std::string& file : {tls->certificate, tls->key, tls->authority}) to.bytes(file);
  to.varint(peers.size());
  for (const net::PeerAddress& peer : peers) {
    to.u64(peer.id.value);
    to.bytes(peer.host);
    to.u16(peer.port);
  }
  return out;
}

Result<Ward> Ward::decode(ByteView bytes) {
  Decoder in(bytes);
  Ward ward;
  ward.life = paxos::LifeId(in.u64());
  ward.node = net::NodeId(in.u64());
  ward.cell = std::string(in.bytes());
  ward.plain = in.u8() ? net::TcpOptions::Plain::Anywhere : net::TcpOptions::Plain::LoopbackOnly;
  if (in.u8()) {
    ward.tls.emplace();
    for (std::string* file : {&ward.tls->certificate, &ward.tls->key, &ward.tls->authority})
      *file = std::string(in.bytes());
  }
  const uint64_t count = in.varint();
  for (uint64_t i = 0; i < count && in.ok(); ++i) {
    net::PeerAddress peer;
    peer.id = net::NodeId(in.u64());
    peer.host = std::string(in.bytes());
    peer.port = in.u16();
    ward.peers.push_back(std::move(peer));
  }
  if (!in.done()) return fail(Code::Corrupt, "a report to the supervisor, malformed");
  return ward;
}

Result<void> WardReporter::report(const Ward& ward) const {
  if (fd_ < 0) return {};
  const Bytes body = ward.encode();
  if (body.size() > kReportBytesMax)
    return fail(Code::Invalid, fmt::format("{} bytes about the peers, at most {}", body.size(), kReportBytesMax));
  Bytes report;
  Encoder(report).u32(static_cast<uint32_t>(body.size()));
  report += body;
  for (ByteView left = report; !left.empty();) {
    const ssize_t put = write(fd_, left.data(), left.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return fail(Code::Io, fmt::format("report to the supervisor: {}", strerrordesc_np(errno)));
    left.remove_prefix(static_cast<size_t>(put));
  }
  return {};
}

int supervise(const std::function<int(const WardReporter&)>& run, Logger& logger) {
  struct sigaction action = {};
  action.sa_handler = hand_on;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  auto pause = kPauseMin;
  while (true) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
      logger.error("supervisor_failed", {{"error", strerrordesc_np(errno)}});
      return 1;
    }
    const auto started = std::chrono::steady_clock::now();
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid < 0) {
      logger.error("supervisor_failed", {{"error", strerrordesc_np(errno)}});
      return 1;
    }
    if (pid == 0) {
      signal(SIGTERM, SIG_DFL);
      signal(SIGINT, SIG_DFL);
      close(ends[0]);
      // Without its supervisor nobody would start it again: it stops in good order.
      prctl(PR_SET_PDEATHSIG, SIGTERM);
      if (getppid() != parent) _exit(1);
      const int status = run(WardReporter(ends[1]));
      // As at the end of main(), but once: the parent's own are not ours to end.
      fflush(nullptr);
      _exit(status);
    }
    child = pid;
    if (asked_to_stop) kill(pid, SIGTERM);
    close(ends[1]);
    const std::optional<Ward> ward = read_reports(ends[0]);
    close(ends[0]);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    child = 0;
    const bool exited = WIFEXITED(status);
    if (exited && (WEXITSTATUS(status) == 0 || !ward)) return WEXITSTATUS(status);
    if (ward && !ward->peers.empty()) tell_the_others(*ward, logger);
    if (exited)
      logger.error("node_ended", {{"status", static_cast<uint64_t>(WEXITSTATUS(status))}});
    else
      logger.error("node_killed", {{"signal", static_cast<uint64_t>(WTERMSIG(status))}});
    if (asked_to_stop) return exited ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (std::chrono::steady_clock::now() - started > kSettled) pause = kPauseMin;
    std::this_thread::sleep_for(pause);
    if (asked_to_stop) return 0;
    pause = std::min<std::chrono::milliseconds>(2 * pause, kPauseMax);
  }
}

}  // namespace hailstone::replica
