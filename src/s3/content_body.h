// A range of a stored content as the body of a response.
#pragma once

#include "depot/body.h"
#include "depot/lru.h"
#include "http/message.h"
#include "s3/refused.h"

namespace hailstone::s3 {

inline constexpr uint32_t kMemoryBodyMax = 16u << 10;  // chunks up to this are sent from memory, larger ones in place

/// Verified chunks up to kMemoryBodyMax that were read lately, by name. One per server thread.
using SmallChunks = depot::Lru<chunk::SharedBytes>;

/// The first piece is loaded and verified here, so that damage in it is an error and not a cut connection.
Answer<> set_body(chunk::ExtentCache& extents, SmallChunks& small, const chunk::Content& content, uint64_t offset,
                  uint64_t length, http::Response& response);

}  // namespace hailstone::s3
