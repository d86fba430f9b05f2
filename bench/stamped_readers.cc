// Readers of stamped trees: many clients that GET files which hold their own release's number, at a fixed rate in all,
// and write down what each read met and when. tests/shows/stamped.py judges it. Links hailstone_http.
//
//   stamped_readers --url http://HOST:PORT --volume a --volume b --out FILE [--readers 32] [--rate 1500] [--pinned 10]
//
// Half of the readers keep their connection, half open one for each request. Ends on SIGTERM or SIGINT. A line for each
// read:
//   START_NS END_NS VOLUME ASKED STATUS RELEASE STAMP NODE
// times of CLOCK_MONOTONIC, VOLUME's index, ASKED 0 for the channel, else the release; STATUS 0 when no whole answer
// came (then NODE is the reason), RELEASE and STAMP 0 where the answer names none.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <random>
#include <thread>
#include <vector>

#include "http/client.h"

namespace hailstone::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::string_view kFiles = "abcdefghij";  // stamp-a.txt ... stamp-j.txt
constexpr uint64_t kPinnedBack = 50;               // pinned reads ask for one of so many newest releases
constexpr uint64_t kBodyBytesMax = 1 << 20;
std::atomic<bool> stopping = false;  // NOLINT: a signal handler sets it

struct Settings {
  std::string url, out;
  std::vector<std::string> volumes;
  unsigned readers = 32, rate = 1500, pinned_percent = 10;
  uint64_t seed = 1;
};

uint64_t number(std::string_view text) {
  uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

/// Of "stamp 17 stamp-a.txt ..."; 0 if it is no such file or another one than `name`.
uint64_t stamp_of(std::string_view body, std::string_view name) {
  if (!body.starts_with("stamp ")) return 0;
  body.remove_prefix(6);
  const size_t space = body.find(' ');
  if (space == body.npos || !body.substr(space + 1).starts_with(name)) return 0;
  return number(body.substr(0, space));
}

int64_t since_boot_ns() { return std::chrono::nanoseconds(Clock::now().time_since_epoch()).count(); }

class Readers {
 public:
  Readers(const Settings& settings, http::BaseUrl base, FILE* out)
      : settings_(settings), base_(std::move(base)), out_(out), newest_(settings.volumes.size()) {}

  void run(unsigned index) {
    std::mt19937_64 random(settings_.seed * 1000 + index);
    const http::ClientOptions options{.connect_timeout_ms = 5'000, .stall_timeout_ms = 60'000};
    http::Client client(base_, options);
    const bool keep = index % 2 == 0;
    const std::chrono::duration<double> pause(static_cast<double>(settings_.readers) / settings_.rate);
    std::uniform_real_distribution<double> spread(0, 2);  // times `pause`: so that readers do not walk in step
    while (!stopping && ::getppid() == parent_) {
      std::this_thread::sleep_for(pause * spread(random));
      read(client, keep, random);
      if (!keep) client.close();
    }
  }

 private:
  void read(http::Client& client, bool keep, std::mt19937_64& random) {
    const size_t volume = random() % settings_.volumes.size();
    const uint64_t newest = newest_[volume].load();
    uint64_t asked = 0;
    if (newest != 0 && random() % 100 < settings_.pinned_percent) {
      const uint64_t oldest = newest > kPinnedBack ? newest - kPinnedBack : 1;
      asked = oldest + random() % (newest - oldest + 1);
    }
    const std::string name = fmt::format("stamp-{}.txt", kFiles[random() % kFiles.size()]);
    http::ClientRequest request;
    request.target = fmt::format("/{}{}/{}", settings_.volumes[volume], asked ? fmt::format("@{}", asked) : "", name);
    if (!keep) request.headers.add("Connection", "close");

    const int64_t start = since_boot_ns();
    const auto answer = client.fetch(request, kBodyBytesMax);
    const int64_t end = since_boot_ns();
    if (!answer) {
      std::string reason = answer.error().message;
      for (char& c : reason) c = c == ' ' || c == '\n' ? '_' : c;
      fmt::print(out_, "{} {} {} {} 0 0 0 {}\n", start, end, volume, asked, reason);
      return;
    }
    const auto field = [&](std::string_view key) { return answer->head.field(key).value_or(""); };
    const uint64_t release = number(field("X-Hailstone-Release"));
    std::string_view node = field("X-Hailstone-Node");
    if (node.empty()) node = field("X-Served-By");
    fmt::print(out_, "{} {} {} {} {} {} {} {}\n", start, end, volume, asked, answer->head.status, release,
               answer->head.status == 200 ? stamp_of(answer->body, name) : 0, node.empty() ? "-" : node);
    if (answer->head.status != 200 || asked != 0) return;
    uint64_t before = newest;
    while (before < release && !newest_[volume].compare_exchange_weak(before, release)) {
    }
  }

  const Settings& settings_;
  const http::BaseUrl base_;
  const pid_t parent_ = ::getppid();           // readers that nobody will judge end
  FILE* out_;                                  // lines are written whole: stdio locks it
  std::vector<std::atomic<uint64_t>> newest_;  // release that any reader was shown, by volume
};

int run(int argc, char** argv) {
  Settings settings;
  CLI::App app("readers of stamped trees");
  app.add_option("--url", settings.url)->required();
  app.add_option("--out", settings.out)->required();
  app.add_option("--volume", settings.volumes)->required();
  app.add_option("--readers", settings.readers, "Clients at a time");
  app.add_option("--rate", settings.rate, "Reads a second, of all together");
  app.add_option("--pinned", settings.pinned_percent, "Percent of reads that name a release");
  app.add_option("--seed", settings.seed);
  CLI11_PARSE(app, argc, argv);
  const auto base = http::BaseUrl::parse(settings.url);
  if (!base) return fmt::print(stderr, "{}\n", base.error().message), 2;
  FILE* out = fopen(settings.out.c_str(), "w");
  if (!out) return fmt::print(stderr, "cannot write {}\n", settings.out), 2;
  for (const int each : {SIGTERM, SIGINT}) signal(each, [](int) { stopping = true; });
  signal(SIGPIPE, SIG_IGN);

  Readers readers(settings, *base, out);
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < settings.readers; ++i) threads.emplace_back([&readers, i] { readers.run(i); });
  for (std::thread& thread : threads) thread.join();
  return fclose(out) == 0 ? 0 : 1;
}

}  // namespace
}  // namespace hailstone::bench

int main(int argc, char** argv) { return hailstone::bench::run(argc, argv); }
