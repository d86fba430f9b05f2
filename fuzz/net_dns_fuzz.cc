// Feeds any bytes to the reader of DNS answers, and any text to that of cell addresses.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "net/discover.h"

using namespace hailstone;
using namespace hailstone::net;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView input(reinterpret_cast<const char*>(data), size);
  if (const auto records = parse_srv_answer(input)) {
    require(!records->empty());
    for (const SrvRecord& record : *records) require(!record.target.host.empty() && record.target.port != 0);
    require(order_by_priority_and_weight(*records, size).size() == records->size());
  }
  if (const auto address = CellAddress::parse(input)) {
    require(address->members.empty() != address->domain.empty());
    std::string text;
    for (const HostPort& member : address->members) text += (text.empty() ? "" : ",") + to_string(member);
    if (!address->members.empty()) require(CellAddress::parse(text).value() == *address);
  }
  return 0;
}
