// What every Database promises, checked on the map and on RocksDB over a simulated and a real disk.
#include "replica/database.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <thread>

#include "disk/sim_disk.h"
#include "replica/rocks_database.h"

namespace hailstone::replica {
namespace {

using disk::SimDisk;
enum class Kind { Memory, RocksSimulated, RocksReal };

class DatabaseConformance : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    if (GetParam() == Kind::Memory) {
      database_ = make_memory_database();
      return;
    }
    std::string directory = "db";
    disk_ = std::make_unique<SimDisk>();
    if (GetParam() == Kind::RocksReal) {
      std::string pattern = testing::TempDir() + "/database_test_XXXXXX";
      ASSERT_NE(mkdtemp(pattern.data()), nullptr);
      directory = root_ = pattern;
      disk_ = disk::make_real_disk();
    }
    auto opened = open_rocks_database(*disk_, {.directory = directory});
    ASSERT_TRUE(opened) << opened.error().message;
    database_ = std::move(*opened);
  }
  void TearDown() override {
    database_.reset();
    if (!root_.empty()) std::filesystem::remove_all(root_);
  }
  void put(Bytes key, Bytes value) {
    Batch batch;
    batch.put(std::move(key), std::move(value));
    ASSERT_TRUE(database_->write(batch));
  }
  static std::map<Bytes, Bytes> all(const Reader& reader, ByteView begin = "", ByteView end = "\xff") {
    std::map<Bytes, Bytes> out;
    auto at = reader.iterate(begin, end);
    for (; at->valid(); at->next()) out.emplace(at->key(), at->value());
    EXPECT_TRUE(at->status());
    return out;
  }

  std::string root_;
  std::unique_ptr<disk::Disk> disk_;
  std::unique_ptr<Database> database_;
};

TEST_P(DatabaseConformance, GetsWhatWasPutAndNothingElse) {
  put("a", "1");
  put("b", "");
  EXPECT_EQ(*database_->get("a"), "1");
  EXPECT_EQ(*database_->get("b"), "");
  EXPECT_EQ(*database_->get("c"), std::nullopt);
  put("a", "2");
  EXPECT_EQ(*database_->get("a"), "2");
}

TEST_P(DatabaseConformance, KeysAreAnyBytes) {
  const Bytes odd("\0\xff\x80\0", 4);
  put(odd, Bytes("\0v", 2));
  EXPECT_EQ(*database_->get(odd), Bytes("\0v", 2));
  EXPECT_EQ(*database_->get(Bytes("\0", 1)), std::nullopt);
}

TEST_P(DatabaseConformance, ABatchAppliesInOrder) {
  put("m", "old");
  Batch batch;
  batch.put("a", "1");
  batch.erase("a");
  batch.put("b", "2");
  batch.erase_range("a", "z");
  batch.put("c", "3");
  batch.erase("absent");
  batch.erase_range("z", "a");  // empty
  ASSERT_TRUE(database_->write(batch));
  EXPECT_EQ(all(*database_), (std::map<Bytes, Bytes>{{"c", "3"}}));
}

TEST_P(DatabaseConformance, IteratorsKeepToTheirRange) {
  for (const char* key : {"a", "b", "c", "d"}) put(key, key);
  EXPECT_EQ(all(*database_, "b", "d"), (std::map<Bytes, Bytes>{{"b", "b"}, {"c", "c"}}));
  EXPECT_TRUE(all(*database_, "x", "z").empty());
  auto at = database_->iterate("b", "d");
  at->seek("a");
  ASSERT_TRUE(at->valid());
  EXPECT_EQ(at->key(), "b");
  at->seek("bb");
  ASSERT_TRUE(at->valid());
  EXPECT_EQ(at->key(), "c");
  at->seek("d");
  EXPECT_FALSE(at->valid());
  EXPECT_TRUE(at->status());
}

