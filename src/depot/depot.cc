#include "depot/depot.h"

#include <fmt/format.h>

#include <charconv>

#include "depot/errors.h"

namespace hailstone::depot {
namespace {

constexpr size_t kSpareSlots = 64;
constexpr int64_t kChannelWaitNs = 3'000'000'000;  // longer than a lease: whoever is cut off is out by then
constexpr size_t kSearchIndexes = 4;               // open at once in a thread: up to 4 MiB each

std::optional<uint64_t> parse_number(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// The least release a client will take, from If-Release-At-Least or ?min-release=. Invalid when it is no number.
Result<ReleaseNumber> least_release(const http::RequestHead& head, const Facts& facts) {
  std::optional<Bytes> text;
  if (facts.release_at_least) text = Bytes(*facts.release_at_least);
  if (!text && !head.query.empty()) text = head.parameter("min-release");
  if (!text) return ReleaseNumber();
  const auto number = parse_number(*text);
  if (!number) return fail(Code::Invalid, fmt::format("'{}' is not a release number", printable(*text)));
  return ReleaseNumber(*number);
}

// For HEAD: what GET would send is announced, not sent.
void drop_body(http::Response& response) {
  if (const auto* part = std::get_if<http::Part>(&response.body)) response.content_length = http::part_length(*part);
  response.body = std::monostate();
}

}  // namespace

Depot::Depot(volume::Repository& repository, chunk::ExtentCache& extents, const Authorizer& authorizer,
             http::BlockingPool& pool, const Options& options, flip::LiveChannels* channels, net::NodeId self)
    : repository_(repository),
      authorizer_(authorizer),
      pool_(pool),
      options_(options),
      store_{repository.nodes(), repository.chunks()},
      states_(repository.published()),
      channels_(channels),
      self_(self),
      live_(channels ? channels->make_cache() : nullptr),
      releases_(repository, options.release_records),
      answers_(extents, pool, options_),
      hot_(options.hot_bytes),
      missing_(options.missing_paths),
      modified_(options.modified_paths),
      by_hash_(options.by_hash_directories),
      searches_(kSearchIndexes) {}

Depot::~Depot() = default;

http::Response Depot::error(const Error& error) const { return error_response(error, options_.retry_after_seconds); }

std::shared_ptr<Depot::Slot> Depot::slot_of(ByteView name, const Bytes& channel) {
  const std::pair<Bytes, Bytes> key(name, channel);
  if (const auto it = slots_.find(key); it != slots_.end()) return it->second;
  // Most of so many are of volumes and channels that are no more, or never were.
  if (slots_.size() > 4 * states_.get()->volumes->size() + kSpareSlots) {
    hot_.clear();
    missing_.clear();
    slots_.clear();
  }
  auto slot = std::make_shared<Slot>();
  slot->name = name;
  slot->channel = channel;
  slots_.emplace(key, slot);
  return slot;
}

bool Depot::confirm(Slot& slot) {
  // The version is read first: the state taken after it is that one or a newer one.
  const uint64_t version = repository_.published().version();
  const bool moved = slot.checked != version || slot.generation == 0;
  if (!slot.channel.empty()) {
    const flip::LivePtr& live = live_->get(slot.name, slot.channel);
    if (!live) return false;
    if (live == slot.live && !moved) return true;
    auto raw = states_.get()->find(slot.name);
    if (live != slot.live || raw != slot.raw || slot.generation == 0) {
      if (!raw) return false;
      auto shown = flip::shown_volume(raw, slot.channel, *live, self_);
      if (shown.fit != flip::Fit::Shown) return false;
      slot.raw = std::move(raw);
      slot.live = live;
      slot.seen = std::move(shown.volume);
      ++slot.generation;
    }
    slot.checked = version;
    return true;
  }
  if (!moved) return true;
  auto now = states_.get()->find(slot.name);
  if (now != slot.seen || slot.generation == 0) {
    slot.seen = std::move(now);
    ++slot.generation;
  }
  slot.checked = version;
  return true;
}

http::Task<Result<void>> Depot::settle(Bytes volume) {
  co_return co_await http::await_callback<Result<void>>(
      [this, volume = std::move(volume)](auto done) { repository_.settle(volume, std::move(done)); });
}

http::Task<Result<std::shared_ptr<const volume::Volume>>> Depot::open_volume(Ask& ask) {
  using Opened = Result<std::shared_ptr<const volume::Volume>>;
  const Selector& selector = ask.path.selector;
  Bytes channel;
  if (channels_ && selector.kind == Selector::Kind::None) channel = kDefaultChannel;
  if (channels_ && selector.kind == Selector::Kind::Name) channel = selector.text;
  for (bool settled = false;;) {
    const bool current = repository_.settled(ask.path.volume);
    ask.state = states_.get();
    const bool there = ask.state->find(ask.path.volume) != nullptr;
    if (there) {
      ask.slot = slot_of(ask.path.volume, channel);
      if (confirm(*ask.slot) && ask.slot->seen) co_return Opened(ask.slot->seen);
      if (!channel.empty() && !live_->get(ask.path.volume, channel)) {
        const int64_t deadline = repository_.clock().monotonic_ns() + kChannelWaitNs;
        auto live = co_await http::await_callback<Result<flip::LivePtr>>(
            [this, volume = ask.path.volume, channel, deadline](auto done) {
              channels_->resolve(volume, channel, deadline, std::move(done));
            });
        if (!live) co_return Opened(std::unexpect, std::move(live).error());
        auto raw = states_.get()->find(ask.path.volume);
        if (raw) {
          // Answers are remembered only under what the thread's cache confirms; this one is for this request.
          auto shown = flip::shown_volume(std::move(raw), channel, **live, self_);
          if (shown.fit == flip::Fit::Shown) {
            ask.slot = std::make_shared<Slot>();
            co_return Opened(std::move(shown.volume));
          }
        }
      }
    }
    if (settled || (current && !there)) {
      if (!there) co_return fail(Code::NotFound, fmt::format("no volume '{}'", printable(ask.path.volume)));
      co_return fail(Code::Unavailable, fmt::format("this node has yet to learn of '{}@{}' what others show",
                                                    printable(ask.path.volume), printable(channel)));
    }
    auto done = co_await settle(ask.path.volume);
    if (!done) co_return Opened(std::unexpect, Error{Code::Unavailable, std::move(done).error().message});
    settled = true;
  }
}

FilePtr Depot::hot_file(const http::Request& request, const Facts& facts, UnixMicros now) {
  Hot* hot = hot_.find(request.head.path);
  if (!hot) return nullptr;
  if (!confirm(*hot->slot)) return nullptr;
  if (hot->generation != hot->slot->generation || hot->valid_until <= now) return nullptr;
  if (!request.head.query.empty() || facts.release_at_least) {
    const auto least = least_release(request.head, facts);
    if (!least || (hot->channel_release && *least > hot->channel_release)) return nullptr;
  }
  if (access_to(*hot->slot->seen, *states_.get(), facts) != Access::Granted) return nullptr;
  return hot->file;
}

http::Task<http::Response> Depot::handle(http::Request request) {
  const http::RequestHead& head = request.head;
  if (head.method != http::Method::Get && head.method != http::Method::Head) {
    auto response = refusal(405, "only GET and HEAD are answered here");
    response.headers.add("Allow", "GET, HEAD");
    co_return response;
  }
  const Facts facts = read_facts(head);
  const UnixMicros now = repository_.clock().wall();
  http::Response response;
  if (FilePtr file = hot_file(request, facts, now)) {
    auto ready = answers_.at_once(*file, head, facts);
    if (ready) {
      response = *std::move(ready);
    } else {
      response = co_await answers_.answer(std::move(file), head, facts);
    }
  } else {
    response = co_await route(request, facts, now);
  }
  if (head.method == http::Method::Head) drop_body(response);
  co_return response;
}

http::Task<http::Response> Depot::route(const http::Request& request, const Facts& facts, UnixMicros now) {
  auto path = parse_path(request.head.path);
  if (!path) co_return error(path.error());
  Ask ask{request, facts, now, states_.get(), *std::move(path), {}, nullptr, 0};
  if (ask.path.kind == Path::Kind::Root) co_return co_await serve_volumes(ask);
  auto opened = co_await open_volume(ask);
  if (!opened) co_return error(opened.error());
  auto volume = *std::move(opened);
  ask.generation = ask.slot->generation;
  if (auto refused = refuse_access(ask, *volume)) co_return *std::move(refused);
  if (ask.path.selector.kind == Selector::Kind::Time) co_return redirect_to_time(ask, *volume);
  auto view = open_view(releases_, volume, ask.path.selector);
  if (!view && view.error().code == Code::NotFound && !repository_.settled(volume->record.name)) {
    // Made through another node a moment ago, perhaps.
    if (auto settled = co_await settle(volume->record.name); !settled)
      co_return error({Code::Unavailable, std::move(settled).error().message});
    opened = co_await open_volume(ask);
    if (!opened) co_return error(opened.error());
    volume = *std::move(opened);
    ask.generation = ask.slot->generation;
    view = open_view(releases_, volume, ask.path.selector);
  }
  if (!view) co_return no_view(ask, *volume, view.error());
  ask.view = *std::move(view);
  if (auto refused = refuse_stale(ask)) co_return *std::move(refused);
  switch (ask.path.kind) {
    case Path::Kind::Volume: {
      const Bytes query = request.head.query.empty() ? Bytes() : "?" + Bytes(request.head.query);
      const bool pinned = ask.view.kind == View::Kind::Pinned;
      co_return redirect(301, ask.view.base + "/" + query, pinned ? cache_control(ask.view) : "no-store");
    }
    case Path::Kind::Endpoint: co_return co_await serve_endpoint(ask);
    default: co_return co_await serve_key(ask);
  }
}

Access Depot::access_to(const volume::Volume& volume, const volume::State& state, const Facts& facts) const {
  if (volume.record.settings.public_read) return Access::Granted;
  const auto credentials = facts.authorization ? parse_authorization(*facts.authorization) : std::nullopt;
  return credentials ? authorizer_.check(state, *credentials, volume) : Access::Unknown;
}

std::optional<http::Response> Depot::refuse_access(const Ask& ask, const volume::Volume& volume) const {
  const Access access = access_to(volume, *ask.state, ask.facts);
  if (access == Access::Granted) return std::nullopt;
  if (access == Access::Forbidden)
    return refusal(403, fmt::format("this access key may not read volume '{}'", volume.record.name));
  auto response = refusal(401, fmt::format("volume '{}' wants an access key", volume.record.name));
  response.headers.add("WWW-Authenticate", "Basic realm=\"hailstone\", charset=\"UTF-8\", Bearer realm=\"hailstone\"");
  return response;
}

std::optional<http::Response> Depot::refuse_stale(const Ask& ask) const {
  if (ask.view.kind == View::Kind::Pinned) return std::nullopt;
  const auto least = least_release(ask.request.head, ask.facts);
  if (!least) return error(least.error());
  if (ask.view.release >= *least) return std::nullopt;
  return error({Code::Unavailable, fmt::format("'{}' is at release {}, {} was asked for", ask.view.name,
                                               ask.view.release.value, least->value)});
}

http::Response Depot::redirect_to_time(const Ask& ask, const volume::Volume& volume) {
  const auto flip = repository_.flip_at(volume, kDefaultChannel, ask.path.selector.time);
  if (!flip) return error(flip.error());
  Bytes location = encode_base(volume.record.name, flip->release);
  if (ask.path.kind != Path::Kind::Volume) location += "/";
  if (ask.path.kind == Path::Kind::Endpoint) location += "-/";
  location += percent_encode_path(ask.path.key);
  if (!ask.request.head.query.empty()) location += "?" + Bytes(ask.request.head.query);
  return redirect(302, location, "no-store");
}

http::Response Depot::no_view(const Ask& ask, const volume::Volume& volume, const Error& failure) const {
  const Selector& selector = ask.path.selector;
  const bool existed = selector.kind == Selector::Kind::Number && selector.number <= volume.record.last_release;
  if (failure.code == Code::NotFound && existed)
    return refusal(410, fmt::format("release {} of '{}' is no longer kept", selector.number.value, volume.record.name));
  return error(failure);
}

http::Response Depot::missing(const Ask& ask, bool gone) const {
  const Bytes what = printable(ask.path.key);
  auto response = gone ? refusal(410, fmt::format("'{}' was in a release that is no longer served here", what))
                       : refusal(404, fmt::format("'{}' is not in release {} of '{}'", what, ask.view.release.value,
                                                  ask.view.volume->record.name));
  response.headers.add("X-Hailstone-Release", fmt::format("{}", ask.view.release.value));
  return response;
}

Bytes Depot::lines_of(const Ask& ask, ReleaseNumber release, std::string_view cache_control) const {
  const View& view = ask.view;
  http::HeaderBlock headers;
  headers.add("Cache-Control", cache_control);
  add_common_headers(headers);
  headers.add("X-Hailstone-Release", fmt::format("{}", release.value));
  if (view.kind == View::Kind::Channel) {
    headers.add("X-Hailstone-Channel", view.channel);
    if (release != view.release) headers.add("X-Hailstone-Channel-Release", fmt::format("{}", view.release.value));
    if (view.by_cookie) headers.add("Vary", "Cookie");
  }
  return std::move(headers.lines());
}

http::Task<http::Response> Depot::answer_page(const Ask& ask, Bytes body, std::string_view content_type, Bytes lines) {
  auto file = generated_file(std::move(body), Bytes(content_type), std::move(lines));
  co_return co_await answers_.answer(std::move(file), ask.request.head, ask.facts);
}

}  // namespace hailstone::depot
