#include "s3/versions.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "s3/version_cursor.h"
#include "volume/testing.h"

namespace hailstone::s3 {
namespace {

using s3proto::Versioning;
using volume::Entry;
using volume::kHeadLayer;
using volume::Transaction;

struct Row {
  Bytes id;
  Bytes body;
  bool marker = false;
  bool operator==(const Row&) const = default;
};

void showValue(const Row& row, std::ostream& out) { out << row.id << (row.marker ? " marker " : " ") << row.body; }

/// One key of a bucket, by the code under test.
struct Cell : volume::testing::TestCell {
  Cell() { create("vol"); }

  void transact(const std::function<Result<void>(Transaction&)>& body) {
    const auto volume = *repository.volume("vol");
    const auto done = repository.transact(caller, *volume, body);
    if (!done) ADD_FAILURE() << done.error().message;
  }
  Written put(ByteView body, Versioning versioning) {
    Written out;
    transact([&](Transaction& t) -> Result<void> {
      TRY(out, put_object(t, kHeadLayer, versioning, "key", file(body), clock.wall()));
      return {};
    });
    return out;
  }
  Written remove(Versioning versioning) {
    Written out;
    transact([&](Transaction& t) -> Result<void> {
      TRY(out, delete_object(t, kHeadLayer, versioning, "key", "me", clock.wall()));
      return {};
    });
    return out;
  }
  bool remove_version(const Bytes& id) {
    bool there = false;
    transact([&](Transaction& t) -> Result<void> {
      TRY(auto found, find_version(t, "key", id));
      there = found.has_value();
      if (found) TRY_DO(delete_version(t, "key", *found));
      return {};
    });
    return there;
  }
  Bytes body_of(const Entry& entry) {
    return *chunk::read_content(*chunks, entry.content, 0, entry.content.bytes, 1u << 20);
  }

  std::vector<Row> rows() {
    std::vector<Row> out;
    auto cursor = VersionCursor::open(repository, target("vol"));
    EXPECT_TRUE(cursor);
    EXPECT_TRUE(cursor->seek(""));
    while (cursor->valid()) {
      EXPECT_EQ(cursor->latest(), out.empty());
      const bool marker = cursor->entry().object && cursor->entry().object->delete_marker;
      out.push_back({version_id(cursor->entry()), marker ? Bytes() : body_of(cursor->entry()), marker});
      EXPECT_TRUE(cursor->next());
    }
    return out;
  }
  std::optional<Bytes> current() {
    const auto entry = *(*repository.open(target("vol")))->get("key");
    return entry ? std::optional(body_of(*entry)) : std::nullopt;
  }
};

/// The same by the words of the S3 user guide: newest first.
struct Model {
  std::vector<Row> rows;
  void add(Row row, Versioning versioning) {
    if (versioning != Versioning::Enabled) std::erase_if(rows, [](const Row& r) { return r.id == kNullVersion; });
    rows.insert(rows.begin(), std::move(row));
  }
  std::optional<Bytes> current() const {
    return rows.empty() || rows[0].marker ? std::nullopt : std::optional(rows[0].body);
  }
};

RC_GTEST_PROP(Versions, AreWhatANaiveListKeeps, ()) {
  Cell cell;
  Model model;
  auto versioning = Versioning::Never;
  const auto steps = *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 100));
  int count = 0;
  for (const int step : steps) {
    // The clock stands still or goes back at times: the order of versions does not.
    cell.clock.advance_micros(step % 7 == 0 ? -1000 : step % 3);
    const Bytes body = std::to_string(count++);
    if (step < 40) {
      const auto written = cell.put(body, versioning);
      if (versioning == Versioning::Never) model.rows.clear();
      model.add({versioning == Versioning::Enabled ? written.version : Bytes(kNullVersion), body, false}, versioning);
      RC_ASSERT((versioning == Versioning::Never) == written.version.empty());
    } else if (step < 65) {
      const auto written = cell.remove(versioning);
      if (versioning == Versioning::Never) {
        model.rows.clear();
      } else {
        RC_ASSERT(written.delete_marker);
        model.add({written.version, "", true}, versioning);
      }
    } else if (step < 85 && versioning != Versioning::Never) {
      if (model.rows.empty()) {
        RC_ASSERT(!cell.remove_version(Bytes(16, '0')));
        continue;
      }
      const auto at = model.rows.begin() + step % static_cast<int>(model.rows.size());
      RC_ASSERT(cell.remove_version(at->id));
      model.rows.erase(at);
    } else {
      versioning = step % 2 == 0 ? Versioning::Enabled : Versioning::Suspended;
    }
    RC_ASSERT(cell.rows() == model.rows);
    RC_ASSERT(cell.current() == model.current());
  }
}

TEST(Versions, IdsAreNullOrSixteenHexDigits) {
  EXPECT_TRUE(require_version_id("null"));
  EXPECT_TRUE(require_version_id("0123456789abcdef"));
  for (const char* bad : {"", "0", "0123456789ABCDEF", "0123456789abcdef0", "nul", "../../etc/passwd"}) {
    const auto refused = require_version_id(bad);
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().code, "InvalidArgument");
  }
}

TEST(Versions, PlacesSortNewestFirstAndGiveTheirKeyBack) {
  EXPECT_LT(version_key("a", 2), version_key("a", 1));
  EXPECT_LT(version_key("a", 1), version_key("a!", 2));
  EXPECT_EQ(key_of_version(version_key("some/key", 77)), "some/key");
}

TEST(Versions, OneThatIsGoneIsNotFound) {
  Cell cell;
  const auto version = cell.put("1", Versioning::Enabled).version;
  EXPECT_TRUE(cell.remove_version(version));
  EXPECT_FALSE(cell.remove_version(version));
  EXPECT_TRUE(cell.rows().empty());
}

}  // namespace
}  // namespace hailstone::s3
