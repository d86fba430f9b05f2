// Anything as a method, path, query and body of the API: never a crash, never an accepted request that says two things.
#include <cstddef>
#include <cstdint>

#include "api/json.h"
#include "api/router.h"
#include "base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hailstone;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  if (input.empty()) return 0;
  const auto method = static_cast<http::Method>(static_cast<unsigned char>(input[0]) % 8);
  input.remove_prefix(1);
  const auto take_line = [&] {
    const size_t end = input.find('\n');
    const std::string_view line = input.substr(0, end);
    input.remove_prefix(end == input.npos ? input.size() : end + 1);
    return line;
  };
  const std::string_view path = take_line(), query = take_line();

  const auto found = api::match(method, path);
  if (found) {
    for (const auto& [name, segment] : found->segments) CHECK(!segment.empty());
    CHECK(path.starts_with(api::kPrefix));
    if (const auto parsed = api::Query::parse(query, found->endpoint->parameters)) {
      const auto limit = parsed->number("limit", 1, 10, 5);
      CHECK(!limit || (*limit >= 1 && *limit <= 10));
    }
  } else {
    CHECK(!found.error().error.message.empty());
  }

  if (const auto object = api::parse_object(input)) {
    volume::Settings settings;
    if (api::read_settings(api::Fields(*object, "settings"), settings)) {
      CHECK(settings.validate().has_value());
      volume::Settings again;
      const api::Json written = api::to_json(settings);
      CHECK(api::read_settings(api::Fields(written, ""), again).has_value() && again == settings);
    }
    api::Fields fields(*object, "");
    const Bytes key = fields.key();
    if (fields.finish()) CHECK(!key.empty());
    CHECK(api::parse_object(api::dump(*object)).has_value());
  }
  return 0;
}
