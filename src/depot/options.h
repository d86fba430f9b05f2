// Everything that can be set about the depot.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/error.h"

namespace hailstone::depot {

struct Options {
  Bytes base_url;                     // "https://repo.example.org" in mirrorlist, metalink and feed, where a proxy
                                      // hides the real one; empty: the request's Host and scheme
  uint32_t retry_after_seconds = 1;   // told with 503: a release that is awaited usually comes soon
  uint32_t cookie_pin_seconds = 900;  // Max-Age of a browser's pin, in volumes that pin
  uint64_t hot_bytes = 48u << 20;     // per thread: files answered without looking anything up, with their small bodies
  uint32_t memory_body_max = 16u << 10;    // plain chunks up to this size are sent from memory, larger ones by sendfile
  uint32_t unpacked_body_max = 1u << 20;   // compressed chunks up to this size are kept unpacked with their file
  size_t modified_paths = 65'536;          // per thread: paths whose Last-Modified is remembered
  size_t missing_paths = 16'384;           // per thread: absent paths remembered until the channel flips
  size_t by_hash_directories = 32;         // per thread: indexes of directories asked for by hash
  size_t release_records = 1024;           // per thread
  uint64_t gzip_bytes_max = 1u << 20;      // larger bodies are not compressed on the fly
  uint64_t gzip_cache_bytes = 16u << 20;   // per thread
  uint64_t gzip_inline_bytes = 64u << 10;  // larger ones are compressed on the offload threads
  uint32_t listing_entries = 1000;         // of a directory, on a page where the client asks for no other number
  uint32_t listing_entries_max = 10'000;   // on a page at most
  uint32_t search_hits_max = 200;

  /// Invalid naming the option and its range.
  Result<void> validate() const;
};

}  // namespace hailstone::depot
