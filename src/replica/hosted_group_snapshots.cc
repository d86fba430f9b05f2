// A hosted group's snapshots: those it gives and the one it gets.
#include <algorithm>
#include <utility>

#include "replica/hosted_group.h"

namespace hailstone::replica {
namespace {

using paxos::ReplicaId;
using paxos::Time;

/// A piece of a snapshot that did not come in that time is asked for again, so often.
constexpr int64_t kPieceNs = 2'000'000'000;
constexpr int kPieceTries = 5;
/// Pieces on their way into the database: one is written while the next one comes.
constexpr size_t kStagingMax = 3;
/// How often a snapshot that the disk had no room for is tried again.
constexpr int64_t kAdoptRetryNs = 200'000'000;
}  // namespace

void HostedGroup::tick_snapshots(Time now) {
  if (fetch_ && fetch_->asked != paxos::kNever && now - fetch_->asked >= kPieceNs) {
    if (++fetch_->unanswered >= kPieceTries)
      end_fetch(false, "no answer");
    else
      ask_for_piece();
  }
  if (fetch_ && fetch_->adopt_again <= now) floor_kept();
  if (source_check_ > now) return;
  const std::lock_guard hold(source_mutex_);
  source_check_ = source_.expire(now.ns) ? now + SnapshotSource::kKeepNs : paxos::kNever;
}

Time HostedGroup::snapshots_wakeup() const {
  Time next = source_check_;
  if (fetch_ && fetch_->asked != paxos::kNever) next = std::min(next, fetch_->asked + kPieceNs);
  if (fetch_) next = std::min(next, fetch_->adopt_again);
  return next;
}

/// `work` runs where the applier does, `then` on the host's thread with its outcome, if the transfer still goes on.
void HostedGroup::for_fetch(std::function<Result<void>()> work, std::function<void(Result<void>)> then) {
  applier_.run_between(
      [this, number = fetch_->number, work = std::move(work), then = std::move(then)]() -> Result<void> {
        auto done = work();
        driver_.post(*this, [this, number, then, done] {
          if (fetch_ && fetch_->number == number) then(done);
        });
        return {};
      });
}

void HostedGroup::serve(const paxos::ServeLearn& wanted, paxos::Chosen found) {
  if (failed_) return;
  if (found.records.empty()) return offer_snapshot(wanted.to, wanted.first);
  driver_.send({.group = id_, .from = self_, .to = wanted.to, .body = std::move(found)});
}

void HostedGroup::offer_snapshot(ReplicaId to, Slot first) {
  source_check_ = driver_.now() + SnapshotSource::kKeepNs;
  bulk_.post([this, to, first, log_from = trimmed_.next()] {
    const std::lock_guard hold(source_mutex_);
    auto offer = source_.offer(first, log_from, driver_.now().ns);
    if (!offer) return logger_.error("snapshot_unreadable", {{"group", name_}, {"error", offer.error().message}});
    if (!*offer) return;
    driver_.post(*this, [this, to, meta = std::move(**offer)] {
      driver_.send({.group = id_, .from = self_, .to = to, .body = paxos::SnapshotOffer{.meta = meta}});
    });
  });
}

void HostedGroup::send_piece(const SnapshotGet& get) {
  bulk_.post([this, get] {
    const std::lock_guard hold(source_mutex_);
    auto piece = source_.piece(get, driver_.now().ns);
    if (!piece) {
      logger_.error("snapshot_unreadable", {{"group", name_}, {"error", piece.error().message}});
      piece = SnapshotPiece{.group = id_, .upto = get.upto, .after = get.after, .entries = {}, .gone = true};
    }
    driver_.send_snapshot(get.from, *piece);
  });
}

void HostedGroup::on_snapshot(const SnapshotMessage& message) {
  if (failed_) return;
  if (const auto* get = std::get_if<SnapshotGet>(&message))
    send_piece(*get);
  else
    take_piece(std::get<SnapshotPiece>(message));
}

void HostedGroup::begin_fetch(const paxos::FetchSnapshot& wanted) {
  fetch_ = Fetch{.number = ++fetches_, .from = wanted.from, .meta = wanted.meta, .after = {}};
  logger_.info("snapshot_wanted", {{"group", name_}, {"from", wanted.from.value}, {"slot", wanted.meta.upto.value}});
  const auto cursor = std::make_shared<Bytes>();
  for_fetch(
      [this, cursor, meta = wanted.meta]() -> Result<void> {
        TRY(*cursor, install_.begin(meta));
        return {};
      },
      [this, cursor](Result<void> begun) {
        if (!begun) return end_fetch(false, begun.error().message);
        fetch_->after = *cursor;
        fetch_->begun = true;
        ask_for_piece();
      });
}

void HostedGroup::ask_for_piece() {
  fetch_->asked = driver_.now();
  driver_.send_snapshot(fetch_->from,
                        SnapshotGet{.group = id_, .from = self_, .upto = fetch_->meta.upto, .after = fetch_->after});
}

void HostedGroup::take_piece(const SnapshotPiece& piece) {
  if (!fetch_ || !fetch_->begun || fetch_->all || piece.upto != fetch_->meta.upto || piece.after != fetch_->after ||
      fetch_->asked == paxos::kNever)
    return;
  if (piece.gone) return end_fetch(false, "the other holds it no more");
  fetch_->asked = paxos::kNever;
  fetch_->unanswered = 0;
  if (!piece.entries.empty()) fetch_->after = piece.entries.back().first;
  fetch_->all = piece.last;
  ++fetch_->staging;
  for_fetch(
      [this, held = std::make_shared<const SnapshotPiece>(piece)]() -> Result<void> {
        TRY_DO(install_.add(*held));
        return {};
      },
      [this](Result<void> staged) {
        --fetch_->staging;
        if (!staged) return end_fetch(false, staged.error().message);
        if (fetch_->all && fetch_->staging == 0) return complete_fetch();
        if (!fetch_->all && fetch_->asked == paxos::kNever) ask_for_piece();
      });
  if (!fetch_->all && fetch_->staging < kStagingMax) ask_for_piece();
}

void HostedGroup::complete_fetch() {
  for_fetch([this]() -> Result<void> { return install_.complete(); },
            [this](Result<void> complete) {
              if (!complete) return end_fetch(false, complete.error().message);
              // The log gives up what the snapshot replaces, then it takes its place.
              driver_.job().floors.emplace_back(id_, fetch_->meta.upto);
            });
}

void HostedGroup::floor_kept() {
  if (!fetch_) return;
  fetch_->adopt_again = paxos::kNever;
  for_fetch(
      [this, upto = fetch_->meta.upto]() -> Result<void> {
        TRY_DO(install_.adopt());
        TRY_DO(applier_.load());
        return machine_.restored(database_, upto);
      },
      [this](Result<void> adopted) {
        // The log has let go: without the snapshot this replica can't go on.
        if (!adopted && adopted.error().code == Code::Exhausted) {
          fetch_->adopt_again = driver_.now() + kAdoptRetryNs;
          return;
        }
        if (!adopted) return fail_with(adopted.error());
        end_fetch(true, "");
        release_reads();
      });
}

void HostedGroup::end_fetch(bool installed, const std::string& why) {
  const paxos::SnapshotMeta meta = std::exchange(fetch_, std::nullopt)->meta;
  if (installed)
    logger_.info("snapshot_installed", {{"group", name_}, {"slot", meta.upto.value}});
  else
    logger_.warn("snapshot_not_installed", {{"group", name_}, {"slot", meta.upto.value}, {"why", why}});
  if (installed) queue_.snapshot_installed();
  step(paxos::SnapshotInstalled{.meta = meta, .ok = installed});
}

}  // namespace hailstone::replica
