// Serves fixed objects from memory and from files with nothing above http: for load generators, beside other servers.
//
//   http_bench PORT [THREADS] [TLS_CERTIFICATE TLS_KEY]
//
// GET /1k: 1 KiB from shared memory. GET /4k, /64k, /4m: file spans. GET /chunked: 256 KiB of unknown length.
// PUT anything: reads the body, answers with its length. Ends on SIGINT or SIGTERM and prints its counters.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <string>

#include "http/server.h"

namespace hailstone::http {
namespace {

struct OpenFile {
  int fd;
  ~OpenFile() { ::close(fd); }
};

FileSpan make_file(uint64_t bytes) {
  char name[] = "/tmp/http_bench_XXXXXX";
  const int fd = ::mkstemp(name);
  if (fd < 0 || ::unlink(name) != 0) ::exit(1);
  const Bytes content(bytes, 'x');
  if (::write(fd, content.data(), content.size()) != static_cast<ssize_t>(content.size())) ::exit(1);
  return {std::make_shared<OpenFile>(fd), fd, 0, bytes};
}

struct Objects {
  SharedSpan small{std::make_shared<const Bytes>(1024, 'x'), 0, 1024};
  FileSpan page = make_file(4 << 10), medium = make_file(64 << 10), large = make_file(4 << 20);
};

class Blocks final : public BodySource {
 public:
  Task<Result<std::optional<Part>>> next() override {
    if (left_-- == 0) co_return std::optional<Part>();
    co_return std::optional<Part>(Bytes(16 << 10, 'b'));
  }

 private:
  int left_ = 16;
};

class BenchHandler final : public Handler {
 public:
  explicit BenchHandler(const Objects& objects) : objects_(objects) {}

  Task<Response> handle(Request request) override {
    Response response;
    if (request.head.method == Method::Put) {
      uint64_t total = 0;
      if (buffer_.empty()) buffer_.resize(256 << 10);
      while (true) {
        // Content is dropped, so connections may share the buffer.
        const Result<size_t> count = co_await request.body.read_some(buffer_.data(), buffer_.size());
        if (!count) co_return Response::text(400, count.error().message);
        if (*count == 0) co_return Response::text(200, std::to_string(total));
        total += *count;
      }
    }
    response.headers.add("Content-Type", "application/octet-stream");
    const std::string_view path = request.head.path;
    if (path == "/1k") {
      response.body = Part(objects_.small);
    } else if (path == "/4k") {
      response.body = Part(objects_.page);
    } else if (path == "/64k") {
      response.body = Part(objects_.medium);
    } else if (path == "/4m") {
      response.body = Part(objects_.large);
    } else if (path == "/chunked") {
      response.body = std::make_unique<Blocks>();
    } else {
      co_return Response::text(404, "no such object\n");
    }
    co_return response;
  }

 private:
  const Objects& objects_;
  Bytes buffer_;
};

int run(int argc, char** argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: %s PORT [THREADS] [TLS_CERTIFICATE TLS_KEY]\n", argv[0]);
    return 2;
  }
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  ServerOptions options;
  options.port = static_cast<uint16_t>(atoi(argv[1]));
  if (argc > 2) options.threads = static_cast<uint32_t>(atoi(argv[2]));
  if (argc > 4) {
    options.tls_certificate = argv[3];
    options.tls_key = argv[4];
  }
  const Objects objects;
  FdLogger logger(2, Level::Info, FdLogger::Format::Logfmt);
  auto server =
      Server::listen(options, [&objects](unsigned) { return std::make_unique<BenchHandler>(objects); }, logger);
  if (!server) {
    fprintf(stderr, "%s\n", server.error().message.c_str());
    return 1;
  }
  (*server)->start();
  int signal = 0;
  sigwait(&signals, &signal);
  (*server)->stop();
  const ServerStats stats = (*server)->stats();
  printf("requests=%lu connections=%lu sent_bytes=%lu timeouts=%lu\n", stats.requests_total, stats.connections_total,
         stats.bytes_sent, stats.timeouts);
  return 0;
}

}  // namespace
}  // namespace hailstone::http

int main(int argc, char** argv) { return hailstone::http::run(argc, argv); }
