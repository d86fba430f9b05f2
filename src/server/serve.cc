#include "server/serve.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>

#include "replica/supervisor.h"
#include "server/cell_service.h"
#include "server/front.h"
#include "server/janitor.h"
#include "server/node.h"
#include "server/version.h"

namespace hailstone::server {
namespace {

Result<void> apply_listen(const std::string& text, Config& config) {
  const size_t colon = text.rfind(':');
  std::string address = colon == text.npos ? "" : text.substr(0, colon);
  const std::string port = colon == text.npos ? text : text.substr(colon + 1);
  if (address.starts_with('[') && address.ends_with(']')) address = address.substr(1, address.size() - 2);
  uint16_t number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc() || end != port.data() + port.size() || port.empty())
    return fail(Code::Invalid, fmt::format("--listen {}: write ADDRESS:PORT, [V6ADDRESS]:PORT or PORT", text));
  if (!address.empty()) config.http.address = address;
  config.http.port = number;
  return {};
}

// KEY=VALUE is TOML already when VALUE is a number, a boolean or quoted; a bare word is taken as a string.
Result<void> apply_setting(const std::string& text, Config& config) {
  const size_t equals = text.find('=');
  if (equals == text.npos) return fail(Code::Invalid, fmt::format("--set {}: write KEY=VALUE", text));
  Config changed = config;
  if (overlay_config(text, changed)) {
    config = std::move(changed);
    return {};
  }
  Config quoted = config;
  auto parsed = overlay_config(fmt::format("{} = '{}'", text.substr(0, equals), text.substr(equals + 1)), quoted);
  if (!parsed) return std::unexpected(std::move(parsed).error().within("--set " + text));
  config = std::move(quoted);
  return {};
}

Result<Config> configure(const ServeArguments& arguments) {
  Config config;
  if (!arguments.config.empty()) {
    TRY(config, load_config(arguments.config));
  }
  for (const std::string& setting : arguments.set) TRY_DO(apply_setting(setting, config));
  if (!arguments.data.empty()) config.data = arguments.data;
  if (!arguments.listen.empty()) TRY_DO(apply_listen(arguments.listen, config));
  TRY_DO(config.validate());
  return config;
}

std::string base_url(const Config& config, uint16_t port) {
  std::string host = config.http.address;
  if (host == "0.0.0.0" || host == "::") host = "127.0.0.1";
  if (host.find(':') != host.npos) host = "[" + host + "]";
  return fmt::format("{}://{}:{}", config.http.tls_certificate.empty() ? "http" : "https", host, port);
}

void greet(const Config& config, const Node* node, const std::string& url, const std::string& s3_url,
           const CellService* cell) {
  fmt::print("Hailstone {} is ready.\n\n", kVersion);
  if (node)
    fmt::print("  repositories  {}/VOLUME/\n  S3            {}\n  API           {}/api/v1/\n", url, s3_url, url);
  if (cell)
    fmt::print("  cell          {}:{} (node {} of '{}')\n", config.cell.address, cell->port(), config.cell.id,
               config.cell.name);
  fmt::print("  metrics       {}/metrics\n  data          {}\n", url, config.data);
  if (node && node->is_new() && !node->admin_key().empty()) {
    fmt::print(
        "\nThis is a new data directory. Its first access key (role admin; kept in {}/admin.key):\n\n"
        "  export HAILSTONE_URL={}\n  export HAILSTONE_KEY={}\n",
        config.data, url, node->admin_key());
  }
  fmt::print("\n");
  std::fflush(stdout);
}

int stop_with(const Error& error) {
  fmt::print(stderr, "hailstone serve: {}\n", error.message);
  return error.code == Code::Invalid ? 2 : 1;
}

/// What answers HTTP; S3 only where there are repositories.
struct Servers {
  std::unique_ptr<http::Server> main, s3;
  void stop() {
    if (main) main->stop();
    if (s3) s3->stop();
  }
};

Result<Servers> listen(const Config& config, FrontShared& shared, Logger& logger) {
  Servers out;
  TRY(out.main,
      http::Server::listen(config.http, [&shared](unsigned) { return std::make_unique<Front>(shared); }, logger));
  shared.set_server(out.main.get());
  if (config.s3_enabled && config.has_repositories() && config.has_role(kGatewayRole)) {
    http::ServerOptions options = config.http;
    if (!config.s3_address.empty()) options.address = config.s3_address;
    options.port = config.s3_port;
    auto listening =
        http::Server::listen(options, [&shared](unsigned) { return std::make_unique<S3Front>(shared); }, logger);
    if (!listening)
      return std::unexpected(
          std::move(listening).error().within("S3 (--set s3.port=0 takes any free port, s3.enabled=false none)"));
    out.s3 = *std::move(listening);
    shared.set_s3_server(out.s3.get());
    out.s3->start();
  }
  out.main->start();
  return out;
}

/// Connections are files; there may be as many as the system lets this process have.
void raise_file_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  static_cast<void>(::setrlimit(RLIMIT_NOFILE, &limit));
}

