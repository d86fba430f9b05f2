#include "flip/flipper.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_future.hpp>
#include <random>
#include <set>

namespace hailstone::flip {
namespace {

using client::core::Verdict;

constexpr int64_t kNsPerMs = 1'000'000;
constexpr uint64_t kFilesMax = 10'000;  // channels of a volume that is removed
constexpr auto kPause = std::chrono::milliseconds(10);

FlipId random_id() {
  std::random_device device;
  const uint64_t drawn = uint64_t{device()} << 32 | device();
  return FlipId(drawn | 1);
}

std::string name_of(const Change& change) { return fmt::format("channel {}@{}", change.volume, change.channel); }

Result<void> validate(const std::vector<Change>& changes, const std::vector<net::NodeId>& excluded) {
  if (changes.empty() || changes.size() > kChangesMax)
    return fail(Code::Invalid, fmt::format("a flip of {} channels: 1 to {} may be", changes.size(), kChangesMax));
  std::set<std::pair<ByteView, ByteView>> seen;
  for (const Change& change : changes) {
    TRY_DO(validate_channel(change.volume, change.channel));
    if (!seen.emplace(change.volume, change.channel).second)
      return fail(Code::Invalid, fmt::format("{}: twice in one flip", name_of(change)));
  }
  if (excluded.size() > kExcludedMax || (!excluded.empty() && !excluded.front()))
    return fail(Code::Invalid,
                fmt::format("{} nodes excluded, none of them 0: at most {}", excluded.size(), kExcludedMax));
  return {};
}

/// Ids are (counter << 8) | group: of one group, the higher is the younger.
bool younger(VolumeId one, VolumeId other) { return (one.value & 0xff) == (other.value & 0xff) && one > other; }

const ChannelFile* own_file(const ChannelState& state, VolumeId id) {
  return state.file && state.file->volume == id ? &*state.file : nullptr;
}

/// What one change makes of the file that is there.
Result<volume::Flip> planned(const Change& change, const ChannelState& state, UnixMicros wall) {
  if (state.file && younger(state.file->volume, change.id))
    return fail(Code::Conflict, fmt::format("{}: volume id {} is no more, it is {} now: it was deleted and made again",
                                            name_of(change), change.id.value, state.file->volume.value));
  const ChannelFile* file = own_file(state, change.id);
  const ReleaseNumber at = file != nullptr ? file->current().release : ReleaseNumber();
  if (change.expected && *change.expected != at)
    return fail(Code::Conflict, fmt::format("{}: it is at release {}, not {} (0: there is none)", name_of(change),
                                            at.value, change.expected->value));
  if (!at && !change.release) return fail(Code::NotFound, fmt::format("{}: no such channel", name_of(change)));
  if (file != nullptr && file->flips.size() == kFlipsKept && file->flips.front().flip.sequence > change.recorded)
    return fail(Code::Exhausted, fmt::format("{}: flip {} is not recorded in the volume's group (only up to {}), and "
                                             "would be forgotten: record it, then try again",
                                             name_of(change), file->flips.front().flip.sequence, change.recorded));
  return next_flip(file, change.release, change.root, wall);
}

/// Read by name in the transaction, so that nothing may have changed since.
void compare(cell::Txn& txn, const Bytes& path, const ChannelState& state) {
  if (!state.instance) return txn.compares.emplace_back(cell::FileAbsent{path}), void();
  txn.compares.emplace_back(cell::InstanceIs{path, state.instance});
  txn.compares.emplace_back(cell::GenerationIs{path, state.generation});
}

Error unanswered(const client::CallError& error, ByteView what) {
  // What a cell refuses for other reasons may be allowed later; its codes are not those of flips.
  const bool telling =
      error.verdict == Verdict::Refused && (error.error.code == Code::Denied || error.error.code == Code::Invalid);
  return {telling ? error.error.code : Code::Unavailable, fmt::format("{}: {}", what, error.error.message)};
}

}  // namespace

/// One transaction, as it was sent.
struct Flipper::Attempt {
  std::vector<ChannelState> states;  // that it is for, in the order of the changes
  std::vector<Flipped> results;

