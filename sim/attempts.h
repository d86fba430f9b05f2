// What became of commands given to members, wherever they lead: the judge of replica::Proposals.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "base/codec.h"

namespace hailstone::sim {

/// Each attempt of a client to have a command done is a command of its own: its number follows the command's bytes.
class Attempts {
 public:
  enum class Answer : uint8_t { None, Done, NotDone, Unknown };

  /// Given to one life of a node, after all those that were given to it before.
  uint64_t give(uint64_t node, uint64_t life, uint32_t group) {
    given_.push_back({.node = node, .life = life, .group = group});
    return given_.size();
  }
  static void mark(uint64_t number, Bytes& command) { Encoder(command).u64(number); }
  static uint64_t number_in(ByteView command) {
    return command.size() < 8 ? 0 : Decoder(command.substr(command.size() - 8)).u64();
  }

  /// Empty, or what is wrong.
  std::string answered(uint64_t number, Answer answer) {
    Given& given = given_[number - 1];
    const bool again = given.answer != Answer::None;
    given.answer = answer;
    if (again) return fmt::format("attempt {} is answered twice", number);
    if (answer == Answer::NotDone && given.chosen) return fmt::format("attempt {} is chosen, it says not done", number);
    if (answer == Answer::Done && !given.chosen) return fmt::format("attempt {} is answered, but not chosen", number);
    return {};
  }
  /// In the order of the group's log, once for each slot.
  std::string chosen(uint64_t number) {
    if (number == 0 || number > given_.size()) return {};
    Given& given = given_[number - 1];
    if (std::exchange(given.chosen, true)) return fmt::format("attempt {} is chosen twice", number);
    if (given.answer == Answer::NotDone)
      return fmt::format("attempt {} is chosen, but was said to be not done", number);
    uint64_t& last = last_[{given.node, given.life, given.group}];
    if (number < last) return fmt::format("attempt {} is chosen after {}, which was given after it", number, last);
    last = number;
    return {};
  }

 private:
  struct Given {
    uint64_t node = 0, life = 0;
    uint32_t group = 0;
    bool chosen = false;
    Answer answer = Answer::None;
  };
  std::vector<Given> given_;
  std::map<std::tuple<uint64_t, uint64_t, uint32_t>, uint64_t> last_;
};

}  // namespace hailstone::sim
