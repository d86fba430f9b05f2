// Ed25519 (RFC 8032) signatures of releases: making, keeping and using a key.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/error.h"
#include "disk/disk.h"

namespace hailstone::publish {

inline constexpr size_t kSignatureBytes = 64;

/// The half that everybody may know.
struct PublicKey {
  std::array<uint8_t, 32> bytes{};
  bool operator==(const PublicKey&) const = default;

  ByteView view() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
  Bytes hex() const { return to_hex(view()); }
  Bytes base64() const { return to_base64(view()); }
  /// "-----BEGIN PUBLIC KEY-----" (SubjectPublicKeyInfo, RFC 8410): what openssl(1) reads.
  Result<Bytes> pem() const;

  /// Accepts any of the three forms above, with white space around it. Invalid says what was expected.
  static Result<PublicKey> parse(std::string_view text);

  /// Nothing when `signature` is this key's over exactly `message`; Denied when not, Invalid when it isn't 64 bytes.
  Result<void> verify(ByteView message, ByteView signature) const;
};

/// The secret half. Movable, never copied; wiped by OpenSSL when destroyed.
class SigningKey {
 public:
  /// From the system's random source.
  static Result<SigningKey> generate();
  /// From the 32-byte seed of RFC 8032, for tests with known answers.
  static Result<SigningKey> from_seed(ByteView seed32);
  /// Reads what save() or `openssl genpkey -algorithm ed25519` wrote: unencrypted PKCS #8 in PEM. NotFound; Invalid
  /// when it is something else; Denied when the kernel's file may be read by group or others.
  static Result<SigningKey> load(disk::Disk& disk, const std::string& path);

  ~SigningKey();
  SigningKey(SigningKey&&) noexcept;
  SigningKey& operator=(SigningKey&&) noexcept;

  /// Writes a new file atomically: a temporary one beside it, mode 0600, sync, rename, sync of the directory. The mode
  /// is set by fchmod(2) on File::native_handle() while the file is still empty, so the key is never readable by
  /// others; on a disk without kernel files there is nothing to set. Exists when `path` is there already: keys are not
  /// overwritten.
  Result<void> save(disk::Disk& disk, const std::string& path) const;

  /// 64 bytes; the same message always gives the same signature.
  Result<Bytes> sign(ByteView message) const;
  const PublicKey& public_key() const { return public_key_; }

 private:
  struct Secret;
  explicit SigningKey(std::unique_ptr<Secret> secret, const PublicKey& public_key);
  std::unique_ptr<Secret> secret_;
  PublicKey public_key_;
};

}  // namespace hailstone::publish
