// Any text as the node's configuration: never a crash, and what is accepted is rendered as a text that means the same.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "server/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hailstone::server;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  Config config;
  const auto parsed = parse_config(input, config);
  if (!parsed) {
    CHECK(!parsed.error().message.empty());
    return 0;
  }
  const auto valid = config.validate();
  const std::string rendered = render_config(config);
  Config again;
  CHECK(parse_config(rendered, again).has_value());
  CHECK(render_config(again) == rendered);
  CHECK(again.validate().has_value() == valid.has_value());
  return 0;
}
