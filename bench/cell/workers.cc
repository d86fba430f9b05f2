// Clients of a cell that check what they are promised while others break it, and very many clients at once. For tests
// and benchmarks.
#include <fmt/format.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fstream>
#include <map>
#include <random>

#include "client/cell_client.h"

namespace hailstone::bench {
namespace {

namespace asio = boost::asio;
namespace core = client::core;
using client::Called;
using client::CellClient;
using client::Task;
using client::Within;

struct Settings {
  std::string mode, cell, out;
  std::string ca, certificate, key;
  bool plain_anywhere = false;
  bool stopped =
      false;  // this process is stopped now and then: what it believes meanwhile is not held against the cell
  size_t clients = 8, lockers = 4, locks = 2, watchers = 2;
  size_t sessions = 10'000, hot = 1'000;
  double seconds = 10;
  uint64_t seed = 1;
  int64_t timeout_ms = 5'000;
};

int64_t now_ns() { return SystemClock().monotonic_ns(); }

/// Everything goes on one thread.
class Run {
 public:
  explicit Run(const Settings& settings) : settings_(settings), random_(settings.seed) {}
  virtual ~Run() = default;
  virtual void start() = 0;
  virtual int report() = 0;

  int run() {
    asio::signal_set signals(loop_, SIGTERM, SIGINT);
    signals.async_wait([this](auto, int) { stopping_ = true; });
    end_ns_ = now_ns() + static_cast<int64_t>(settings_.seconds * 1e9);
    start();
    watch_the_clock();
    loop_.run();
    return report();
  }

 protected:
  static std::string why(const client::CallError& error) { return error.error.message; }

  std::unique_ptr<CellClient> connect(core::Options::Caching caching, size_t number) {
    client::Options options;
    auto parsed = net::CellAddress::parse(settings_.cell);
    if (!parsed) throw std::runtime_error(parsed.error().message);
    options.cell = *parsed;
    // Each begins at another member.
    std::ranges::rotate(options.cell.members, options.cell.members.begin() +
                                                  static_cast<std::ptrdiff_t>(number % options.cell.members.size()));
    if (!settings_.ca.empty()) options.tls = net::TlsFiles{settings_.ca, settings_.certificate, settings_.key};
    if (settings_.plain_anywhere) options.plain = net::StreamOptions::Plain::Anywhere;
    options.core.caching = caching;
    options.core.reopen = core::Options::Reopen::AtOnce;
    options.core.grace_ms = 15'000;
    auto made = CellClient::make(loop_, std::move(options), logger_);
    if (!made) throw std::runtime_error(made.error().message);
    return *std::move(made);
  }
  void spawn(Task<void> task) {
    ++running_;
    asio::co_spawn(loop_, std::move(task), [this](const std::exception_ptr& failure) {
      if (failure) {
        try {
          std::rethrow_exception(failure);
        } catch (const std::exception& e) {
          complain(e.what());
        }
      }
      if (--running_ == 0) finish();
    });
  }
  Task<void> sleep(int64_t ms) {
    net::Timer timer(loop_);
    timer.expires_after(std::chrono::milliseconds(ms));
    co_await timer.async_wait(asio::as_tuple(asio::use_awaitable_t<net::Executor>()));
  }
  uint64_t draw(uint64_t below) { return random_() % below; }
  void complain(const std::string& what) {
    if (complaints_.size() < 20) complaints_.push_back(what);
    ++complaint_count_;
  }
  bool over() const { return stopping_ || now_ns() >= end_ns_; }
  virtual void finish() { loop_.stop(); }

  const Settings& settings_;
  asio::io_context loop_{1};
  NullLogger logger_;
  std::mt19937_64 random_;
  size_t running_ = 0;
  bool stopping_ = false;
  int64_t end_ns_ = 0;
  std::vector<std::string> complaints_;
  uint64_t complaint_count_ = 0;

 private:
  void watch_the_clock() {
    spawn([](Run& run) -> Task<void> {
      while (!run.over()) co_await run.sleep(50);
    }(*this));
  }
};

// ---- faults: what is promised, checked ----

class Faults final : public Run {
 public:
  using Run::Run;

