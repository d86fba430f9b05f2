#include "replica/group.h"

#include <future>
#include <utility>

#include "replica/host.h"

namespace hailstone::replica {
namespace {

/// A member of a group of one: it elects itself, and what its own log holds is chosen. The path is that of any group.
class SingleGroup final : public Group {
 public:
  SingleGroup(std::unique_ptr<Host> host, Group* group) : host_(std::move(host)), group_(group) {}
  void propose(Bytes command, Done done) override { group_->propose(std::move(command), std::move(done)); }
  void propose_in(paxos::Ballot leadership, Bytes command, Done done) override {
    group_->propose_in(leadership, std::move(command), std::move(done));
  }
  void read(ReadDone done) override { group_->read(std::move(done)); }
  bool may_read() const override { return group_->may_read(); }
  void wait_applied(Slot slot, int64_t timeout_ns, ReadDone done) override {
    group_->wait_applied(slot, timeout_ns, std::move(done));
  }
  paxos::ReplicaId leader() const override { return group_->leader(); }
  Slot applied_slot() const override { return group_->applied_slot(); }
  bool healthy() const override { return group_->healthy(); }
  void drain() override { host_->drain(); }

 private:
  std::unique_ptr<Host> host_;
  Group* const group_;
};

/// Its election is two writes to its own log.
constexpr int64_t kElectionTimeoutNs = 30'000'000'000;

}  // namespace

Result<std::unique_ptr<Group>> Group::open(disk::Disk& disk, Database& database, StateMachine& machine,
                                           const GroupOptions& options, Logger& logger) {
  static SystemClock clock;
  constexpr paxos::ReplicaId kSelf(1);
  HostOptions host_options{.self = kSelf};
  host_options.journal.log = {.directory = options.log_directory, .segment_bytes = options.log_segment_bytes};
  TRY(auto host, Host::open(disk, clock, nullptr, host_options, logger));
  const paxos::Config alone{.epoch = 1, .voters = {{.id = kSelf}}};
  TRY(Group* const group, host->add_group(paxos::GroupId(0), database, machine, options, alone));
  host->start();
  // A full disk has no room for the election: what is there can be read, and commands are refused until there is.
  if (auto leads = host->wait_until_leading(paxos::GroupId(0), kElectionTimeoutNs);
      !leads && leads.error().code != Code::Exhausted)
    return std::unexpected(std::move(leads).error());
  return std::make_unique<SingleGroup>(std::move(host), group);
}

Result<Bytes> Group::propose_and_wait(Bytes command) {
  std::promise<Result<Bytes>> answer;
  auto answered = answer.get_future();
  propose(std::move(command), [&](Result<Bytes> reply) { answer.set_value(std::move(reply)); });
  return answered.get();
}

Result<void> Group::read_and_wait() {
  if (may_read()) return {};
  std::promise<Result<void>> reached;
  auto answered = reached.get_future();
  read([&](Result<void> done) { reached.set_value(std::move(done)); });
  return answered.get();
}

}  // namespace hailstone::replica
