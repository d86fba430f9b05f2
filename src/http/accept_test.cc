#include "http/accept.h"

#include <gtest/gtest.h>

namespace hailstone::http {
namespace {

TEST(Accept, ChoosesTheCodingTheClientLikesBest) {
  const std::vector<Coding> all = {Coding::Zstd, Coding::Gzip, Coding::Identity};
  const std::pair<std::optional<std::string_view>, Coding> cases[] = {
      {std::nullopt, Coding::Identity},
      {"", Coding::Identity},
      {"gzip", Coding::Gzip},
      {"x-gzip", Coding::Gzip},
      {"GZIP;Q=1", Coding::Gzip},
      {"gzip, zstd", Coding::Zstd},
      {"gzip;q=1.0, zstd;q=0.9", Coding::Gzip},
      {"gzip;q=0, zstd;q=0", Coding::Identity},
      {"br", Coding::Identity},
      {"*", Coding::Zstd},
      {"*;q=0", Coding::Identity},
      {"identity, *;q=0", Coding::Identity},
      {"zstd;q=0, *", Coding::Gzip},
      {"identity;q=0.5, gzip;q=0.4", Coding::Identity},
      {"gzip;q=2", Coding::Identity},
      {"gzip;q=x", Coding::Identity},
      {"gzip;q=0.001", Coding::Gzip},
  };
  for (const auto& [field, want] : cases) EXPECT_EQ(choose_coding(field, all), want) << field.value_or("(none)");
  EXPECT_EQ(choose_coding("zstd, gzip;q=0.1", {Coding::Gzip, Coding::Identity}), Coding::Gzip);
}

TEST(Accept, GivesHtmlToBrowsersOnly) {
  const std::pair<std::optional<std::string_view>, Media> cases[] = {
      {std::nullopt, Media::Json},
      {"*/*", Media::Json},
      {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Media::Html},
      {"application/json", Media::Json},
      {"application/json, text/html;q=0.9", Media::Json},
      {"text/*", Media::Html},
      {"text/*;q=0.1, text/html;q=0, */*", Media::Json},
      {"image/png", Media::Json},
  };
  for (const auto& [field, want] : cases) EXPECT_EQ(choose_media(field), want) << field.value_or("(none)");
  EXPECT_EQ(media_quality("text/*;q=0.3, text/html;level=1;q=0.7", "text/html"), 700u);
  EXPECT_EQ(media_quality("text/*;q=0.3", "text/plain"), 300u);
  EXPECT_EQ(media_quality("text/*", "image/png"), 0u);
}

}  // namespace
}  // namespace hailstone::http