  void start() override {
    began_ns_ = now_ns();
    for (size_t i = 0; i < settings_.clients; ++i) spawn(registers(i));
    for (size_t i = 0; i < settings_.lockers; ++i) spawn(locks(i));
    for (size_t i = 0; i < settings_.watchers; ++i) spawn(watches(i));
  }

  int report() override {
    check_intervals();
    std::ofstream history(settings_.out + ".history");
    history << "hailstone history 1\n";
    for (const std::string& line : history_) history << line << '\n';
    std::ofstream held(settings_.out + ".held");
    for (const Interval& each : held_)
      held << fmt::format("held {} {} {} {}\n", each.path, each.begin_ns, each.end_ns, each.generation);
    for (const Act& each : acts_) held << fmt::format("act {} {} {}\n", each.path, each.revision, each.generation);
    for (const std::string& each : complaints_) fmt::print(stderr, "workers: {}\n", each);
    fmt::print(
        "{{\"operations\": {}, \"unknown\": {}, \"late_calls\": {}, \"grants\": {}, \"acts\": {}, \"fenced\": {}, "
        "\"events\": {}, "
        "\"compacted\": {}, \"cache_hits\": {}, \"jeopardies\": {}, \"expired\": {}, \"complaints\": {}}}\n",
        history_.size(), unknown_, late_, held_.size(), acts_.size(), fenced_, events_, compacted_, hits_, jeopardies_,
        expired_, complaint_count_);
    return complaint_count_ ? 1 : 0;
  }

 private:
  struct Interval {
    Bytes path;
    int64_t begin_ns, end_ns;
    uint64_t generation;
  };

  struct Act {
    Bytes path;
    uint64_t revision, generation;
  };

  void listen(CellClient& client) {
    client.on_session([this](const core::SessionChanged& changed) {
      if (changed.change == core::SessionChanged::Change::Jeopardy) ++jeopardies_;
      if (changed.change == core::SessionChanged::Change::Expired) ++expired_;
    });
  }
  void check_deadline(int64_t called, const char* what) {
    const int64_t took_ms = (now_ns() - called) / 1'000'000;
    // The scheduler's share of a busy machine is not the client's.
    if (took_ms > settings_.timeout_ms + 1000 && !settings_.stopped) {
      ++late_;
      complain(fmt::format("{} took {} ms of {}", what, took_ms, settings_.timeout_ms));
    }
  }

  // As tests/shows/register.py keeps a history; half of the reads may come from the cache.
  Task<void> registers(size_t number) {
    constexpr uint64_t kKeys = 24, kPerKey = 120;
    const auto client = connect(number % 2 ? core::Options::Caching::On : core::Options::Caching::Off, number);
    listen(*client);
    uint64_t process = number + 1;
    std::map<uint64_t, std::optional<uint64_t>> seen;
    const Within within{settings_.timeout_ms};
    while (!over()) {
      if (!client->session()) {
        if (!co_await client->open(within)) continue;
      }
      const uint64_t key = turn_++ / (kKeys * kPerKey) * kKeys + draw(kKeys);
      const Bytes path = fmt::format("/history/{}/{}", settings_.seed, key);
      const uint64_t choice = draw(100);
      const int64_t called = now_ns();
      std::string said, answer;
      const auto fate = [&](const client::CallError& error) {
        return error.verdict == core::Verdict::Unknown ? "unknown" : "failed";
      };
      if (choice < 40) {
        const uint64_t value = ++next_value_;
        said = fmt::format("write {}", value);
        const auto done = co_await client->put(path, fmt::format("{}", value), {}, within);
        answer = done ? "ok" : fate(done.error());
        if (done) seen[key] = value;
      } else if (choice < 55) {
        const std::optional<uint64_t> old = seen[key];
        const uint64_t value = ++next_value_;
        said = fmt::format("cas {} {}", old ? fmt::format("{}", *old) : "absent", value);
        cell::Txn txn{.then_operations = {cell::Put{.path = path, .content = fmt::format("{}", value)}},
                      .else_operations = {cell::Get{path}}};
        if (old)
          txn.compares.push_back(cell::ContentIs{path, sha256(fmt::format("{}", *old))});
        else
          txn.compares.push_back(cell::FileAbsent{path});
        const auto done = co_await client->txn(std::move(txn), within);
        if (!done) {
          answer = fate(done.error());
        } else if (done->branch == cell::TxnReply::Branch::Then) {
          answer = "ok";
          seen[key] = value;
        } else {
          answer = "mismatch";
          const auto& got = std::get<cell::Got>(done->results.at(0));
          seen[key] = got.file ? std::optional(std::stoull(got.file->content)) : std::nullopt;
        }
      } else {
        said = "read";
        if (client->cached(path)) ++hits_;
        const auto copy = co_await client->get(path, within);
        if (copy) seen[key] = copy->file ? std::optional(std::stoull(copy->file->content)) : std::nullopt;
        answer = !copy ? "failed" : copy->file ? copy->file->content : "absent";
      }
      check_deadline(called, said.c_str());
      const bool unknown = answer == "unknown";
      history_.push_back(fmt::format("{} {} {} {} {} -> {}", called - began_ns_,
                                     unknown ? "-" : fmt::format("{}", now_ns() - began_ns_), process, key, said,
                                     answer));
      if (unknown) {
        ++unknown_;
        process += settings_.clients;  // who does not know goes on as another
      }
      // A cache that answers at once must not starve the rest.
      co_await sleep(answer == "failed" ? 20 : 0);
    }
    static_cast<void>(co_await client->close(within));
  }

