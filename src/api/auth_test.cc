#include "api/auth.h"

#include <gtest/gtest.h>

#include "api/testing.h"

namespace hailstone::api {
namespace {

using testing::Head;
using volume::Role;

struct Known {
  volume::State state;
  Bytes id, secret;
  Known() {
    const auto made = make_key("ci", Role::Writer, {"debian"}, Bytes(32, 'm'), UnixMicros{1});
    CHECK(made.has_value());
    id = made->key.id;
    secret = made->secret;
    state.keys.change()[id] = std::make_shared<const volume::AccessKey>(made->key);
  }
  Result<Identity> ask(const Bytes& authorization) {
    return identify(state, Head(http::Method::Get, "/", {{"Authorization", authorization}}).get());
  }
};

TEST(Identify, TakesBearerAndBasicInAnyCase) {
  Known known;
  const Bytes both = known.id + ":" + known.secret;
  for (const Bytes& field :
       {"Bearer " + both, "bearer   " + both, "BASIC " + to_base64(both), "Basic " + to_base64(both)}) {
    const auto identity = known.ask(field);
    ASSERT_TRUE(identity) << field;
    EXPECT_EQ(identity->name(), "ci");
  }
}

TEST(Identify, WithoutTheFieldIsNobody) {
  Known known;
  const auto identity = identify(known.state, Head(http::Method::Get, "/").get());
  ASSERT_TRUE(identity);
  EXPECT_TRUE(identity->anonymous());
}

TEST(Identify, RefusesEverythingElseAlike) {
  Known known;
  const Bytes both = known.id + ":" + known.secret;
  const Bytes message = known.ask("Bearer " + known.id + ":wrong").error().message;
  for (const Bytes& field :
       {Bytes(), Bytes("Bearer"), Bytes("Bearer "), "Bearer " + known.id, "Bearer " + both + "0",
        "Bearer :" + known.secret, "Bearer HSNOBODY:" + known.secret, "Basic " + both, "Basic " + to_base64(known.id),
        "Digest " + both, "Bearer " + known.id + ":", "Basic =" + to_base64(both)}) {
    const auto identity = known.ask(field);
    ASSERT_FALSE(identity) << field;
    EXPECT_EQ(identity.error().code, Code::Denied) << field;
    EXPECT_EQ(identity.error().message, message) << field;
  }
}

TEST(Identify, AKeyWithADamagedHashOpensNothing) {
  Known known;
  auto damaged = *known.state.keys->at(known.id);
  damaged.secret_hash.clear();
  known.state.keys.change()[known.id] = std::make_shared<const volume::AccessKey>(damaged);
  EXPECT_FALSE(known.ask("Bearer " + known.id + ":"));
  EXPECT_FALSE(known.ask("Bearer " + known.id + ":" + known.secret));
}

TEST(Require, RolesIncludeTheLowerOnesWithinTheKeysVolumes) {
  const auto identity = [](Role role, std::vector<Bytes> volumes) {
    volume::AccessKey key;
    key.role = role;
    key.volumes = std::move(volumes);
    return Identity{std::make_shared<const volume::AccessKey>(key)};
  };
  const Role roles[] = {Role::Reader, Role::Writer, Role::Publisher, Role::Admin};
  for (Role held : roles) {
    for (Role needed : roles) {
      const Verdict want = held >= needed ? Verdict::Allowed : Verdict::Forbidden;
      EXPECT_EQ(require(identity(held, {"one"}), needed, "one"), want);
      EXPECT_EQ(require(identity(held, {"*"}), needed, "one"), want);
      EXPECT_EQ(require(identity(held, {"two", "o"}), needed, "one"), Verdict::Forbidden);
      EXPECT_EQ(require(Identity(), needed, "one"), Verdict::WhoAreYou);
    }
  }
}

TEST(Require, PublicReleasesAreForEverybodyAndAbsentOnesTellNothing) {
  volume::Volume v;
  const Identity nobody;
  v.record.settings.public_read = true;
  EXPECT_EQ(require_release_read(nobody, "one", &v), Verdict::Allowed);
  v.record.settings.public_read = false;
  EXPECT_EQ(require_release_read(nobody, "one", &v), Verdict::WhoAreYou);
  EXPECT_EQ(require_release_read(nobody, "one", nullptr), Verdict::WhoAreYou);
}

TEST(MakeKey, SecretsAreLongAndNeverStored) {
  const auto a = make_key("a", Role::Reader, {"*"}, Bytes(32, 'm'), UnixMicros{5});
  const auto b = make_key("a", Role::Reader, {"*"}, Bytes(32, 'm'), UnixMicros{5});
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->secret.size(), 64u);
  EXPECT_EQ(a->key.id.size(), 20u);
  EXPECT_NE(a->secret, b->secret);
  EXPECT_NE(a->key.id, b->key.id);
  EXPECT_EQ(a->key.secret_hash, sha256(a->secret).view());
  EXPECT_EQ(a->key.encode().find(a->secret), Bytes::npos);
}

TEST(MakeKey, RefusesNamesAndVolumesThatMakeNoSense) {
  EXPECT_EQ(make_key("", Role::Reader, {"*"}, Bytes(32, 'm'), {}).error().code, Code::Invalid);
  EXPECT_EQ(make_key(Bytes(129, 'x'), Role::Reader, {"*"}, Bytes(32, 'm'), {}).error().code, Code::Invalid);
  EXPECT_EQ(make_key("a", Role::Reader, {}, Bytes(32, 'm'), {}).error().code, Code::Invalid);
  EXPECT_EQ(make_key("a", Role::Reader, {"Not A Volume"}, Bytes(32, 'm'), {}).error().code, Code::Invalid);
}

}  // namespace
}  // namespace hailstone::api
