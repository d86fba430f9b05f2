#include "base/logger.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace hailstone {
namespace {

std::string written(FdLogger::Format format) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  FdLogger logger(ends[1], Level::Info, format);
  logger.debug("not shown");
  logger.info("volume created", {{"name", "a b\"c"}, {"keys", 3}, {"plain", "x"}});
  close(ends[1]);
  char buffer[512];
  const ssize_t n = read(ends[0], buffer, sizeof buffer);
  close(ends[0]);
  return {buffer, static_cast<size_t>(n)};
}

TEST(Logger, LogfmtQuotesOnlyWhatNeedsIt) {
  const std::string line = written(FdLogger::Format::Logfmt);
  EXPECT_NE(line.find(" level=info event=\"volume created\" name=\"a b\\\"c\" keys=3 plain=x\n"), std::string::npos)
      << line;
  EXPECT_EQ(line.find("not shown"), std::string::npos);
}

TEST(Logger, JsonEscapes) {
  const std::string line = written(FdLogger::Format::Json);
  EXPECT_NE(line.find("\"event\":\"volume created\",\"name\":\"a b\\\"c\",\"keys\":3,\"plain\":\"x\"}\n"),
            std::string::npos)
      << line;
}

}  // namespace
}  // namespace hailstone