  // Holds a lock for a while, and acts under it by transactions that its sequencer fences.
  Task<void> locks(size_t number) {
    const auto client = connect(core::Options::Caching::Off, number);
    std::optional<Interval> holding;
    const auto let_go = [&] {
      if (!holding) return;
      holding->end_ns = now_ns();
      held_.push_back(*holding);
      holding.reset();
    };
    client->on_session([&](const core::SessionChanged& changed) {
      if (changed.change == core::SessionChanged::Change::Jeopardy) ++jeopardies_;
      if (changed.change == core::SessionChanged::Change::Expired) ++expired_;
      if (changed.change != core::SessionChanged::Change::Safe &&
          changed.change != core::SessionChanged::Change::Opened)
        let_go();
    });
    client->on_lock_lost([&](const cell::Sequencer&) { let_go(); });
    const Within within{settings_.timeout_ms};
    while (!over()) {
      if (!client->session()) {
        if (!co_await client->open(within)) continue;
      }
      const Bytes path = fmt::format("/locks/{}", draw(settings_.locks));
      const int64_t called = now_ns();
      const auto lock = co_await client->lock(path, {}, within);
      check_deadline(called, "lock");
      if (!lock) {
        co_await sleep(10);
        continue;
      }
      const cell::Sequencer sequencer = *lock;
      // A grant that came in jeopardy, or to a session that has ended since, is not acted upon.
      if (client->state() == core::Core::State::Connected)
        holding = Interval{path, now_ns(), 0, sequencer.generation.value};
      if (sequencer.generation.value <= newest_[path] && holding)
        complain(fmt::format("{}: generation {} after {}", path, sequencer.generation.value, newest_[path]));
      newest_[path] = std::max(newest_[path], sequencer.generation.value);
      for (uint64_t i = draw(4) + 1; i > 0 && !over(); --i) {
        cell::Txn act{.compares = {cell::SequencerStands{sequencer}},
                      .then_operations = {
                          cell::Put{.path = "/acts" + path, .content = fmt::format("{}", sequencer.generation.value)}}};
        const auto done = co_await client->txn(std::move(act), within);
        if (done && done->branch == cell::TxnReply::Branch::Then) {
          const auto& written = std::get<cell::Written>(done->results.at(0));
          acts_.push_back({path, written.stat.changed.value, sequencer.generation.value});
        }
        if (done && done->branch == cell::TxnReply::Branch::Else) {
          ++fenced_;
          if (holding && !settings_.stopped)
            complain(fmt::format("{}: generation {} is held, and yet its sequencer does not stand", path,
                                 sequencer.generation.value));
          break;
        }
        co_await sleep(static_cast<int64_t>(draw(20)));
      }
      let_go();
      static_cast<void>(co_await client->unlock(path, within));
      co_await sleep(static_cast<int64_t>(draw(10)));
    }
    let_go();
    static_cast<void>(co_await client->close(within));
  }

