// What a search found, as HTML or JSON. Pure.
#pragma once

#include "base/bytes.h"
#include "base/ids.h"
#include "publish/search.h"

namespace hailstone::depot {

struct HitsView {
  Bytes volume;
  Bytes name;  // "volume@stable"
  Bytes base;  // the same as an encoded path
  ReleaseNumber release;
  Bytes query;
  size_t offset = 0;
  size_t limit = 0;
  publish::SearchAnswer answer;
};
Bytes hits_html(const HitsView& view);
Bytes hits_json(const HitsView& view);

}  // namespace hailstone::depot
