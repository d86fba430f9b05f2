#include "publish/signing.h"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/stat.h>

#include <algorithm>

namespace hailstone::publish {
namespace {

constexpr uint64_t kKeyFileBytesMax = 16u << 10;

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct FreeBio {
  void operator()(BIO* bio) const { BIO_free_all(bio); }
};
struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, FreeKey>;
using BioPtr = std::unique_ptr<BIO, FreeBio>;
using ContextPtr = std::unique_ptr<EVP_MD_CTX, FreeContext>;

const unsigned char* raw(ByteView bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }

/// OpenSSL's own reason, and an empty error queue for the next caller.
std::unexpected<Error> openssl_failed(Code code, std::string_view what) {
  char reason[256] = "no reason given";
  if (const unsigned long error = ERR_get_error(); error != 0) ERR_error_string_n(error, reason, sizeof reason);
  ERR_clear_error();
  return fail(code, fmt::format("{}: {}", what, reason));
}

Result<PublicKey> public_half(EVP_PKEY* key, std::string_view what) {
  if (EVP_PKEY_get_id(key) != EVP_PKEY_ED25519) return fail(Code::Invalid, fmt::format("{}: not an Ed25519 key", what));
  PublicKey out;
  size_t size = out.bytes.size();
  if (EVP_PKEY_get_raw_public_key(key, out.bytes.data(), &size) != 1 || size != out.bytes.size())
    return openssl_failed(Code::Invalid, what);
  return out;
}

/// A memory BIO's bytes, then wiped: they may be secret.
Bytes drain(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  Bytes out(data, static_cast<size_t>(std::max(size, 0L)));
  OPENSSL_cleanse(data, out.size());
  return out;
}

/// PEM keys on disk are never encrypted; without this OpenSSL would ask for a pass phrase on the terminal.
int no_pass_phrase(char*, int, int, void*) { return -1; }

std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == path.npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Result<void> write_private_file(disk::Disk& disk, const std::string& path, ByteView content) {
  const std::string temporary = path + ".tmp";
  {
    TRY(auto file, disk.open(temporary, disk::OpenMode::Create));
    TRY_DO(file->truncate(0));  // what a crash left
    if (const int fd = file->native_handle(); fd >= 0 && ::fchmod(fd, 0600) != 0)
      return fail(Code::Io, fmt::format("{}: can't set mode 0600: errno {}", temporary, errno));
    TRY_DO(file->write_at(0, content));
    TRY_DO(file->sync());
  }
  TRY_DO(disk.rename(temporary, path));
  return disk.sync_directory(directory_of(path));
}

}  // namespace

struct SigningKey::Secret {
  KeyPtr key;
};

SigningKey::SigningKey(std::unique_ptr<Secret> secret, const PublicKey& public_key)
    : secret_(std::move(secret)), public_key_(public_key) {}
SigningKey::~SigningKey() = default;
SigningKey::SigningKey(SigningKey&&) noexcept = default;
SigningKey& SigningKey::operator=(SigningKey&&) noexcept = default;

Result<SigningKey> SigningKey::generate() {
  KeyPtr key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  if (!key) return openssl_failed(Code::Io, "generating an Ed25519 key");
  TRY(PublicKey half, public_half(key.get(), "generated key"));
  return SigningKey(std::make_unique<Secret>(std::move(key)), half);
}

Result<SigningKey> SigningKey::from_seed(ByteView seed32) {
  if (seed32.size() != 32) return fail(Code::Invalid, fmt::format("Ed25519 seed is {} bytes, not 32", seed32.size()));
  KeyPtr key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, raw(seed32), seed32.size()));
  if (!key) return openssl_failed(Code::Invalid, "Ed25519 seed");
  TRY(PublicKey half, public_half(key.get(), "Ed25519 seed"));
  return SigningKey(std::make_unique<Secret>(std::move(key)), half);
}

