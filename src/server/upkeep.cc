#include "server/upkeep.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "s3/lifecycle.h"

namespace hailstone::server {
namespace {

using api::Chore;
using api::Json;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr auto kRound = milliseconds(500);
constexpr auto kScrubSlice = seconds(2);  // read at once, then rested for: what is read a second is a mean
constexpr auto kCursorInterval = seconds(30);
constexpr size_t kPurgedAtOnce = 1000;
constexpr std::string_view kCursorFile = "/scrub";

size_t index_of(Chore chore) { return static_cast<size_t>(chore); }

std::string brief(const std::vector<ReleaseNumber>& releases) {
  std::string out;
  for (ReleaseNumber release : releases) out += fmt::format("{}{}", out.empty() ? "" : " ", release.value);
  return out;
}

}  // namespace

Upkeep::Upkeep(Node& node, Logger& logger) : node_(node), logger_(logger) {}

void Upkeep::start() {
  load_cursor();
  const auto now = std::chrono::steady_clock::now();
  next_collection_ = now + seconds(node_.config().collect_interval_seconds);
  next_scrub_ = cursor_saved_ = now;
  thread_ = std::thread([this] { run(); });
}

void Upkeep::stop() {
  stopping_ = true;
  {
    const std::scoped_lock lock(mutex_);
  }
  wake_.notify_all();
  if (!thread_.joinable()) return;
  thread_.join();
  save_cursor();
}

uint64_t Upkeep::ask(Chore chore, const api::ChoreOptions& options) {
  const std::scoped_lock lock(mutex_);
  State& state = chores_[index_of(chore)];
  state.options = options;
  wake_.notify_all();
  return ++state.asked;
}

bool Upkeep::asked(Chore chore) const {
  const std::scoped_lock lock(mutex_);
  return chores_[index_of(chore)].asked > chores_[index_of(chore)].finished;
}

Json Upkeep::status() const {
  const std::scoped_lock lock(mutex_);
  Json out = Json::object();
  for (const Chore chore : {Chore::Collect, Chore::Verify, Chore::Compact, Chore::Scrub}) {
    const State& state = chores_[index_of(chore)];
    out[api::chore_name(chore)] = {{"running", state.running},
                                   {"asked", state.asked},
                                   {"finished", state.finished},
                                   {"runs", state.runs},
                                   {"last", state.runs > 0 ? api::to_json(state.last) : Json(nullptr)},
                                   {"took_ms", state.took_ms},
                                   {"error", state.error.empty() ? Json(nullptr) : Json(state.error)},
                                   {"result", state.result}};
  }
  out["store"] = {{"reachable_chunks", totals_.reachable_chunks}, {"trash_chunks", totals_.trash_chunks}};
  out["scrub"]["position"] = {{"segment", totals_.scrub.segment}, {"offset", totals_.scrub.offset}};
  out["scrub"]["passes"] = totals_.scrub_passes;
  out["scrub"]["bytes"] = totals_.scrubbed_bytes;
  out["scrub"]["damaged"] = totals_.scrub_damaged;
  return out;
}

Upkeep::Totals Upkeep::totals() const {
  const std::scoped_lock lock(mutex_);
  return totals_;
}

Result<std::vector<std::string>> Upkeep::why(const ChunkId& id, size_t limit) {
  const std::scoped_lock lock(collector_mutex_);
  return node_.collector().why(id, limit);
}

void Upkeep::rest(milliseconds time) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, time, [this] {
    return stopping() || std::ranges::any_of(chores_, [](const State& s) { return s.asked > s.finished; });
  });
}

void Upkeep::pause(std::chrono::microseconds time) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, time, [this] { return stopping(); });
}

/// Rests after every MiB for as long as it should have taken.
std::function<void(uint64_t)> Upkeep::paced(uint64_t bytes_per_second) {
  if (bytes_per_second == 0) return {};
  return [this, bytes_per_second, owed = uint64_t{0}](uint64_t bytes) mutable {
    owed += bytes;
    if (owed < (1u << 20) && owed < bytes_per_second / 4) return;
    pause(std::chrono::microseconds(owed * 1'000'000 / bytes_per_second));
    owed = 0;
  };
}

