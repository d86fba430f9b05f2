#include "server/registry.h"

#include <fmt/format.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <charconv>
#include <mutex>
#include <utility>

namespace hailstone::server {
namespace {

namespace asio = net::asio;
using client::Within;
using client::core::Verdict;
using net::Task;
using State = client::core::Core::State;

constexpr Within kCall{10'000};
constexpr std::chrono::milliseconds kNow(0);
constexpr auto kPause = std::chrono::milliseconds(200);   // before another attempt at what failed
constexpr auto kLook = std::chrono::milliseconds(5'000);  // beside news, now and then
constexpr auto kAwait = asio::as_tuple(asio::deferred);

Bytes path_of(ByteView directory, net::NodeId id) { return fmt::format("{}/{}", directory, id.value); }

/// 0: not the name of an entry.
net::NodeId id_of(ByteView name) {
  uint64_t id = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), id);
  return error == std::errc() && end == name.data() + name.size() ? net::NodeId(id) : net::NodeId();
}

}  // namespace

/// Outlives the registry for as long as its coroutines do.
struct Registry::Shared {
  Shared(asio::io_context& l, client::CellClient& c, NodeEntry node, std::optional<StoreEntry> s, Logger& log,
         OnChange call)
      : client(&c), self(std::move(node)), store(std::move(s)), logger(log), on_change(std::move(call)), wake(l) {}

  client::CellClient* client;  // null: it is over
  const NodeEntry self;
  const std::optional<StoreEntry> store;
  Logger& logger;
  const OnChange on_change;

  // The loop's.
  Roster roster;
  bool nodes_read = false, stores_read = false;
  cell::SessionId registered;  // in which this node's file was made
  cell::SessionId usurped;     // in which another process's was found in its place
  net::Timer wake;             // of keep_registered()

  std::mutex mutex;  // guards a pointer copy
  std::shared_ptr<const Roster> shown = std::make_shared<Roster>();

  bool over() const { return client == nullptr; }

  void show() {
    roster.complete = nodes_read && stores_read;
    const bool is = client != nullptr && registered && registered == client->session();
    roster.self = !is                                   ? Roster::Self::Absent
                  : client->state() == State::Connected ? Roster::Self::Registered
                                                        : Roster::Self::Jeopardy;
    auto next = std::make_shared<const Roster>(roster);
    {
      const std::scoped_lock lock(mutex);
      shown = next;
    }
    if (on_change) on_change(next);
  }

  // ---- this node's own entries ----

  /// For as long as there is a client, and again in each session.
  static Task<void> keep_registered(std::shared_ptr<Shared> me) {
    while (!me->over()) {
      const cell::SessionId session = me->client->session();
      auto pause = kLook;
      if (!session) {
        const auto opened = co_await me->client->open(kCall);
        pause = opened ? kNow : kPause;
      } else if (me->registered != session && me->usurped != session) {
        pause = co_await enter(me) ? kNow : kPause;
      }
      if (me->over()) co_return;
      if (pause == kNow) continue;
      me->wake.expires_after(pause);
      co_await me->wake.async_wait(kAwait);
    }
  }

  static Task<bool> enter(std::shared_ptr<Shared> me) {
    const cell::SessionId session = me->client->session();
    const auto entered = co_await write_node(me, session);
    if (me->over()) co_return false;
    if (!entered) {
      me->logger.warn("node_not_registered", {{"node", me->self.id.value}, {"error", entered.error().message}});
      co_return false;
    }
    if (me->client->session() != session) co_return false;
    if (me->store) {
      const auto made = co_await me->client->put(path_of(kStoresPath, me->store->id), me->store->to_json(),
                                                 {.mode = cell::Put::Mode::Create}, kCall);
      if (me->over()) co_return false;
      if (!made && made.error().error.code != Code::Exists) {
        me->logger.warn("store_not_registered", {{"node", me->self.id.value}, {"error", made.error().error.message}});
        co_return false;
      }
    }
    me->registered = session;
    me->roster.term = *entered;
    me->logger.info("node_registered", {{"node", me->self.id.value}, {"term", *entered}});
    me->show();
    co_return true;
  }

