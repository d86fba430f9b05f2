#include "client/cell_client.h"

#include <fmt/format.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/deferred.hpp>
#include <set>
#include <utility>

namespace hailstone::client {
namespace {

using core::CallEnded;
using core::Verdict;

constexpr auto kAwait = asio::as_tuple(asio::deferred);

template <class T>
Called<T> not_called(CallEnded& ended) {
  return std::unexpected(CallError{ended.verdict, std::move(ended.error)});
}

/// The value of a call that is done. One of another kind is the core's fault, not the cell's: it has checked.
template <class T>
Called<T> value_of(CallEnded ended) {
  if (ended.verdict != Verdict::Done) return not_called<T>(ended);
  if (T* value = std::get_if<T>(&ended.value)) return std::move(*value);
  return std::unexpected(CallError{Verdict::Unknown, {Code::Corrupt, "the answer is of another kind than the call"}});
}

Called<> done_or_not(CallEnded ended) {
  if (ended.verdict != Verdict::Done) return not_called<void>(ended);
  return {};
}

Called<cell::TxnReply> txn_reply(CallEnded ended) {
  auto reply = value_of<cell::Reply>(std::move(ended));
  if (!reply) return std::unexpected(std::move(reply).error());
  if (auto* txn = std::get_if<cell::TxnReply>(&reply->outcome)) return std::move(*txn);
  return std::unexpected(CallError{Verdict::Unknown, {Code::Corrupt, "the answer is of another kind than the call"}});
}

/// Its only operation's result. Conflict: a condition did not hold.
template <class T>
Called<T> only_result(Called<cell::TxnReply> reply, const Bytes& path) {
  if (!reply) return std::unexpected(std::move(reply).error());
  if (reply->branch == cell::TxnReply::Branch::Else)
    return std::unexpected(
        CallError{Verdict::Refused, {Code::Conflict, fmt::format("{}: not of the generation asked for", path)}});
  if (reply->results.size() == 1)
    if (T* result = std::get_if<T>(&reply->results.front())) return std::move(*result);
  return std::unexpected(CallError{Verdict::Unknown, {Code::Corrupt, "the answer is of another kind than the call"}});
}

template <class T>
Called<T> answer_of(Called<cell::wire::Answered> answered) {
  if (!answered) return std::unexpected(std::move(answered).error());
  if (T* answer = std::get_if<T>(&answered->answer)) return std::move(*answer);
  return std::unexpected(CallError{Verdict::Unknown, {Code::Corrupt, "the answer is of another kind than the query"}});
}

}  // namespace

// ---- watches ----

struct Watch::State {
  State(Driver& d, asio::io_context& loop) : driver(&d), wake(loop) {}
  Driver* driver;  // null once the watch has ended
  core::WatchTag tag;
  std::deque<core::WatchEvents> news;
  std::optional<Error> ended;
  net::Timer wake;
};

Watch::~Watch() {
  if (state_->driver != nullptr) state_->driver->unwatch(state_->tag);
  state_->driver = nullptr;
}

Task<Result<cell::EventBatch>> Watch::next(Within within) {
  const auto state = state_;
  const auto deadline = net::SteadyClock::now() + std::chrono::milliseconds(within.ms);
  while (state->news.empty() && !state->ended && net::SteadyClock::now() < deadline) {
    state->wake.expires_at(deadline);
    co_await state->wake.async_wait(kAwait);
  }
  if (state->news.empty()) {
    if (state->ended) co_return std::unexpected(*state->ended);
    co_return fail(Code::Timeout, fmt::format("no event within {} ms", within.ms));
  }
  core::WatchEvents events = std::move(state->news.front());
  state->news.pop_front();
  if (state->driver != nullptr) state->driver->taken(state->tag, events.bytes);
  co_return std::move(events.batch);
}

std::unique_ptr<Watch> CellClient::watch(Bytes prefix, std::optional<cell::Revision> after) {
  auto state = std::make_shared<Watch::State>(*driver_, loop_);
  state->tag = driver_->watch(std::move(prefix), after, [state](Driver::WatchNews news) {
    if (auto* events = std::get_if<core::WatchEvents>(&news)) {
      if (events->batch.compacted) state->ended = Error{Code::Conflict, "compacted: read again, and watch from there"};
      state->news.push_back(std::move(*events));
    } else {
      state->ended = std::move(std::get<core::WatchEnded>(news).error);
    }
    if (state->ended) state->driver = nullptr;
    state->wake.cancel();
  });
  return std::unique_ptr<Watch>(new Watch(std::move(state)));
}

// ---- the client ----

struct CellClient::Opening {
  std::set<net::Timer*> timers;
  Error why_not;  // the latest
  bool stopped = false;
  void wake() {
    for (net::Timer* timer : timers) timer->cancel();
  }
};

CellClient::CellClient(asio::io_context& loop) : loop_(loop), opening_(std::make_shared<Opening>()) {}

Result<std::unique_ptr<CellClient>> CellClient::make(asio::io_context& loop, Options options, Logger& logger) {
  std::unique_ptr<CellClient> client(new CellClient(loop));
  TRY(client->driver_, Driver::make(loop, std::move(options), *client, logger));
  return client;
}

CellClient::~CellClient() {
  if (driver_ != nullptr) stop();
}

void CellClient::stop() {
  opening_->stopped = true;
  opening_->wake();
  driver_->stop();
}

void CellClient::on_session(const core::SessionChanged& change) {
  if (change.change == core::SessionChanged::Change::Refused) opening_->why_not = change.error;
  opening_->wake();
  if (session_listener_) session_listener_(change);
}

void CellClient::on_lock_lost(const core::LockLost& lost) {
  if (lock_listener_) lock_listener_(lost.sequencer);
}

void CellClient::on_link(const core::LinkChanged& change) {
  if (!change.welcome) opening_->why_not = change.error;
}

void CellClient::on_copy_dropped(ByteView path) {
  if (dropped_listener_) dropped_listener_(path);
}

void CellClient::on_copies_end(int64_t ends_ns) {
  if (end_listener_) end_listener_(ends_ns);
}

/// Starts a call now; to be awaited at once.
template <class Start>
auto CellClient::ended(Within within, Start start) {
  return asio::async_initiate<const asio::deferred_t, void(CallEnded)>(
      [this, within](auto handler, Start call) {
        driver_->call(within.ms, std::move(call), [handler = std::move(handler)](CallEnded ended) mutable {
          std::move(handler)(std::move(ended));
        });
      },
      asio::deferred, std::move(start));
}

Task<Called<cell::SessionId>> CellClient::open(Within within) {
  const auto deadline = net::SteadyClock::now() + std::chrono::milliseconds(within.ms);
  driver_->open();
  const auto opening = opening_;
  net::Timer timer(loop_);
  opening->timers.insert(&timer);
  bool in_time = true;
  while (!opening->stopped && state() == core::Core::State::Opening && in_time) {
    timer.expires_at(deadline);
    co_await timer.async_wait(kAwait);
    in_time = net::SteadyClock::now() < deadline;
  }
  opening->timers.erase(&timer);
  if (opening->stopped)
    co_return std::unexpected(CallError{Verdict::NotDone, {Code::Cancelled, "the client was stopped"}});
  if (session()) co_return session();
  if (state() == core::Core::State::None) co_return std::unexpected(CallError{Verdict::Refused, opening->why_not});
  const Error& why = opening->why_not;
  co_return std::unexpected(CallError{Verdict::Unknown,
                                      {Code::Unavailable, fmt::format("no session within {} ms{}{}", within.ms,
                                                                      why.message.empty() ? "" : ": ", why.message)}});
}

Task<Called<>> CellClient::close(Within within) {
  co_return done_or_not(co_await ended(
      within, [](auto& core, auto tag, int64_t deadline_ns, int64_t now_ns) { core.close(tag, deadline_ns, now_ns); }));
}

Task<Called<core::Copy>> CellClient::get(Bytes path, Within within) {
  if (const core::Copy* copy = cached(path)) co_return *copy;
  co_return value_of<core::Copy>(
      co_await ended(within, [path = std::move(path)](auto& core, auto tag, int64_t deadline_ns, int64_t now_ns) {
        core.read(tag, path, deadline_ns, now_ns);
      }));
}

Task<Called<cell::Reply>> CellClient::command(cell::Body body, Within within) {
  co_return value_of<cell::Reply>(co_await ended(
      within, [body = std::move(body)](auto& core, auto tag, int64_t deadline_ns, int64_t now_ns) mutable {
        core.command(tag, std::move(body), deadline_ns, now_ns);
      }));
}

Task<Called<cell::TxnReply>> CellClient::txn(cell::Txn txn, Within within) {
  co_return txn_reply(
      co_await ended(within, [txn = std::move(txn)](auto& core, auto tag, int64_t deadline_ns, int64_t now_ns) mutable {
        core.command(tag, std::move(txn), deadline_ns, now_ns);
      }));
}

Task<Called<cell::FileStat>> CellClient::put(Bytes path, Bytes content, PutOptions options, Within within) {
  cell::Txn put;
  if (options.generation != 0) put.compares.emplace_back(cell::GenerationIs{path, options.generation});
  if (options.instance) put.compares.emplace_back(cell::InstanceIs{path, options.instance});
  put.then_operations.emplace_back(cell::Put{path, std::move(content), options.mode, options.life});
  auto written = only_result<cell::Written>(co_await txn(std::move(put), within), path);
  if (!written) co_return std::unexpected(std::move(written).error());
  co_return written->stat;
}

Task<Called<>> CellClient::remove(Bytes path, uint64_t generation, Within within) {
  cell::Txn remove;
  if (generation != 0) remove.compares.emplace_back(cell::GenerationIs{path, generation});
  remove.then_operations.emplace_back(cell::Delete{path});
  auto deleted = only_result<cell::Deleted>(co_await txn(std::move(remove), within), path);
  if (!deleted) co_return std::unexpected(std::move(deleted).error());
  co_return Called<>();
}

Task<Called<cell::wire::Answered>> CellClient::ask(cell::wire::Ask::View view, cell::wire::Query query, Within within) {
  co_return value_of<cell::wire::Answered>(co_await ended(
      within, [view, query = std::move(query)](auto& core, auto tag, int64_t deadline_ns, int64_t now_ns) mutable {
        core.ask(tag, view, std::move(query), deadline_ns, now_ns);
      }));
}

Task<Called<cell::Listing>> CellClient::list(cell::List list, Within within) {
  auto listed = answer_of<cell::Listed>(co_await ask(cell::wire::Ask::View::Linearizable, std::move(list), within));
  if (!listed) co_return std::unexpected(std::move(listed).error());
  co_return std::move(listed->listing);
}

Task<Called<Bytes>> CellClient::manage(Bytes request, Within within) {
  auto managed = value_of<cell::wire::Managed>(co_await ended(
      within, [request = std::move(request)](auto& core, auto tag, int64_t deadline_ns, int64_t now_ns) mutable {
        core.manage(tag, std::move(request), deadline_ns, now_ns);
      }));
  if (!managed) co_return std::unexpected(std::move(managed).error());
  co_return std::move(managed->response);
}

Task<Called<cell::Sequencer>> CellClient::lock(Bytes path, LockOptions options, Within within) {
  co_return value_of<cell::Sequencer>(co_await ended(
      within, [path = std::move(path), options](auto& core, auto tag, int64_t deadline_ns, int64_t now_ns) {
        core.lock(tag, path, options.mode, options.wait, options.delay_ms, deadline_ns, now_ns);
      }));
}

Task<Called<>> CellClient::unlock(Bytes path, Within within) {
  co_return done_or_not(
      co_await ended(within, [path = std::move(path)](auto& core, auto tag, int64_t deadline_ns, int64_t now_ns) {
        core.unlock(tag, path, deadline_ns, now_ns);
      }));
}

Task<Called<bool>> CellClient::stands(cell::Sequencer sequencer, Within within) {
  co_return answer_of<bool>(
      co_await ask(cell::wire::Ask::View::Linearizable, cell::SequencerStands{std::move(sequencer)}, within));
}

}  // namespace hailstone::client
