// A node of a replicated register service: real processes, logs and sockets around src/replica, for tests and
// benchmarks of consensus. Not a product.
#include <fmt/format.h>
#include <signal.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <boost/asio.hpp>
#include <deque>
#include <memory>
#include <mutex>

#include "base/hash.h"
#include "bench/register/machine.h"
#include "disk/disk.h"
#include "net/tcp_transport.h"
#include "replica/host.h"
#include "replica/net_transport.h"
#include "replica/rocks_database.h"
#include "replica/supervisor.h"

namespace hailstone::bench {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using paxos::GroupId;
using paxos::ReplicaId;

struct Settings {
  uint64_t id = 1;
  std::vector<std::string> members;  // id=host:port of the others and of this one
  std::string client_host = "127.0.0.1";
  uint16_t client_port = 0;
  std::string data;
  std::string certificates;  // directory with ca.pem, node.pem, node.key; empty: plain
  bool anywhere = false;     // plain outside of loopback: in a network namespace of its own
  bool supervised = true;
  bool stale_reads = false;  // answer from what is there, unasked: a mistake that histories must show
  size_t groups = 1;
  int64_t grant_ms = 1000, heartbeat_ms = 50;
  uint64_t flush_bytes = 64u << 20, segment_bytes = 64u << 20, memtable_bytes = 8u << 20;
  std::string store = "rocksdb";
  std::string log_level = "info";
};

Result<std::vector<net::PeerAddress>> parse_members(const std::vector<std::string>& members) {
  std::vector<net::PeerAddress> out;
  for (const std::string& member : members) {
    net::PeerAddress peer;
    const size_t equals = member.find('='), colon = member.rfind(':');
    if (equals == std::string::npos || colon == std::string::npos || colon < equals)
      return fail(Code::Invalid, fmt::format("member '{}': want ID=HOST:PORT", member));
    peer.id = net::NodeId(std::stoull(member.substr(0, equals)));
    peer.host = member.substr(equals + 1, colon - equals - 1);
    peer.port = static_cast<uint16_t>(std::stoul(member.substr(colon + 1)));
    out.push_back(std::move(peer));
  }
  return out;
}

std::string group_directory(const Settings& settings, uint64_t group) {
  return fmt::format("{}/group-{}", settings.data, group);
}

Result<std::unique_ptr<replica::Database>> open_database(disk::Disk& disk, const Settings& settings, uint64_t group,
                                                         size_t members, Logger& logger) {
  const replica::RocksOptions options{
      .directory = group_directory(settings, group), .memtable_bytes = settings.memtable_bytes, .verify = true};
  if (members == 1) return replica::open_rocks_database(disk, options);
  return replica::open_or_replace_rocks_database(disk, options, logger);
}

struct Served {
  std::unique_ptr<replica::Database> database;
  std::unique_ptr<RegisterMachine> machine;
  replica::Group* group = nullptr;
};

/// What all connections share.
struct Service {
  replica::Host& host;
  std::vector<Served>& groups;
  bool stale_reads;
  Served& of(ByteView key) { return groups[groups.size() == 1 ? 0 : xxh3(key) % groups.size()]; }
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(asio::io_context& io, tcp::socket socket, Service& service)
      : io_(io), socket_(std::move(socket)), service_(service) {
    boost::system::error_code ignored;
    socket_.set_option(tcp::no_delay(true), ignored);
  }
  void read() {
    socket_.async_read_some(asio::buffer(chunk_), [self = shared_from_this()](auto error, size_t size) {
      if (error) return;
      self->in_.append(self->chunk_.data(), size);
      if (!self->take_requests()) return self->socket_.close();
      self->read();
    });
  }

 private:
  bool take_requests() {
    size_t at = 0;
    while (in_.size() - at >= 4) {
      const uint32_t size = Decoder(ByteView(in_).substr(at)).u32();
      if (size > kRequestBytesMax) return false;
      if (in_.size() - at - 4 < size) break;
      const auto request = decode_request(ByteView(in_).substr(at + 4, size));
      if (!request) return false;
      handle(*request);
      at += 4 + size;
    }
    in_.erase(0, at);
    flush();
    return true;
  }

