// demo cell, demo cluster: three nodes on loopback, for trying things out.
#include <fmt/format.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>

#include "cli/context.h"
#include "cli/demo_cluster.h"
#include "cli/demo_processes.h"
#include "cli/exit_codes.h"

namespace hailstone::cli {
namespace {

constexpr int kNodes = 3;
constexpr uint16_t kPorts = 40;  // of all nodes, and a balancer's
constexpr const char* kSelf = "/proc/self/exe";

struct DemoArguments {
  std::string directory = "hailstone-demo";
  uint16_t port = 8200;
};

/// Three nodes that are one cell: members, stores and gateways in one.
class DemoNodes {
 public:
  static Result<DemoNodes> start(const std::string& directory, uint16_t port) {
    DemoNodes out(directory, port);
    for (int node = 1; node <= kNodes; ++node) {
      TRY(auto child, Child::start(kSelf, out.command(node), out.log(node)));
      out.children_.push_back(std::move(child));
    }
    return out;
  }

  enum class Port : uint8_t { Http, S3, Cell, Member, Data };
  uint16_t port(int node, Port which) const {
    return static_cast<uint16_t>(port_ + 10 * node + static_cast<int>(which));
  }
  std::string url(int node, Port which = Port::Http) const {
    return fmt::format("http://127.0.0.1:{}", port(node, which));
  }
  std::string data(int node) const { return fmt::format("{}/node-{}", directory_, node); }
  std::string log(int node) const { return data(node) + ".log"; }
  std::string cell() const {
    std::string out;
    for (int node = 1; node <= kNodes; ++node)
      out += fmt::format("{}127.0.0.1:{}", node > 1 ? "," : "", port(node, Port::Cell));
    return out;
  }
  Child& child(int node) { return children_[static_cast<size_t>(node - 1)]; }
  void print(std::ostream& out) {
    for (int node = 1; node <= kNodes; ++node)
      out << fmt::format("  node {}: process {}, {}, log {}\n", node, child(node).pid(), url(node), log(node));
  }
  /// All at once; destruction waits for them.
  void terminate() const {
    for (const Child& child : children_) child.terminate();
  }

 private:
  DemoNodes(std::string directory, uint16_t port) : directory_(std::move(directory)), port_(port) {}

  std::vector<std::string> command(int node) const {
    std::string members;
    for (int other = 1; other <= kNodes; ++other)
      members += fmt::format("{}'{}=127.0.0.1:{}'", other > 1 ? ", " : "", other, port(other, Port::Member));
    std::vector<std::string> out{"hailstone", "serve",    "--data",
                                 data(node),  "--listen", fmt::format("127.0.0.1:{}", port(node, Port::Http))};
    for (const auto& setting :
         {fmt::format("s3.port={}", port(node, Port::S3)), fmt::format("cell.id={}", node),
          fmt::format("cell.port={}", port(node, Port::Cell)),
          fmt::format("cell.member_port={}", port(node, Port::Member)),
          fmt::format("cell.data_port={}", port(node, Port::Data)), fmt::format("cell.members=[{}]", members)}) {
      out.push_back("--set");
      out.push_back(setting);
    }
    return out;
  }

