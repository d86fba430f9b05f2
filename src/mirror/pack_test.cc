#include "mirror/pack.h"

#include <gtest/gtest.h>

#include "mirror/fingerprint.h"
#include "mirror/testing_server.h"

namespace hailstone::mirror {
namespace {

using Outcome = StepResult::Outcome;

// Old enough that its times are believed.
void age(const std::string& path) { set_mtime(path, 1'000'000'000); }

TEST(Pack, SendsContentsOfAllSizes) {
  TemporaryDirectory dir;
  std::map<std::string, Bytes> contents;
  for (const size_t size : {0u, 1u, 192u, 193u, 65'536u, 65'537u, 1'048'576u, 1'048'577u, 3'000'000u}) {
    Bytes content(size, 'a');
    for (size_t i = 0; i < size; ++i) content[i] = static_cast<char>(i * 31 + i / 251);
    contents["f" + std::to_string(size)] = content;
    write_text(dir / ("f" + std::to_string(size)), content);
  }
  MemoryServer server;
  import_tree(dir.path(), server);
  for (const auto& [name, content] : contents) EXPECT_TRUE(server.objects.at(name).content == content) << name;
}

TEST(Pack, SendsNothingTheSecondTime) {
  TemporaryDirectory dir;
  write_text(dir / "a", "x");
  ::mkdir((dir / "d").c_str(), 0755);
  ASSERT_EQ(::symlink("a", (dir / "l").c_str()), 0);
  MemoryServer server;
  const Import first = import_tree(dir.path(), server);
  EXPECT_EQ(server.puts, 4u);
  // By the server's manifest.
  EXPECT_TRUE(import_tree(dir.path(), server).plan.empty());
  // By the state: the files are younger than clocks can tell apart, so they are read, found equal and not sent.
  const Import third = import_tree(dir.path(), server, &first.state);
  EXPECT_EQ(third.plan.puts, 4u);
  for (const StepResult& result : third.results) EXPECT_EQ(result.outcome, Outcome::Unchanged);
  EXPECT_EQ(server.puts, 4u);
}

TEST(Pack, EndsBatchesAtTheirLimits) {
  TemporaryDirectory dir;
  for (int i = 0; i < 10; ++i) write_text(dir / std::to_string(i), Bytes(1000, 'x'));
  MemoryServer server;
  auto scanned = *scan(dir.path(), {});
  const std::vector<KeyEntry> nothing;
  const Excludes none;
  auto probe = *TreeProbe::open(dir.path(), "");
  const Plan plan = make_plan({scanned, "", none, Extraneous::Keep, Compare::Times, nullptr, &nothing}, *probe);
  const auto batches = [&](BatchLimits limits) {
    auto packer = *Packer::open(dir.path(), scanned, plan, "", nullptr, limits);
    unsigned count = 0;
    Bytes out;
    while (true) {
      const auto progress = packer->produce(out, 1 << 20);
      if (!progress || *progress == Packer::Progress::Done) return count;
      count += *progress == Packer::Progress::BatchEnd;
    }
  };
  EXPECT_EQ(batches({}), 1u);
  EXPECT_EQ(batches({1 << 20, 4}), 3u);
  EXPECT_EQ(batches({2500, 100}), 4u);
}

TEST(Pack, StartsABatchAgain) {
  TemporaryDirectory dir;
  for (int i = 0; i < 6; ++i) write_text(dir / std::to_string(i), "x");
  auto scanned = *scan(dir.path(), {});
  const std::vector<KeyEntry> nothing;
  const Excludes none;
  auto probe = *TreeProbe::open(dir.path(), "");
  const Plan plan = make_plan({scanned, "", none, Extraneous::Keep, Compare::Times, nullptr, &nothing}, *probe);
  auto packer = *Packer::open(dir.path(), scanned, plan, "", nullptr, {1 << 20, 4});
  Bytes first, again;
  ASSERT_EQ(*packer->produce(first, 1 << 20), Packer::Progress::BatchEnd);
  ASSERT_EQ(packer->position(), 4u);
  packer->seek(0);
  ASSERT_EQ(*packer->produce(again, 1 << 20), Packer::Progress::BatchEnd);
  EXPECT_EQ(first, again);
}

TEST(Pack, SendsTheFileAsItIsNowWhenTheScanIsOld) {
  TemporaryDirectory dir;
  write_text(dir / "grown", "x");
  write_text(dir / "gone", "x");
  auto scanned = *scan(dir.path(), {});
  write_text(dir / "grown", Bytes(2'000'000, 'y'));
  ::unlink((dir / "gone").c_str());
  const std::vector<KeyEntry> nothing;
  const Excludes none;
  auto probe = *TreeProbe::open(dir.path(), "");
  const Plan plan = make_plan({scanned, "", none, Extraneous::Keep, Compare::Times, nullptr, &nothing}, *probe);
  auto packer = *Packer::open(dir.path(), scanned, plan, "", nullptr);
  Bytes out;
  ASSERT_EQ(*packer->produce(out, 10 << 20), Packer::Progress::BatchEnd);
  MemoryServer server;
  server.upload(out);
  EXPECT_EQ(server.objects.at("grown").content.size(), 2'000'000u);
  EXPECT_FALSE(server.objects.contains("gone"));
  EXPECT_EQ(packer->results()[1].outcome, Outcome::Vanished);
}

// Appends to a large file between two calls of produce(), `times` times, and says what came of it.
Outcome import_while_changing(int times, MemoryServer& server) {
  TemporaryDirectory dir;
  write_text(dir / "f", Bytes(3'000'000, 'y'));
  auto scanned = *scan(dir.path(), {});
  const std::vector<KeyEntry> nothing;
  const Excludes none;
  auto probe = *TreeProbe::open(dir.path(), "");
  const Plan plan = make_plan({scanned, "", none, Extraneous::Keep, Compare::Times, nullptr, &nothing}, *probe);
  auto packer = *Packer::open(dir.path(), scanned, plan, "", nullptr);
  Bytes out;
  Bytes stream;
  while (true) {
    out.clear();
    const auto progress = packer->produce(out, 2'000'000);
    stream += out;
    if (*progress != Packer::Progress::More) break;
    if (times-- > 0) std::ofstream(dir / "f", std::ios::app) << "more";
  }
  server.upload(stream);
  return packer->results()[1].outcome;
}

TEST(Pack, RetriesAFileThatChangedWhileItWasRead) {
  MemoryServer server;
  EXPECT_EQ(import_while_changing(1, server), Outcome::Sent);
  EXPECT_EQ(server.abandoned, 1u);
  EXPECT_EQ(server.objects.at("f").content.size(), 3'000'004u);
}

TEST(Pack, ReportsAFileThatKeepsChanging) {
  MemoryServer server;
  EXPECT_EQ(import_while_changing(100, server), Outcome::Failed);
  EXPECT_EQ(server.abandoned, 2u);
  EXPECT_FALSE(server.objects.contains("f"));
}

TEST(Pack, SendsMetadataAloneForALargeFile) {
  TemporaryDirectory dir;
  write_text(dir / "f", Bytes(1'000'000, 'y'));
  age(dir / "f");
  MemoryServer server;
  Import first = import_tree(dir.path(), server);
  for (StateRecord& record : first.state.records) record.changed_ns = 1;  // as if seen long ago, before the chmod
  ::chmod((dir / "f").c_str(), 0600);
  const uint64_t puts = server.puts;
  const Import second = import_tree(dir.path(), server, &first.state);
  EXPECT_EQ(second.plan.metas, 1u);
  EXPECT_EQ(server.copies, 1u);
  EXPECT_EQ(server.puts, puts);
  EXPECT_EQ(server.objects.at("f").entry.posix->mode, 0600u);
}

TEST(Pack, SendsTheContentWhenTheServerHasAnotherOneMeanwhile) {
  TemporaryDirectory dir;
  write_text(dir / "f", Bytes(1'000'000, 'y'));
  age(dir / "f");
  MemoryServer server;
  Import first = import_tree(dir.path(), server);
  for (StateRecord& record : first.state.records) record.changed_ns = 1;
  ::chmod((dir / "f").c_str(), 0600);
  server.objects.at("f").entry.content = content_of("else");
  server.objects.at("f").content = "else";
  import_tree(dir.path(), server, &first.state);
  EXPECT_EQ(server.objects.at("f").content.size(), 1'000'000u);
}

TEST(Pack, HashesALargeYoungFileInsteadOfSendingItAgain) {
  TemporaryDirectory dir;
  write_text(dir / "f", Bytes(2'000'000, 'y'));
  MemoryServer server;
  const Import first = import_tree(dir.path(), server);
  const uint64_t puts = server.puts;
  const Import second = import_tree(dir.path(), server, &first.state);
  EXPECT_EQ(second.results[1].outcome, Outcome::Unchanged);
  EXPECT_EQ(server.puts, puts);
}

TEST(Fingerprint, SeesEveryPartOfAnEntryButNotHowItsContentIsCut) {
  volume::Entry entry;
  entry.posix.emplace();
  entry.content = content_of(Bytes(1000, 'x'));
  const uint64_t print = fingerprint(entry);
  volume::Entry cut = entry;
  cut.content.refs = {{ChunkId(sha256("a")), 500}, {ChunkId(sha256("b")), 500}};
  EXPECT_EQ(fingerprint(cut), print);
  const auto differs = [&](auto change) {
    volume::Entry other = entry;
    change(other);
    return fingerprint(other) != print;
  };
  EXPECT_TRUE(differs([](auto& e) { e.kind = volume::Kind::Fifo; }));
  EXPECT_TRUE(differs([](auto& e) { e.content.sha256 = sha256("other"); }));
  EXPECT_TRUE(differs([](auto& e) { e.modified_ns = 1; }));
  EXPECT_TRUE(differs([](auto& e) { e.posix->mode = 1; }));
  EXPECT_TRUE(differs([](auto& e) { e.posix->xattrs = {{"user.a", ""}}; }));
  EXPECT_TRUE(differs([](auto& e) { e.posix.reset(); }));
  EXPECT_TRUE(differs([](auto& e) { e.metadata["a"] = "b"; }));
}

}  // namespace
}  // namespace hailstone::mirror
