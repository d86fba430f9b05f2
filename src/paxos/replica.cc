#include "paxos/replica.h"

#include <fmt/format.h>

#include <utility>

#include "base/check.h"
#include "paxos/core.h"

namespace hailstone::paxos {

Replica::Replica(const Options& options, Boot boot, Time now)
    : core_(std::make_unique<Core>(options, std::move(boot), now)) {}
Replica::~Replica() = default;
Replica::Replica(Replica&&) noexcept = default;
Replica& Replica::operator=(Replica&&) noexcept = default;

void Replica::step(Time now, Input input, Output& output) { core_->step(now, input, output); }
Time Replica::next_wakeup() const { return core_->next_wakeup(); }
bool Replica::may_read(Time now) const { return core_->may_read(now); }
Time Replica::lease_end() const { return core_->may_read(core_->now_) ? core_->lease_until_ : Time{INT64_MIN}; }
Slot Replica::read_index() const { return core_->at_.upto; }
Role Replica::role() const { return core_->role_; }
Ballot Replica::ballot() const { return core_->promised_; }
ReplicaId Replica::leader() const { return core_->leader_; }
Slot Replica::chosen() const { return core_->at_.upto; }
Slot Replica::end() const { return core_->end_; }
size_t Replica::room() const { return core_->room(); }
const Config& Replica::config() const { return core_->active_; }
bool Replica::resting() const { return core_->resting_; }
void Replica::check_invariants() const { core_->check_invariants(); }

size_t Replica::bytes_in_use() const {
  return sizeof(Core) + core_->window_.bytes() + core_->pending_.bytes() + core_->waiting_.bytes() +
         core_->stamps_.bytes() + core_->peers_.capacity() * sizeof(Peer) +
         core_->orphans_.size() * sizeof(Core::Pending) +
         (core_->at_.configs.capacity() + 1) * (sizeof(Config) + core_->active_.voters.size() * sizeof(Config::Voter));
}

std::string Replica::describe() const {
  return fmt::format("{} {} promised {}.{} leader {} chosen {} of {} end {}{}", core_->options_.self.value,
                     role_name(core_->role_), core_->promised_.round, core_->promised_.who.value, core_->leader_.value,
                     core_->at_.upto.value, core_->known_chosen_.value, core_->end_.value,
                     core_->blind_     ? " blind"
                     : core_->resting_ ? " resting"
                                       : "");
}

}  // namespace hailstone::paxos
