#include "s3/lifecycle.h"

#include <algorithm>

#include "s3/bucket.h"
#include "s3/multipart.h"
#include "s3/version_cursor.h"
#include "s3/versions.h"
#include "s3/writing.h"

namespace hailstone::s3 {
namespace {

using s3proto::LifecycleRules;
using s3proto::VersionFacts;
using volume::Entry;
using volume::kHeadLayer;
using volume::kVersionsLayer;
using volume::Transaction;

const volume::Caller kCaller{"system", {}};

// A version as the walk saw it; changed only if it still is what it was.
struct Due {
  enum class What : uint8_t { Current, Former, Marker } what = What::Current;
  Bytes key;
  Bytes place;  // in its layer
  Entry entry;
};

// A newer version stays, so that removing this one moves nothing up.
Result<bool> is_former_still(Transaction& transaction, const Due& due) {
  TRY(const auto head, transaction.get(kHeadLayer, due.key));
  if (head) return true;
  TRY(const auto newest, newest_former(transaction, due.key));
  if (!newest || newest->key >= due.place) return false;
  TRY(const auto still, transaction.get(kVersionsLayer, newest->key));  // remembered until the commit
  return still.has_value();
}

class Pass {
 public:
  Pass(volume::Repository& repository, std::shared_ptr<const volume::Volume> volume, const BucketDocuments& documents,
       const LifecycleOptions& options, UnixMicros now, LifecycleReport& report)
      : repository_(repository),
        volume_(std::move(volume)),
        rules_(*documents.lifecycle),
        versioning_(documents.versioning),
        options_(options),
        now_(now),
        report_(report) {}

  Result<void> run(const std::function<bool()>& stop) {
    const volume::Target target{.volume = volume_, .layer = kHeadLayer, .release = {}, .text = volume_->record.name};
    Bytes from;
    for (bool more = true; more && !stop();) {
      // Opened anew after each batch: what is read must not be older than collection waits for.
      TRY(auto cursor, VersionCursor::open(repository_, target));
      TRY_DO(cursor.seek(from));
      TRY(more, fill(cursor, from, stop));
      TRY_DO(flush());
    }
    return {};
  }

 private:
  // Whole keys until the batch is full; false: that was the last. `from`: where to go on.
  Result<bool> fill(VersionCursor& cursor, Bytes& from, const std::function<bool()>& stop) {
    std::optional<Due> lone;  // a newest delete marker, until it is known what lies beneath it
    UnixMicros newer;
    uint32_t newer_noncurrent = 0;
    while (cursor.valid()) {
      if (cursor.latest()) {
        if (lone) due_.push_back(*std::move(lone));
        lone.reset();
        if (due_.size() >= options_.batch || stop()) {
          from = cursor.key();
          return true;
        }
        newer_noncurrent = 0;
      } else {
        lone.reset();
        // A key of very many versions: between two of its batches nothing needs to be opened again.
        if (due_.size() >= options_.batch) TRY_DO(flush());
      }
      const Entry& entry = cursor.entry();
      const bool marker = entry.object && entry.object->delete_marker;
      const bool latest = cursor.latest();
      s3proto::Tags tags;
      if (entry.object) tags.assign(entry.object->tags.begin(), entry.object->tags.end());
      const VersionFacts facts{.key = cursor.key(),
                               .size = entry.content.bytes,
                               .tags = &tags,
                               .current = latest,
                               .delete_marker = marker,
                               .only_version = latest && marker,
                               .created = made(entry),
                               .became_noncurrent = newer,
                               .newer_noncurrent = newer_noncurrent};
      if (entry.kind == volume::Kind::File && s3proto::expires(rules_, facts, now_)) {
        Due due{.what = !latest  ? Due::What::Former
                        : marker ? Due::What::Marker
                                 : Due::What::Current,
                .key = cursor.key(),
                .place = Bytes(cursor.place()),
                .entry = entry};
        if (due.what == Due::What::Marker) {
          lone = std::move(due);
        } else if (due.what == Due::What::Former && !check_lock(entry, false, now_)) {
          ++report_.locked;
        } else {
          due_.push_back(std::move(due));
        }
      }
      if (!latest) ++newer_noncurrent;
      newer = made(entry);
      TRY_DO(cursor.next());
    }
    if (lone) due_.push_back(*std::move(lone));
    return false;
  }

  static UnixMicros made(const Entry& entry) { return UnixMicros{entry.modified_ns / 1000}; }

  Result<void> flush() {
    if (due_.empty()) return {};
    LifecycleReport done;
    TRY_DO(repository_.transact(kCaller, *volume_, [&](Transaction& transaction) -> Result<void> {
      done = {};
      for (const Due& due : due_) TRY_DO(apply(transaction, due, done));
      return {};
    }));
    report_.expired += done.expired;
    report_.versions += done.versions;
    report_.markers += done.markers;
    due_.clear();
    return {};
  }

  Result<void> apply(Transaction& transaction, const Due& due, LifecycleReport& done) {
    if (due.what == Due::What::Current) {
      TRY(const auto now, transaction.get(kHeadLayer, due.key));
      if (now != due.entry) return {};
      TRY_DO(delete_object(transaction, kHeadLayer, versioning_, due.key, kCaller.name, now_));
      ++done.expired;
      return {};
    }
    TRY(const auto now, transaction.get(kVersionsLayer, due.place));
    if (now != due.entry) return {};
    if (due.what == Due::What::Marker) {
      TRY(const auto head, transaction.get(kHeadLayer, due.key));
      if (head) return {};
      ++done.markers;
    } else {
      TRY(const bool former, is_former_still(transaction, due));
      if (!former) return {};
      ++done.versions;
    }
    transaction.remove(kVersionsLayer, due.place);
    return {};
  }

  volume::Repository& repository_;
  std::shared_ptr<const volume::Volume> volume_;
  const LifecycleRules& rules_;
  const s3proto::Versioning versioning_;
  const LifecycleOptions& options_;
  const UnixMicros now_;
  LifecycleReport& report_;
  std::vector<Due> due_;
};

}  // namespace

Result<LifecycleReport> run_lifecycle(volume::Repository& repository, std::shared_ptr<const volume::Volume> volume,
                                      const LifecycleOptions& options, const std::function<bool()>& stop) {
  LifecycleReport report;
  const auto documents = parse_documents(*volume);
  if (!documents) return fail(Code::Corrupt, documents.error().message);
  const UnixMicros now = repository.clock().wall();
  const LifecycleRules* rules = (*documents)->lifecycle ? &*(*documents)->lifecycle : nullptr;
  TRY_DO(clear_uploads(repository, *volume, rules, options.stale_upload_days, now, stop, report));
  if (rules != nullptr && !stop()) TRY_DO(Pass(repository, volume, **documents, options, now, report).run(stop));
  return report;
}

}  // namespace hailstone::s3
