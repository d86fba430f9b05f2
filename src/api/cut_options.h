// How a volume's settings say that contents are cut into chunks.
#pragma once

#include "base/error.h"
#include "chunk/content.h"
#include "volume/records.h"

namespace hailstone::api {

chunk::CutOptions cut_options(const volume::Settings& settings);
/// Invalid where the chunk layer would refuse them: an average that is not a power of two.
Result<void> check_cut_options(const volume::Settings& settings);

}  // namespace hailstone::api