void Upkeep::run() {
  while (!stopping()) {
    const auto now = std::chrono::steady_clock::now();
    const Config& config = node_.config();
    const bool due = config.collect_interval_seconds > 0 && now >= next_collection_;
    if (due || asked(Chore::Collect)) {
      perform(Chore::Collect);
      next_collection_ = std::chrono::steady_clock::now() + seconds(config.collect_interval_seconds);
    }
    for (const Chore chore : {Chore::Verify, Chore::Compact, Chore::Scrub})
      if (!stopping() && asked(chore)) perform(chore);
    if (!stopping() && config.scrub_bytes_per_second > 0 && now >= next_scrub_) scrub_slice();
    if (now >= cursor_saved_ + kCursorInterval) save_cursor();
    rest(kRound);
  }
}

void Upkeep::perform(Chore chore) {
  uint64_t ticket = 0;
  api::ChoreOptions options;
  {
    const std::scoped_lock lock(mutex_);
    State& state = chores_[index_of(chore)];
    ticket = state.asked;
    if (ticket > state.finished) options = state.options;  // else it is due, not asked for
    state.running = true;
  }
  const auto started = std::chrono::steady_clock::now();
  Result<Json> result = Json(nullptr);
  switch (chore) {
    case Chore::Collect: result = collect(options); break;
    case Chore::Verify: result = verify(); break;
    case Chore::Compact: result = compact(std::max<uint32_t>(1, node_.config().compact_dead_percent)); break;
    case Chore::Scrub: result = scrub_all(); break;
  }
  if (!result) logger_.warn("upkeep failed", {{"chore", api::chore_name(chore)}, {"error", result.error().message}});
  const std::scoped_lock lock(mutex_);
  State& state = chores_[index_of(chore)];
  state.running = false;
  state.finished = ticket;
  ++state.runs;
  state.last = node_.clock().wall();
  state.took_ms = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - started).count();
  state.error = result ? std::string() : result.error().message;
  if (result) state.result = *std::move(result);
  if (!state.error.empty()) ++totals_.failures;
}

Result<Json> Upkeep::retain(const api::ChoreOptions& options) {
  volume::Repository& repository = node_.repository();
  Json out = {{"trashed", Json::object()}, {"purged", Json::object()}};
  const auto state = repository.published().load();
  for (const auto& [name, known] : *state->volumes) {
    if (stopping()) break;
    // A publish under way shares trees of releases that it did not put.
    const auto lock = repository.lock_volume(known->record.id);
    const auto v = repository.volume(name);
    if (!v) continue;
    TRY(const auto input, repository.retention_input(**v));
    const auto plan = volume::plan_retention(input);
    if (!plan.trash.empty()) out["trashed"][name] = brief(plan.trash);
    if (!plan.purge.empty()) out["purged"][name] = brief(plan.purge);
    if (options.dry_run) continue;
    // One at a time: the command refuses what a tag, hold or draft made a moment ago keeps, and that is fine.
    for (ReleaseNumber release : plan.trash) {
      auto trashed = repository.submit({"system", {}}, volume::TrashReleases{name, {release}});
      if (!trashed && trashed.error().code != Code::Conflict && trashed.error().code != Code::NotFound)
        return std::unexpected(std::move(trashed).error());
      if (!trashed) continue;
      logger_.info("release trashed", {{"volume", name}, {"release", release.value}});
      const std::scoped_lock guard(mutex_);
      ++totals_.releases_trashed;
    }
    for (size_t i = 0; i < plan.purge.size(); i += kPurgedAtOnce) {
      const std::vector<ReleaseNumber> some(
          plan.purge.begin() + static_cast<ptrdiff_t>(i),
          plan.purge.begin() + static_cast<ptrdiff_t>(std::min(i + kPurgedAtOnce, plan.purge.size())));
      TRY_DO(repository.submit({"system", {}}, volume::PurgeReleases{name, some}));
      logger_.info("releases purged", {{"volume", name}, {"releases", brief(some)}});
      const std::scoped_lock guard(mutex_);
      totals_.releases_purged += some.size();
    }
  }
  return out;
}

