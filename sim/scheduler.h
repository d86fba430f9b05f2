// Virtual time: events in order of their time, then of their making.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <utility>
#include <vector>

namespace hailstone::sim {

class Scheduler {
 public:
  using Event = std::function<void()>;

  int64_t now() const { return now_; }
  uint64_t events() const { return events_; }
  void at(int64_t time_ns, Event event) {
    queue_.push({time_ns < now_ ? now_ : time_ns, sequence_++, std::move(event)});
  }
  void after(int64_t delay_ns, Event event) { at(now_ + delay_ns, std::move(event)); }
  /// Runs the next event; false when there is none up to `until`, which then is the time.
  bool step(int64_t until_ns) {
    if (queue_.empty() || queue_.top().time > until_ns) {
      now_ = until_ns;
      return false;
    }
    Entry entry = std::move(const_cast<Entry&>(queue_.top()));
    queue_.pop();
    now_ = entry.time;
    ++events_;
    entry.event();
    return true;
  }

 private:
  struct Entry {
    int64_t time;
    uint64_t sequence;
    Event event;
    bool operator<(const Entry& other) const {
      return time != other.time ? time > other.time : sequence > other.sequence;
    }
  };
  std::priority_queue<Entry> queue_;
  int64_t now_ = 0;
  uint64_t sequence_ = 0, events_ = 0;
};

}  // namespace hailstone::sim
