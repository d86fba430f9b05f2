#include "base/sealing.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <memory>

#include "base/check.h"

namespace hailstone {
namespace {

constexpr size_t kNonceBytes = 12;
constexpr size_t kTagBytes = 16;

using Context = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

unsigned char* raw(Bytes& bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }
const unsigned char* raw(ByteView bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }
int size_of(ByteView bytes) { return static_cast<int>(bytes.size()); }

}  // namespace

Result<Bytes> random_bytes(size_t count) {
  Bytes out(count, '\0');
  if (RAND_bytes(raw(out), static_cast<int>(count)) != 1) return fail(Code::Io, "the system's random source failed");
  return out;
}

Result<Bytes> seal_secret(ByteView master_key, ByteView bound, ByteView secret) {
  CHECK(master_key.size() == kMasterKeyBytes);
  TRY(Bytes out, random_bytes(kNonceBytes));
  const Context context(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
  Bytes text(secret.size(), '\0');
  Bytes tag(kTagBytes, '\0');
  int length = 0;
  const bool done =
      context &&
      EVP_EncryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, raw(master_key), raw(ByteView(out))) == 1 &&
      EVP_EncryptUpdate(context.get(), nullptr, &length, raw(bound), size_of(bound)) == 1 &&
      EVP_EncryptUpdate(context.get(), raw(text), &length, raw(secret), size_of(secret)) == 1 &&
      EVP_EncryptFinal_ex(context.get(), raw(text) + length, &length) == 1 &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, kTagBytes, tag.data()) == 1;
  if (!done) return fail(Code::Io, "AES-256-GCM is not to be had from OpenSSL");
  return out + text + tag;
}

Result<Bytes> open_secret(ByteView master_key, ByteView bound, ByteView sealed) {
  CHECK(master_key.size() == kMasterKeyBytes);
  if (sealed.size() < kNonceBytes + kTagBytes) return fail(Code::Corrupt, "sealed secret is too short");
  const ByteView nonce = sealed.substr(0, kNonceBytes);
  const ByteView text = sealed.substr(kNonceBytes, sealed.size() - kNonceBytes - kTagBytes);
  Bytes tag(sealed.substr(sealed.size() - kTagBytes));
  const Context context(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
  Bytes out(text.size(), '\0');
  int length = 0;
  const bool done = context &&
                    EVP_DecryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, raw(master_key), raw(nonce)) == 1 &&
                    EVP_DecryptUpdate(context.get(), nullptr, &length, raw(bound), size_of(bound)) == 1 &&
                    EVP_DecryptUpdate(context.get(), raw(out), &length, raw(text), size_of(text)) == 1 &&
                    EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, kTagBytes, tag.data()) == 1 &&
                    EVP_DecryptFinal_ex(context.get(), raw(out) + length, &length) == 1;
  if (!done) return fail(Code::Corrupt, "a sealed secret does not open: another master key, or damage");
  return out;
}

}  // namespace hailstone