Result<SigningKey> SigningKey::load(disk::Disk& disk, const std::string& path) {
  TRY(auto file, disk.open(path, disk::OpenMode::Read));
  struct stat info{};
  if (const int fd = file->native_handle(); fd >= 0 && ::fstat(fd, &info) == 0 && (info.st_mode & 077) != 0)
    return fail(Code::Denied,
                fmt::format("signing key {} may be read by others (mode {:04o}): chmod 600 it, and replace "
                            "it if somebody could have read it",
                            path, info.st_mode & 07777u));
  TRY(Bytes pem, disk::read_file(disk, path, kKeyFileBytesMax));
  BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  KeyPtr key(bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, no_pass_phrase, nullptr) : nullptr);
  OPENSSL_cleanse(pem.data(), pem.size());
  if (!key)
    return openssl_failed(Code::Invalid,
                          fmt::format("signing key {}: not an unencrypted PEM private key (make one with "
                                      "`openssl genpkey -algorithm ed25519`)",
                                      path));
  TRY(PublicKey half, public_half(key.get(), fmt::format("signing key {}", path)));
  return SigningKey(std::make_unique<Secret>(std::move(key)), half);
}

Result<void> SigningKey::save(disk::Disk& disk, const std::string& path) const {
  TRY(const bool there, disk.exists(path));
  if (there) return fail(Code::Exists, fmt::format("signing key {} exists already: move it away first", path));
  BioPtr bio(BIO_new(BIO_s_mem()));
  if (!bio || PEM_write_bio_PKCS8PrivateKey(bio.get(), secret_->key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return openssl_failed(Code::Io, "encoding a signing key");
  Bytes pem = drain(bio.get());
  auto written = write_private_file(disk, path, pem);
  OPENSSL_cleanse(pem.data(), pem.size());
  return written;
}

Result<Bytes> SigningKey::sign(ByteView message) const {
  ContextPtr context(EVP_MD_CTX_new());
  Bytes signature(kSignatureBytes, '\0');
  size_t size = signature.size();
  if (!context || EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, secret_->key.get()) != 1 ||
      EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, raw(message),
                     message.size()) != 1 ||
      size != kSignatureBytes)
    return openssl_failed(Code::Io, "signing");
  return signature;
}

Result<void> PublicKey::verify(ByteView message, ByteView signature) const {
  if (signature.size() != kSignatureBytes)
    return fail(Code::Invalid, fmt::format("signature is {} bytes, not {}", signature.size(), kSignatureBytes));
  KeyPtr key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes.data(), bytes.size()));
  ContextPtr context(EVP_MD_CTX_new());
  if (!key || !context || EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) != 1)
    return openssl_failed(Code::Invalid, "public key " + hex());
  const int good = EVP_DigestVerify(context.get(), raw(signature), signature.size(), raw(message), message.size());
  ERR_clear_error();
  if (good == 1) return {};
  return fail(Code::Denied, fmt::format("signature {}... is not key {}'s over these {} bytes",
                                        to_hex(signature.substr(0, 6)), hex(), message.size()));
}

Result<Bytes> PublicKey::pem() const {
  KeyPtr key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes.data(), bytes.size()));
  BioPtr bio(BIO_new(BIO_s_mem()));
  if (!key || !bio || PEM_write_bio_PUBKEY(bio.get(), key.get()) != 1)
    return openssl_failed(Code::Invalid, "public key " + hex());
  return drain(bio.get());
}

Result<PublicKey> PublicKey::parse(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  text = text.substr(0, text.find_last_not_of(kSpace) + 1);
  if (text.starts_with("-----") && text.size() <= kKeyFileBytesMax) {
    BioPtr bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
    KeyPtr key(bio ? PEM_read_bio_PUBKEY(bio.get(), nullptr, no_pass_phrase, nullptr) : nullptr);
    if (!key) return openssl_failed(Code::Invalid, "public key in PEM");
    return public_half(key.get(), "public key in PEM");
  }
  Bytes decoded;
  const bool good = text.size() == 64 ? from_hex(text, decoded) : from_base64(text, decoded);
  if (!good || decoded.size() != 32)
    return fail(
        Code::Invalid,
        fmt::format("public key \"{}\" is neither 64 hex digits, nor base64 of 32 bytes, nor PEM", printable(text)));
  PublicKey out;
  std::ranges::copy(decoded, reinterpret_cast<char*>(out.bytes.data()));
  return out;
}

}  // namespace hailstone::publish
