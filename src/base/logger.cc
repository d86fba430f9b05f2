#include "base/logger.h"

#include <fmt/format.h>
#include <unistd.h>

#include "base/clock.h"

namespace hailstone {
namespace {

constexpr std::string_view kLevelNames[] = {"debug", "info", "warn", "error"};

void append_quoted(std::string& out, std::string_view text) {
  out.push_back('"');
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\u{:04x}", byte);
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
}

bool plain(std::string_view text) {
  if (text.empty()) return false;
  for (char c : text)
    if (static_cast<unsigned char>(c) <= 0x20 || c == '"' || c == '=' || c == '\\' || c == 0x7f) return false;
  return true;
}

}  // namespace

void FdLogger::log(Level level, std::string_view event, std::initializer_list<Field> fields) {
  if (!enabled(level)) return;
  const bool json = format_ == Format::Json;
  std::string line = json ? "{\"time\":\"" : "time=";
  line += format_iso8601(SystemClock().wall());
  line += json ? "\",\"level\":\"" : " level=";
  line += kLevelNames[static_cast<size_t>(level)];
  line += json ? "\",\"event\":" : " event=";
  append_quoted(line, event);
  for (const Field& field : fields) {
    line += json ? "," : " ";
    if (json)
      append_quoted(line, field.key);
    else
      line += field.key;
    line += json ? ":" : "=";
    std::visit(
        [&](const auto& value) {
          if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::string_view>) {
            if (!json && plain(value))
              line += value;
            else
              append_quoted(line, value);
          } else {
            line += fmt::format("{}", value);
          }
        },
        field.value);
  }
  line += json ? "}\n" : "\n";
  // A log line that cannot be written has nowhere else to go.
  [[maybe_unused]] const ssize_t written = ::write(fd_, line.data(), line.size());
}

}  // namespace hailstone
