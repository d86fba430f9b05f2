#include "cli/wire_reader.h"

#include <algorithm>

namespace hailstone::cli {

Result<void> read_wire(Api& api, const std::string& method, const std::string& path, const Json* body,
                       const WireHandler& handler) {
  mirror::WireDecoder decoder;
  TRY_DO(api.download(method, path, body, [&](ByteView bytes) -> Result<void> {
    decoder.feed(bytes);
    while (true) {
      TRY(auto event, decoder.next());
      if (!event) return {};
      TRY_DO(handler(*event));
    }
  }));
  return decoder.finish();
}

Result<std::vector<mirror::KeyEntry>> fetch_manifest(Api& api, const std::string& target, const Bytes& prefix) {
  std::string path = target_path(target, "manifest");
  if (!prefix.empty()) add_parameter(path, "prefix", prefix);
  std::vector<mirror::KeyEntry> out;
  bool sorted = true;
  TRY_DO(read_wire(api, "GET", path, nullptr, [&](mirror::WireEvent& event) -> Result<void> {
    if (auto* copy = std::get_if<mirror::WireCopy>(&event)) {
      sorted = sorted && (out.empty() || out.back().key < copy->key);
      out.push_back({std::move(copy->key), std::move(copy->entry)});
    }
    return {};
  }));
  if (!sorted) return fail(Code::Corrupt, "the server's manifest is not sorted by key");
  return out;
}

Result<std::optional<volume::Entry>> fetch_entry(Api& api, const std::string& target, const Bytes& key) {
  TRY(auto found, fetch_manifest(api, target, key));
  if (found.empty() || found.front().key != key) return std::optional<volume::Entry>();
  return std::optional<volume::Entry>(std::move(found.front().entry));
}

Json keys_json(const std::vector<Bytes>& keys) {
  Json out = Json::array();
  for (const Bytes& key : keys) {
    try {
      (void)Json(key).dump();
      out.push_back(key);
    } catch (const Json::exception&) {
      out.push_back({{"key_base64", to_base64(key)}});
    }
  }
  return out;
}

}  // namespace hailstone::cli