Result<Json> Upkeep::expire() {
  s3::LifecycleReport sum;
  const s3::LifecycleOptions options{.stale_upload_days = node_.config().s3.stale_upload_days};
  std::string error;
  const auto state = node_.repository().published().load();
  for (const auto& [name, volume] : *state->volumes) {
    if (stopping()) break;
    const auto done = s3::run_lifecycle(node_.repository(), volume, options, [this] { return stopping(); });
    if (!done) {  // a volume deleted meanwhile; or one that is damaged, and must not stop the others
      if (done.error().code != Code::NotFound) error = fmt::format("volume '{}': {}", name, done.error().message);
      continue;
    }
    if (done->total() > 0)
      logger_.info("lifecycle", {{"volume", name},
                                 {"expired", done->expired},
                                 {"versions", done->versions},
                                 {"markers", done->markers},
                                 {"uploads", done->uploads},
                                 {"parts", done->parts},
                                 {"locked", done->locked}});
    sum.expired += done->expired;
    sum.versions += done->versions;
    sum.markers += done->markers;
    sum.uploads += done->uploads;
    sum.parts += done->parts;
    sum.locked += done->locked;
  }
  {
    const std::scoped_lock guard(mutex_);
    totals_.objects_expired += sum.expired + sum.versions + sum.markers;
    totals_.uploads_aborted += sum.uploads;
  }
  if (!error.empty()) return fail(Code::Corrupt, error);
  return Json{{"expired", sum.expired}, {"versions", sum.versions}, {"markers", sum.markers},
              {"uploads", sum.uploads}, {"parts", sum.parts},       {"locked", sum.locked}};
}

Result<Json> Upkeep::collect(const api::ChoreOptions& options) {
  const Config& config = node_.config();
  Json out;
  // A disk too full for the log must not keep collection from making room.
  if (auto retained = retain(options)) {
    out["releases"] = *std::move(retained);
  } else {
    logger_.warn("retention failed", {{"error", retained.error().message}});
    out["releases_error"] = retained.error().message;
  }
  if (!options.dry_run) {
    if (auto expired = expire()) {
      out["lifecycle"] = *std::move(expired);
    } else {
      logger_.warn("lifecycle failed", {{"error", expired.error().message}});
      out["lifecycle_error"] = expired.error().message;
    }
  }
  collect::CollectReport report;
  {
    const std::scoped_lock lock(collector_mutex_);
    TRY(report, node_.collector().run_once(
                    {.trash_window_seconds = options.skip_window ? 0 : config.collect_trash_seconds,
                     .dry_run = options.dry_run},
                    [this] { return stopping(); }, [](std::string_view, uint64_t) {}));
    TRY(const uint64_t trash, node_.collector().trash_chunks());
    const uint64_t chunks = node_.store().stats().chunks;
    const std::scoped_lock guard(mutex_);
    ++totals_.collections;
    totals_.trashed_chunks += report.trashed;
    if (!options.dry_run) {
      totals_.erased_chunks += report.erased;
      totals_.erased_bytes += report.erased_bytes;
    }
    totals_.held_chunks = report.held;
    totals_.pinned_chunks = report.pinned;
    totals_.trash_chunks = trash;
    totals_.reachable_chunks = chunks > trash ? chunks - trash : 0;
  }
  if (report.erased > 0 && !options.dry_run)
    logger_.info(
        "collected",
        {{"run", report.run}, {"erased", report.erased}, {"bytes", report.erased_bytes}, {"trashed", report.trashed}});
  if (!report.blocked.empty()) logger_.warn("collection held up", {{"reason", report.blocked}});
  out["run"] = report.run;
  out["recounted"] = report.recounted;
  out["roots_added"] = report.roots_added;
  out["roots_dropped"] = report.roots_dropped;
  out["counted"] = report.counted;
  out["candidates"] = report.candidates;
  out["trashed"] = report.trashed;
  out["pinned"] = report.pinned;
  out["held"] = report.held;
  out["erased"] = report.erased;
  out["erased_bytes"] = report.erased_bytes;
  out["sessions"] = report.sessions;
  out["blocked"] = report.blocked.empty() ? Json(nullptr) : Json(report.blocked);
  out["dry_run"] = options.dry_run;
  if (!options.dry_run && !stopping() && config.compact_dead_percent > 0) {
    TRY(out["compacted"], compact(config.compact_dead_percent));
  }
  return out;
}

