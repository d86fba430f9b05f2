#include "sim/linearizability.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <map>
#include <optional>
#include <span>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "base/check.h"

namespace hailstone::sim {
namespace {

enum class Guard : uint8_t { Always, Equals, Differs };
enum class Effect : uint8_t { None, Sets };

constexpr uint64_t kSequencerUnknown = ~uint64_t{0};

/// Both models in one form: what the state must be, and what it becomes. A lock is a register that holds its holder.
/// Value is uint64_t as clients name it, or uint32_t when interned.
template <class Value>
struct Step {
  Guard guard = Guard::Always;
  Effect effect = Effect::None;
  Value wanted{};          // of guards Equals and Differs
  Value value{};           // of effect Sets
  uint64_t sequencer = 0;  // of a grant; 0 for anything else
};

bool is_lock(Kind kind) { return kind >= Kind::Acquire; }

/// nullopt for an operation that constrains nothing.
std::optional<Step<uint64_t>> step_of(const Operation& op) {
  if (op.outcome == Outcome::Failed) return std::nullopt;
  // A refusal changes nothing, so an operation of unknown outcome matters only if it was done.
  const bool unknown = op.outcome == Outcome::Unknown;
  const bool refused = !unknown && op.answer == Answer::Refused;
  switch (op.kind) {
    case Kind::Read:
      if (unknown) return std::nullopt;
      return Step<uint64_t>{.guard = Guard::Equals, .wanted = op.result};
    case Kind::Write: return Step<uint64_t>{.effect = Effect::Sets, .value = op.value};
    case Kind::Delete: return Step<uint64_t>{.effect = Effect::Sets};
    case Kind::Cas:
      if (refused) return Step<uint64_t>{.guard = Guard::Differs, .wanted = op.expected};
      return Step<uint64_t>{Guard::Equals, Effect::Sets, op.expected, op.value, 0};
    case Kind::Acquire:
      if (refused) return Step<uint64_t>{.guard = Guard::Differs};
      return Step<uint64_t>{Guard::Equals, Effect::Sets, 0, op.client, unknown ? kSequencerUnknown : op.result};
    case Kind::Release:
    case Kind::Expire:
      if (refused) return Step<uint64_t>{.guard = Guard::Differs, .wanted = op.client};
      return Step<uint64_t>{Guard::Equals, Effect::Sets, op.client, 0, 0};
  }
  return std::nullopt;
}

uint64_t mix(uint64_t x) {  // the finalizer of splitmix64
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

struct Fingerprint {
  uint64_t low = 0;
  uint64_t high = 0;
  bool operator==(const Fingerprint&) const = default;
  Fingerprint operator^(const Fingerprint& other) const { return {low ^ other.low, high ^ other.high}; }
};

Fingerprint fingerprint(uint64_t x) { return {mix(x), mix(x ^ 0x5851f42d4c957f2d)}; }

/// A set of fingerprints by open addressing; all zero marks an empty place.
class FingerprintSet {
 public:
  void clear(size_t expected) {
    places_.assign(std::bit_ceil(std::max<size_t>(64, expected * 2)), {});
    size_ = 0;
  }
  size_t size() const { return size_; }

  /// False if it was there already.
  bool insert(Fingerprint print) {
    print.high |= 1;
    if (size_ * 2 >= places_.size()) grow();
    Fingerprint& place = find(print);
    if (place == print) return false;
    place = print;
    ++size_;
    return true;
  }

 private:
  Fingerprint& find(const Fingerprint& print) {
    const size_t mask = places_.size() - 1;
    size_t at = print.low & mask;
    while (places_[at] != Fingerprint{} && places_[at] != print) at = (at + 1) & mask;
    return places_[at];
  }
  void grow() {
    std::vector<Fingerprint> old(places_.size() * 2);
    old.swap(places_);
    for (const Fingerprint& print : old) {
      if (print != Fingerprint{}) find(print) = print;
    }
  }
  std::vector<Fingerprint> places_;
  size_t size_ = 0;
};

/// The search for one key, after Wing and Gong ("Testing and verifying concurrent objects", 1993), with Lowe's memory
/// of configurations seen ("Testing for linearizability", 2017) and his list of calls and returns from which operations
/// are lifted. Four things keep it small:
///
/// - An operation that is legal now and never has an effect goes first, with no alternative: in any order that puts it
///   later it can be moved here. So does a write that nobody will notice over a value that nobody will notice, once no
///   operation is left that only wants the value to be another.
/// - An operation of unknown outcome is tried only where an operation that may come next needs the value it sets, or
///   needs another value than the present one. Anywhere else it can be moved later, past the operation that follows it,
///   or left out. Equal ones are interchangeable, so the one called first is taken.
/// - Grants whose sequencers are known are taken in the order of these, and one of unknown outcome only where a number
/// is
///   left for it.
/// - Values that no operation left would notice are one value, kUnseen.
///
/// What is seen is remembered as a 127-bit fingerprint of (operations taken, state): two among n configurations
/// collide, and could turn a good history into a violation, with a probability of n^2 / 2^127.
class KeySearch {
 public:
  /// `operations` are of one key, by call time. Returns the verdict and adds to `states`.
  Verdict run(std::span<const Operation* const> operations, const Options& options, uint64_t& states);

 private:
  static constexpr uint32_t kUnseen = 0;
  static constexpr uint32_t kOptional = uint32_t{1} << 31;  // marks a class among candidates and in the trail

  struct Required : Step<uint32_t> {
    int64_t call_ns = 0;
    int64_t return_ns = 0;
    int64_t order = 0;
  };
  /// Operations of unknown outcome with the same effect; calls_[next_call] is the first not taken.
  struct Class : Step<uint32_t> {
    uint32_t next_call = 0;
    uint32_t end_call = 0;
    int64_t order = 0;
  };
  struct State {
    uint32_t value = kUnseen;
    uint64_t sequencer = 0;  // of the last grant, or the least it can have been
  };
  struct Frame {
    State state;
    int64_t first_return_ns;  // of the required operations left
    uint32_t trail_size;
    uint32_t candidates_begin;
    uint32_t candidates_next;
    bool wants_change;  // a Differs guard among those that may come next does not hold
  };
  enum class Entered { Open, Dead, Finished };

  void load(std::span<const Operation* const> operations);
  void load_order();
  void link();
  uint32_t intern(uint64_t value) const;
  Entered enter(const State& state);
  void add_optional(const State& state, int64_t first_return_ns);
  void widen(Frame& frame);
  State take(uint32_t candidate, const State& state);
  void undo(size_t trail_size);
  void unlink(uint32_t entry);
  void relink(uint32_t entry);

  static uint32_t call_entry(uint32_t op) { return 2 * op + 2; }
  static uint32_t op_of(uint32_t entry) { return entry / 2 - 1; }
  static bool is_return(uint32_t entry) { return entry % 2 == 1; }
  uint32_t canonical(uint32_t value) const { return observers_[value] ? value : kUnseen; }
  static bool holds(const Step<uint32_t>& step, const State& state) {
    return step.guard == Guard::Always || (step.guard == Guard::Equals) == (step.wanted == state.value);
  }
  /// Of a step that holds: whether it can go now without regard to what comes later.
  bool is_harmless(const Step<uint32_t>& step, const State& state) const {
    if (step.effect == Effect::None) return true;
    if (step.guard == Guard::Equals) return step.value == step.wanted && step.sequencer == 0;
    return differs_left_ == 0 && canonical(step.value) == kUnseen && canonical(state.value) == kUnseen;
  }
  bool may_start(const Class& c, int64_t first_return_ns) const {
    return c.next_call < c.end_call && calls_[c.next_call] <= first_return_ns;
  }

  // The history, as loaded.
  std::vector<uint64_t> values_;  // that guards name, ascending; interned value = index + 1
  std::vector<Required> required_;
  std::vector<Class> classes_;
  std::vector<uint64_t> grants_;  // sequencers of the required grants, ascending: the order they must be taken in
  std::vector<int64_t> calls_;
  std::vector<std::pair<uint32_t, uint32_t>> producers_;  // (value, class that sets it), ascending

  // The configuration, changed by take() and put back by undo().
  std::vector<uint32_t> next_, previous_;  // entries of required operations not taken; 0 is head and end
  std::vector<uint32_t> observers_;        // by value: guards not taken that name it
  uint32_t grants_taken_ = 0;              // required ones
  uint32_t differs_left_ = 0;              // guards not taken
  Fingerprint taken_;
  std::vector<uint32_t> trail_;

  FingerprintSet seen_;
  std::vector<Frame> frames_;
  std::vector<uint32_t> candidates_;
  std::vector<uint32_t> demanded_;
  std::vector<uint64_t> demanded_at_;  // by value: the visit that last demanded it
  uint64_t visit_ = 0;
};

uint32_t KeySearch::intern(uint64_t value) const {
  const auto found = std::lower_bound(values_.begin(), values_.end(), value);
  return found == values_.end() || *found != value ? kUnseen : static_cast<uint32_t>(found - values_.begin()) + 1;
}

void KeySearch::load(std::span<const Operation* const> operations) {
  values_.clear(), required_.clear(), classes_.clear(), calls_.clear(), producers_.clear();
  grants_.clear();
  std::vector<std::pair<Step<uint64_t>, const Operation*>> steps;
  steps.reserve(operations.size());
  for (const Operation* op : operations) {
    const auto step = step_of(*op);
    if (!step) continue;
    steps.emplace_back(*step, op);
    if (step->guard != Guard::Always) values_.push_back(step->wanted);
    if (step->sequencer && op->outcome == Outcome::Ok) grants_.push_back(step->sequencer);
  }
  std::sort(grants_.begin(), grants_.end());
  std::sort(values_.begin(), values_.end());
  values_.erase(std::unique(values_.begin(), values_.end()), values_.end());
  observers_.assign(values_.size() + 1, 0);
  demanded_at_.assign(values_.size() + 1, 0);
  differs_left_ = 0;
  grants_taken_ = 0;
  visit_ = 0;

  std::vector<std::pair<Step<uint32_t>, int64_t>> optional;
  for (const auto& [raw, op] : steps) {
    Step<uint32_t> step{raw.guard, raw.effect, kUnseen, kUnseen, raw.sequencer};
    if (raw.effect == Effect::Sets) step.value = intern(raw.value);
    if (raw.guard != Guard::Always) ++observers_[step.wanted = intern(raw.wanted)];
    if (raw.guard == Guard::Differs) ++differs_left_;
    if (op->outcome == Outcome::Unknown) {
      optional.emplace_back(step, op->call_ns);
    } else {
      required_.push_back({step, op->call_ns, op->return_ns, op->return_ns});
    }
  }
  const auto same = [](const Step<uint32_t>& s) { return std::tuple(s.value, s.guard, s.wanted, s.sequencer); };
  std::sort(optional.begin(), optional.end(), [&](const auto& a, const auto& b) {
    return std::pair(same(a.first), a.second) < std::pair(same(b.first), b.second);
  });
  for (const auto& [step, call_ns] : optional) {
    if (classes_.empty() || same(classes_.back()) != same(step)) {
      if (step.value != kUnseen) producers_.emplace_back(step.value, static_cast<uint32_t>(classes_.size()));
      const auto at = static_cast<uint32_t>(calls_.size());
      classes_.push_back({step, at, at, call_ns});
    }
    calls_.push_back(call_ns);
    ++classes_.back().end_call;
  }
}

/// Which candidate to try first matters only for speed: a value should be set after the values that are last seen
/// before it is. So operations are tried by the last call of those that see their value, attributed to the last call
/// that could have set it; one that nobody sees can wait until its return.
void KeySearch::load_order() {
  struct Setter {
    uint32_t value;
    int64_t call_ns;
    uint32_t candidate;
    auto operator<=>(const Setter&) const = default;
  };
  std::vector<Setter> setters;
  for (uint32_t i = 0; i < required_.size(); ++i) {
    if (required_[i].effect == Effect::Sets) setters.push_back({required_[i].value, required_[i].call_ns, i});
  }
  for (const auto& [value, index] : producers_) {
    for (uint32_t at = classes_[index].next_call; at < classes_[index].end_call; ++at) {
      setters.push_back({value, calls_[at], index | kOptional});
    }
  }
  std::sort(setters.begin(), setters.end());
  std::vector<bool> seen(required_.size());
  for (const Required& reader : required_) {
    if (reader.guard != Guard::Equals) continue;
    const Setter latest{reader.wanted, reader.return_ns, ~uint32_t{0}};
    auto setter = std::upper_bound(setters.begin(), setters.end(), latest);
    if (setter == setters.begin() || (--setter)->value != reader.wanted) continue;
    if (setter->candidate & kOptional) {
      int64_t& order = classes_[setter->candidate & ~kOptional].order;
      order = std::max(order, reader.call_ns);
    } else {
      Required& op = required_[setter->candidate];
      op.order = std::max(seen[setter->candidate] ? op.order : op.call_ns, reader.call_ns);
      seen[setter->candidate] = true;
    }
  }
}

/// Threads calls and returns into one list by time; at the same time calls come first, so such operations overlap.
void KeySearch::link() {
  std::vector<uint32_t> by_return(required_.size());
  for (uint32_t i = 0; i < by_return.size(); ++i) by_return[i] = i;
  std::sort(by_return.begin(), by_return.end(), [&](uint32_t a, uint32_t b) {
    return std::pair(required_[a].return_ns, a) < std::pair(required_[b].return_ns, b);
  });
  next_.assign(2 * required_.size() + 2, 0);
  previous_.assign(2 * required_.size() + 2, 0);
  uint32_t last = 0;
  const auto append = [&](uint32_t entry) {
    next_[last] = entry;
    previous_[entry] = last;
    last = entry;
  };
  uint32_t call = 0;
  for (const uint32_t op : by_return) {
    for (; call < required_.size() && required_[call].call_ns <= required_[op].return_ns; ++call) {
      append(call_entry(call));
    }
    append(call_entry(op) + 1);
  }
  previous_[0] = last;
}

void KeySearch::unlink(uint32_t entry) {
  next_[previous_[entry]] = next_[entry];
  previous_[next_[entry]] = previous_[entry];
}

void KeySearch::relink(uint32_t entry) {
  next_[previous_[entry]] = entry;
  previous_[next_[entry]] = entry;
}

KeySearch::State KeySearch::take(uint32_t candidate, const State& state) {
  State after = state;
  const Step<uint32_t>* step = nullptr;
  if (candidate & kOptional) {
    Class& c = classes_[candidate & ~kOptional];
    taken_ = taken_ ^ fingerprint(required_.size() + c.next_call++);
    step = &c;
  } else {
    unlink(call_entry(candidate));
    unlink(call_entry(candidate) + 1);
    taken_ = taken_ ^ fingerprint(candidate);
    step = &required_[candidate];
    if (step->sequencer) ++grants_taken_;
  }
  if (step->guard != Guard::Always) --observers_[step->wanted];
  if (step->guard == Guard::Differs) --differs_left_;
  if (step->effect == Effect::Sets) after.value = step->value;
  if (step->sequencer) after.sequencer = step->sequencer == kSequencerUnknown ? state.sequencer + 1 : step->sequencer;
  trail_.push_back(candidate);
  return after;
}

void KeySearch::undo(size_t trail_size) {
  while (trail_.size() > trail_size) {
    const uint32_t candidate = trail_.back();
    trail_.pop_back();
    const Step<uint32_t>* step = nullptr;
    if (candidate & kOptional) {
      Class& c = classes_[candidate & ~kOptional];
      taken_ = taken_ ^ fingerprint(required_.size() + --c.next_call);
      step = &c;
    } else {
      relink(call_entry(candidate) + 1);
      relink(call_entry(candidate));
      taken_ = taken_ ^ fingerprint(candidate);
      step = &required_[candidate];
      if (step->sequencer) --grants_taken_;
    }
    if (step->guard != Guard::Always) ++observers_[step->wanted];
    if (step->guard == Guard::Differs) ++differs_left_;
  }
}

/// Takes what can be taken without a choice; if the configuration is new, pushes a frame with the choices left.
KeySearch::Entered KeySearch::enter(const State& state) {
  Frame frame{state, 0, 0, static_cast<uint32_t>(candidates_.size()), static_cast<uint32_t>(candidates_.size()), false};
  demanded_.clear();
  ++visit_;
  const bool dead = grants_taken_ < grants_.size() && state.sequencer >= grants_[grants_taken_];
  uint32_t entry = next_[0];
  while (entry != 0 && !is_return(entry)) {
    const uint32_t op = op_of(entry);
    const Required& step = required_[op];
    const uint32_t before = previous_[entry];
    if (step.sequencer && step.sequencer != grants_[grants_taken_]) {
      // Waits for the grants with lesser sequencers.
    } else if (!holds(step, state)) {
      if (step.guard == Guard::Differs) {
        frame.wants_change = true;
      } else if (demanded_at_[step.wanted] != visit_) {
        demanded_at_[step.wanted] = visit_;
        demanded_.push_back(step.wanted);
      }
    } else if (is_harmless(step, state)) {
      take(op, state);
      entry = next_[before];
      continue;
    } else {
      candidates_.push_back(op);
    }
    entry = next_[entry];
  }
  if (entry == 0) return Entered::Finished;
  const Fingerprint now = fingerprint(canonical(state.value) ^ mix(state.sequencer));
  if (dead || !seen_.insert(taken_ ^ now)) {
    candidates_.resize(frame.candidates_begin);
    return Entered::Dead;
  }
  frame.first_return_ns = required_[op_of(entry)].return_ns;
  frame.trail_size = static_cast<uint32_t>(trail_.size());
  add_optional(state, frame.first_return_ns);
  const auto order = [&](uint32_t c) { return c & kOptional ? classes_[c & ~kOptional].order : required_[c].order; };
  std::sort(candidates_.begin() + frame.candidates_begin, candidates_.end(),
            [&](uint32_t a, uint32_t b) { return std::pair(order(a), a) < std::pair(order(b), b); });
  frames_.push_back(frame);
  return Entered::Open;
}

/// Adds the classes that set a demanded value; what their guards want is demanded too, for chains of them.
void KeySearch::add_optional(const State& state, int64_t first_return_ns) {
  for (size_t i = 0; i < demanded_.size(); ++i) {
    auto at = std::lower_bound(producers_.begin(), producers_.end(), std::pair(demanded_[i], uint32_t{0}));
    for (; at != producers_.end() && at->first == demanded_[i]; ++at) {
      const Class& c = classes_[at->second];
      if (!may_start(c, first_return_ns)) continue;
      if (holds(c, state)) {
        if (c.value != state.value) candidates_.push_back(at->second | kOptional);
      } else if (demanded_at_[c.wanted] != visit_) {
        demanded_at_[c.wanted] = visit_;
        demanded_.push_back(c.wanted);
      }
    }
  }
}

/// The last resort of a frame where some operation needs the value to be another, whichever.
void KeySearch::widen(Frame& frame) {
  frame.wants_change = false;
  for (uint32_t i = 0; i < classes_.size(); ++i) {
    const Class& c = classes_[i];
    if (c.value != frame.state.value && holds(c, frame.state) && may_start(c, frame.first_return_ns)) {
      candidates_.push_back(i | kOptional);
    }
  }
}

Verdict KeySearch::run(std::span<const Operation* const> operations, const Options& options, uint64_t& states) {
  load(operations);
  load_order();
  link();
  taken_ = {};
  trail_.clear(), frames_.clear(), candidates_.clear();
  seen_.clear(required_.size());
  const uint64_t states_max = options.states_max + operations.size();

  Verdict verdict = Verdict::Violation;
  if (enter({intern(0), 0}) == Entered::Finished) verdict = Verdict::Linearizable;
  while (verdict == Verdict::Violation && !frames_.empty()) {
    Frame& frame = frames_.back();
    undo(frame.trail_size);
    if (frame.candidates_next == candidates_.size() && frame.wants_change) widen(frame);
    if (frame.candidates_next == candidates_.size()) {
      candidates_.resize(frame.candidates_begin);
      frames_.pop_back();
      continue;
    }
    if (seen_.size() >= states_max) {
      verdict = Verdict::Unknown;
      break;
    }
    const uint32_t candidate = candidates_[frame.candidates_next++];
    if (enter(take(candidate, frame.state)) == Entered::Finished) verdict = Verdict::Linearizable;
  }
  states += seen_.size();
  return verdict;
}

Result<> validate(const Operation& op, size_t index) {
  const auto wrong = [&](std::string_view what) {
    return fail(Code::Invalid, fmt::format("operation {} (client {}, key {}): {}", index, op.client, op.key, what));
  };
  if (op.outcome == Outcome::Ok && op.return_ns < op.call_ns) {
    return wrong(fmt::format("returns at {} before its call at {}", op.return_ns, op.call_ns));
  }
  if (op.kind == Kind::Write && op.value == 0) return wrong("writes 0, which stands for absent");
  if (is_lock(op.kind) && op.client == 0) return wrong("client 0 uses a lock; 0 stands for free");
  if (op.kind == Kind::Acquire && op.outcome == Outcome::Ok && op.answer == Answer::Done &&
      (op.result == 0 || op.result == kSequencerUnknown)) {
    return wrong(fmt::format("granted with sequencer {}", op.result));
  }
  return {};
}

/// The operations grouped by key (in order of the keys' first appearance), each group by call time.
struct Grouped {
  std::vector<const Operation*> operations;
  std::vector<size_t> ends;
};

Result<Grouped> group(const History& history) {
  std::unordered_map<uint64_t, uint32_t> group_of_key;
  std::vector<uint32_t> group_of(history.size());
  std::vector<size_t> sizes;
  std::vector<Kind> first_kind;
  for (size_t i = 0; i < history.size(); ++i) {
    const Operation& op = history[i];
    TRY_DO(validate(op, i));
    const auto [at, added] = group_of_key.try_emplace(op.key, static_cast<uint32_t>(sizes.size()));
    if (added) {
      sizes.push_back(0);
      first_kind.push_back(op.kind);
    } else if (is_lock(op.kind) != is_lock(first_kind[at->second])) {
      return fail(Code::Invalid,
                  fmt::format("operation {} (client {}): key {} is used both as a register and as a lock", i, op.client,
                              op.key));
    }
    ++sizes[group_of[i] = at->second];
  }
  Grouped out;
  out.operations.resize(history.size());
  std::vector<size_t> places;
  size_t begin = 0;
  for (const size_t size : sizes) {
    places.push_back(begin);
    out.ends.push_back(begin += size);
  }
  for (size_t i = 0; i < history.size(); ++i) out.operations[places[group_of[i]]++] = &history[i];
  const auto by_call = [](const Operation* a, const Operation* b) {
    return std::pair(a->call_ns, a) < std::pair(b->call_ns, b);
  };
  begin = 0;
  for (const size_t end : out.ends) {
    const auto from = out.operations.begin() + static_cast<ptrdiff_t>(begin);
    const auto to = out.operations.begin() + static_cast<ptrdiff_t>(end);
    if (!std::is_sorted(from, to, by_call)) std::sort(from, to, by_call);
    begin = end;
  }
  return out;
}

bool fails(const History& history, const Options& options) {
  const auto report = check(history, options);
  return report && report->verdict == Verdict::Violation;
}

/// What was known of the history at `now_ns`.
History known_at(const History& history, int64_t now_ns) {
  History out;
  for (Operation op : history) {
    if (op.call_ns > now_ns) continue;
    if (op.outcome == Outcome::Ok && op.return_ns > now_ns) {
      op.outcome = Outcome::Unknown;
      op.return_ns = kNever;
    }
    if (step_of(op)) out.push_back(op);
  }
  return out;
}

using Unit = std::vector<size_t>;  // indices of operations that may be dropped together

/// Operations that may go alone. If the whole has a legal order, so has the rest: an operation without effect can be
/// taken out of it; so can one whose value no guard left notices, neither by wanting it nor by wanting another.
void add_single_units(const History& history, std::vector<Unit>& units) {
  std::unordered_map<uint64_t, size_t> wanted;
  bool any_differs = false;
  for (const Operation& op : history) {
    const auto step = step_of(op);
    if (step->guard == Guard::Equals) ++wanted[step->wanted];
    any_differs |= step->guard == Guard::Differs;
  }
  for (size_t i = 0; i < history.size(); ++i) {
    const auto step = step_of(history[i]);
    const bool own = step->guard == Guard::Equals && step->wanted == step->value;
    if (step->effect == Effect::None || (!any_differs && wanted[step->value] == (own ? 1 : 0))) units.push_back({i});
  }
}

/// A grant and the release or expiry that surely ended it may go together, if nobody found the lock held meanwhile.
void add_hold_units(const History& history, std::vector<Unit>& units) {
  std::map<uint64_t, Unit> by_client;  // grants and their ends, by call time
  std::map<int64_t, int64_t> busy;     // call -> latest return of any called by then
  int64_t latest_busy_ns = std::numeric_limits<int64_t>::min();
  for (size_t i = 0; i < history.size(); ++i) {
    const Operation& op = history[i];
    if (!is_lock(op.kind)) return;
    if (step_of(op)->effect == Effect::Sets) {
      by_client[op.client].push_back(i);
    } else if (op.kind == Kind::Acquire) {
      busy[op.call_ns] = latest_busy_ns = std::max(latest_busy_ns, op.return_ns);
    }
  }
  for (const auto& [client, ops] : by_client) {
    int64_t latest_ns = std::numeric_limits<int64_t>::min();  // return of those before ops[i]
    for (size_t i = 0; i + 1 < ops.size(); latest_ns = std::max(latest_ns, history[ops[i++]].return_ns)) {
      const Operation& grant = history[ops[i]];
      const Operation& end = history[ops[i + 1]];
      if (grant.outcome != Outcome::Ok || end.outcome != Outcome::Ok) continue;
      if (grant.kind != Kind::Acquire || end.kind == Kind::Acquire) continue;
      if (latest_ns >= grant.call_ns || grant.return_ns >= end.call_ns) continue;
      if (i + 2 < ops.size() && history[ops[i + 2]].call_ns <= end.return_ns) continue;
      const auto after = busy.upper_bound(end.return_ns);
      if (after != busy.begin() && std::prev(after)->second >= grant.call_ns) continue;
      units.push_back({ops[i], ops[i + 1]});
    }
  }
}

/// One round of dropping, in ever smaller runs of units. Dropping one unit never takes the right to go from another.
History drop_units(const History& history, const Options& options) {
  std::vector<Unit> units;
  add_single_units(history, units);
  add_hold_units(history, units);
  std::vector<bool> dropped(history.size());
  History kept = history;
  for (size_t run = units.size(); run > 0; run /= 2) {
    for (size_t begin = 0; begin < units.size();) {
      const size_t end = std::min(begin + run, units.size());
      std::vector<bool> without = dropped;
      for (size_t i = begin; i < end; ++i) {
        for (const size_t op : units[i]) without[op] = true;
      }
      History rest;
      for (size_t i = 0; i < history.size(); ++i) {
        if (!without[i]) rest.push_back(history[i]);
      }
      if (fails(rest, options)) {
        dropped = std::move(without);
        kept = std::move(rest);
        units.erase(units.begin() + static_cast<ptrdiff_t>(begin), units.begin() + static_cast<ptrdiff_t>(end));
      } else {
        begin = end;
      }
    }
  }
  return kept;
}

}  // namespace

Result<Report> check(const History& history, const Options& options) {
  TRY(const Grouped grouped, group(history));
  Report report;
  report.operations = history.size();
  report.keys = grouped.ends.size();
  KeySearch search;
  size_t begin = 0;
  for (const size_t end : grouped.ends) {
    const auto operations = std::span(grouped.operations).subspan(begin, end - begin);
    begin = end;
    const Verdict verdict = search.run(operations, options, report.states);
    if (verdict == Verdict::Violation) report.violating_keys.push_back(operations[0]->key);
    if (verdict == Verdict::Unknown) report.undecided_keys.push_back(operations[0]->key);
  }
  std::sort(report.violating_keys.begin(), report.violating_keys.end());
  std::sort(report.undecided_keys.begin(), report.undecided_keys.end());
  if (!report.undecided_keys.empty()) report.verdict = Verdict::Unknown;
  if (!report.violating_keys.empty()) report.verdict = Verdict::Violation;
  return report;
}

History shrink(const History& history, const Options& options) {
  CHECK(fails(history, options));
  std::vector<int64_t> times;
  for (const Operation& op : history) {
    if (op.outcome == Outcome::Ok) times.push_back(op.return_ns);
  }
  std::sort(times.begin(), times.end());
  const auto earliest = std::partition_point(
      times.begin(), times.end(), [&](int64_t now_ns) { return !fails(known_at(history, now_ns), options); });
  History kept = known_at(history, earliest == times.end() ? kNever : *earliest);
  std::sort(kept.begin(), kept.end(), [](const auto& a, const auto& b) {
    return std::tie(a.call_ns, a.return_ns, a.client) < std::tie(b.call_ns, b.return_ns, b.client);
  });
  for (size_t before = 0; before != kept.size();) {
    before = kept.size();
    kept = drop_units(kept, options);
  }
  return kept;
}

}  // namespace hailstone::sim
