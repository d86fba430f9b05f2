// Entries of nodes and stores, as JSON.
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "server/registry.h"

namespace hailstone::server {
namespace {

using Json = nlohmann::json;

constexpr std::array<std::pair<StoreEntry::State, const char*>, 3> kStates{
    {{StoreEntry::State::In, "in"}, {StoreEntry::State::Draining, "draining"}, {StoreEntry::State::Out, "out"}}};

/// name of member -> field, of those that are texts.
template <class Entry>
constexpr auto texts_of(Entry& entry) {
  return std::to_array<std::pair<const char*, decltype(&entry.name)>>({{"name", &entry.name},
                                                                       {"http", &entry.http},
                                                                       {"s3", &entry.s3},
                                                                       {"cell", &entry.cell},
                                                                       {"member", &entry.member},
                                                                       {"data", &entry.data},
                                                                       {"place", &entry.place},
                                                                       {"version", &entry.version}});
}

Bytes text_of(const Json& json) { return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n"; }

std::unexpected<Error> wrong(std::string_view what, net::NodeId id, std::string_view why) {
  return fail(Code::Corrupt, fmt::format("{}/{}: {}", what, id.value, why));
}

}  // namespace

Bytes NodeEntry::to_json() const {
  Json json{{"roles", roles}, {"life", life}};
  for (const auto& [key, text] : texts_of(*this)) json[key] = *text;
  return text_of(json);
}

Result<NodeEntry> NodeEntry::from_json(net::NodeId id, ByteView text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return wrong("/nodes", id, "it is no JSON object");
  NodeEntry out{.id = id};
  for (const auto& [key, field] : texts_of(out)) {
    const auto at = json.find(key);
    if (at == json.end()) continue;
    if (!at->is_string()) return wrong("/nodes", id, fmt::format("'{}' is no text", key));
    *field = at->get<std::string>();
  }
  if (const auto life = json.find("life"); life != json.end()) {
    if (!life->is_number_unsigned()) return wrong("/nodes", id, "'life' is no whole number");
    out.life = life->get<uint64_t>();
  }
  for (const Json& role : json.value("roles", Json::array())) {
    if (!role.is_string()) return wrong("/nodes", id, "a role is no text");
    out.roles.push_back(role.get<std::string>());
  }
  return out;
}

Bytes StoreEntry::to_json() const {
  return text_of(Json{{"place", place}, {"weight", weight}, {"state", kStates[static_cast<size_t>(state)].second}});
}

Result<StoreEntry> StoreEntry::from_json(net::NodeId id, ByteView text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return wrong("/stores", id, "it is no JSON object");
  StoreEntry out{.id = id};
  const Json place = json.value("place", Json("")), weight = json.value("weight", Json(1.0)),
             state = json.value("state", Json("in"));
  if (!place.is_string()) return wrong("/stores", id, "'place' is no text");
  if (!weight.is_number() || !std::isfinite(weight.get<double>()) || weight.get<double>() < 0)
    return wrong("/stores", id, "'weight' is no number of 0 or more");
  const auto* at = std::ranges::find_if(kStates, [&](const auto& pair) { return state == pair.second; });
  if (at == kStates.end()) return wrong("/stores", id, "'state' is not in, draining or out");
  out.place = place.get<std::string>();
  out.weight = weight.get<double>();
  out.state = at->first;
  return out;
}

std::string_view self_name(Roster::Self self) {
  switch (self) {
    case Roster::Self::Absent: return "absent";
    case Roster::Self::Registered: return "registered";
    case Roster::Self::Jeopardy: return "jeopardy";
  }
  return "?";
}

}  // namespace hailstone::server
