// JSON at this edge, both ways: reading a request's body strictly, and the one place where values become JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/ids.h"
#include "volume/contents.h"
#include "volume/records.h"
#include "volume/state.h"

namespace hailstone::api {

using Json = nlohmann::json;

// -- reading
// ------------------------------------------------------------------------------------------------------------

inline constexpr int kJsonDepthMax = 16;

/// One object, with nothing after it. Invalid names the line and column; nesting beyond kJsonDepthMax and a name that
/// is in one object twice are refused too.
Result<Json> parse_object(ByteView text);

/// The fields of one object. A reader asks for all that it knows, then calls finish() once: that tells the first thing
/// that was wrong, or a field nobody asked for.
class Fields {
 public:
  /// `where` goes before the names in messages: "" or "items[2]". The object outlives the reader.
  Fields(const Json& object, Bytes where);

  Bytes text(std::string_view name);                          // must be there
  std::optional<Bytes> optional_text(std::string_view name);  // nothing when absent or null
  uint64_t number(std::string_view name, uint64_t least, uint64_t most);
  std::optional<uint64_t> optional_number(std::string_view name, uint64_t least, uint64_t most);
  std::optional<bool> optional_flag(std::string_view name);
  std::optional<std::vector<Bytes>> optional_texts(std::string_view name);
  /// A nested object, or null when absent.
  const Json* optional_object(std::string_view name);
  /// The elements of an array of objects, which must be there, each with its place for messages.
  std::vector<Fields> objects(std::string_view name, size_t count_max);
  /// An array of any kind, or null when absent.
  const Json* optional_array(std::string_view name, size_t count_max);
  /// An entry's key: `key`, or `key_base64` where it is not UTF-8. Validated.
  Bytes key();
  std::optional<Bytes> optional_base64(std::string_view name);
  bool has(std::string_view name) const { return object_->contains(name); }
  bool is_null(std::string_view name) const;

  /// Notes what is wrong with a field, if it is the first thing.
  void refuse(std::string_view name, std::string_view what);
  Result<void> finish() const;

 private:
  const Json* find(std::string_view name);      // null when absent or JSON null
  const Json* required(std::string_view name);  // refuses when that is so
  Bytes place(std::string_view name) const;

  const Json* object_;
  Bytes where_;
  std::vector<std::string_view> known_;
  std::optional<Error> wrong_;
};

/// Changes `settings` by the fields that are there. Invalid: an unknown or mistyped one, or a value out of its range.
Result<void> read_settings(Fields fields, volume::Settings& settings);

// -- writing
// ------------------------------------------------------------------------------------------------------------

/// UTF-8 out; bytes that are not become U+FFFD (keys never pass this way: see put_key).
Bytes dump(const Json& value);
/// Sets `name`, or NAME_base64 when the bytes are not UTF-8.
void put_bytes(Json& object, std::string_view name, ByteView bytes);

Json to_json(UnixMicros time);        // "2026-11-22T10:00:00.123456Z"
Json to_json(ReleaseNumber release);  // null for none
Json to_json(const volume::Settings& settings);
Json to_json(const volume::Listed& listed);
Json to_json(const volume::Listing& listing, const std::optional<ReleaseNumber>& release);
Json to_json(const volume::DraftRecord& draft);
Json to_json(const volume::ReleaseRecord& release);
Json to_json(const volume::Flip& flip);
Json to_json(const volume::AccessKey& key);  // never the secret or its hash
std::string_view kind_name(volume::Kind kind);

}  // namespace hailstone::api