TEST_P(DatabaseConformance, SnapshotsAndIteratorsSeeNoLaterWrite) {
  put("a", "1");
  const auto snapshot = database_->snapshot();
  auto live = database_->iterate("", "z");
  put("a", "2");
  put("b", "2");
  auto later = snapshot->iterate("", "z");
  put("c", "3");
  EXPECT_EQ(*snapshot->get("a"), "1");
  EXPECT_EQ(all(*snapshot), (std::map<Bytes, Bytes>{{"a", "1"}}));
  EXPECT_EQ(live->value(), "1");
  EXPECT_EQ(later->value(), "1");
  live->next();
  EXPECT_FALSE(live->valid());
  EXPECT_EQ(all(*database_).size(), 3u);
}

TEST_P(DatabaseConformance, AStagedContentTakesThePlaceAtOnce) {
  put("a", "old");
  put("b", "old");
  Batch part;
  part.put("b", "new");
  part.put("c", "new");
  ASSERT_TRUE(database_->stage(part));
  EXPECT_EQ(all(*database_), (std::map<Bytes, Bytes>{{"a", "old"}, {"b", "old"}}));
  EXPECT_EQ(*database_->staged("c"), "new");
  EXPECT_EQ(*database_->staged("a"), std::nullopt);
  const auto snapshot = database_->snapshot();
  auto live = database_->iterate("", "z");
  ASSERT_TRUE(database_->adopt_staged());
  EXPECT_EQ(all(*database_), (std::map<Bytes, Bytes>{{"b", "new"}, {"c", "new"}}));
  EXPECT_EQ(all(*snapshot), (std::map<Bytes, Bytes>{{"a", "old"}, {"b", "old"}}));
  EXPECT_EQ(live->key(), "a");
  EXPECT_EQ(*database_->staged("a"), std::nullopt);  // what was left behind is not a start for the next
  put("d", "later");
  ASSERT_TRUE(database_->stage(part));
  ASSERT_TRUE(database_->discard_staged());
  EXPECT_EQ(*database_->staged("c"), std::nullopt);
  EXPECT_EQ(all(*database_).size(), 3u);
}

TEST_P(DatabaseConformance, NoReaderSeesAMixWhileContentsChange) {
  const auto same = [](const Reader& reader) {
    const auto every = all(reader);
    ASSERT_EQ(every.size(), 100u);
    for (const auto& [key, value] : every) ASSERT_EQ(value, every.begin()->second);
  };
  Batch batch;
  for (int i = 0; i < 100; ++i) batch.put(std::to_string(i), "first");
  ASSERT_TRUE(database_->write(batch));
  std::atomic<bool> stop = false;
  std::thread reader([&] {
    while (!stop) {
      same(*database_->snapshot());
      same(*database_);
      ASSERT_TRUE(*database_->get("7"));
    }
  });
  for (int round = 0; round < 30; ++round) {
    Batch next;
    for (int i = 0; i < 100; ++i) next.put(std::to_string(i), std::to_string(round));
    ASSERT_TRUE(database_->stage(next));
    ASSERT_TRUE(database_->adopt_staged());
  }
  stop = true;
  reader.join();
}

TEST_P(DatabaseConformance, ReadersRunBesideTheWriter) {
  std::thread reader([&] {
    for (int round = 0; round < 300; ++round) {
      const auto snapshot = database_->snapshot();
      const auto a = *snapshot->get("a");
      const auto b = *snapshot->get("b");
      ASSERT_EQ(a, b);
    }
  });
  for (int round = 0; round < 300; ++round) {
    Batch batch;
    batch.put("a", std::to_string(round));
    batch.put("b", std::to_string(round));
    ASSERT_TRUE(database_->write(batch));
  }
  reader.join();
}

