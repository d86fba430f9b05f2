#include "publish/check_test_support.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "chunk/content.h"

namespace hailstone::publish {

tree::Root CheckFixture::root_of(const Files& files, const Files& links) {
  std::map<std::string, volume::Entry> entries;
  const auto add = [&](const Files& from, volume::Kind kind) {
    for (const auto& [key, text] : from) {
      volume::Entry entry;
      entry.kind = kind;
      entry.content = *chunk::write_content(*chunks_, {}, text);
      entries[key] = entry;
    }
  };
  add(files, volume::Kind::File);
  add(links, volume::Kind::Symlink);
  std::vector<tree::Edit> edits;
  for (const auto& [key, entry] : entries) edits.push_back({key, *entry.encode(), entry.content.bytes});
  return *tree::apply(nodes_, {}, edits);
}

CheckReport CheckFixture::check(const Files& before, const Files& after) {
  auto report = check_release(view(root_of(before)), view(root_of(after)), options);
  EXPECT_TRUE(report.has_value()) << report.error().message;
  return *std::move(report);
}

std::string CheckFixture::text(const CheckReport& report) {
  std::string out;
  for (const Finding& finding : report.findings)
    out += fmt::format("{} {} {}: {}\n", finding.severity == Finding::Severity::Refuse ? "refuse" : "warn",
                       finding.check, finding.key, finding.message);
  return out;
}

std::string listed(const std::string& name, const std::string& content) {
  return fmt::format(" {} {} {}\n", sha256(content).hex(), content.size(), name);
}

}  // namespace hailstone::publish