  void handle(const Request& request) {
    Served& served = service_.of(request.key);
    const auto self = shared_from_this();
    const uint64_t id = request.id;
    switch (request.operation) {
      case Operation::Put:
      case Operation::Cas: {
        Bytes command;
        command.reserve(request.key.size() + request.value.size() + 16);
        Encoder to(command);
        to.u8(static_cast<uint8_t>(request.operation));
        to.bytes(request.key);
        if (request.operation == Operation::Cas) to.bytes(request.expected);
        to.bytes(request.value);
        return served.group->propose(std::move(command), [self, id, group = served.group](Result<Bytes> reply) {
          if (reply)
            self->answer(frame(id, static_cast<uint8_t>((*reply)[0]), ByteView(*reply).substr(1)));
          else
            self->refuse(id, reply.error(), *group);
        });
      }
      case Operation::Get: {
        Bytes key = RegisterMachine::stored(request.key);
        if (service_.stale_reads || served.group->may_read()) return look(id, key, served);
        return served.group->read([self, id, key = std::move(key), &served](Result<void> ready) {
          if (ready)
            self->look(id, key, served);
          else
            self->refuse(id, ready.error(), *served.group);
        });
      }
      case Operation::Resign:
        for (size_t i = 0; i < service_.groups.size(); ++i)
          service_.host.resign(GroupId(i), ReplicaId(request.replica));
        return answer(frame(id, static_cast<uint8_t>(Answer::Ok), Bytes(1, '\0')));
      case Operation::Status: {
        Bytes body;
        std::string text;
        for (size_t i = 0; i < service_.groups.size(); ++i) text += service_.host.status(GroupId(i)).description + "\n";
        Encoder(body).bytes(text);
        return answer(frame(id, static_cast<uint8_t>(Answer::Ok), body));
      }
    }
  }

  void look(uint64_t id, const Bytes& key, Served& served) {
    const auto value = served.database->get(key);
    if (!value) return refuse(id, value.error(), *served.group);
    Bytes body;
    if (*value) Encoder(body).bytes(**value);
    answer(frame(id, static_cast<uint8_t>(*value ? Answer::Ok : Answer::Absent), body));
  }

  void refuse(uint64_t id, const Error& error, replica::Group& group) {
    const bool uncertain = error.code == Code::Timeout || error.code == Code::Io;
    Bytes body;
    Encoder to(body);
    to.bytes(error.message);
    if (!uncertain) to.u64(group.leader().value);
    answer(frame(id, static_cast<uint8_t>(uncertain ? Answer::Uncertain : Answer::Refused), body));
  }

  // From any thread.
  void answer(Bytes bytes) {
    {
      const std::lock_guard hold(mutex_);
      out_ += bytes;
      if (std::exchange(flushing_, true)) return;
    }
    if (io_.get_executor().running_in_this_thread())
      held_back_ = true;  // until all requests that came together are handled
    else
      asio::post(io_, [self = shared_from_this()] { self->write(); });
  }
  void flush() {
    if (std::exchange(held_back_, false)) write();
  }
  void write() {
    {
      const std::lock_guard hold(mutex_);
      if (out_.empty()) {
        flushing_ = false;
        return;
      }
      writing_.clear();
      writing_.swap(out_);
    }
    asio::async_write(socket_, asio::buffer(writing_), [self = shared_from_this()](auto error, size_t) {
      if (!error) self->write();
    });
  }

