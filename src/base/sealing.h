// Secrets at rest: AES-256-GCM under one master key.
#pragma once

#include "base/bytes.h"
#include "base/error.h"

namespace hailstone {

inline constexpr size_t kMasterKeyBytes = 32;

/// From the system's random source. Io when it fails.
Result<Bytes> random_bytes(size_t count);

/// nonce(12) ciphertext tag(16). `bound` is not stored but must be the same to open it: the name of what it belongs to.
Result<Bytes> seal_secret(ByteView master_key, ByteView bound, ByteView secret);

/// Corrupt when key, binding or a byte is another.
Result<Bytes> open_secret(ByteView master_key, ByteView bound, ByteView sealed);

}  // namespace hailstone
