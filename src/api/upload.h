// Takes a wire stream into a head or draft: contents stored, entries committed in batches. Blocking, no socket in
// sight.
#pragma once

#include <cstdint>
#include <expected>
#include <vector>

#include "api/failure.h"
#include "chunk/content.h"
#include "mirror/wire.h"
#include "volume/repository.h"

namespace hailstone::api {

struct UploadOptions {
  // One command each. The group's limit for a command is 16 MiB; an entry is at most kKeyBytesMax + kValueBytesMax.
  size_t batch_edits = 20'000;
  size_t batch_bytes = 8u << 20;
};

/// One upload under way. Not thread-safe; calls may come from different threads one after the other.
///
/// A batch becomes visible as a whole, once its chunks are durable. Batches are committed as the stream goes: when it
/// turns out to be damaged, what was committed before stays (upload into a draft to have all or nothing), and nothing
/// of the batch under way is seen. The same stream may be sent again: it has the same effect.
class Upload {
 public:
  Upload(volume::Repository& repository, volume::Caller caller, volume::Target target,
         const UploadOptions& options = {});

  /// The next bytes of the stream, any split. After a failure the upload is spent.
  std::expected<void, Failure> feed(ByteView bytes);

  struct Done {
    mirror::WireCounts counts;
    Bytes token;     // of the layer after the last batch
    Bytes previous;  // before the first; empty: others wrote between our batches
    Slot position;   // of the last batch; 0 when there was nothing to commit
  };
  /// At the end of the input: commits the rest.
  std::expected<Done, Failure> finish();

 private:
  std::expected<void, Failure> take(mirror::WireEvent event);
  std::expected<void, Failure> take_copy(mirror::WireCopy copy);
  std::expected<void, Failure> add(Bytes key, std::optional<volume::Entry> entry);
  std::expected<void, Failure> commit();

  volume::Repository& repository_;
  volume::Caller caller_;
  volume::Target target_;
  UploadOptions options_;
  chunk::CutOptions cut_;
  mirror::WireDecoder decoder_;
  std::unique_ptr<chunk::WriteSession> session_;  // of the batch under way: nothing it stored or named is collected

  struct Open {  // a put whose content comes in frames
    Bytes key;
    volume::Entry entry;
    std::unique_ptr<chunk::ContentWriter> writer;
  };
  std::optional<Open> open_;
  std::vector<volume::Put> batch_;
  size_t batch_bytes_ = 0;
  std::vector<Bytes> missing_;  // keys of the batch whose content is not here
  volume::Written written_;
  Bytes previous_;
  mirror::WireCounts counts_;
};

/// Whether the store holds every byte of a content that a client names by reference, and keeps it from collection.
/// False: something is missing. Invalid: the reference contradicts what is stored (its size, its hash).
Result<bool> claim_content(chunk::ChunkStore& store, const chunk::Content& content);

}  // namespace hailstone::api
