// What a cell promises its clients, held against what they saw: for the bench.
#pragma once

#include <deque>
#include <set>

#include "cell/bench.h"
#include "cell/machine.h"
#include "cell/query.h"

namespace hailstone::cell::bench {

class Judge {
 public:
  explicit Judge(Report& report) : report_(report) {}

  void at(int64_t now_ns) { now_ns_ = now_ns; }
  void violation(const std::string& what);

  /// The next command of the log has been chosen. The sessions that it has expired.
  std::vector<SessionId> chosen(ByteView command);
  const replica::Reader& state() const { return *state_; }
  Revision revision() const { return revision_; }

  // Reads. A read begins at a floor: the newest revision of the file that somebody knows of for certain.
  Revision floor(const Bytes& path) const;
  /// A write of that revision, or a reading of a version not older, has come to an end.
  void known(const Bytes& path, Revision revision);
  /// The read shows a version that was current at the floor or later. It is known from now on.
  void read(const Bytes& path, Revision floor, const std::optional<Bytes>& content, std::string_view how);

  // Writes: contents are given once.
  void write_done(const Bytes& path, const Bytes& content, Revision revision);
  void write_not_done(const Bytes& content) { not_done_.insert(content); }

  // Watches: exactly what happened between.
  void events(ByteView prefix, Revision after, const EventBatch& batch);
  /// At the end: nothing that it should have told is missing.
  void watch_ends(ByteView prefix, Revision upto);

  // Locks.
  void granted(const Sequencer& sequencer);

  /// At the end.
  void finish();

 private:
  struct Version {
    Revision revision;
    std::optional<Bytes> content;
  };
  std::vector<EventBatch::Item> expected(ByteView prefix, Revision after, Revision upto) const;

  Report& report_;
  int64_t now_ns_ = 0;
  std::unique_ptr<replica::Database> state_ = replica::make_memory_database();
  Machine machine_;
  uint64_t slot_ = 0;
  Revision revision_;
  std::vector<EventBatch::Item> events_;
  std::map<Bytes, std::vector<Version>> versions_;
  std::map<Bytes, Revision> known_;
  std::map<Bytes, uint64_t> writes_;  // how often each content was written
  std::set<Bytes> not_done_;
  std::map<Bytes, LockGeneration> grants_;
};

}  // namespace hailstone::cell::bench
