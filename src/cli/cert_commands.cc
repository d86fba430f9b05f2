// cert authority, node, client: the certificates with which members and clients of a cell know each other.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "cli/context.h"
#include "cli/exit_codes.h"
#include "disk/disk.h"
#include "net/certificates.h"

namespace hailstone::cli {
namespace {

constexpr const char* kAuthorityName = "ca";

struct CertArguments {
  std::string directory = ".";
  std::string name = "hailstone";  // of the authority, for people
  uint64_t node = 0;
  std::string principal;
  int days = 0;
};

/// Never over what is there: a lost key can't be made again.
Result<void> write_new(const std::string& path, const std::string& text, mode_t mode) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (fd < 0) {
    if (errno == EEXIST) return fail(Code::Exists, fmt::format("{} is there already: remove it first", path));
    return fail(Code::Io, fmt::format("{}: {}", path, std::strerror(errno)));
  }
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
  ::close(fd);
  if (!written) return fail(Code::Io, fmt::format("{}: cannot be written", path));
  return {};
}

Result<int> write_pair(Context& context, const CertArguments& arguments, const std::string& base,
                       const net::Certified& made) {
  std::error_code error;
  std::filesystem::create_directories(arguments.directory, error);
  if (error) return fail(Code::Io, fmt::format("{}: {}", arguments.directory, error.message()));
  const std::string path = arguments.directory + "/" + base;
  TRY_DO(write_new(path + ".key", made.key, 0600));
  TRY_DO(write_new(path + ".pem", made.certificate, 0644));
  if (context.json)
    context.out() << Json{{"certificate", path + ".pem"}, {"key", path + ".key"}}.dump() << '\n';
  else
    context.out() << fmt::format("{}.pem\n{}.key\n", path, path);
  return kExitOk;
}

Result<net::Certified> read_authority(const CertArguments& arguments) {
  const auto disk = disk::make_real_disk();
  net::Certified authority;
  const std::string path = arguments.directory + "/" + kAuthorityName;
  TRY(authority.certificate, disk::read_file(*disk, path + ".pem", 1u << 20));
  TRY(authority.key, disk::read_file(*disk, path + ".key", 1u << 20));
  return authority;
}

}  // namespace

void add_cert_commands(CLI::App& app, Commands& commands) {
  Context& context = commands.context;
  auto* cert = app.add_subcommand("cert", "Make the certificates of a cell's members and clients");
  cert->require_subcommand(1);
  const auto arguments = std::make_shared<CertArguments>();
  const auto add = [&](const char* name, const char* what, int days) {
    auto* command = cert->add_subcommand(name, what);
    command->add_option("--dir", arguments->directory, "Directory of ca.pem and ca.key, and of what is made")
        ->type_name("DIR")
        ->capture_default_str();
    command->add_option("--days", arguments->days, fmt::format("How long it is valid (default {})", days))
        ->check(CLI::Range(1, 36500));
    return command;
  };

  auto* authority =
      add("authority", "Make ca.pem, which members and clients trust, and ca.key, to be kept apart", 3650);
  authority->add_option("--name", arguments->name, "For people")->capture_default_str();
  commands.choose_when_parsed(authority, [&context, arguments]() -> Result<int> {
    TRY(const auto made,
        net::make_authority("hailstone cell " + arguments->name, arguments->days ? arguments->days : 3650));
    return write_pair(context, *arguments, kAuthorityName, made);
  });

  auto* node = add("node", "Make node-ID.pem and node-ID.key for a member", 825);
  node->add_option("ID", arguments->node, "Of the node")->required()->check(CLI::PositiveNumber);
  commands.choose_when_parsed(node, [&context, arguments]() -> Result<int> {
    TRY(const auto ca, read_authority(*arguments));
    const net::NodeId id(arguments->node);
    TRY(const auto made, net::make_node_certificate(ca, id, arguments->days ? arguments->days : 825));
    return write_pair(context, *arguments, net::node_name(id), made);
  });

  auto* client = add("client", "Make PRINCIPAL.pem and PRINCIPAL.key for a client", 825);
  client->add_option("PRINCIPAL", arguments->principal, "The name that rules give rights to")->required();
  commands.choose_when_parsed(client, [&context, arguments]() -> Result<int> {
    if (arguments->principal.contains('/') || arguments->principal == kAuthorityName)
      return fail(Code::Invalid, fmt::format("principal '{}': take a name without '/' other than '{}'",
                                             arguments->principal, kAuthorityName));
    TRY(const auto ca, read_authority(*arguments));
    TRY(const auto made,
        net::make_client_certificate(ca, arguments->principal, arguments->days ? arguments->days : 825));
    return write_pair(context, *arguments, arguments->principal, made);
  });
}

}  // namespace hailstone::cli