  /// The new file's instance. One that an earlier life or session left is replaced, whatever its lease.
  static Task<Result<uint64_t>> write_node(std::shared_ptr<Shared> me, cell::SessionId session) {
    const Bytes path = path_of(kNodesPath, me->self.id);
    const auto there = co_await me->client->ask(cell::wire::Ask::View::Linearizable, cell::Get{path}, kCall);
    if (me->over()) co_return fail(Code::Cancelled, "the registry is over");
    if (!there) co_return std::unexpected(there.error().error);
    const auto* got = std::get_if<cell::Got>(&there->answer);
    if (got == nullptr) co_return fail(Code::Corrupt, "the answer is of another kind than the query");
    cell::Txn txn;
    if (got->file && got->file->stat.owner == session) co_return got->file->stat.instance.value;  // its answer was lost
    if (got->file) {
      txn.compares.emplace_back(cell::InstanceIs{path, got->file->stat.instance});
      txn.then_operations.emplace_back(cell::Delete{path});
    } else {
      txn.compares.emplace_back(cell::FileAbsent{path});
    }
    txn.then_operations.emplace_back(
        cell::Put{path, me->self.to_json(), cell::Put::Mode::Create, cell::Put::Life::Ephemeral});
    const auto done = co_await me->client->txn(std::move(txn), kCall);
    if (!done) co_return std::unexpected(done.error().error);
    if (done->branch == cell::TxnReply::Branch::Else) co_return fail(Code::Conflict, path + ": it changed meanwhile");
    const auto* written = std::get_if<cell::Written>(&done->results.back());
    if (written == nullptr) co_return fail(Code::Corrupt, "the reply is of another kind than the operation");
    co_return written->stat.instance.value;
  }

  /// What a look at this node's own file says.
  void found_self(const std::optional<cell::File>& file) {
    if (!registered || registered != client->session()) return;
    if (file && file->stat.instance.value == roster.term) return;
    if (file && file->stat.instance.value < roster.term) return;  // from before
    registered = {};
    if (file) {
      usurped = client->session();
      logger.error("node_id_taken", {{"node", self.id.value},
                                     {"term", file->stat.instance.value},
                                     {"hint", "another process has registered under this node's id: stop one"}});
    } else {
      logger.warn("node_entry_removed", {{"node", self.id.value}});
    }
    wake.cancel();
  }

  void on_session() {
    show();
    wake.cancel();
  }

  // ---- everybody's ----

  /// Reads a directory, then whatever of it changes, for as long as there is a client.
  static Task<void> follow(std::shared_ptr<Shared> me, Bytes directory) {
    while (!me->over()) {
      const auto read = co_await read_all(me, directory);
      if (me->over()) co_return;
      if (read) {
        const auto watch = me->client->watch(directory, *read);
        const auto ended = co_await take_events(me, directory, *watch);
        if (me->over()) co_return;
        if (ended.code == Code::Conflict) continue;  // compacted: read again
      }
      net::Timer pause(co_await asio::this_coro::executor);
      pause.expires_after(kPause);
      co_await pause.async_wait(kAwait);
    }
  }

  /// Why the watch ended. Of a changed file the newest is read, whatever the event was: events may be passed over.
  static Task<Error> take_events(std::shared_ptr<Shared> me, Bytes directory, client::Watch& watch) {
    for (;;) {
      const auto batch = co_await watch.next(kCall);
      if (me->over()) co_return Error{Code::Cancelled, "the registry is over"};
      if (!batch && batch.error().code != Code::Timeout) co_return batch.error();
      if (!batch) continue;
      if (batch->compacted) co_return Error{Code::Conflict, "compacted"};
      bool changed = false;
      for (const auto& item : batch->events) {
        if (item.event.path.size() <= directory.size() + 1) continue;
        const auto read = co_await read_entry(me, directory, item.event.path.substr(directory.size() + 1));
        if (me->over()) co_return Error{Code::Cancelled, "the registry is over"};
        if (!read) co_return read.error();
        changed = true;
      }
      if (changed) me->show();
    }
  }

