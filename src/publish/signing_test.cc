#include "publish/signing.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

namespace hailstone::publish {
namespace {

Bytes hex(std::string_view text) {
  Bytes out;
  EXPECT_TRUE(from_hex(text, out));
  return out;
}

/// A directory on the real disk, gone with its files at the end.
class Signing : public ::testing::Test {
 protected:
  Signing() {
    char name[] = "/tmp/signing_test.XXXXXX";
    EXPECT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
  }
  ~Signing() override {
    for (const char* file : {"/key", "/key.tmp"}) ::unlink((directory_ + file).c_str());
    ::rmdir(directory_.c_str());
  }
  std::unique_ptr<disk::Disk> disk_ = disk::make_real_disk();
  std::string directory_;
};

// RFC 8032 §7.1, tests 1 and 2.
TEST_F(Signing, MatchesTheKnownAnswersOfRfc8032) {
  const auto first = SigningKey::from_seed(hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"));
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->public_key().hex(), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  EXPECT_EQ(
      to_hex(*first->sign("")),
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe2"
      "4655141438e7a100b");
  const auto second = SigningKey::from_seed(hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"));
  EXPECT_EQ(
      to_hex(*second->sign("\x72")),
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302a"
      "eeb00d291612bb0c00");
}

TEST_F(Signing, RefusesAnyChangedBit) {
  const auto key = SigningKey::generate();
  ASSERT_TRUE(key.has_value());
  const Bytes message = "release 42";
  const Bytes signature = *key->sign(message);
  EXPECT_TRUE(key->public_key().verify(message, signature).has_value());
  for (size_t bit = 0; bit < signature.size() * 8; ++bit) {
    Bytes changed = signature;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
    EXPECT_EQ(key->public_key().verify(message, changed).error().code, Code::Denied) << bit;
  }
  EXPECT_EQ(key->public_key().verify("release 43", signature).error().code, Code::Denied);
  EXPECT_EQ(key->public_key().verify(message, "short").error().code, Code::Invalid);
  EXPECT_EQ(SigningKey::generate()->public_key().verify(message, signature).error().code, Code::Denied);
}

TEST_F(Signing, PublicKeyReadsItsThreeForms) {
  const PublicKey key = SigningKey::generate()->public_key();
  for (const Bytes& text : {key.hex(), key.base64(), *key.pem(), " " + key.hex() + "\n"})
    EXPECT_EQ(PublicKey::parse(text).value(), key) << text;
  for (const char* bad : {"", " ", "zz", "AAAA", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"})
    EXPECT_EQ(PublicKey::parse(bad).error().code, Code::Invalid) << bad;
}

TEST_F(Signing, SavedKeyIsPrivateAndComesBack) {
  const std::string path = directory_ + "/key";
  std::ofstream(path + ".tmp") << std::string(5000, 'x');  // what a crash left, readable by others
  const auto key = SigningKey::generate();
  const auto saved = key->save(*disk_, path);
  ASSERT_TRUE(saved.has_value()) << saved.error().message;
  struct stat info{};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777u, 0600u);
  const auto loaded = SigningKey::load(*disk_, path);
  ASSERT_TRUE(loaded.has_value()) << loaded.error().message;
  EXPECT_EQ(loaded->public_key(), key->public_key());
  EXPECT_EQ(*loaded->sign("x"), *key->sign("x"));
  EXPECT_EQ(key->save(*disk_, path).error().code, Code::Exists);
}

TEST_F(Signing, LoadRefusesWhatIsNoPrivateKeyOfOurs) {
  const std::string path = directory_ + "/key";
  EXPECT_EQ(SigningKey::load(*disk_, path).error().code, Code::NotFound);
  ASSERT_TRUE(disk::write_file_atomic(*disk_, path, "not a key").has_value());
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
  EXPECT_EQ(SigningKey::load(*disk_, path).error().code, Code::Denied);
  ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  EXPECT_EQ(SigningKey::load(*disk_, path).error().code, Code::Invalid);
  ASSERT_TRUE(disk::write_file_atomic(*disk_, path, *SigningKey::generate()->public_key().pem()).has_value());
  ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  EXPECT_EQ(SigningKey::load(*disk_, path).error().code, Code::Invalid);
}

}  // namespace
}  // namespace hailstone::publish
