#include "publish/package_name.h"

#include <gtest/gtest.h>

namespace hailstone::publish {
namespace {

struct Row {
  const char* key;
  const char* name;  // null: nothing is recognised
  const char* version = "";
  const char* architecture = "";
};

TEST(PackageName, ReadsWhatEachEcosystemWrites) {
  const Row rows[] = {
      {"pool/main/n/nginx/nginx-core_1.22.1-9+deb12u1_amd64.deb", "nginx-core", "1.22.1-9+deb12u1", "amd64"},
      {"libstdc++6_12.2.0-14_i386.deb", "libstdc++6", "12.2.0-14", "i386"},
      {"a_1%3a2.0~rc1_all.udeb", "a", "1%3a2.0~rc1", "all"},
      {"nginx-dbgsym_1.22_amd64.ddeb", "nginx-dbgsym", "1.22", "amd64"},
      {"nginx_1.22.1-9.dsc", "nginx", "1.22.1-9", "source"},
      {"Packages/b/bash-completion-2.11-9.fc39.noarch.rpm", "bash-completion", "2.11-9.fc39", "noarch"},
      {"bash-5.2.15-5.el9.src.rpm", "bash", "5.2.15-5.el9", "source"},
      {"gcc-c++-13.2.1~pre^git1-1.x86_64.rpm", "gcc-c++", "13.2.1~pre^git1-1", "x86_64"},
      {"numpy-1.26.4-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", "numpy", "1.26.4",
       "manylinux_2_17_x86_64.manylinux2014_x86_64"},
      {"pkg-1.0-1abc-py3-none-any.whl", "pkg", "1.0", "any"},
      {"simple/requests-2.31.0.tar.gz", "requests", "2.31.0"},
      {"zope.interface-6.0a1.dev0+g1.tar.gz", "zope.interface", "6.0a1.dev0+g1"},
      {"serde-1.0.197.crate", "serde", "1.0.197"},
      {"sha-1-0.10.1.crate", "sha-1", "0.10.1"},
      {"tokio-1.0.0-rc.1+build-7.crate", "tokio", "1.0.0-rc.1+build-7"},
      {"lodash/-/lodash-4.17.21.tgz", "lodash", "4.17.21"},
      {"npm/@babel/core/-/core-7.0.0-beta.1.tgz", "@babel/core", "7.0.0-beta.1"},
      {"org/slf4j/slf4j-api/2.0.9/slf4j-api-2.0.9-sources.jar", "slf4j-api", "2.0.9"},
      {"x/log4j-1.2-api/2.20.0/log4j-1.2-api-2.20.0.jar", "log4j-1.2-api", "2.20.0"},
      {"libs/guava-33.0.0-jre.jar", "guava", "33.0.0-jre"},
      {"gems/rails-7.1.3.gem", "rails", "7.1.3"},
      {"nokogiri-1.16.2-x86_64-linux.gem", "nokogiri", "1.16.2", "x86_64-linux"},
      {"net-http-persistent-4.0.2.gem", "net-http-persistent", "4.0.2"},
      {"v3.19/main/x86_64/busybox-extras-1.36.1-r15.apk", "busybox-extras", "1.36.1-r15"},
      {"core/os/x86_64/gcc-libs-13.2.1-5-x86_64.pkg.tar.zst", "gcc-libs", "13.2.1-5", "x86_64"},
      {"ca-certificates-utils-1:20220905-1-any.pkg.tar.xz", "ca-certificates-utils", "1:20220905-1", "any"},
  };
  for (const Row& row : rows) {
    const auto found = package_name(row.key);
    ASSERT_TRUE(found.has_value()) << row.key;
    EXPECT_EQ(found->name, row.name) << row.key;
    EXPECT_EQ(found->version, row.version) << row.key;
    EXPECT_EQ(found->architecture, row.architecture) << row.key;
  }
}

TEST(PackageName, SaysNothingWhenUnsure) {
  for (const char* key : {"",
                          "/",
                          "README",
                          ".deb",
                          "foo.deb",
                          "foo_1.0.deb",
                          "foo_1_2_amd64.deb",
                          "a b_1.0_amd64.deb",
                          "_1_amd64.deb",
                          "dir.deb/",
                          "foo_1.0-1_amd64.deb.asc",
                          "foo.dsc",
                          "a_b_c.dsc",
                          "foo.rpm",
                          "foo-1.rpm",
                          "-1-2.x.rpm",
                          "bash-5.2.src",
                          "numpy-1.26.4.whl",
                          "pkg-1.0-abc-py3-none-any.whl",
                          "a--py3-none-any.whl",
                          "backup-20240101.tar.gz",
                          "linux-source.tar.gz",
                          "nginx_1.22.orig.tar.gz",
                          "foo-1.2.crate",
                          "foo.crate",
                          "1.2.3.crate",
                          "-1.2.3.crate",
                          "foo-latest.tgz",
                          "app.jar",
                          "app-release.jar",
                          "app-1.jar",
                          "rails.gem",
                          "rails-seven.gem",
                          "app-release.apk",
                          "app-1.2.apk",
                          "foo-1.0-rX.apk",
                          "a-1-r.apk",
                          "linux.pkg.tar.zst",
                          "a-b-c.pkg.tar.zst",
                          "data.pkg.tar.gz"})
    EXPECT_FALSE(package_name(key).has_value()) << key;
}

TEST(PackageName, OnlySnapshotsMayChangeTheirBytes) {
  EXPECT_TRUE(promises_fixed_bytes(*package_name("a_1.0_all.deb")));
  EXPECT_FALSE(promises_fixed_bytes(*package_name("g/art/1.0-SNAPSHOT/art-1.0-SNAPSHOT.jar")));
}

}  // namespace
}  // namespace hailstone::publish
