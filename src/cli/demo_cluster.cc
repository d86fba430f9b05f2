#include "cli/demo_cluster.h"

#include <fmt/format.h>

#include <atomic>
#include <charconv>
#include <map>
#include <mutex>
#include <thread>

namespace hailstone::cli {
namespace {

constexpr int kReleases = 6;
constexpr int kReaders = 4;
constexpr auto kReadyPatience = std::chrono::seconds(60);
constexpr auto kBetween = std::chrono::milliseconds(200);  // publishes
constexpr const char* kVolume = "demo";
constexpr const char* kFile = "release.txt";

/// What all readers saw together.
struct Seen {
  std::mutex mutex;  // of all below: readers'
  uint64_t reads = 0, refused = 0;
  std::map<std::string, uint64_t> by_node;
  std::vector<std::string> wrong;  // a few
};

uint64_t release_of(const Answer& answer) {
  const std::string* field = answer.field("x-hailstone-release");
  uint64_t release = 0;
  if (field) std::from_chars(field->data(), field->data() + field->size(), release);
  return release;
}

/// Reads until told to stop; what it reads must never be older than what it has read, nor than `acknowledged` was when
/// it asked.
void read_on(const std::string& url, const std::atomic<bool>& stop, const std::atomic<uint64_t>& acknowledged,
             Seen& seen) {
  auto transport = make_transport({url, {}});
  uint64_t newest = 0;
  while (transport && !stop) {
    const uint64_t least = std::max(newest, acknowledged.load());
    const auto answer = (*transport)
                            ->call({.method = "GET",
                                    .target = fmt::format("/{}/{}", kVolume, kFile),
                                    .fields = {},
                                    .body = {},
                                    .pull = {},
                                    .length = {}},
                                   nullptr);
    const std::scoped_lock lock(seen.mutex);
    ++seen.reads;
    if (!answer || answer->status == 503) {
      ++seen.refused;
      continue;
    }
    const uint64_t release = release_of(*answer);
    const std::string* node = answer->field("x-hailstone-node");
    ++seen.by_node[node ? *node : "?"];
    const std::string wanted = fmt::format("this is release {}\n", release);
    if (answer->status != 200 || release < least || answer->body != wanted)
      if (seen.wrong.size() < 5)
        seen.wrong.push_back(fmt::format("{}, release {} from node {} when {} was acknowledged", answer->status,
                                         release, node ? *node : "?", least));
    newest = std::max(newest, release);
  }
}

Result<uint64_t> publish_through(const std::string& url, const std::string& key, int number) {
  TRY(auto transport, make_transport({url, {}}));
  Api api({.url = url, .key = key, .attempts = 5, .sleep = {}}, std::move(transport));
  const Json edit{{"key", kFile}, {"text", fmt::format("this is release {}\n", number)}};
  TRY_DO(api.send("POST", target_path(kVolume, "batch"), {{"edits", Json::array({edit})}}));
  TRY(const Json done, api.send("POST", "/api/v1/publish", {{"items", {{{"volume", kVolume}}}}}));
  const Json& releases = done.value("releases", Json::array());
  if (!releases.is_array() || releases.empty()) return fail(Code::Io, url + ": the publish names no release");
  return releases[0].value("release", uint64_t{0});
}

}  // namespace

std::string haproxy_config(uint16_t port, const std::vector<uint16_t>& node_ports) {
  std::string out = fmt::format(
      "# One address for all nodes: whoever answers /readyz with 200 is asked in turn, without affinity.\n"
      "global\n  maxconn 1024\n"
      "defaults\n  mode http\n  retries 3\n  option redispatch\n  timeout connect 500ms\n  timeout client 90s\n"
      "  timeout server 90s\n  option httpchk GET /readyz\n"
      "frontend nodes\n  bind 127.0.0.1:{}\n  default_backend nodes\n"
      "backend nodes\n  balance roundrobin\n  option http-server-close\n"
      "  # What changes something is not sent twice by the balancer: clients repeat it with their idempotency key.\n"
      "  http-request disable-l7-retry if ! METH_GET ! METH_HEAD\n"
      "  retry-on conn-failure empty-response response-timeout\n",
      port);
  for (size_t i = 0; i < node_ports.size(); ++i)
    out += fmt::format("  server node-{} 127.0.0.1:{} check inter 250ms fall 2 rise 1\n", i + 1, node_ports[i]);
  return out;
}

Result<void> wait_until_ready(const std::string& url) {
  const auto deadline = std::chrono::steady_clock::now() + kReadyPatience;
  std::string last = "no answer";
  while (std::chrono::steady_clock::now() < deadline) {
    TRY(const auto transport, make_transport({url, {}}));
    const auto answer = transport->call(
        {.method = "GET", .target = "/readyz", .fields = {}, .body = {}, .pull = {}, .length = {}}, nullptr);
    if (answer && answer->status == 200) return {};
    if (answer) last = answer->body;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return fail(Code::Timeout, fmt::format("{} is not ready after {} s: {}", url, kReadyPatience.count(), last));
}

Result<void> show_flips(Context& context, const DemoCluster& cluster) {
  TRY(auto transport, make_transport({cluster.nodes[0], {}}));
  Api first({.url = cluster.nodes[0], .key = cluster.key, .attempts = 5, .sleep = {}}, std::move(transport));
  if (const auto made = first.send("POST", "/api/v1/volumes", {{"name", kVolume}, {"settings", {{"public", true}}}});
      !made) {
    if (made.error().code != Code::Exists && made.error().code != Code::Conflict) return std::unexpected(made.error());
    context.out() << "  volume 'demo' is there from before: what it shows stays\n";
    return {};
  }
  std::atomic<bool> stop = false;
  std::atomic<uint64_t> acknowledged = 0;
  Seen seen;
  std::vector<std::thread> readers;
  Result<void> outcome;
  for (int number = 1; number <= kReleases && outcome; ++number) {
    const size_t node = static_cast<size_t>(number - 1) % cluster.nodes.size();
    const auto began = std::chrono::steady_clock::now();
    const auto release = publish_through(cluster.nodes[node], cluster.key, number);
    if (!release) {
      outcome = std::unexpected(release.error());
      break;
    }
    const auto took = std::chrono::steady_clock::now() - began;
    acknowledged = *release;
    context.out() << fmt::format("  release {} published through node {} in {} ms\n", *release, node + 1,
                                 std::chrono::duration_cast<std::chrono::milliseconds>(took).count())
                  << std::flush;
    if (readers.empty())
      for (int i = 0; i < kReaders; ++i)
        readers.emplace_back([&] { read_on(cluster.balancer, stop, acknowledged, seen); });
    std::this_thread::sleep_for(kBetween);
  }
  stop = true;
  for (auto& reader : readers) reader.join();
  TRY_DO(outcome);
  std::string nodes;
  for (const auto& [node, count] : seen.by_node)
    nodes += fmt::format("{}{} by node {}", nodes.empty() ? "" : ", ", count, node);
  context.out() << fmt::format(
      "  {} readers made {} reads through the balancer meanwhile ({}): {} older than acknowledged, {} refused\n\n",
      kReaders, seen.reads, nodes, seen.wrong.size(), seen.refused);
  if (!seen.wrong.empty()) return fail(Code::Conflict, "a reader saw what it must not: " + seen.wrong.front());
  return {};
}

}  // namespace hailstone::cli