TEST_P(DatabaseConformance, AgreesWithAMapUnderRandomBatches) {
  EXPECT_TRUE(rc::check([&] {
    std::map<Bytes, Bytes> model;
    Batch clear;
    clear.erase_range("", "\xff");
    RC_ASSERT(database_->write(clear).has_value());
    const auto key = [] { return Bytes(1, *rc::gen::inRange('a', 'i')); };
    const int batches = *rc::gen::inRange(1, 10);
    for (int number = 0; number < batches; ++number) {
      Batch batch;
      const int ops = *rc::gen::inRange(0, 6);
      for (int op = 0; op < ops; ++op) {
        const Bytes first = key();
        const Bytes second = key();
        switch (*rc::gen::inRange(0, 4)) {
          case 0:
            batch.erase(first);
            model.erase(first);
            break;
          case 1:
            batch.erase_range(first, second);
            if (first < second) model.erase(model.lower_bound(first), model.lower_bound(second));
            break;
          default: batch.put(first, second); model[first] = second;
        }
      }
      RC_ASSERT(database_->write(batch).has_value());
      if (*rc::gen::inRange(0, 8) == 0) RC_ASSERT(database_->flush().has_value());
      RC_ASSERT(all(*database_) == model);
    }
  }));
}

std::string kind_name(const testing::TestParamInfo<Kind>& info) {
  switch (info.param) {
    case Kind::Memory: return "Memory";
    case Kind::RocksSimulated: return "RocksSimulated";
    case Kind::RocksReal: return "RocksReal";
  }
  return "";
}
INSTANTIATE_TEST_SUITE_P(Databases, DatabaseConformance,
                         testing::Values(Kind::Memory, Kind::RocksSimulated, Kind::RocksReal), kind_name);

class RocksDatabaseTest : public testing::Test {
 protected:
  std::unique_ptr<Database> open() {
    auto opened = open_rocks_database(disk_, {.directory = "data/db", .memtable_bytes = 256 << 10});
    if (!opened) throw std::runtime_error(opened.error().message);  // fails the test
    return std::move(*opened);
  }
  static Result<void> put(Database& database, Bytes key, Bytes value) {
    Batch batch;
    batch.put(std::move(key), std::move(value));
    return database.write(batch);
  }
  SimDisk disk_;
};

TEST_F(RocksDatabaseTest, KeepsWhatWasFlushedAndForgetsTheRest) {
  auto database = open();
  ASSERT_TRUE(put(*database, "flushed", "1"));
  EXPECT_GT(database->unflushed_bytes(), 0u);
  ASSERT_TRUE(database->flush());
  EXPECT_EQ(database->unflushed_bytes(), 0u);
  ASSERT_TRUE(put(*database, "later", "2"));
  disk_.crash();
  database.reset();
  disk_.restart(SimDisk::CrashMode::Drop, 1);
  database = open();
  EXPECT_EQ(*database->get("flushed"), "1");
  EXPECT_EQ(*database->get("later"), std::nullopt);
}

TEST_F(RocksDatabaseTest, ClosingDoesNotFlush) {
  auto database = open();
  ASSERT_TRUE(put(*database, "a", "1"));
  database.reset();
  EXPECT_EQ(*open()->get("a"), std::nullopt);
}

TEST_F(RocksDatabaseTest, AnyFlippedByteOfTheFileThatNamesTheManifestIsDamage) {
  open().reset();
  const uint64_t size = disk::read_file(disk_, "data/db/CURRENT", 100)->size();
  for (uint64_t at = 0; at < size; ++at) {
    ASSERT_TRUE(disk_.flip("data/db/CURRENT", at));
    const auto opened = open_rocks_database(disk_, {.directory = "data/db"});
    ASSERT_FALSE(opened) << at;
    EXPECT_EQ(opened.error().code, Code::Corrupt) << opened.error().message;
    ASSERT_TRUE(disk_.flip("data/db/CURRENT", at));
  }
  open();
}

TEST_F(RocksDatabaseTest, IsOpenedOnce) {
  auto first = open();
  EXPECT_FALSE(open_rocks_database(disk_, {.directory = "data/db"}));
}