/// SIGTERM or SIGINT came: they are blocked, and wait to be taken.
bool stop_asked() {
  sigset_t pending;
  return ::sigpending(&pending) == 0 && (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1);
}

Result<void> run_node(const Config& config, const replica::WardReporter& supervisor, Logger& logger) {
  // Signals are taken by sigwait below, on this thread, never by a handler.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  raise_file_limit();

  static SystemClock clock;
  const auto disk = disk::make_real_disk();
  FrontShared shared(config, logger);
  TRY(auto servers, listen(config, shared, logger));
  const auto opened = [&]() -> Result<void> {
    auto directory = DataDirectory::open(*disk, config.data);
    if (!directory) return std::unexpected(std::move(directory).error().within("opening " + config.data));
    auto hosted =
        GroupHost::open(*disk, clock, config.cell,
                        {.directory = config.data, .segment_bytes = config.group_segment_bytes}, supervisor, logger);
    if (!hosted) return std::unexpected(std::move(hosted).error().within("cell (--set cell.member_port=0: any port)"));
    const auto groups = *std::move(hosted);
    std::unique_ptr<Node> node;
    std::unique_ptr<CellService> cell;
    std::unique_ptr<Janitor> janitor;
    const auto ended = [&] {  // what looks at the cell and the node ends before they do
      servers.stop();
      shared.close();
      if (janitor) janitor->stop();
    };
    const auto started = [&]() -> Result<void> {
      if (config.has_repositories()) {
        TRY(node, Node::open(config, *std::move(directory), disk::make_real_disk(), *groups, logger));
      }
      if (config.has_role(kMemberRole)) {
        TRY(cell, CellService::open(*groups, clock, config.data + "/cell", logger));
      }
      TRY_DO(groups->start());
      if (cell) {
        if (auto serving = cell->start(); !serving)
          return std::unexpected(std::move(serving).error().within("cell (--set cell.port=0: any port)"));
        shared.set_cell(cell.get());
      }
      if (!node) return {};
      shared.set_phase("joining: learning what the cell has acknowledged, and registering");
      TRY_DO(node->found({.http = base_url(config, servers.main->port()),
                          .s3 = servers.s3 ? base_url(config, servers.s3->port()) : std::string(),
                          .cell_port = cell ? cell->port() : uint16_t{0}},
                         stop_asked));
      janitor = std::make_unique<Janitor>(*node, logger);
      janitor->start();
      shared.open(*node, *janitor);
      return {};
    }();
    if (!started) {
      ended();
      if (started.error().code == Code::Cancelled) return {};
      return std::unexpected(started.error());
    }
    Config s3_place = config;
    if (!config.s3_address.empty()) s3_place.http.address = config.s3_address;
    const std::string s3_url = servers.s3 ? base_url(s3_place, servers.s3->port()) : std::string("off");
    greet(config, node.get(), base_url(config, servers.main->port()), s3_url, cell.get());
    logger.info("ready", {{"url", base_url(config, servers.main->port())}});

    int received = 0;
    sigwait(&signals, &received);
    logger.info("stopping", {{"signal", received}});
    // A second signal ends the process at once: nothing acknowledged depends on the rest.
    pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
    shared.drain();
    if (cell) cell->stop();
    ended();
    if (node)
      node->drain();
    else
      groups->stop();
    logger.info("stopped");
    return {};
  }();
  if (!opened) servers.stop();
  return opened;
}

}  // namespace

int serve_main(const ServeArguments& arguments) {
  const auto config = configure(arguments);
  if (!config) return stop_with(config.error());
  FdLogger logger(STDERR_FILENO, config->log_level, config->log_format);
  const auto run = [&](const replica::WardReporter& supervisor) {
    const auto done = run_node(*config, supervisor, logger);
    return done ? 0 : stop_with(done.error());
  };
  // A member of several has a parent process that tells the others of its death at once.
  if (config->cell.supervised()) return replica::supervise(run, logger);
  return run(replica::WardReporter());
}

}  // namespace hailstone::server
