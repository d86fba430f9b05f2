#include "cli/output.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <sstream>

namespace hailstone::cli {
namespace {

TEST(Output, FormatsSizes) {
  EXPECT_EQ(format_size(0), "0 B");
  EXPECT_EQ(format_size(1023), "1023 B");
  EXPECT_EQ(format_size(1024), "1.0 KiB");
  EXPECT_EQ(format_size(1536), "1.5 KiB");
  EXPECT_EQ(format_size(10 * 1024), "10 KiB");
  EXPECT_EQ(format_size(1048575), "1.0 MiB");
  EXPECT_EQ(format_size(UINT64_MAX), "16 EiB");
}

TEST(Output, FormatsLocalTimes) {
  ::setenv("TZ", "CET-1", 1);
  ::tzset();
  EXPECT_EQ(format_time("2026-11-22T10:00:00.123456Z"), "2026-11-22T11:00:00+01:00");
  ::setenv("TZ", "XYZ3:30", 1);
  ::tzset();
  EXPECT_EQ(format_time("2026-11-22T10:00:00Z"), "2026-11-22T06:30:00-03:30");
  EXPECT_EQ(format_time("-"), "-");
  ::unsetenv("TZ");
  ::tzset();
}

TEST(Output, DrawsProgressWithRateAndTimeLeft) {
  EXPECT_EQ(progress_line("sending", 50 << 20, 100 << 20, 5, "x"),
            "sending [============>           ]  50%  50 MiB of 100 MiB  10 MiB/s  5 s left  x");
  EXPECT_EQ(progress_line("sending", 0, 0, 0, ""), "sending [========================] 100%  0 B of 0 B  0 B/s");
}

TEST(Output, ProgressIsSilentWithoutATerminal) {
  std::ostringstream out;
  {
    Progress progress(out, Progress::Output::Silent, "x", 10);
    progress.update(5);
  }
  EXPECT_EQ(out.str(), "");
}

TEST(Output, AlignsByCharactersNotBytes) {
  std::ostringstream out;
  Table table({{"A"}, {"B"}});
  table.row({"\xc3\xa4", "1"});
  table.row({"xx", "2"});
  table.print(out);
  EXPECT_EQ(out.str(), "A   B\n\xc3\xa4   1\nxx  2\n");
}

}  // namespace
}  // namespace hailstone::cli
