#include "sim/history_file.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <span>

namespace hailstone::sim {
namespace {

constexpr std::string_view kHeader = "hailstone history 1";
constexpr size_t kWordsMax = 9;  // of "CALL RETURN CLIENT KEY cas OLD NEW -> ok"
constexpr std::array<std::string_view, 7> kKindNames{"read", "write", "cas", "delete", "acquire", "release", "expire"};

std::string value_text(uint64_t value) { return value == 0 ? "absent" : fmt::format("{}", value); }

std::string operation_text(const Operation& op) {
  const std::string_view name = kKindNames[static_cast<size_t>(op.kind)];
  if (op.kind == Kind::Write) return fmt::format("{} {}", name, op.value);
  if (op.kind == Kind::Cas) return fmt::format("{} {} {}", name, value_text(op.expected), value_text(op.value));
  return std::string(name);
}

std::string answer_text(const Operation& op) {
  if (op.outcome == Outcome::Failed) return "failed";
  if (op.outcome == Outcome::Unknown) return "unknown";
  const bool done = op.answer == Answer::Done;
  switch (op.kind) {
    case Kind::Read: return value_text(op.result);
    case Kind::Write:
    case Kind::Delete: return "ok";
    case Kind::Cas: return done ? "ok" : "mismatch";
    case Kind::Acquire: return done ? fmt::format("granted {}", op.result) : "busy";
    case Kind::Release:
    case Kind::Expire: return done ? "ok" : "not_holder";
  }
  return "";
}

/// The words of one line, taken from the front; the first that does not fit is remembered in `wrong`.
class Words {
 public:
  explicit Words(std::string_view line) {
    for (size_t at = 0; at < line.size();) {
      const size_t end = std::min(line.find(' ', at), line.size());
      if (end > at && count_ < words_.size()) words_[count_++] = line.substr(at, end - at);
      at = end + 1;
    }
  }
  bool take(std::string_view expected) {
    if (at_ == count_ || words_[at_] != expected) return false;
    ++at_;
    return true;
  }
  void expect(std::string_view expected) {
    if (!take(expected)) reject(fmt::format("\"{}\"", expected));
  }
  template <class Number>
  Number number(std::string_view what) {
    Number out{};
    if (at_ < count_) {
      const std::string_view word = words_[at_];
      const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), out);
      if (error == std::errc{} && end == word.data() + word.size()) {
        ++at_;
        return out;
      }
    }
    reject(what);
    return Number{};
  }
  uint64_t value() { return take("absent") ? 0 : number<uint64_t>("a value"); }
  Kind kind() {
    for (size_t i = 0; i < kKindNames.size(); ++i) {
      if (take(kKindNames[i])) return static_cast<Kind>(i);
    }
    reject("an operation");
    return Kind::Read;
  }
  void expect_end() {
    if (at_ != count_) reject("the end of the line");
  }
  void reject(std::string_view expected) {
    if (wrong_.empty()) {
      wrong_ = at_ == count_ ? fmt::format("ends where {} should be", expected)
                             : fmt::format("\"{}\" where {} should be", words_[at_], expected);
    }
  }
  const std::string& wrong() const { return wrong_; }

 private:
  std::array<std::string_view, kWordsMax + 1> words_;
  size_t count_ = 0;
  size_t at_ = 0;
  std::string wrong_;
};

void parse_answer(Words& words, Operation& op) {
  const auto done_or = [&](std::string_view refused) {
    if (words.take(refused)) {
      op.answer = Answer::Refused;
    } else {
      words.expect("ok");
    }
  };
  switch (op.kind) {
    case Kind::Read: op.result = words.value(); break;
    case Kind::Write:
    case Kind::Delete: words.expect("ok"); break;
    case Kind::Cas: done_or("mismatch"); break;
    case Kind::Acquire:
      if (words.take("busy")) {
        op.answer = Answer::Refused;
      } else {
        words.expect("granted");
        op.result = words.number<uint64_t>("a sequencer");
      }
      break;
    case Kind::Release:
    case Kind::Expire: done_or("not_holder"); break;
  }
}

Operation parse_operation(Words& words) {
  Operation op;
  op.call_ns = words.number<int64_t>("a call time");
  const bool returns = !words.take("-");
  if (returns) op.return_ns = words.number<int64_t>("a return time");
  op.client = words.number<uint64_t>("a client");
  op.key = words.number<uint64_t>("a key");
  op.kind = words.kind();
  if (op.kind == Kind::Write) op.value = words.number<uint64_t>("a value");
  if (op.kind == Kind::Cas) {
    op.expected = words.value();
    op.value = words.value();
  }
  words.expect("->");
  if (!returns) {
    op.outcome = Outcome::Unknown;
    words.expect("unknown");
  } else if (words.take("failed")) {
    op.outcome = Outcome::Failed;
  } else {
    parse_answer(words, op);
  }
  words.expect_end();
  return op;
}

}  // namespace

std::string format_operation(const Operation& op) {
  const std::string returns = op.outcome == Outcome::Unknown ? "-" : fmt::format("{}", op.return_ns);
  return fmt::format("{} {} {} {} {} -> {}", op.call_ns, returns, op.client, op.key, operation_text(op),
                     answer_text(op));
}

std::string format_history(const History& history) {
  std::string out = fmt::format("{}\n", kHeader);
  for (const Operation& op : history) out += format_operation(op) + "\n";
  return out;
}

Result<History> parse_history(std::string_view text) {
  History out;
  size_t number = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    if (number == 1) {
      if (line != kHeader) return fail(Code::Invalid, fmt::format("line 1: not \"{}\"", kHeader));
      continue;
    }
    if (line.find_first_not_of(' ') == std::string_view::npos || line[0] == '#') continue;
    Words words(line);
    out.push_back(parse_operation(words));
    if (!words.wrong().empty()) return fail(Code::Invalid, fmt::format("line {}: {}", number, words.wrong()));
  }
  if (number == 0) return fail(Code::Invalid, fmt::format("empty; the first line should be \"{}\"", kHeader));
  return out;
}

}  // namespace hailstone::sim
