// The floor under any replicated log: values go from clients to a leader, each batch to two followers, everyone appends
// and syncs, the leader answers when two of three have. No protocol, no checks, nothing applied.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "base/codec.h"

namespace {

using hailstone::Bytes;
using hailstone::ByteView;
using hailstone::Decoder;
using hailstone::Encoder;

void write_all(int fd, ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd, bytes.data(), bytes.size());
    if (put < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (put < 0) return;
    bytes.remove_prefix(static_cast<size_t>(put));
  }
}

int listen_on(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  const int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || listen(fd, 1024) != 0) _exit(1);
  return fd;
}

int connect_to(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int one = 1;
  while (true) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return fd;
    close(fd);
    usleep(10'000);
  }
}

/// Zero-filled, as a log that is synced often is.
int open_log(const std::string& path) {
  const int fd = open(path.c_str(), O_CREAT | O_TRUNC | O_RDWR, 0600);
  const Bytes zeros(1 << 20, '\0');
  for (int i = 0; i < 256; ++i) write_all(fd, zeros);
  fdatasync(fd);
  lseek(fd, 0, SEEK_SET);
  return fd;
}

void append(int fd, ByteView bytes) {
  if (lseek(fd, 0, SEEK_CUR) > (200 << 20)) lseek(fd, 0, SEEK_SET);
  write_all(fd, bytes);
  fdatasync(fd);
}

/// Batches come with a length and a number; the number goes back.
void follow(uint16_t port, const std::string& path) {
  const int log = open_log(path);
  const int fd = accept(listen_on(port), nullptr, nullptr);
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  Bytes in;
  char bytes[65536];
  for (ssize_t got; (got = read(fd, bytes, sizeof bytes)) > 0;) {
    in.append(bytes, static_cast<size_t>(got));
    // All that came shares a sync.
    uint64_t last = 0;
    size_t at = 0;
    while (in.size() - at >= 12) {
      Decoder from(ByteView(in).substr(at));
      const uint32_t size = from.u32();
      const uint64_t number = from.u64();
      if (in.size() - at < 12 + size) break;
      last = number;
      at += 12 + size;
    }
    if (!last) continue;
    append(log, ByteView(in).substr(0, at));
    in.erase(0, at);
    Bytes reply;
    Encoder(reply).u64(last);
    write_all(fd, reply);
  }
}

struct Leader {
  std::mutex mutex;
  std::condition_variable wake;
  Bytes pending;                                              // for the log
  std::deque<std::pair<uint64_t, std::vector<int>>> waiting;  // batches, and who is to be answered
  uint64_t next = 1, own = 0;
  std::map<int, uint64_t> acked;

  uint64_t durable() const {
    std::vector<uint64_t> all{own};
    for (const auto& [fd, number] : acked) all.push_back(number);
    std::sort(all.rbegin(), all.rend());
    return all.size() > 1 ? all[1] : 0;
  }
};

void lead(uint16_t port, const std::string& path, const std::vector<uint16_t>& followers) {
  Leader state;
  const int log = open_log(path), listener = listen_on(port), epoll = epoll_create1(0);
  int ends[2];
  if (pipe(ends) != 0) return;
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  const auto watch = [&](int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  };
  std::vector<int> links;
  for (const uint16_t follower : followers) {
    links.push_back(connect_to(follower));
    state.acked[links.back()] = 0;
    watch(links.back());
  }
  std::thread writer([&] {
    while (true) {
      Bytes batch;
      uint64_t upto;
      {
        std::unique_lock hold(state.mutex);
        state.wake.wait(hold, [&] { return !state.pending.empty(); });
        batch.swap(state.pending);
        upto = state.next - 1;
      }
      append(log, batch);
      {
        const std::lock_guard hold(state.mutex);
        state.own = upto;
      }
      write_all(ends[1], "x");
    }
  });
  watch(listener);
  watch(ends[0]);
  std::map<int, Bytes> buffers;
  std::vector<epoll_event> events(1024);
  while (true) {
    const int count = epoll_wait(epoll, events.data(), 1024, -1);
    Bytes batch;
    std::vector<int> callers;
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      if (fd == listener) {
        const int client = accept(listener, nullptr, nullptr);
        const int one = 1;
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        watch(client);
        continue;
      }
      char bytes[65536];
      const ssize_t got = read(fd, bytes, sizeof bytes);
      if (fd == ends[0]) continue;
      if (got <= 0) {
        close(fd);
        buffers.erase(fd);
        continue;
      }
      Bytes& in = buffers[fd];
      in.append(bytes, static_cast<size_t>(got));
      if (state.acked.contains(fd)) {
        const std::lock_guard hold(state.mutex);
        while (in.size() >= 8) {
          state.acked[fd] = Decoder(in).u64();
          in.erase(0, 8);
        }
        continue;
      }
      while (in.size() >= 4) {
        const uint32_t size = Decoder(in).u32();
        if (in.size() < 4 + size) break;
        if (size == 0) {
          write_all(fd, Bytes(4, '\0'));  // a read: answered from memory
        } else {
          batch.append(in, 0, 4 + size);
          callers.push_back(fd);
        }
        in.erase(0, 4 + size);
      }
    }
    std::vector<int> answered;
    {
      const std::lock_guard hold(state.mutex);
      if (!batch.empty()) {
        Bytes framed;
        Encoder to(framed);
        to.u32(static_cast<uint32_t>(batch.size()));
        to.u64(state.next);
        framed += batch;
        for (const int link : links) write_all(link, framed);
        state.pending += framed;
        state.waiting.emplace_back(state.next++, std::move(callers));
      }
      const uint64_t durable = state.durable();
      while (!state.waiting.empty() && state.waiting.front().first <= durable) {
        for (const int fd : state.waiting.front().second) answered.push_back(fd);
        state.waiting.pop_front();
      }
    }
    if (!batch.empty()) state.wake.notify_one();
    for (const int fd : answered) write_all(fd, Bytes(4, '\0'));
  }
}

}  // namespace

int main(int argc, char** argv) {
  uint16_t port = 0;
  std::string path;
  std::vector<uint16_t> followers;
  CLI::App app("A node of the floor benchmark: a leader if it is given followers.");
  app.add_option("--port", port)->required();
  app.add_option("--log", path)->required();
  app.add_option("--follower", followers);
  CLI11_PARSE(app, argc, argv);
  if (followers.empty())
    follow(port, path);
  else
    lead(port, path, followers);
  return 0;
}