TEST_F(RocksDatabaseTest, GoesOnWhenAFullDiskHasRoomAgain) {
  auto database = open();
  ASSERT_TRUE(put(*database, "before", "1"));
  ASSERT_TRUE(database->flush());
  disk_.set_capacity(disk_.used_bytes() + 1000);
  Bytes last_written;
  Result<void> refused;
  for (int number = 0; number < 2000 && refused; ++number) {
    const Bytes key = std::to_string(number);
    // Incompressible, so that the tables are as large as what they hold.
    Bytes value;
    for (uint64_t i = 0; i < 128; ++i) value += std::to_string((number * 131 + i) * 0x9e3779b97f4a7c15u);
    refused = put(*database, key, value);
    if (refused) last_written = key;
  }
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Exhausted) << refused.error().message;
  EXPECT_EQ(database->flush().error().code, Code::Exhausted);
  EXPECT_EQ(*database->get("before"), "1");
  EXPECT_NE(*database->get(last_written), std::nullopt);

  disk_.set_capacity(UINT64_MAX);
  // The waiting flush notices the room at its next try.
  auto written = put(*database, "after", "2");
  while (!written && written.error().code == Code::Exhausted) written = put(*database, "after", "2");
  ASSERT_TRUE(written) << written.error().message;
  const auto flushed = database->flush();
  ASSERT_TRUE(flushed) << flushed.error().message;
  disk_.crash();
  database.reset();
  disk_.restart(SimDisk::CrashMode::Drop, 1);
  database = open();
  EXPECT_EQ(*database->get("before"), "1");
  EXPECT_EQ(*database->get("after"), "2");
  EXPECT_NE(*database->get(last_written), std::nullopt);
}

TEST(RocksDatabaseCrash, OpensAgainAfterACrashAtEveryOperation) {
  for (const auto mode : {SimDisk::CrashMode::Drop, SimDisk::CrashMode::Keep, SimDisk::CrashMode::Torn}) {
    const uint64_t seeds = mode == SimDisk::CrashMode::Torn ? 12 : 1;
    bool met = true;
    for (uint64_t operation = 1; met; ++operation) {
      for (uint64_t seed = 1; seed <= seeds; ++seed) {
        SCOPED_TRACE(testing::Message() << "crash at operation " << operation << ", seed " << seed);
        SimDisk disk(SimDisk::Growth::Ordered);
        disk.crash_at(operation);
        int flushed = -1;  // highest number known to be durable
        // Two lives, so that an existing database is opened too.
        for (int life = 0; life < 2; ++life) {
          auto database = open_rocks_database(disk, {.directory = "db"});
          if (!database) break;
          Batch batch;
          batch.put("number", std::to_string(life));
          if ((*database)->write(batch) && (*database)->flush()) flushed = life;
        }
        met = disk.crashed();
        disk.restart(mode, operation * 1000 + seed);
        const auto database = open_rocks_database(disk, {.directory = "db"});
        ASSERT_TRUE(database) << database.error().message;
        const auto number = (*database)->get("number");
        ASSERT_TRUE(number) << number.error().message;
        EXPECT_GE(*number ? std::stoi(**number) : -1, flushed);
      }
    }
  }
}

TEST_F(RocksDatabaseTest, DamagedTablesAreCorruptNotWrong) {
  auto database = open();
  for (int number = 0; number < 100; ++number) ASSERT_TRUE(put(*database, std::to_string(number), Bytes(100, 'v')));
  ASSERT_TRUE(database->flush());
  database.reset();
  for (const auto& name : *disk_.list("data/db")) {
    if (name.ends_with(".sst")) ASSERT_TRUE(disk_.flip("data/db/" + name, 20));
  }
  database = open();
  EXPECT_EQ(database->get("0").error().code, Code::Corrupt);
}

}  // namespace
}  // namespace hailstone::replica
