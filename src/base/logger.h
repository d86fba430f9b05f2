// Structured logs: a constant event text plus key=value pairs, one line each (logfmt or JSON).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

namespace hailstone {

/// error = a human must act; warn = we recovered; info = state changed; debug = per request.
enum class Level : uint8_t { Debug, Info, Warn, Error };

struct Field {
  std::string_view key;  // units last: took_ms, size_bytes
  std::variant<std::string_view, int64_t, uint64_t, double, bool> value;
  Field(std::string_view k, std::string_view v) : key(k), value(v) {}
  Field(std::string_view k, const std::string& v) : key(k), value(std::string_view(v)) {}
  Field(std::string_view k, const char* v) : key(k), value(std::string_view(v)) {}
  Field(std::string_view k, int v) : key(k), value(static_cast<int64_t>(v)) {}
  Field(std::string_view k, int64_t v) : key(k), value(v) {}
  Field(std::string_view k, uint64_t v) : key(k), value(v) {}
  Field(std::string_view k, double v) : key(k), value(v) {}
  Field(std::string_view k, bool v) : key(k), value(v) {}
};

class Logger {
 public:
  virtual ~Logger() = default;
  virtual void log(Level level, std::string_view event, std::initializer_list<Field> fields) = 0;
  virtual bool enabled(Level level) const = 0;

  void debug(std::string_view event, std::initializer_list<Field> fields = {}) { log(Level::Debug, event, fields); }
  void info(std::string_view event, std::initializer_list<Field> fields = {}) { log(Level::Info, event, fields); }
  void warn(std::string_view event, std::initializer_list<Field> fields = {}) { log(Level::Warn, event, fields); }
  void error(std::string_view event, std::initializer_list<Field> fields = {}) { log(Level::Error, event, fields); }
};

class NullLogger final : public Logger {
 public:
  void log(Level, std::string_view, std::initializer_list<Field>) override {}
  bool enabled(Level) const override { return false; }
};

/// One write(2) per line to a file descriptor it does not own. Safe from any thread.
class FdLogger final : public Logger {
 public:
  enum class Format : uint8_t { Logfmt, Json };
  FdLogger(int fd, Level minimum, Format format) : fd_(fd), minimum_(minimum), format_(format) {}
  void log(Level level, std::string_view event, std::initializer_list<Field> fields) override;
  bool enabled(Level level) const override { return level >= minimum_; }

 private:
  int fd_;
  Level minimum_;
  Format format_;
};

}  // namespace hailstone
