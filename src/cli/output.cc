#include "cli/output.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "base/clock.h"

namespace hailstone::cli {
namespace {

constexpr size_t kBarColumns = 24;

// Code points, near enough to columns for names; a byte that continues one takes no place.
size_t columns_of(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace

std::string format_size(uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  constexpr std::array kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  for (value /= 1024; value >= 1023.5 && unit + 1 < kUnits.size(); value /= 1024) ++unit;
  return value < 9.95 ? fmt::format("{:.1f} {}", value, kUnits[unit]) : fmt::format("{:.0f} {}", value, kUnits[unit]);
}

std::string format_time(const std::string& api_time) {
  UnixMicros time;
  if (!parse_iso8601(api_time, time)) return api_time;
  const time_t seconds = time.seconds();
  tm local{};
  if (::localtime_r(&seconds, &local) == nullptr) return api_time;
  const long minutes = local.tm_gmtoff / 60;
  const long shown = minutes < 0 ? -minutes : minutes;
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}{:02}:{:02}", local.tm_year + 1900, local.tm_mon + 1,
                     local.tm_mday, local.tm_hour, local.tm_min, local.tm_sec, minutes < 0 ? '-' : '+', shown / 60,
                     shown % 60);
}

std::string format_duration(std::chrono::seconds time) {
  const auto seconds = time.count();
  if (seconds < 60) return fmt::format("{} s", seconds);
  if (seconds < 3600) return fmt::format("{} min {:02} s", seconds / 60, seconds % 60);
  return fmt::format("{} h {:02} min", seconds / 3600, seconds / 60 % 60);
}

std::string text_field(const nlohmann::json& object, const std::string& name) {
  if (!object.is_object()) return "-";
  const auto at = object.find(name);
  if (at == object.end() || at->is_null()) return "-";
  if (at->is_string()) return at->get<std::string>().empty() ? "-" : printable(at->get<std::string>());
  if (at->is_array()) {
    std::string out;
    for (const auto& element : *at) {
      if (!out.empty()) out += ", ";
      out += element.is_string() ? element.get<std::string>() : element.dump();
    }
    return out.empty() ? "-" : out;
  }
  return at->dump();
}

Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

void Table::row(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

void Table::print(std::ostream& out) const {
  std::vector<size_t> widths;
  for (size_t i = 0; i < columns_.size(); ++i) {
    size_t width = columns_of(columns_[i].title);
    for (const auto& row : rows_) width = std::max(width, columns_of(row[i]));
    widths.push_back(width);
  }
  const auto line = [&](const auto& cell) {
    std::string text;
    for (size_t i = 0; i < columns_.size(); ++i) {
      const std::string pad(widths[i] - columns_of(cell(i)), ' ');
      if (i > 0) text += "  ";
      text += columns_[i].align == Align::Right ? pad + cell(i) : cell(i) + pad;
    }
    while (text.ends_with(' ')) text.pop_back();
    out << text << '\n';
  };
  line([&](size_t i) -> const std::string& { return columns_[i].title; });
  for (const auto& row : rows_) line([&](size_t i) -> const std::string& { return row[i]; });
}

std::string progress_line(const std::string& what, uint64_t done, uint64_t total, double seconds,
                          const std::string& note) {
  done = std::min(done, total);
  const double share = total == 0 ? 1 : static_cast<double>(done) / static_cast<double>(total);
  const auto filled = static_cast<size_t>(share * kBarColumns);
  std::string bar(filled, '=');
  if (filled < kBarColumns) bar += '>';
  bar.resize(kBarColumns, ' ');
  const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
  std::string out = fmt::format("{} [{}] {:3.0f}%  {} of {}  {}/s", what, bar, share * 100, format_size(done),
                                format_size(total), format_size(static_cast<uint64_t>(rate)));
  if (rate > 0 && done < total)
    out += fmt::format(
        "  {} left",
        format_duration(std::chrono::seconds(static_cast<int64_t>(static_cast<double>(total - done) / rate + 0.5))));
  if (!note.empty()) out += "  " + note;
  return out;
}

Progress::Progress(std::ostream& out, Output output, std::string what, uint64_t total_bytes)
    : out_(out), output_(output), what_(std::move(what)), total_bytes_(total_bytes) {}

Progress::~Progress() { finish(); }

void Progress::update(uint64_t done_bytes, const std::string& note) {
  if (output_ == Output::Silent) return;
  const auto now = Clock::now();
  if (visible_ && now - drawn_ < std::chrono::milliseconds(100)) return;
  drawn_ = now;
  visible_ = true;
  const double seconds = std::chrono::duration<double>(now - started_).count();
  out_ << "\r\x1b[K" << progress_line(what_, done_bytes, total_bytes_, seconds, note) << std::flush;
}

void Progress::finish() {
  if (visible_) out_ << "\r\x1b[K" << std::flush;
  visible_ = false;
}

}  // namespace hailstone::cli
