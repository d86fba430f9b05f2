#include "base/clock.h"

#include <fmt/format.h>
#include <time.h>

#include <array>
#include <charconv>

namespace hailstone {
namespace {

constexpr std::array<const char*, 7> kDays = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};  // day 0 was a Thursday
constexpr std::array<const char*, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

struct Civil {
  int64_t year;
  int month, day, hour, minute, second;
};

// Days <-> civil date in the proleptic Gregorian calendar, eras of 400 years.
int64_t days_from_civil(int64_t y, int m, int d) {
  y -= m <= 2;
  const int64_t era = (y >= 0 ? y : y - 399) / 400;
  const int64_t yoe = y - era * 400;
  const int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
  return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

Civil civil_from_seconds(int64_t seconds, int64_t& days) {
  days = (seconds >= 0 ? seconds : seconds - 86399) / 86400;
  const int64_t rest = seconds - days * 86400;
  const int64_t z = days + 719468;
  const int64_t era = (z >= 0 ? z : z - 146096) / 146097;
  const int64_t doe = z - era * 146097;
  const int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  const int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  const int64_t mp = (5 * doy + 2) / 153;
  Civil c{};
  c.day = static_cast<int>(doy - (153 * mp + 2) / 5 + 1);
  c.month = static_cast<int>(mp < 10 ? mp + 3 : mp - 9);
  c.year = yoe + era * 400 + (c.month <= 2);
  c.hour = static_cast<int>(rest / 3600);
  c.minute = static_cast<int>(rest / 60 % 60);
  c.second = static_cast<int>(rest % 60);
  return c;
}

bool number(std::string_view text, size_t at, size_t width, int& out) {
  if (at + width > text.size()) return false;
  for (size_t i = at; i < at + width; ++i)
    if (text[i] < '0' || text[i] > '9') return false;
  std::from_chars(text.data() + at, text.data() + at + width, out);
  return true;
}

bool to_seconds(const Civil& c, int64_t& out) {
  static constexpr std::array<int, 12> kLength = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (c.month < 1 || c.month > 12) return false;
  const bool leap = (c.year % 4 == 0 && c.year % 100 != 0) || c.year % 400 == 0;
  const int length = kLength[static_cast<size_t>(c.month - 1)] + (leap && c.month == 2 ? 1 : 0);
  if (c.day < 1 || c.day > length || c.hour > 23 || c.minute > 59 || c.second > 60) return false;
  out = days_from_civil(c.year, c.month, c.day) * 86400 + c.hour * 3600 + c.minute * 60 + c.second;
  return true;
}

}  // namespace

UnixMicros SystemClock::wall() const {
  timespec t{};
  clock_gettime(CLOCK_REALTIME, &t);
  return UnixMicros{t.tv_sec * 1'000'000 + t.tv_nsec / 1000};
}

int64_t SystemClock::monotonic_ns() const {
  timespec t{};
  clock_gettime(CLOCK_BOOTTIME, &t);
  return t.tv_sec * 1'000'000'000 + t.tv_nsec;
}

std::string format_http_date(int64_t unix_seconds) {
  int64_t days = 0;
  const Civil c = civil_from_seconds(unix_seconds, days);
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", kDays[static_cast<size_t>(((days % 7) + 7) % 7)],
                     c.day, kMonths[static_cast<size_t>(c.month - 1)], c.year, c.hour, c.minute, c.second);
}

bool parse_http_date(std::string_view text, int64_t& unix_seconds) {
  if (text.size() != 29 || text.substr(3, 2) != ", " || text.substr(25) != " GMT") return false;
  Civil c{};
  int year = 0;
  if (!number(text, 5, 2, c.day) || !number(text, 12, 4, year) || !number(text, 17, 2, c.hour) ||
      !number(text, 20, 2, c.minute) || !number(text, 23, 2, c.second))
    return false;
  for (size_t i = 0; i < kMonths.size(); ++i)
    if (text.substr(8, 3) == kMonths[i]) c.month = static_cast<int>(i + 1);
  c.year = year;
  return to_seconds(c, unix_seconds) && format_http_date(unix_seconds) == text;
}

std::string format_iso8601(UnixMicros time) {
  int64_t days = 0;
  const Civil c = civil_from_seconds(time.seconds(), days);
  const int64_t micros = time.value - time.seconds() * 1'000'000;
  std::string out =
      fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", c.year, c.month, c.day, c.hour, c.minute, c.second);
  if (micros != 0) out += fmt::format(".{:06}", micros);
  return out + "Z";
}

bool parse_iso8601(std::string_view text, UnixMicros& time) {
  if (!text.empty() && text.back() == 'Z') text.remove_suffix(1);
  Civil c{};
  int year = 0;
  if (!number(text, 0, 4, year) || !number(text, 5, 2, c.month) || !number(text, 8, 2, c.day)) return false;
  if (text[4] != '-' || text[7] != '-') return false;
  c.year = year;
  int64_t micros = 0;
  if (text.size() > 10) {
    if (text[10] != 'T' || !number(text, 11, 2, c.hour) || text.size() < 16 || text[13] != ':' ||
        !number(text, 14, 2, c.minute))
      return false;
    if (text.size() > 16) {
      if (text[16] != ':' || !number(text, 17, 2, c.second)) return false;
      if (text.size() > 19) {
        if (text[19] != '.' || text.size() < 21 || text.size() > 26) return false;
        int fraction = 0;
        if (!number(text, 20, text.size() - 20, fraction)) return false;
        micros = fraction;
        for (size_t i = text.size() - 20; i < 6; ++i) micros *= 10;
      }
    }
  }
  int64_t seconds = 0;
  if (!to_seconds(c, seconds)) return false;
  time = UnixMicros{seconds * 1'000'000 + micros};
  return true;
}

}  // namespace hailstone
