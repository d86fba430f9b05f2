// Commands drawn from numbers, over few paths, sessions and principals so that they meet: for tests.
#pragma once

#include <fmt/format.h>

#include <algorithm>

#include "cell/query.h"

namespace hailstone::cell {

/// splitmix64: the same seed, the same commands, on every platform.
class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed) {}
  uint64_t below(uint64_t n) {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return (z ^ (z >> 31)) % n;
  }
  bool one_in(uint64_t n) { return below(n) == 0; }
  template <class T>
  const T& one_of(const std::vector<T>& items) {
    return items[below(items.size())];
  }

 private:
  uint64_t state_;
};

/// Looks at the sessions that are there, as clients know theirs, so that most commands are in turn.
class RandomCommands {
 public:
  Command draw(uint64_t seed, const replica::Reader& state) {
    Dice dice(seed);
    now_ += dice.one_in(3) ? dice.below(4'000'000) : dice.below(20'000);
    sessions_ = list_sessions(state, {}, 100).value();
    Command command;
    command.time = ClusterTime(dice.one_in(20) ? now_ / 2 : now_);
    command.body = body(dice);
    if (std::holds_alternative<OpenSession>(command.body)) {
      command.principal = principal(dice);
      return command;
    }
    const bool cells = std::holds_alternative<Expire>(command.body) || std::holds_alternative<Tick>(command.body);
    const bool settles =
        std::holds_alternative<ChangeSettings>(command.body) || std::holds_alternative<SetRules>(command.body);
    if (cells || settles || sessions_.empty() || dice.one_in(6)) {
      command.principal = dice.one_in(cells ? 20 : 2) ? principal(dice) : "";
      return command;
    }
    const SessionEntry& entry = dice.one_of(sessions_);
    command.session = dice.one_in(50) ? SessionId(1 + dice.below(20)) : entry.id;
    command.principal = dice.one_in(50) ? principal(dice) : entry.record.principal;
    const uint64_t last = entry.record.last.value;
    command.number = CommandNumber(dice.one_in(8) ? last + 2 - std::min(last + 2, dice.below(5)) : last + 1);
    command.got = CommandNumber(dice.one_in(3) ? 0 : last - std::min(last, dice.below(3)));
    return command;
  }

 private:
  SessionId session(Dice& dice) const {
    return sessions_.empty() || dice.one_in(20) ? SessionId(1 + dice.below(20)) : dice.one_of(sessions_).id;
  }
  static Bytes principal(Dice& dice) { return dice.one_of<Bytes>({"ann", "ben", "*"}); }
  static Bytes path(Dice& dice) {
    static const std::vector<Bytes> paths = {"/a",     "/a/b", "/a/b/c", "/a/b/d", "/a-", "/d/e",
                                             "/d/e/f", "/d/g", "/h",     "/i/j/k", "/",   "bad/"};
    return paths[dice.below(dice.one_in(10) ? paths.size() : paths.size() - 2)];
  }
  static LockMode mode(Dice& dice) { return dice.one_in(2) ? LockMode::Shared : LockMode::Exclusive; }
  static Bytes lock_path(Dice& dice) { return dice.one_of<Bytes>({"/a", "/l", "/d"}); }

  Compare compare(Dice& dice) const {
    switch (dice.below(7)) {
      case 0: return FileExists{path(dice)};
      case 1: return FileAbsent{path(dice)};
      case 2: return InstanceIs{path(dice), Instance(1 + dice.below(10))};
      case 3: return GenerationIs{path(dice), 1 + dice.below(3)};
      case 4: return ContentIs{path(dice), sha256(dice.one_in(2) ? "x" : "yy")};
      case 5: return LockHeldBy{lock_path(dice), session(dice)};
      default: return SequencerStands{{lock_path(dice), mode(dice), LockGeneration(1 + dice.below(20))}};
    }
  }

  static Operation operation(Dice& dice) {
    switch (dice.below(10)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
        return Put{path(dice), dice.one_of<Bytes>({"x", "yy", "zzzz", ""}),
                   dice.one_of<Put::Mode>({Put::Mode::Write, Put::Mode::Write, Put::Mode::Create, Put::Mode::Replace}),
                   dice.one_in(3) ? Put::Life::Ephemeral : Put::Life::Lasting};
      case 5: return Delete{path(dice)};
      case 6: return DeleteSubtree{path(dice), dice.below(3)};
      case 7: return Get{path(dice)};
      default:
        return List{path(dice), dice.one_in(2) ? List::Depth::Children : List::Depth::Files,
                    dice.one_of<Bytes>({"", "", "a", "b", "b/c", "e", "e/f", "bad/"}),
                    static_cast<uint32_t>(dice.below(4))};
    }
  }

  Body body(Dice& dice) const {
    switch (sessions_.size() < 2 ? 0 : dice.below(27)) {
      case 0:
      case 1:
      case 24: {
        Nonce nonce{};
        nonce[0] = static_cast<uint8_t>(dice.below(12));
        return OpenSession{nonce, static_cast<uint32_t>(dice.below(200'000)), dice.one_in(2)};
      }
      case 2:
        if (dice.one_in(2)) return CloseSession{};
        [[fallthrough]];
      case 3: {
        Expire expire;
        for (uint64_t i = 1 + dice.below(2); i > 0; --i) expire.sessions.push_back(session(dice));
        return expire;
      }
      case 4:
      case 5: return Tick{};
      case 6:
      case 16: return Unlock{lock_path(dice)};
      case 7:
      case 17:
      case 18:
      case 25: return Cancel{lock_path(dice)};
      case 8:
      case 9:
      case 10:
      case 11:
      case 12:
      case 13:
        return Lock{lock_path(dice), mode(dice), dice.one_in(3) ? Lock::Wait::Try : Lock::Wait::Queue,
                    static_cast<uint32_t>(dice.one_in(2) ? 0 : dice.below(7000))};
      case 14:
        if (dice.one_in(3)) return ChangeSettings{settings(dice)};
        [[fallthrough]];
      case 15:
        if (dice.one_in(3)) return SetRules{principal(dice), rules(dice)};
        [[fallthrough]];
      default: {
        Txn txn;
        for (uint64_t i = dice.below(3); i > 0; --i) txn.compares.push_back(compare(dice));
        for (uint64_t i = dice.below(4); i > 0; --i) txn.then_operations.push_back(operation(dice));
        for (uint64_t i = dice.below(3); i > 0; --i) txn.else_operations.push_back(operation(dice));
        return txn;
      }
    }
  }

  static Settings settings(Dice& dice) {
    Settings s;
    s.sessions_max = static_cast<uint32_t>(2 + dice.below(5));
    s.files_max = 3 + dice.below(6);
    s.bytes_max = 5 + dice.below(20);
    s.file_bytes_max = static_cast<uint32_t>(2 + dice.below(4));
    s.waiters_max = static_cast<uint32_t>(dice.below(4));
    s.holds_max = static_cast<uint32_t>(1 + dice.below(5));
    s.subtree_files_max = static_cast<uint32_t>(1 + dice.below(3));
    s.history_events_max = dice.below(30);
    s.history_bytes_max = dice.below(2000);
    if (dice.one_in(10)) s.lease_ms_max = 0;  // refused
    return s;
  }

  static std::vector<Rule> rules(Dice& dice) {
    std::vector<Rule> out;
    if (dice.one_in(3)) return out;
    if (!dice.one_in(3)) out.push_back({"/", kAllRights});
    for (uint64_t i = dice.below(3); i > 0; --i)
      out.push_back({path(dice), static_cast<uint8_t>(1 + dice.below(dice.one_in(10) ? 20 : 15))});
    return out;
  }

  uint64_t now_ = 1'000'000;
  std::vector<SessionEntry> sessions_;
};

}  // namespace hailstone::cell
