// Compressed index files as streams: gzip, xz and zstd, with a bound on what comes out.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "base/bytes.h"
#include "base/error.h"

namespace hailstone::publish {

enum class Coding : uint8_t { Plain, Gzip, Xz, Zstd };

/// By the name's last suffix; nothing for codings that are not read here (.bz2, .lzma, .lz4).
std::optional<Coding> coding_of(ByteView name);
/// The name without a compression suffix, known here or not: "main/binary-amd64/Packages" of ".../Packages.bz2".
ByteView without_coding(ByteView name);

/// The next piece of a stream; empty at the end.
using ByteSource = std::function<Result<Bytes>()>;
using ByteSink = std::function<Result<void>(ByteView)>;

/// Pumps all of `source` through the decoder into `sink`, in pieces of bounded size. Invalid: malformed, cut, or more
/// than `bytes_max` bytes come out. Or an error of the source or sink.
Result<void> decompress(Coding coding, const ByteSource& source, const ByteSink& sink, uint64_t bytes_max);

}  // namespace hailstone::publish