  // All acts: each generation of a file's content once, in order; what is written there never from an older grant.
  Task<void> watches(size_t number) {
    const auto client = connect(core::Options::Caching::Off, number);
    std::optional<cell::Revision> after = cell::Revision(0);
    cell::Revision newest;
    while (!over()) {
      const auto watch = client->watch("/", after);
      std::map<Bytes, std::pair<uint64_t, uint64_t>> generations;  // instance and generation
      while (!over()) {
        const auto batch = co_await watch->next({500});
        if (!batch && batch.error().code == Code::Timeout) continue;
        if (!batch) {
          complain(fmt::format("watch: {}", batch.error().message));
          after = newest;
          break;
        }
        for (const auto& item : batch->events) {
          ++events_;
          if (item.revision < newest)
            complain(fmt::format("event of revision {} after {}", item.revision.value, newest.value));
          newest = item.revision;
          if (!item.event.instance) continue;
          auto& [instance, generation] = generations[item.event.path];
          const bool deleted = item.event.kind == cell::Event::Kind::Deleted;
          if (instance == item.event.instance.value && !deleted && item.event.generation != generation + 1)
            complain(fmt::format("{}: generation {} after {}", item.event.path, item.event.generation, generation));
          instance = item.event.instance.value;
          generation = item.event.generation;
        }
        if (batch->compacted) {
          ++compacted_;
          after = batch->upto;
          newest = batch->upto;
          break;
        }
      }
    }
  }

  // Nobody believed to hold a lock while another did.
  void check_intervals() {
    if (settings_.stopped) return;
    std::ranges::sort(held_, {}, [](const Interval& each) { return std::pair(each.path, each.begin_ns); });
    for (size_t i = 1; i < held_.size(); ++i)
      if (held_[i].path == held_[i - 1].path && held_[i].begin_ns < held_[i - 1].end_ns)
        complain(fmt::format("{} was held twice: generations {} and {}, for {} us", held_[i].path,
                             held_[i - 1].generation, held_[i].generation,
                             (held_[i - 1].end_ns - held_[i].begin_ns) / 1000));
  }

  int64_t began_ns_ = 0;
  uint64_t turn_ = 0, next_value_ = 0;
  std::vector<std::string> history_;
  std::vector<Interval> held_;
  std::vector<Act> acts_;
  std::map<Bytes, uint64_t> newest_;
  uint64_t unknown_ = 0, late_ = 0, fenced_ = 0, events_ = 0, compacted_ = 0, hits_ = 0, jeopardies_ = 0, expired_ = 0;
};

// ---- scale: very many sessions and watches ----

class Scale final : public Run {
 public:
  using Run::Run;

  void start() override {
    writer_ = connect(core::Options::Caching::Off, 0);
    spawn(control());
  }

  int report() override {
    std::ranges::sort(latencies_us_);
    const auto at = [&](double part) {
      return latencies_us_.empty()
                 ? 0
                 : latencies_us_[static_cast<size_t>(part * static_cast<double>(latencies_us_.size() - 1))];
    };
    for (const std::string& each : complaints_) fmt::print(stderr, "workers: {}\n", each);
    fmt::print(
        "{{\"sessions\": {}, \"open_s\": {:.1f}, \"writes\": {}, \"deliveries\": {}, \"p50_ms\": {:.1f}, \"p99_ms\": "
        "{:.1f}, "
        "\"max_ms\": {:.1f}, \"jeopardies\": {}, \"expired\": {}, \"complaints\": {}}}\n",
        opened_, open_s_, writes_, latencies_us_.size(), at(0.5) / 1e3, at(0.99) / 1e3, at(1) / 1e3, jeopardies_,
        expired_, complaint_count_);
    return complaint_count_ ? 1 : 0;
  }

