#include "api/cut_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

namespace hailstone::api {

chunk::CutOptions cut_options(const volume::Settings& settings) {
  const uint32_t average = settings.chunk_average_bytes;
  return {.min_bytes = average / 16,
          .average_bytes = average,
          .max_bytes = std::min(average * 4, static_cast<uint32_t>(chunk::kChunkBytesMax)),
          .compress = settings.compress ? chunk::Compress::Auto : chunk::Compress::Never};
}

Result<void> check_cut_options(const volume::Settings& settings) {
  if (!std::has_single_bit(settings.chunk_average_bytes))
    return fail(Code::Invalid,
                fmt::format("chunk_average_bytes {} is not a power of two", settings.chunk_average_bytes));
  return {};
}

}  // namespace hailstone::api
