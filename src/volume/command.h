// The commands of the volume state machine and their replies (docs/formats/command.md). Deterministic: everything a
// command needs to decide is in it or in the database; nothing is read from trees, clocks or disks while it is applied.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/ids.h"
#include "volume/records.h"

namespace hailstone::volume {

/// Creates a volume; with `release`, as a clone that starts with that release, its channel "current" and its content.
struct CreateVolume {
  Bytes name;
  Settings settings;
  std::optional<ReleaseRecord> release;
};
struct DeleteVolume {
  Bytes name;
};
struct ChangeSettings {
  Bytes name;
  Settings settings;
};

/// What the writer saw of a key when it decided: the hash of the key's newest delta record in the layer, or nothing
/// when the key is only in the base tree, or in neither. Applied only if that is still so; else Conflict, and the
/// writer looks again.
struct Seen {
  Bytes key;
  std::optional<uint64_t> delta_hash;  // delta_hash() of the raw delta value
};
struct LayerEdit {
  Bytes key;
  std::optional<Bytes> entry;  // encoded volume::Entry; nothing: removed
  uint64_t weight = 0;         // content bytes
};
struct LayerWrite {
  uint64_t layer = kHeadLayer;
  std::vector<Seen> seen;
  std::optional<tree::Root> seen_base;  // the layer's base when `seen` was taken; required with a nonempty `seen`
  std::vector<LayerEdit> edits;
};
/// Atomic batch of edits to layers of a volume: to one head or draft as a rule; to several, each at most once, where an
/// object becomes a former version or an upload becomes an object.
struct Write {
  Bytes volume;
  std::vector<LayerWrite> layers;
  /// Small chunks that the edits name: durable with the command, so that a small object is one commit. The proposer has
  /// put them into its store already, unsynced; whoever replays the log puts them again.
  std::vector<Bytes> chunks;
};

struct OpenDraft {
  Bytes volume;
  ReleaseNumber base;  // 0: empty
  tree::Root base_root;
  Bytes message;
};
struct DropDraft {
  Bytes volume;
  DraftId draft;
};
/// Drops the draft if nothing was written to it since `unless_active_after`.
struct ExpireDraft {
  Bytes volume;
  DraftId draft;
  UnixMicros unless_active_after;
};

/// Freezes the layer's active generation. A generation already frozen stays so (a seal that was cut short resumes).
struct BeginSeal {
  Bytes volume;
  uint64_t layer = kHeadLayer;
};
/// The frozen generation has been folded into `base`.
struct EndSeal {
  Bytes volume;
  uint64_t layer = kHeadLayer;
  uint64_t frozen = 0;
  tree::Root old_base;
  tree::Root base;
};

/// New releases and channel changes of any number of volumes, all or nothing.
struct Commit {
  struct NewRelease {
    Bytes volume;
    ReleaseRecord record;       // number must be the volume's next
    DraftId draft;              // ends with this commit; 0: none
    uint64_t draft_active = 0;  // the draft's active generation that was sealed: later edits make it a Conflict
    std::optional<tree::Root> head_from;  // the head's base as the publisher saw it, and
    tree::Root head_to;                   // what it becomes
  };
  struct ChannelChange {
    Bytes volume;
    Bytes channel;
    ReleaseNumber release;                  // 0: remove the channel
    std::optional<ReleaseNumber> expected;  // refuse unless the channel is at this release now (0: absent)
  };
  std::vector<NewRelease> releases;
  std::vector<ChannelChange> flips;
};

struct SetTag {
  Bytes volume;
  Bytes tag;
  ReleaseNumber release;  // 0: remove
};
struct SetHold {
  Bytes volume;
  ReleaseNumber release;
  Bytes name;
  Bytes reason;
  enum class Action : uint8_t { Add = 1, Remove = 2 } action = Action::Add;
};
/// Sets, or with nothing removes, one document of a bucket's configuration.
struct ChangeDocument {
  Bytes volume;
  Bytes name;
  std::optional<Bytes> document;
};

/// Lets releases go: no reader finds them, and after the trash window they are purged.
struct TrashReleases {
  Bytes volume;
  std::vector<ReleaseNumber> releases;
};
struct RestoreRelease {
  Bytes volume;
  ReleaseNumber release;
};
/// Forgets trashed releases for good. One that was restored meanwhile stays.
struct PurgeReleases {
  Bytes volume;
  std::vector<ReleaseNumber> releases;
};

/// Deletes a volume that its proposer saw empty, as a bucket is: no object, no former version, no release. Conflict if
/// anything was written to its head or versions since, or a release was made.
struct DeleteEmptyVolume {
  Bytes name;
  VolumeId id;    // the name may be another volume's by now
  Slot head;      // Layer::version before the proposer looked: of the head
  Slot versions;  // and of the versions layer
};

struct PutKey {
  AccessKey key;
};
struct RemoveKey {
  Bytes id;
};

using Body = std::variant<CreateVolume, DeleteVolume, ChangeSettings, Write, OpenDraft, DropDraft, ExpireDraft,
                          BeginSeal, EndSeal, Commit, SetTag, SetHold, PutKey, RemoveKey, ChangeDocument, TrashReleases,
                          RestoreRelease, PurgeReleases, DeleteEmptyVolume>;

struct Command {
  UnixMicros time;        // the proposer's wall clock; the machine makes it rise
  Bytes author;           // access key's name
  Bytes idempotency_key;  // empty: none. The same key again gets the first reply, nothing is done twice
  Body body;

  Bytes encode() const;
  static Result<Command> decode(ByteView bytes);
};

/// What a command gave: a refusal, or the numbers it assigned.
struct Reply {
  std::optional<Error> refused;
  uint64_t number = 0;                  // OpenDraft: draft; BeginSeal: frozen generation (0: nothing to seal);
                                        // Write: the first layer's version before
  tree::Root root;                      // BeginSeal: the base to fold onto
  std::vector<ReleaseNumber> releases;  // Commit: in the order asked
  UnixMicros time;                      // as the machine stamped it
  Slot slot;                            // where it stands in the log: a position token

  Bytes encode() const;
  static Result<Reply> decode(ByteView bytes);
};

}  // namespace hailstone::volume