 private:
  Task<void> control() {
    const int64_t began = now_ns();
    if (!co_await writer_->open({30'000})) {
      complain("no session for the writer");
      stopping_ = true;
      co_return;
    }
    static_cast<void>(co_await writer_->put("/hot", "0", {}, {30'000}));
    for (size_t i = 0; i < settings_.sessions && !stopping_; ++i) {
      clients_.push_back(connect(core::Options::Caching::Off, i));
      clients_.back()->on_session([this](const core::SessionChanged& changed) {
        if (changed.change == core::SessionChanged::Change::Jeopardy) ++jeopardies_;
        if (changed.change == core::SessionChanged::Change::Expired) ++expired_;
      });
      spawn(watch_one(i));
      // As many at once as would come after a restart of a member.
      if (i % 100 == 99)
        while (opened_ + 500 < i && !stopping_) co_await sleep(5);
    }
    while (opened_ < settings_.sessions && !over()) co_await sleep(50);
    open_s_ = static_cast<double>(now_ns() - began) / 1e9;
    fmt::print(stderr, "measuring\n");
    fflush(stderr);
    end_ns_ = now_ns() + static_cast<int64_t>(settings_.seconds * 1e9);
    while (!over()) {
      co_await sleep(500);
      ++writes_;
      arrived_ = 0;
      wrote_ns_ = now_ns();
      const auto put = co_await writer_->put("/hot", fmt::format("{}", writes_), {}, {10'000});
      if (!put) complain("write: " + why(put.error()));
      for (int i = 0; arrived_ < hot() && i < 2000; ++i) co_await sleep(5);
      if (arrived_ != hot()) complain(fmt::format("write {} reached {} of {}", writes_, arrived_, hot()));
    }
    stopping_ = true;
  }

  size_t hot() const { return std::min(settings_.hot, settings_.sessions); }

  Task<void> watch_one(size_t i) {
    CellClient& client = *clients_[i];
    while (!stopping_) {
      if (co_await client.open({60'000})) break;
    }
    ++opened_;
    const auto watch = client.watch(i < hot() ? "/hot" : fmt::format("/cold/{}", i), std::nullopt);
    while (!stopping_) {
      const auto batch = co_await watch->next({2'000});
      if (!batch) {
        if (batch.error().code != Code::Timeout) co_return complain("watch: " + batch.error().message);
        continue;
      }
      for (const auto& item : batch->events) {
        if (item.event.kind != cell::Event::Kind::Changed || wrote_ns_ == 0) continue;
        latencies_us_.push_back((now_ns() - wrote_ns_) / 1000);
        ++arrived_;
      }
    }
  }

  std::unique_ptr<CellClient> writer_;
  std::vector<std::unique_ptr<CellClient>> clients_;
  size_t opened_ = 0, arrived_ = 0;
  int64_t wrote_ns_ = 0;
  uint64_t writes_ = 0, jeopardies_ = 0, expired_ = 0;
  double open_s_ = 0;
  std::vector<int64_t> latencies_us_;
};

}  // namespace
}  // namespace hailstone::bench

int main(int argc, char** argv) {
  using namespace hailstone::bench;
  Settings settings;
  CLI::App app("Clients of a cell that check what they are promised.");
  app.add_option("mode", settings.mode)->required()->check(CLI::IsMember({"faults", "scale"}));
  app.add_option("--cell", settings.cell, "HOST:PORT,.. of members")->required();
  app.add_option("--out", settings.out, "Where the history goes: OUT.history, OUT.held");
  app.add_option("--ca", settings.ca);
  app.add_option("--cert", settings.certificate);
  app.add_option("--cert-key", settings.key);
  app.add_flag("--plain-anywhere", settings.plain_anywhere);
  app.add_flag("--stopped", settings.stopped);
  app.add_option("--clients", settings.clients);
  app.add_option("--lockers", settings.lockers);
  app.add_option("--locks", settings.locks);
  app.add_option("--watchers", settings.watchers);
  app.add_option("--sessions", settings.sessions);
  app.add_option("--hot", settings.hot);
  app.add_option("--seconds", settings.seconds);
  app.add_option("--seed", settings.seed);
  app.add_option("--timeout-ms", settings.timeout_ms);
  CLI11_PARSE(app, argc, argv);
  if (settings.mode == "faults") return Faults(settings).run();
  return Scale(settings).run();
}
