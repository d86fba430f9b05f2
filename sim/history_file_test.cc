#include "sim/history_file.h"

#include <gtest/gtest.h>

#include <sstream>

namespace hailstone::sim {
namespace {

struct Line {
  std::string text;
  Operation operation;
};

const std::vector<Line>& lines() {
  static const std::vector<Line> out{
      {"0 10 1 5 read -> 7", {1, 5, Kind::Read, Outcome::Ok, Answer::Done, 0, 0, 7, 0, 10}},
      {"-3 10 1 5 read -> absent", {1, 5, Kind::Read, Outcome::Ok, Answer::Done, 0, 0, 0, -3, 10}},
      {"0 - 1 5 read -> unknown", {1, 5, Kind::Read, Outcome::Unknown, Answer::Done, 0, 0, 0, 0, kNever}},
      {"0 10 1 18446744073709551615 write 7 -> ok",
       {1, ~uint64_t{0}, Kind::Write, Outcome::Ok, Answer::Done, 7, 0, 0, 0, 10}},
      {"0 10 1 5 write 7 -> failed", {1, 5, Kind::Write, Outcome::Failed, Answer::Done, 7, 0, 0, 0, 10}},
      {"0 10 1 5 cas absent 8 -> ok", {1, 5, Kind::Cas, Outcome::Ok, Answer::Done, 8, 0, 0, 0, 10}},
      {"0 10 1 5 cas 7 absent -> mismatch", {1, 5, Kind::Cas, Outcome::Ok, Answer::Refused, 0, 7, 0, 0, 10}},
      {"0 - 1 5 cas 7 8 -> unknown", {1, 5, Kind::Cas, Outcome::Unknown, Answer::Done, 8, 7, 0, 0, kNever}},
      {"0 10 1 5 delete -> ok", {1, 5, Kind::Delete, Outcome::Ok, Answer::Done, 0, 0, 0, 0, 10}},
      {"0 10 1 5 acquire -> granted 12", {1, 5, Kind::Acquire, Outcome::Ok, Answer::Done, 0, 0, 12, 0, 10}},
      {"0 10 1 5 acquire -> busy", {1, 5, Kind::Acquire, Outcome::Ok, Answer::Refused, 0, 0, 0, 0, 10}},
      {"0 10 1 5 release -> not_holder", {1, 5, Kind::Release, Outcome::Ok, Answer::Refused, 0, 0, 0, 0, 10}},
      {"0 10 1 5 expire -> ok", {1, 5, Kind::Expire, Outcome::Ok, Answer::Done, 0, 0, 0, 0, 10}},
  };
  return out;
}

TEST(HistoryFile, LinesAndOperationsCorrespond) {
  std::string text = "hailstone history 1\n";
  History history;
  for (const Line& line : lines()) {
    EXPECT_EQ(format_operation(line.operation), line.text);
    text += line.text + "\n";
    history.push_back(line.operation);
  }
  EXPECT_EQ(format_history(history), text);
  const auto parsed = parse_history(text);
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_TRUE(*parsed == history);
}

TEST(HistoryFile, CommentsEmptyLinesAndAMissingLastNewlineAreFine) {
  const auto parsed = parse_history("hailstone history 1\n# a note\n\n   \n0 10 1  5 read -> 7 ");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_TRUE(*parsed == History{lines()[0].operation});
}

TEST(HistoryFile, ErrorsNameTheLineAndWhatIsWrong) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"", "empty; the first line should be \"hailstone history 1\""},
      {"hailstone history 2\n", "line 1: not \"hailstone history 1\""},
      {"hailstone history 1\n\n0 x 1 5 read -> 7\n", "line 3: \"x\" where a return time should be"},
      {"hailstone history 1\n0 10 1 5 read -> 7 8\n", "line 2: \"8\" where the end of the line should be"},
      {"hailstone history 1\n0 10 1 5 read\n", "line 2: ends where \"->\" should be"},
      {"hailstone history 1\n0 10 1 5 append 3 -> ok\n", "line 2: \"append\" where an operation should be"},
      {"hailstone history 1\n0 10 1 5 write 7 -> busy\n", "line 2: \"busy\" where \"ok\" should be"},
      {"hailstone history 1\n0 10 1 5 write 7x -> ok\n", "line 2: \"7x\" where a value should be"},
      {"hailstone history 1\n0 10 1 18446744073709551616 delete -> ok\n",
       "line 2: \"18446744073709551616\" where a key should be"},
      {"hailstone history 1\n0 10 1 5 write 7 -> unknown\n", "line 2: \"unknown\" where \"ok\" should be"},
      {"hailstone history 1\n0 - 1 5 write 7 -> ok\n", "line 2: \"ok\" where \"unknown\" should be"},
  };
  for (const auto& [text, message] : cases) {
    const auto parsed = parse_history(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error(), (Error{Code::Invalid, message}));
  }
}

TEST(HistoryFile, CutAnywhereALineIsAnErrorOrWhole) {
  for (const Line& line : lines()) {
    for (size_t size = 1; size < line.text.size(); ++size) {
      const auto parsed = parse_history("hailstone history 1\n" + line.text.substr(0, size));
      if (parsed) EXPECT_EQ(parsed->size(), 1U) << line.text.substr(0, size);
    }
  }
}

}  // namespace
}  // namespace hailstone::sim
