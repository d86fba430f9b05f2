#include "cell/history.h"

#include <fmt/format.h>

namespace hailstone::cell {

Result<void> record_events(Work& work) {
  Counters& counters = work.counters;
  if (!work.events.empty()) {
    counters.revision = work.revision();
    counters.history_events += work.events.size();
    Bytes bytes = encode_events(work.events);
    counters.history_bytes += bytes.size();
    work.state.put(schema::events(counters.revision), std::move(bytes));
  }
  const auto outgrown = [&] {
    return counters.floor < counters.revision && (counters.history_events > work.settings.history_events_max ||
                                                  counters.history_bytes > work.settings.history_bytes_max);
  };
  for (int i = 0; i < kForgottenPerCommandMax && outgrown(); ++i) {
    const Revision oldest = counters.floor.next();
    TRY(const auto bytes, work.state.get(schema::events(oldest)));
    if (!bytes) return fail(Code::Corrupt, fmt::format("events of revision {} are not there", oldest.value));
    TRY(const uint64_t events, count_events(*bytes));
    if (events > counters.history_events || bytes->size() > counters.history_bytes)
      return fail(Code::Corrupt, fmt::format("events of revision {} were never counted", oldest.value));
    counters.history_events -= events;
    counters.history_bytes -= bytes->size();
    work.state.erase(schema::events(oldest));
    counters.floor = oldest;
  }
  return {};
}

}  // namespace hailstone::cell
