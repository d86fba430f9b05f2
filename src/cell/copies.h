// Who keeps copies of which files, who was told to drop them, and which commands wait for that: the master's, of one
// epoch.
#pragma once

#include <deque>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "cell/service.h"
#include "cell/touched.h"
#include "cell/wire.h"

namespace hailstone::cell {

/// Paths that commands under way touch, counted.
class BusyPaths {
 public:
  void add(const Touched& touched);
  void remove(const Touched& touched);
  bool covers(ByteView path) const;

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(ByteView text) const { return std::hash<ByteView>{}(text); }
  };
  using Counts = std::unordered_map<Bytes, uint32_t, Hash, std::equal_to<>>;

  static void count_down(Counts& counts, const Bytes& path);

  Counts paths_, prefixes_;
};

class Copies {
 public:
  using Tag = uint64_t;  // of a command

  explicit Copies(size_t copies_max, size_t copies_per_session_max)
      : copies_max_(copies_max), copies_per_session_max_(copies_per_session_max) {}

  /// The session may keep a copy of the file, or of its absence. False: tables are full, or it has yet to drop one.
  bool add(SessionId session, ByteView path);

  struct Asked {
    size_t waits = 0;                     // sessions that must drop something first
    std::vector<wire::Invalidate> fresh;  // to be sent, without epoch: those that were not told before
  };
  /// Has all copies of what is touched dropped for a command, which is named by dropped() or forget() once for each of
  /// `waits`.
  Asked ask_to_drop(const Touched& touched, Tag command);
  /// What the session was told and has not answered.
  std::vector<wire::Invalidate> unanswered(SessionId session) const;
  bool answered_all(SessionId session) const;
  uint64_t sequence(SessionId session) const;  // of the last Invalidate; 0: none

  /// Everything up to that Invalidate is dropped. The commands that waited for it.
  std::vector<Tag> dropped(SessionId session, uint64_t sequence);
  /// Its lease is over: it has no copy. The sequence goes on. The commands that waited for it.
  std::vector<Tag> forget(SessionId session);
  /// It is no more: neither is its sequence.
  std::vector<Tag> end(SessionId session);

  size_t size() const { return size_; }
  /// Every copy is noted on both sides, and counted.
  bool consistent() const;

 private:
  struct Copy {
    SessionId session;
    uint64_t doomed = 0;  // the Invalidate that names it; 0: none
  };
  using Files = std::map<Bytes, std::vector<Copy>>;  // by path_key()
  using File = Files::value_type;
  struct Told {
    wire::Invalidate message;
    std::vector<File*> files;
    std::vector<Tag> waiting;
  };
  struct Holder {
    uint64_t sequence = 0;
    std::unordered_set<File*> files;
    std::deque<Told> told;
  };
  /// What one command asks of one session.
  struct Asking {
    uint64_t sequence = 0;  // the newest Invalidate that it has to wait for
    wire::Invalidate fresh;
    std::vector<File*> files;
  };

  void doom(File& file, const Bytes* prefix, std::map<SessionId, Asking>& asking);
  void remove(Holder& holder, SessionId session, File* file);
  std::vector<Tag> clear(Holder& holder, SessionId session);

  size_t copies_max_, copies_per_session_max_, size_ = 0;
  Files files_;
  std::unordered_map<SessionId, Holder> holders_;
};

}  // namespace hailstone::cell
