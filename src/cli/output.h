// What people read: aligned tables, sizes, local times, a progress line.
#pragma once

#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace hailstone::cli {

/// "0 B", "1023 B", "1.5 KiB", "12 MiB"
std::string format_size(uint64_t bytes);
/// "2026-11-22T11:00:00+01:00" from the API's "2026-11-22T10:00:00.123Z"; anything else as it is.
std::string format_time(const std::string& api_time);
/// "42 s", "3 min 10 s", "2 h 05 min"
std::string format_duration(std::chrono::seconds time);

/// A field of a JSON object as a table shows it; "-" when absent or null. Sizes and times only by the functions above.
std::string text_field(const nlohmann::json& object, const std::string& name);

/// Columns as wide as their widest cell; columns of numbers are aligned right.
class Table {
 public:
  enum class Align : uint8_t { Left, Right };
  struct Column {
    std::string title;
    Align align = Align::Left;
  };
  explicit Table(std::vector<Column> columns);
  void row(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }
  void print(std::ostream& out) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// One line that is drawn over and over: bar, share, rate, time left. Silent unless `terminal`.
class Progress {
 public:
  enum class Output : uint8_t { Silent, Terminal };
  using Clock = std::chrono::steady_clock;
  Progress(std::ostream& out, Output output, std::string what, uint64_t total_bytes);
  ~Progress();
  /// At most ten redraws a second.
  void update(uint64_t done_bytes, const std::string& note = {});
  /// Wipes the line.
  void finish();

 private:
  std::ostream& out_;
  Output output_;
  std::string what_;
  uint64_t total_bytes_;
  Clock::time_point started_ = Clock::now();
  Clock::time_point drawn_{};
  bool visible_ = false;
};

/// The line itself: "sending [=====>    ]  53%  1.2 GiB of 2.3 GiB  210 MiB/s  6 s left".
std::string progress_line(const std::string& what, uint64_t done, uint64_t total, double seconds,
                          const std::string& note);

}  // namespace hailstone::cli