Result<Json> Upkeep::verify() {
  const std::scoped_lock lock(collector_mutex_);
  TRY(const uint64_t same, node_.collector().verify([this] { return stopping(); }));
  TRY(const auto usage, node_.collector().usage());
  return Json{{"counts", same},
              {"reachable_chunks", usage.reachable_chunks},
              {"reachable_bytes", usage.reachable_bytes},
              {"trash_chunks", usage.trash_chunks},
              {"trash_bytes", usage.trash_bytes},
              {"disk_bytes", usage.disk_bytes}};
}

Result<Json> Upkeep::compact(uint32_t dead_percent) {
  chunk::LocalStore::CompactOptions options{.dead_percent = dead_percent,
                                            .pace = paced(node_.config().compact_bytes_per_second)};
  TRY(const auto done, node_.store().compact(options, [this] { return stopping(); }));
  if (done.segments > 0)
    logger_.info("compacted",
                 {{"segments", done.segments}, {"freed_bytes", done.freed_bytes}, {"moved_bytes", done.moved_bytes}});
  {
    const std::scoped_lock lock(mutex_);
    totals_.compacted_segments += done.segments;
    totals_.compacted_bytes += done.freed_bytes;
    totals_.moved_bytes += done.moved_bytes;
  }
  return Json{{"segments", done.segments},
              {"freed_bytes", done.freed_bytes},
              {"moved_chunks", done.moved_chunks},
              {"moved_bytes", done.moved_bytes},
              {"carried_erasures", done.carried_erasures},
              {"kept_damaged", done.kept_damaged},
              {"kept_for_room", done.kept_for_room}};
}

Result<chunk::LocalStore::Scrubbed> Upkeep::scrub_from(const chunk::Position& from, uint64_t budget) {
  TRY(const auto part, node_.store().scrub(from, budget, [this] { return stopping(); }));
  const std::scoped_lock lock(mutex_);
  totals_.scrubbed_bytes += part.bytes;
  totals_.scrubbed_chunks += part.records;
  totals_.scrub_damaged += part.damaged;
  return part;
}

Result<Json> Upkeep::scrub_all() {
  chunk::LocalStore::Scrubbed sum;
  for (chunk::Position at; !stopping();) {
    TRY(const auto part, scrub_from(at, 64u << 20));
    sum.records += part.records;
    sum.bytes += part.bytes;
    sum.damaged += part.damaged;
    at = part.next;
    if (at == chunk::Position()) break;
  }
  return Json{{"chunks", sum.records}, {"bytes", sum.bytes}, {"damaged", sum.damaged}};
}

void Upkeep::scrub_slice() {
  const uint64_t rate = node_.config().scrub_bytes_per_second;
  const auto part = scrub_from(totals().scrub, rate * static_cast<uint64_t>(kScrubSlice.count()));
  auto rested = std::chrono::microseconds(kScrubSlice);
  if (part) {
    rested = std::chrono::microseconds(part->bytes * 1'000'000 / rate) + milliseconds(100);
    const std::scoped_lock lock(mutex_);
    totals_.scrub = part->next;
    if (part->next == chunk::Position()) {
      ++totals_.scrub_passes;
      rested = std::max<std::chrono::microseconds>(rested, seconds(60));  // a small store is not read over and over
    }
  } else {
    logger_.warn("scrub failed", {{"error", part.error().message}});
    rested = seconds(60);
  }
  next_scrub_ = std::chrono::steady_clock::now() + rested;
}

// One line, "SEGMENT OFFSET". Losing it costs a pass from the beginning.
void Upkeep::load_cursor() {
  const auto text = disk::read_file(node_.disk(), node_.config().data + std::string(kCursorFile), 64);
  if (!text) return;
  unsigned long long segment = 0, offset = 0;
  if (std::sscanf(text->c_str(), "%llu %llu", &segment, &offset) != 2 || segment > UINT32_MAX) return;
  const std::scoped_lock lock(mutex_);
  totals_.scrub = {.segment = static_cast<uint32_t>(segment), .offset = offset};
}

void Upkeep::save_cursor() {
  cursor_saved_ = std::chrono::steady_clock::now();
  const chunk::Position at = totals().scrub;
  const std::string path = node_.config().data + std::string(kCursorFile);
  const std::string text = fmt::format("{} {}\n", at.segment, at.offset);
  if (const auto old = disk::read_file(node_.disk(), path, 64); old && *old == text) return;
  (void)disk::write_file_atomic(node_.disk(), path, text);  // on a full disk the older one is as good
}

}  // namespace hailstone::server
