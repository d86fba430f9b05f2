// Reads a wire stream from the server: manifests as a list, contents into a restore.
#pragma once

#include <functional>
#include <vector>

#include "cli/api.h"
#include "mirror/plan.h"
#include "mirror/wire.h"

namespace hailstone::cli {

/// One event at a time; data events are valid during the call.
using WireHandler = std::function<Result<void>(mirror::WireEvent& event)>;

/// Downloads a wire stream and hands out its events. Corrupt when it is damaged or cut short.
Result<void> read_wire(Api& api, const std::string& method, const std::string& path, const Json* body,
                       const WireHandler& handler);

/// All entries of a target under a prefix, sorted by key.
Result<std::vector<mirror::KeyEntry>> fetch_manifest(Api& api, const std::string& target, const Bytes& prefix);

/// The entry of one key; nothing when the target lacks it.
Result<std::optional<volume::Entry>> fetch_entry(Api& api, const std::string& target, const Bytes& key);

/// ["a", {"key_base64": "/w=="}]: keys that are not UTF-8 can't be JSON strings.
Json keys_json(const std::vector<Bytes>& keys);

}  // namespace hailstone::cli
