#include "server/serve.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>

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

void greet(const Node& node, const std::string& url, const std::string& s3_url) {
  fmt::print(
      "Hailstone {} is ready.\n\n  repositories  {}/VOLUME/\n  S3            {}\n  API           {}/api/v1/\n  metrics "
      "      {}/metrics\n  data          {}\n",
      kVersion, url, s3_url, url, url, node.config().data);
  if (node.is_new()) {
    fmt::print(
        "\nThis is a new data directory. Its first access key (role admin; kept in {}/admin.key):\n\n"
        "  export HAILSTONE_URL={}\n  export HAILSTONE_KEY={}\n",
        node.config().data, url, node.admin_key());
  }
  fmt::print("\n");
  std::fflush(stdout);
}

int stop_with(const Error& error) {
  fmt::print(stderr, "hailstone serve: {}\n", error.message);
  return error.code == Code::Invalid ? 2 : 1;
}

}  // namespace

int serve_main(const ServeArguments& arguments) {
  auto config = configure(arguments);
  if (!config) return stop_with(config.error());
  FdLogger logger(STDERR_FILENO, config->log_level, config->log_format);

  // Signals are taken by sigwait below, on this thread, never by a handler.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  FrontShared shared(*config, logger);
  auto server =
      http::Server::listen(config->http, [&shared](unsigned) { return std::make_unique<Front>(shared); }, logger);
  if (!server) return stop_with(server.error());
  shared.set_server(server->get());
  std::unique_ptr<http::Server> s3_server;
  if (config->s3_enabled) {
    http::ServerOptions options = config->http;
    if (!config->s3_address.empty()) options.address = config->s3_address;
    options.port = config->s3_port;
    auto listening =
        http::Server::listen(options, [&shared](unsigned) { return std::make_unique<S3Front>(shared); }, logger);
    if (!listening) {
      auto error = std::move(listening).error();
      return stop_with(std::move(error).within("S3 (--set s3.port=0 takes any free port, s3.enabled=false none)"));
    }
    s3_server = *std::move(listening);
    shared.set_s3_server(s3_server.get());
    s3_server->start();
  }
  (*server)->start();

  auto node = Node::open(*config, disk::make_real_disk(), logger);
  if (!node) {
    (*server)->stop();
    if (s3_server) s3_server->stop();
    return stop_with(node.error());
  }
  Janitor janitor(**node, logger);
  janitor.start();
  shared.open(**node, janitor);
  Config s3_place = *config;
  if (!config->s3_address.empty()) s3_place.http.address = config->s3_address;
  const std::string s3_url = s3_server ? base_url(s3_place, s3_server->port()) : std::string("off");
  greet(**node, base_url(*config, (*server)->port()), s3_url);
  logger.info("ready", {{"url", base_url(*config, (*server)->port())}});

  int received = 0;
  sigwait(&signals, &received);
  logger.info("stopping", {{"signal", received}});
  // A second signal ends the process at once: nothing acknowledged depends on the rest.
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  shared.drain();
  (*server)->stop();
  if (s3_server) s3_server->stop();
  shared.close();
  janitor.stop();
  (*node)->drain();
  logger.info("stopped");
  return 0;
}

}  // namespace hailstone::server