  std::string directory_;
  uint16_t port_;
  std::vector<Child> children_;
};

Result<void> make_directory(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return fail(Code::Io, fmt::format("{}: {}", directory, error.message()));
  return {};
}

Result<int> run_cell(Context& context, const DemoArguments& arguments) {
  TRY_DO(make_directory(arguments.directory));
  block_demo_signals();
  TRY(auto nodes, DemoNodes::start(arguments.directory, arguments.port));
  context.out() << fmt::format(
      "A cell of {} nodes; data and logs in {}. Ctrl-C stops it, the same command starts it again.\n\n"
      "  export HAILSTONE_CELL={}\n  hailstone cell status\n\n",
      kNodes, arguments.directory, nodes.cell());
  nodes.print(context.out());
  context.out() << std::flush;
  while (wait_for_signal() == SIGCHLD)
    for (int node = 1; node <= kNodes; ++node)
      if (nodes.child(node).ended())
        return fail(Code::Io, fmt::format("node {} has ended: see {}", node, nodes.log(node)));
  nodes.terminate();
  return kExitOk;
}

/// The first port of this directory's nodes: as before, for the cell knows its members by their addresses.
Result<uint16_t> ports_of(const DemoArguments& arguments) {
  const std::string path = arguments.directory + "/port";
  uint16_t port = arguments.port;
  if (std::ifstream before(path); port == 0 && before >> port) return port;
  if (port == 0) {
    TRY(port, find_free_ports(kPorts));
  }
  std::ofstream file(path);
  file << port << '\n';
  if (!file.flush()) return fail(Code::Io, path + ": cannot be written");
  return port;
}

Result<std::string> first_key(const DemoNodes& nodes) {
  std::string key;
  for (int node = 1; node <= kNodes; ++node)
    if (std::ifstream file(nodes.data(node) + "/admin.key"); std::getline(file, key)) return key;
  return fail(Code::NotFound, "no node has made an access key: see their logs");
}

Result<int> run_cluster(Context& context, const DemoArguments& arguments) {
  const std::string haproxy = find_program("haproxy");
  if (haproxy.empty())
    return fail(Code::Unsupported, "haproxy is not installed: 'apt-get install haproxy' as root, and again");
  TRY_DO(make_directory(arguments.directory));
  TRY(const uint16_t port, ports_of(arguments));
  block_demo_signals();
  TRY(auto nodes, DemoNodes::start(arguments.directory, port));
  const std::string config = arguments.directory + "/haproxy.cfg";
  std::ofstream(config) << haproxy_config(port,
                                          {nodes.port(1, DemoNodes::Port::Http), nodes.port(2, DemoNodes::Port::Http),
                                           nodes.port(3, DemoNodes::Port::Http)});
  TRY(auto balancer, Child::start(haproxy, {"haproxy", "-db", "-f", config}, arguments.directory + "/haproxy.log"));

  DemoCluster cluster{.nodes = {}, .balancer = fmt::format("http://127.0.0.1:{}", port), .key = {}};
  for (int node = 1; node <= kNodes; ++node) {
    cluster.nodes.push_back(nodes.url(node));
    TRY_DO(wait_until_ready(nodes.url(node)));
  }
  TRY_DO(wait_until_ready(cluster.balancer));
  TRY(cluster.key, first_key(nodes));
  context.out() << fmt::format("{} nodes behind haproxy; data and logs in {}.\n\n", kNodes, arguments.directory);
  TRY_DO(show_flips(context, cluster));
  nodes.print(context.out());
  context.out() << fmt::format(
      "\nKill one of these processes: the others go on. Ctrl-C stops all, the same command starts them again.\n\n"
      "  export HAILSTONE_URL={}\n  export HAILSTONE_KEY={}\n  export HAILSTONE_CELL={}\n"
      "  export HAILSTONE_NODES=\"{} {} {}\"\n  hailstone cluster status\n\n",
      cluster.balancer, cluster.key, nodes.cell(), nodes.url(1), nodes.url(2), nodes.url(3));
  context.out() << std::flush;
  std::vector<bool> told(kNodes + 1);
  while (wait_for_signal() == SIGCHLD) {
    if (balancer.ended())
      return fail(Code::Io, fmt::format("haproxy has ended: see {}/haproxy.log", arguments.directory));
    for (int node = 1; node <= kNodes; ++node)
      if (nodes.child(node).ended() && !told[static_cast<size_t>(node)]) {
        told[static_cast<size_t>(node)] = true;
        context.note(fmt::format("node {} has ended", node));
      }
  }
  nodes.terminate();
  return kExitOk;
}

}  // namespace

void add_demo_commands(CLI::App& app, Commands& commands) {
  Context& context = commands.context;
  auto* demo = app.add_subcommand("demo", "Run something small on this machine, to try things out");
  demo->require_subcommand(1);
  const auto add = [&](const char* name, const char* help, uint16_t port, const char* port_help, auto action) {
    auto* command = demo->add_subcommand(name, help);
    const auto arguments = std::make_shared<DemoArguments>();
    arguments->port = port;
    command->add_option("--dir", arguments->directory, "Directory of the nodes' data and logs")
        ->type_name("DIR")
        ->capture_default_str();
    command->add_option("--port", arguments->port, port_help)->check(CLI::Range(1024, 65400));
    commands.choose_when_parsed(command, [&context, arguments, action] { return action(context, *arguments); });
  };
  add("cell", "Run a cell of three nodes on loopback until interrupted", 8200, "The first of 40 ports [8200]",
      run_cell);
  add("cluster", "Run three nodes and haproxy on loopback, show releases flip, then stay until interrupted", 0,
      "The first of 40 ports [free ones, the same again for the same directory]", run_cluster);
}

}  // namespace hailstone::cli