  enum class Fate : uint8_t {
    Done,
    Open,   // nothing has changed: it may be done yet; the same again comes to the same
    Never,  // another flip came first
    Lost,   // so much has happened since that nobody can tell
  };
  Fate fate(const std::vector<Change>& changes, FlipId id, const std::vector<ChannelState>& now) const {
    if (std::ranges::any_of(now, [&](const auto& state) { return state.file && state.file->find(id) != nullptr; }))
      return Fate::Done;
    if (now == states) return Fate::Open;
    for (size_t i = 0; i < changes.size(); ++i) {
      if (now[i] == states[i]) continue;
      const ChannelFile* file = own_file(now[i], changes[i].id);
      if (file != nullptr && file->flips.front().flip.sequence <= results[i].flip.sequence) return Fate::Never;
    }
    return Fate::Lost;
  }
};

Within Flipper::left(int64_t deadline_ns) const {
  return {std::max<int64_t>(1, (deadline_ns - clock_.monotonic_ns()) / kNsPerMs)};
}

Task<Result<ChannelState>> Flipper::read_path(Bytes path, int64_t deadline_ns) {
  const auto copy = co_await client_.get(path, left(deadline_ns));
  if (!copy) co_return std::unexpected(unanswered(copy.error(), path));
  ChannelState state;
  if (copy->file) {
    auto file = ChannelFile::decode(copy->file->content);
    if (!file) co_return std::unexpected(std::move(file).error().within(path));
    state = {std::move(*file), copy->file->stat.instance, copy->file->stat.generation};
  }
  co_return state;
}

Task<Result<std::vector<Flipped>>> Flipper::flip(std::vector<Change> changes, std::vector<net::NodeId> excluded,
                                                 Within within) {
  const int64_t deadline_ns = clock_.monotonic_ns() + within.ms * kNsPerMs;
  std::ranges::sort(excluded);
  const auto repeated = std::ranges::unique(excluded);
  excluded.erase(repeated.begin(), repeated.end());
  CO_TRY_DO(validate(changes, excluded));

  const FlipId id = random_id();
  std::optional<Attempt> doubtful;  // sent, and nobody has said what became of it
  const auto given_up = [&](const Error& why) {
    return fail(doubtful ? Code::Timeout : Code::Unavailable,
                fmt::format("{}: {}", doubtful ? "the flip may have been done" : "nothing was flipped", why.message));
  };
  Error why{Code::Unavailable, "the time was over"};
  while (clock_.monotonic_ns() < deadline_ns) {
    Attempt attempt;
    for (const Change& change : changes) {
      auto state = co_await read_path(channel_path(change.volume, change.channel), deadline_ns);
      if (!state && (doubtful || state.error().code == Code::Unavailable)) co_return given_up(state.error());
      if (!state) co_return std::unexpected(std::move(state).error());
      attempt.states.push_back(std::move(*state));
    }
    const auto fate = doubtful ? doubtful->fate(changes, id, attempt.states) : Attempt::Fate::Never;
    if (fate == Attempt::Fate::Done) co_return std::move(doubtful->results);
    if (fate == Attempt::Fate::Lost) co_return given_up({Code::Timeout, "it was overtaken before that could be told"});

    cell::Txn txn;
    const UnixMicros wall = clock_.wall();
    for (size_t i = 0; i < changes.size(); ++i) {
      const Change& change = changes[i];
      const ChannelState& state = attempt.states[i];
      const ChannelFile* file = own_file(state, change.id);
      auto flip = planned(change, state, wall);
      if (!flip) co_return std::unexpected(std::move(flip).error());
      if (fate == Attempt::Fate::Open) *flip = doubtful->results[i].flip;  // whichever of the two is done gives this
      const Bytes path = channel_path(change.volume, change.channel);
      compare(txn, path, state);
      txn.then_operations.emplace_back(cell::Put{path, with_flip(file, change.id, {*flip, id}, excluded).encode()});
      attempt.results.push_back({*flip, file != nullptr ? std::optional(file->current()) : std::nullopt});
    }

    const auto reply = co_await client_.txn(std::move(txn), left(deadline_ns));
    if (reply && reply->branch == cell::TxnReply::Branch::Then) co_return std::move(attempt.results);
    if (reply) {
      // Others were faster, or this is the second of two of the same: the files tell.
      if (fate == Attempt::Fate::Never) doubtful.reset();
      continue;
    }
    why = reply.error().error;
    if (reply.error().verdict == Verdict::Unknown) {
      doubtful = std::move(attempt);
    } else if (reply.error().verdict == Verdict::Refused) {
      if (doubtful) co_return given_up(why);
      co_return std::unexpected(unanswered(reply.error(), "nothing was flipped"));
    }
    net::Timer pause(co_await net::asio::this_coro::executor);
    pause.expires_after(kPause);
    co_await pause.async_wait(net::asio::as_tuple(net::asio::deferred));
  }
  co_return given_up(why);
}

Task<Result<void>> Flipper::show(std::vector<Showing> channels, std::vector<net::NodeId> excluded, Within within) {
  const int64_t deadline_ns = clock_.monotonic_ns() + within.ms * kNsPerMs;
  std::ranges::sort(excluded);
  const auto repeated = std::ranges::unique(excluded);
  excluded.erase(repeated.begin(), repeated.end());
  for (const Showing& each : channels) {
    CO_TRY_DO(validate_channel(each.volume, each.channel));
    if (each.flips.empty()) co_return fail(Code::Invalid, fmt::format("{}@{}: no flip", each.volume, each.channel));
  }
  Error why{Code::Unavailable, "the time was over"};
  while (clock_.monotonic_ns() < deadline_ns) {
    cell::Txn txn;
    for (const Showing& each : channels) {
      const Bytes path = channel_path(each.volume, each.channel);
      CO_TRY(const ChannelState state, co_await read_path(path, deadline_ns));
      if (state.file && younger(state.file->volume, each.id))
        co_return fail(Code::Conflict, fmt::format("channel {}@{}: volume id {} is no more, it is {} now", each.volume,
                                                   each.channel, each.id.value, state.file->volume.value));
      const ChannelFile* file = own_file(state, each.id);
      if (file != nullptr && file->current().sequence >= each.flips.back().sequence) continue;
      ChannelFile next{.volume = each.id, .flips = {}, .excluded = excluded};
      for (size_t i = each.flips.size() - std::min(each.flips.size(), kFlipsKept); i < each.flips.size(); ++i)
        next.flips.push_back({each.flips[i], {}});
      compare(txn, path, state);
      txn.then_operations.emplace_back(cell::Put{path, next.encode()});
    }
    if (txn.then_operations.empty()) co_return Result<void>();
    const auto reply = co_await client_.txn(std::move(txn), left(deadline_ns));
    if (reply && reply->branch == cell::TxnReply::Branch::Then) co_return Result<void>();
    if (reply) continue;  // others were faster: they may have shown it, or more
    why = reply.error().error;
    if (reply.error().verdict == Verdict::Refused)
      co_return std::unexpected(unanswered(reply.error(), "nothing was shown"));
    net::Timer pause(co_await net::asio::this_coro::executor);
    pause.expires_after(kPause);
    co_await pause.async_wait(net::asio::as_tuple(net::asio::deferred));
  }
  co_return fail(Code::Timeout, fmt::format("the flip may not be shown yet: {}", why.message));
}

Task<Result<void>> Flipper::remove_volume(Bytes volume, Within within) {
  CO_TRY_DO(volume::validate_volume_name(volume));
  const int64_t deadline_ns = clock_.monotonic_ns() + within.ms * kNsPerMs;
  Error why{Code::Unavailable, "the time was over"};
  while (clock_.monotonic_ns() < deadline_ns) {
    cell::Txn txn;
    txn.then_operations.emplace_back(cell::DeleteSubtree{channels_path(volume), kFilesMax});
    const auto reply = co_await client_.txn(std::move(txn), left(deadline_ns));
    if (reply) co_return Result<void>();
    if (reply.error().verdict == Verdict::Refused)
      co_return std::unexpected(unanswered(reply.error(), channels_path(volume)));
    why = reply.error().error;
    net::Timer pause(co_await net::asio::this_coro::executor);
    pause.expires_after(kPause);
    co_await pause.async_wait(net::asio::as_tuple(net::asio::deferred));
  }
  co_return fail(Code::Timeout,
                 fmt::format("{}: its removal may not have been done: {}", channels_path(volume), why.message));
}

Task<Result<ChannelState>> Flipper::read(Bytes volume, Bytes channel, Within within) {
  CO_TRY_DO(validate_channel(volume, channel));
  co_return co_await read_path(channel_path(volume, channel), clock_.monotonic_ns() + within.ms * kNsPerMs);
}

Task<Result<std::vector<std::pair<Bytes, ChannelState>>>> Flipper::list(Bytes volume, Within within) {
  CO_TRY_DO(volume::validate_volume_name(volume));
  const int64_t deadline_ns = clock_.monotonic_ns() + within.ms * kNsPerMs;
  std::vector<std::pair<Bytes, ChannelState>> out;
  cell::List page{.path = channels_path(volume)};
  do {
    auto listing = co_await client_.list(page, left(deadline_ns));
    if (!listing) co_return std::unexpected(unanswered(listing.error(), page.path));
    for (cell::Listing::Entry& entry : listing->entries) {
      CO_TRY(ChannelState state, co_await read_path(channel_path(volume, entry.name), deadline_ns));
      if (state.file) out.emplace_back(std::move(entry.name), std::move(state));
    }
    page.after = std::move(listing->next);
  } while (!page.after.empty());
  co_return out;
}

template <class T>
Result<T> BlockingFlipper::wait(Task<Result<T>> task) {
  return net::asio::co_spawn(loop_, std::move(task), net::asio::use_future).get();
}

Result<std::vector<Flipped>> BlockingFlipper::flip(std::vector<Change> changes, std::vector<net::NodeId> excluded,
                                                   Within within) {
  return wait(flipper_.flip(std::move(changes), std::move(excluded), within));
}
Result<void> BlockingFlipper::show(std::vector<Showing> channels, std::vector<net::NodeId> excluded, Within within) {
  return wait(flipper_.show(std::move(channels), std::move(excluded), within));
}
Result<void> BlockingFlipper::remove_volume(Bytes volume, Within within) {
  return wait(flipper_.remove_volume(std::move(volume), within));
}
Result<ChannelState> BlockingFlipper::read(Bytes volume, Bytes channel, Within within) {
  return wait(flipper_.read(std::move(volume), std::move(channel), within));
}
Result<std::vector<std::pair<Bytes, ChannelState>>> BlockingFlipper::list(Bytes volume, Within within) {
  return wait(flipper_.list(std::move(volume), within));
}

}  // namespace hailstone::flip
