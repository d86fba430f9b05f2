#include "cell/client_reads.h"

#include <algorithm>

#include "cell/path.h"

namespace hailstone::cell::client {
namespace {

bool names(const wire::Invalidate& invalidate, ByteView path) {
  return std::ranges::find(invalidate.paths, path) != invalidate.paths.end() ||
         std::ranges::any_of(invalidate.prefixes, [&](const Bytes& prefix) { return covers(prefix, path); });
}

}  // namespace

bool Reads::heard(wire::Epoch epoch) {
  if (epoch <= epoch_) return false;
  lapse();
  epoch_ = epoch;
  processed_ = 0;
  return true;
}

void Reads::lapse() {
  cache_.clear();
  ++lapses_;
}

void Reads::session_ended() {
  lapse();
  processed_ = 0;
}

wire::Dropped Reads::invalidate(const wire::Invalidate& invalidate) {
  if (invalidate.sequence > processed_ + 1) {
    // Dropped speaks of those before, too, and what they named is not known here.
    cache_.clear();
    for (auto& [path, flight] : flights_) flight.touched = invalidate.sequence;
  } else {
    for (const Bytes& path : invalidate.paths) cache_.drop(path);
    for (const Bytes& prefix : invalidate.prefixes) cache_.drop_covered(prefix);
    for (auto& [path, flight] : flights_)
      if (names(invalidate, path)) flight.touched = std::max(flight.touched, invalidate.sequence);
  }
  processed_ = std::max(processed_, invalidate.sequence);
  return {invalidate.session, epoch_, processed_};
}

bool Reads::join(ByteView path, Tag tag) {
  const auto found = flights_.find(path);
  if (found == flights_.end()) {
    flights_.emplace(Bytes(path), Flight{.late = {tag}});
    return true;
  }
  found->second.late.push_back(tag);
  return false;
}

void Reads::requested(ByteView path, RequestId request) {
  if (const auto found = flights_.find(path); found != flights_.end()) found->second.request = request;
}

RequestId Reads::leave(ByteView path, Tag tag) {
  const auto found = flights_.find(path);
  if (found == flights_.end()) return {};
  Flight& flight = found->second;
  std::erase(flight.aboard, tag);
  std::erase(flight.late, tag);
  if (!flight.aboard.empty() || !flight.late.empty()) return {};
  const RequestId request = flight.request;
  flights_.erase(found);
  return request;
}

void Reads::depart(ByteView path, Way way, bool cache_lease_runs) {
  const auto found = flights_.find(path);
  if (found == flights_.end()) return;
  Flight& flight = found->second;
  flight.aboard.insert(flight.aboard.end(), flight.late.begin(), flight.late.end());
  flight.late.clear();
  flight.fetch = way == Way::Fetch;
  flight.leased = cache_lease_runs;
  flight.lapses = lapses_;
  flight.touched = 0;
}

Reads::Arrived Reads::arrived(ByteView path, const wire::Result::Fetched& fetched, bool cache_lease_runs) {
  const auto found = flights_.find(path);
  if (found == flights_.end()) return {};
  Flight& flight = found->second;
  const bool keep = fetched.keep && flight.fetch && flight.leased && cache_lease_runs && flight.lapses == lapses_ &&
                    fetched.epoch == epoch_ && flight.touched <= fetched.sequence;
  Arrived arrived{.served = std::move(flight.aboard)};
  flight.aboard.clear();
  if (keep) {
    arrived.served.insert(arrived.served.end(), flight.late.begin(), flight.late.end());
    flight.late.clear();
    cache_.put(path, {fetched.file, fetched.revision});
  }
  arrived.again = !flight.late.empty();
  if (!arrived.again) flights_.erase(found);
  return arrived;
}

std::vector<Tag> Reads::refused(ByteView path) {
  const auto found = flights_.find(path);
  if (found == flights_.end()) return {};
  std::vector<Tag> waiting = std::move(found->second.aboard);
  waiting.insert(waiting.end(), found->second.late.begin(), found->second.late.end());
  flights_.erase(found);
  return waiting;
}

}  // namespace hailstone::cell::client