  /// The revision that the listing shows.
  static Task<Result<cell::Revision>> read_all(std::shared_ptr<Shared> me, Bytes directory) {
    std::optional<cell::Revision> revision;
    std::vector<Bytes> names;
    cell::List page{.path = directory};
    do {
      const auto answer = co_await me->client->ask(cell::wire::Ask::View::Linearizable, page, kCall);
      if (me->over()) co_return fail(Code::Cancelled, "the registry is over");
      if (!answer) co_return std::unexpected(answer.error().error);
      const auto* listed = std::get_if<cell::Listed>(&answer->answer);
      if (listed == nullptr) co_return fail(Code::Corrupt, "the answer is of another kind than the query");
      if (!revision) revision = answer->revision;
      for (const auto& entry : listed->listing.entries) names.push_back(entry.name);
      page.after = listed->listing.next;
    } while (!page.after.empty());
    if (directory == kNodesPath) me->roster.nodes.clear();
    if (directory == kStoresPath)
      std::erase_if(me->roster.stores, [&](const auto& pair) {
        return std::ranges::find(names, std::to_string(pair.first.value)) == names.end();
      });
    for (const Bytes& name : names) {
      const auto read = co_await read_entry(me, directory, name);
      if (me->over()) co_return fail(Code::Cancelled, "the registry is over");
      if (!read) co_return std::unexpected(read.error());
    }
    (directory == kNodesPath ? me->nodes_read : me->stores_read) = true;
    me->show();
    co_return *revision;
  }

  static Task<Result<void>> read_entry(std::shared_ptr<Shared> me, Bytes directory, Bytes name) {
    const net::NodeId id = id_of(name);
    if (!id) co_return Result<void>();
    const auto answer =
        co_await me->client->ask(cell::wire::Ask::View::Linearizable, cell::Get{path_of(directory, id)}, kCall);
    if (me->over()) co_return Result<void>();
    if (!answer) co_return std::unexpected(answer.error().error);
    const auto* got = std::get_if<cell::Got>(&answer->answer);
    if (got == nullptr) co_return fail(Code::Corrupt, "the answer is of another kind than the query");
    if (directory == kNodesPath) me->take_node(id, got->file);
    if (directory == kStoresPath) me->take_store(id, got->file);
    co_return Result<void>();
  }

  void take_node(net::NodeId id, const std::optional<cell::File>& file) {
    if (id == self.id) found_self(file);
    roster.nodes.erase(id);
    if (!file) return;
    auto entry = NodeEntry::from_json(id, file->content);
    if (!entry) return logger.warn("node_entry_not_understood", {{"error", entry.error().message}});
    entry->term = file->stat.instance.value;
    roster.nodes[id] = std::move(*entry);
  }
  /// What cannot be understood changes nothing: where copies are kept must not follow from a slip of the pen.
  void take_store(net::NodeId id, const std::optional<cell::File>& file) {
    if (!file) return static_cast<void>(roster.stores.erase(id));
    auto entry = StoreEntry::from_json(id, file->content);
    if (!entry) return logger.error("store_entry_not_understood", {{"error", entry.error().message}});
    roster.stores[id] = std::move(*entry);
  }
};

Registry::Registry(asio::io_context& loop, client::CellClient& client, NodeEntry self, std::optional<StoreEntry> store,
                   Logger& logger, OnChange on_change)
    : shared_(std::make_shared<Shared>(loop, client, std::move(self), std::move(store), logger, std::move(on_change))) {
  client.on_session([shared = shared_.get()](const client::core::SessionChanged&) { shared->on_session(); });
  asio::co_spawn(loop, Shared::keep_registered(shared_), asio::detached);
  asio::co_spawn(loop, Shared::follow(shared_, Bytes(kNodesPath)), asio::detached);
  asio::co_spawn(loop, Shared::follow(shared_, Bytes(kStoresPath)), asio::detached);
}

Registry::~Registry() {
  shared_->client->on_session(std::function<void(const client::core::SessionChanged&)>());
  shared_->client = nullptr;
  shared_->wake.cancel();
}

std::shared_ptr<const Roster> Registry::now() const {
  const std::scoped_lock lock(shared_->mutex);
  return shared_->shown;
}

}  // namespace hailstone::server
