#include "server/config.h"

#include <gtest/gtest.h>

namespace hailstone::server {
namespace {

TEST(Config, TheSampleParsesAndChangesNothing) {
  Config config;
  const auto parsed = parse_config(sample_config(), config);
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(render_config(config), render_config(Config{}));
}

TEST(Config, UnknownKeysNameTheNearestKnownOne) {
  Config config;
  const auto parsed = parse_config("[http]\nprot = 80\n", config);
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().message, "line 2: unknown key 'http.prot': did you mean 'http.port'?");
}

TEST(Config, WrongTypesAndRangesSayWhatIsExpected) {
  for (const auto& [text, message] : std::initializer_list<std::pair<const char*, const char*>>{
           {"[http]\nport = \"80\"\n", "line 2: http.port must be a whole number that is not negative"},
           {"[http]\nport = 70000\n", "line 2: http.port must be a whole number that is not negative"},
           {"[log]\nlevel = \"loud\"\n", "line 2: log.level must be one of debug, info, warn, error"},
           {"check = 5\n", "line 1: write [[check]], with two brackets"},
           {"[http]\ntls_key = \"k.pem\"\n", "http.tls_certificate and http.tls_key go together"}}) {
    Config config;
    const auto parsed = parse_config(text, config);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().message, message);
    EXPECT_EQ(parsed.error().code, Code::Invalid);
  }
  Config config;
  EXPECT_FALSE(parse_config("not toml at all", config));
}

TEST(Config, ChecksAreRead) {
  Config config;
  const auto parsed = parse_config("[[check]]\nvolumes = \"deb*\"\ncommand = [\"/bin/true\", \"-x\"]\n", config);
  ASSERT_TRUE(parsed) << parsed.error().message;
  ASSERT_EQ(config.publish.hooks.size(), 1u);
  EXPECT_EQ(config.publish.hooks[0].command.argv, (std::vector<std::string>{"/bin/true", "-x"}));
  EXPECT_FALSE(parse_config("[[check]]\ncommand = [\"relative\"]\n", config));
}

}  // namespace
}  // namespace hailstone::server
