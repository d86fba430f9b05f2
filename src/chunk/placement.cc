#include "chunk/placement.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <string_view>
#include <tuple>

namespace hailstone::chunk {
namespace {

bool takes_copies(const StoreInfo& store) { return store.state == StoreState::In && store.weight > 0; }

/// {site, site/rack, site/rack/host}, each of them whole so that equal names elsewhere are not the same.
std::array<std::string, 3> levels(const StoreInfo& store) {
  std::array<std::string, 3> out;
  std::string_view rest = store.place;
  std::string path;
  for (std::string& level : out) {
    const size_t slash = std::min(rest.find('/'), rest.size());
    const std::string_view part = rest.substr(0, slash);
    path += '/';
    path += part.empty() ? net::node_name(store.id) : std::string(part);
    rest.remove_prefix(std::min(slash + 1, rest.size()));
    level = path;
  }
  // Deeper parts than three belong to the host.
  if (!rest.empty()) out[2] += "/" + std::string(rest);
  return out;
}

/// Highest random weight: each store draws for each chunk from an exponential distribution with its weight as the rate;
/// the smallest draw wins, with a probability that is its share of the weights.
double draw(const ChunkId& id, const StoreInfo& store) {
  const uint64_t hash = xxh3(id.view(), store.id.value);
  const double unit = (static_cast<double>(hash >> 11) + 0.5) * 0x1p-53;  // in (0, 1)
  return -std::log(unit) / store.weight;
}

}  // namespace

Result<Placement> Placement::make(std::vector<StoreInfo> stores, size_t copies) {
  if (copies == 0) return fail(Code::Invalid, "0 copies of each chunk: at least 1");
  std::ranges::sort(stores, {}, &StoreInfo::id);
  Placement out;
  std::map<std::string, uint32_t> numbers;
  size_t taking = 0;
  for (size_t i = 0; i < stores.size(); ++i) {
    const StoreInfo& store = stores[i];
    if (!store.id || (i > 0 && stores[i - 1].id == store.id))
      return fail(Code::Invalid, fmt::format("store {}: id is 0 or named twice", net::node_name(store.id)));
    if (!(store.weight >= 0 && std::isfinite(store.weight)))
      return fail(Code::Invalid, fmt::format("store {}: weight {}: 0 or more", net::node_name(store.id), store.weight));
    const auto names = levels(store);
    const auto number = [&](const std::string& name) {
      return numbers.emplace(name, static_cast<uint32_t>(numbers.size())).first->second;
    };
    out.places_.push_back({number(names[0]), number(names[1]), number(names[2])});
    taking += takes_copies(store);
  }
  out.stores_ = std::move(stores);
  out.copies_ = std::min(copies, taking);
  return out;
}

std::vector<net::NodeId> Placement::order(const ChunkId& id) const {
  std::vector<std::pair<double, size_t>> draws;
  for (size_t i = 0; i < stores_.size(); ++i)
    if (takes_copies(stores_[i])) draws.emplace_back(draw(id, stores_[i]), i);
  std::ranges::sort(draws);
  // One after the other, each the first that is as far as can be from those before it.
  const auto nearness = [&](size_t candidate, size_t chosen) {
    const Place& place = places_[candidate];
    std::array<bool, 3> met{};  // site, rack, host
    for (size_t i = 0; i < chosen; ++i) {
      const Place& other = places_[draws[i].second];
      met[0] |= other.site == place.site;
      met[1] |= other.rack == place.rack;
      met[2] |= other.host == place.host;
    }
    return met[0] + met[1] + met[2];
  };
  for (size_t chosen = 1; chosen < copies_; ++chosen) {
    size_t best = chosen;
    int best_nearness = nearness(draws[chosen].second, chosen);
    for (size_t i = chosen + 1; i < draws.size() && best_nearness > 0; ++i) {
      const int near = nearness(draws[i].second, chosen);
      if (near < best_nearness) std::tie(best, best_nearness) = std::pair(i, near);
    }
    std::rotate(draws.begin() + static_cast<ptrdiff_t>(chosen), draws.begin() + static_cast<ptrdiff_t>(best),
                draws.begin() + static_cast<ptrdiff_t>(best) + 1);
  }
  std::vector<net::NodeId> out;
  out.reserve(draws.size());
  for (const auto& [drawn, index] : draws) out.push_back(stores_[index].id);
  return out;
}

std::vector<net::NodeId> Placement::targets(const ChunkId& id) const {
  auto out = order(id);
  out.resize(copies_);
  return out;
}

const StoreInfo* Placement::find(net::NodeId id) const {
  const auto it = std::ranges::lower_bound(stores_, id, {}, &StoreInfo::id);
  return it != stores_.end() && it->id == id ? &*it : nullptr;
}

bool Placement::readable(net::NodeId id) const {
  const StoreInfo* store = find(id);
  return store != nullptr && store->state != StoreState::Out;
}

Distance distance(const StoreInfo& a, const StoreInfo& b) {
  const auto one = levels(a), other = levels(b);
  if (one[2] == other[2]) return Distance::SameHost;
  if (one[1] == other[1]) return Distance::SameRack;
  if (one[0] == other[0]) return Distance::SameSite;
  return Distance::Elsewhere;
}

}  // namespace hailstone::chunk