  asio::io_context& io_;
  tcp::socket socket_;
  Service& service_;
  std::array<char, 64 << 10> chunk_;
  Bytes in_, writing_;
  bool held_back_ = false;
  std::mutex mutex_;  // appliers against the socket's thread; guards the two below
  Bytes out_;
  bool flushing_ = false;
};

void accept(asio::io_context& io, tcp::acceptor& acceptor, Service& service) {
  acceptor.async_accept([&](auto error, tcp::socket socket) {
    if (error) return;
    std::make_shared<Connection>(io, std::move(socket), service)->read();
    accept(io, acceptor, service);
  });
}

Result<void> run(const Settings& settings, const replica::WardReporter& supervisor) {
  FdLogger logger(2, settings.log_level == "debug" ? Level::Debug : Level::Info, FdLogger::Format::Logfmt);
  const auto disk = disk::make_real_disk();
  static SystemClock clock;
  TRY(const auto members, parse_members(settings.members));
  const ReplicaId self(settings.id);

  replica::NetTransport transport;
  net::TcpOptions net_options{.self = net::NodeId(settings.id), .cell = "register"};
  for (const auto& member : members)
    if (member.id == net_options.self) {
      net_options.listen_host = member.host;
      net_options.listen_port = member.port;
    }
  if (!settings.certificates.empty())
    net_options.tls = net::TlsFiles{.authority = settings.certificates + "/ca.pem",
                                    .certificate = settings.certificates + "/node.pem",
                                    .key = settings.certificates + "/node.key"};
  if (settings.anywhere) net_options.plain = net::TcpOptions::Plain::Anywhere;
  TRY(const auto net, net::TcpTransport::start(net_options, transport, logger));

  std::vector<Served> groups(settings.groups);  // outlives the host
  replica::HostOptions options{.self = self};
  options.journal.log = {.directory = settings.data + "/log", .segment_bytes = settings.segment_bytes};
  if (members.size() > 1) options.journal.damage = replica::JournalOptions::Damage::Salvage;
  options.consensus.grant_ns = settings.grant_ms * 1'000'000;
  options.consensus.heartbeat_ns = settings.heartbeat_ms * 1'000'000;
  // Damage that is met while it runs: the next life sets the database aside, and the others give it again.
  options.on_failed = [&](GroupId id, const Error& cause) {
    if (cause.code == Code::Corrupt)
      static_cast<void>(replica::mark_rocks_database_damaged(*disk, group_directory(settings, id.value)));
    logger.error("giving_up", {{"group", id.value}, {"error", cause.message}});
    _exit(1);
  };
  TRY(const auto host, replica::Host::open(*disk, clock, &transport, options, logger));
  transport.attach(*net, *host);

  paxos::Config first{.epoch = 1, .voters = {}};
  for (const auto& member : members) first.voters.push_back({.id = replica::replica_of(member.id)});
  for (size_t i = 0; i < groups.size(); ++i) {
    groups[i].machine = std::make_unique<RegisterMachine>();
    if (settings.store == "memory") {
      groups[i].database = replica::make_memory_database();
    } else {
      TRY(groups[i].database, open_database(*disk, settings, i, members.size(), logger));
    }
    TRY(groups[i].group,
        host->add_group(GroupId(i), *groups[i].database, *groups[i].machine,
                        {.log_directory = options.journal.log.directory, .flush_bytes = settings.flush_bytes}, first));
  }
  TRY_DO(supervisor.report({.life = host->life(),
                            .node = net_options.self,
                            .cell = net_options.cell,
                            .tls = net_options.tls,
                            .plain = net_options.plain,
                            .peers = members}));
  host->start();
  TRY_DO(net->set_peers(members));

  asio::io_context io(1);
  Service service{.host = *host, .groups = groups, .stale_reads = settings.stale_reads};
  tcp::acceptor acceptor(io);
  boost::system::error_code error;
  const tcp::endpoint endpoint(asio::ip::make_address(settings.client_host), settings.client_port);
  acceptor.open(endpoint.protocol(), error);
  acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(1024, error);
  if (error) return fail(Code::Io, fmt::format("client port {}: {}", settings.client_port, error.message()));
  accept(io, acceptor, service);
  asio::signal_set signals(io, SIGTERM, SIGINT);
  signals.async_wait([&](auto, int) { io.stop(); });
  fmt::print("ready {}\n", acceptor.local_endpoint().port());
  fflush(stdout);
  io.run();
  host->drain();
  net->stop();
  return {};
}

}  // namespace
}  // namespace hailstone::bench

int main(int argc, char** argv) {
  using namespace hailstone;
  bench::Settings settings;
  CLI::App app("A node of a replicated register service.");
  app.add_option("--id", settings.id, "This node's id")->required();
  app.add_option("--member", settings.members, "ID=HOST:PORT of each member, this one too")->required();
  app.add_option("--client-host", settings.client_host);
  app.add_option("--client-port", settings.client_port);
  app.add_option("--data", settings.data)->required();
  app.add_option("--certificates", settings.certificates, "Directory with ca.pem, node.pem, node.key");
  app.add_flag("--anywhere", settings.anywhere, "Plain connections outside of loopback");
  app.add_flag("--stale-reads", settings.stale_reads, "Answer reads without asking whether they are of now");
  app.add_option("--supervised", settings.supervised);
  app.add_option("--groups", settings.groups);
  app.add_option("--grant-ms", settings.grant_ms);
  app.add_option("--heartbeat-ms", settings.heartbeat_ms);
  app.add_option("--flush-bytes", settings.flush_bytes);
  app.add_option("--segment-bytes", settings.segment_bytes);
  app.add_option("--memtable-bytes", settings.memtable_bytes);
  app.add_option("--store", settings.store)->check(CLI::IsMember({"rocksdb", "memory"}));
  app.add_option("--log-level", settings.log_level);
  CLI11_PARSE(app, argc, argv);
  FdLogger logger(2, Level::Info, FdLogger::Format::Logfmt);
  const auto run = [&](const replica::WardReporter& supervisor) {
    const auto done = bench::run(settings, supervisor);
    if (!done) fmt::print(stderr, "register_node: {}\n", done.error().message);
    return done ? 0 : 1;
  };
  return settings.supervised ? replica::supervise(run, logger) : run(replica::WardReporter());
}
