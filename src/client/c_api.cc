// The C interface: every function turns its arguments into a call of BlockingClient and the result into plain memory.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>

#include "client/blocking_client.h"
#include "hailstone_cell.h"

using namespace hailstone;
using client::BlockingClient;
using client::Called;
using client::CallError;
using client::Within;

struct hscell {
  std::unique_ptr<BlockingClient> client;
};
struct hscell_txn {
  cell::Txn txn;
};
struct hscell_watch {
  std::unique_ptr<client::BlockingWatch> watch;
};

namespace {

// Both sides are numbers that never change.
static_assert(static_cast<int>(cell::Event::Kind::Created) == HSCELL_CREATED &&
              static_cast<int>(cell::Event::Kind::Rules) == HSCELL_RULES);
static_assert(static_cast<int>(cell::Put::Mode::Replace) == HSCELL_REPLACE &&
              static_cast<int>(cell::Put::Life::Ephemeral) == HSCELL_EPHEMERAL);
static_assert(static_cast<int>(cell::LockMode::Exclusive) == HSCELL_EXCLUSIVE &&
              static_cast<int>(cell::Lock::Wait::Queue) == HSCELL_QUEUE);
static_assert(static_cast<int>(Code::Invalid) + 1 == HSCELL_INVALID && static_cast<int>(Code::Io) + 1 == HSCELL_IO);
static_assert(static_cast<int>(client::core::SessionChanged::Change::Closed) == HSCELL_SESSION_CLOSED);

int code_of(Code code) { return static_cast<int>(code) + 1; }

int fate_of(client::core::Verdict verdict) {
  switch (verdict) {
    case client::core::Verdict::Refused: return HSCELL_REFUSED;
    case client::core::Verdict::NotDone: return HSCELL_NOT_DONE;
    default: return HSCELL_UNKNOWN;
  }
}

int failed(const CallError& why, hscell_error* error) {
  if (error != nullptr) {
    error->code = code_of(why.error.code);
    error->fate = fate_of(why.verdict);
    const size_t bytes = std::min(why.error.message.size(), sizeof error->message - 1);
    std::memcpy(error->message, why.error.message.data(), bytes);
    error->message[bytes] = '\0';
  }
  return code_of(why.error.code);
}

int refused(Error error, hscell_error* out) { return failed({client::core::Verdict::Refused, std::move(error)}, out); }

template <class T>
int status(const Called<T>& called, hscell_error* error) {
  return called ? HSCELL_DONE : failed(called.error(), error);
}

std::string text(const char* s) { return s != nullptr ? s : ""; }

/// Memory that free() takes back, with a NUL behind.
char* copy_of(ByteView bytes) {
  char* out = static_cast<char*>(std::malloc(bytes.size() + 1));
  if (out == nullptr) std::abort();
  std::copy(bytes.begin(), bytes.end(), out);
  out[bytes.size()] = '\0';
  return out;
}

template <class T>
T* zeroed(size_t count) {
  auto* out = static_cast<T*>(std::calloc(std::max<size_t>(count, 1), sizeof(T)));
  if (out == nullptr) std::abort();
  return out;
}

cell::Put put_of(const char* path, const void* content, size_t bytes, hscell_mode mode, hscell_life life) {
  return {text(path), Bytes(static_cast<const char*>(content), bytes), static_cast<cell::Put::Mode>(mode),
          static_cast<cell::Put::Life>(life)};
}

Result<client::Options> options_of(const hscell_options& from) {
  if (from.struct_bytes != sizeof(hscell_options))
    return fail(Code::Invalid, fmt::format("hscell_options of {} bytes, this library knows {}: set struct_bytes",
                                           from.struct_bytes, sizeof(hscell_options)));
  client::Options out;
  TRY(out.cell, net::CellAddress::parse(text(from.cell)));
  if (from.authority_file != nullptr || from.certificate_file != nullptr || from.key_file != nullptr)
    out.tls = net::TlsFiles{text(from.authority_file), text(from.certificate_file), text(from.key_file)};
  if (from.lease_ms != 0) out.core.lease_ms = from.lease_ms;
  if (from.caching != 0) out.core.caching = client::core::Options::Caching::On;
  return out;
}

}  // namespace

extern "C" {

const char* hscell_version(void) { return HAILSTONE_VERSION; }

int hscell_new(const hscell_options* options, hscell** out, hscell_error* error) {
  auto parsed = options_of(*options);
  if (!parsed) return refused(std::move(parsed).error(), error);
  BlockingClient::SessionListener listener;
  if (options->on_session != nullptr)
    listener = [call = options->on_session, user = options->user](const client::core::SessionChanged& change) {
      call(user, static_cast<int>(change.change));
    };
  auto made = BlockingClient::make(std::move(*parsed), std::move(listener));
  if (!made) return refused(std::move(made).error(), error);
  *out = new hscell{std::move(*made)};
  return HSCELL_DONE;
}

void hscell_free(hscell* cell) { delete cell; }

int hscell_open_session(hscell* cell, int64_t timeout_ms, uint64_t* session, hscell_error* error) {
  const auto opened = cell->client->open({timeout_ms});
  if (opened && session != nullptr) *session = opened->value;
  return status(opened, error);
}

int hscell_close_session(hscell* cell, int64_t timeout_ms, hscell_error* error) {
  return status(cell->client->close({timeout_ms}), error);
}

// ---- files ----

int hscell_get(hscell* cell, const char* path, int64_t timeout_ms, hscell_file* out, hscell_error* error) {
  const auto copy = cell->client->get(text(path), {timeout_ms});
  if (!copy) return failed(copy.error(), error);
  *out = {};
  out->revision = copy->revision.value;
  if (!copy->file) return HSCELL_DONE;
  const cell::File& file = *copy->file;
  out->exists = 1;
  out->content = copy_of(file.content);
  out->bytes = file.content.size();
  out->instance = file.stat.instance.value;
  out->generation = file.stat.generation;
  out->lock_generation = file.stat.lock_generation.value;
  out->owner = file.stat.owner.value;
  return HSCELL_DONE;
}

void hscell_file_free(hscell_file* file) {
  std::free(file->content);
  *file = {};
}

int hscell_put(hscell* cell, const char* path, const void* content, size_t bytes, hscell_mode mode, hscell_life life,
               uint64_t generation, int64_t timeout_ms, uint64_t* written, hscell_error* error) {
  cell::Put put = put_of(path, content, bytes, mode, life);
  const auto stat = cell->client->put(std::move(put.path), std::move(put.content),
                                      {.mode = put.mode, .life = put.life, .generation = generation}, {timeout_ms});
  if (stat && written != nullptr) *written = stat->generation;
  return status(stat, error);
}

int hscell_delete(hscell* cell, const char* path, uint64_t generation, int64_t timeout_ms, hscell_error* error) {
  return status(cell->client->remove(text(path), generation, {timeout_ms}), error);
}

int hscell_list(hscell* cell, const char* path, const char* after, int64_t timeout_ms, hscell_listing** out,
                hscell_error* error) {
  const auto listing = cell->client->list({text(path), cell::List::Depth::Children, text(after)}, {timeout_ms});
  if (!listing) return failed(listing.error(), error);
  auto* made = zeroed<hscell_listing>(1);
  made->count = listing->entries.size();
  made->entries = zeroed<hscell_entry>(made->count);
  if (!listing->next.empty()) made->next = copy_of(listing->next);
  for (size_t i = 0; i < made->count; ++i) {
    const cell::Listing::Entry& from = listing->entries[i];
    hscell_entry& to = made->entries[i];
    to.name = copy_of(from.name);
    const auto* file = std::get_if<cell::FileStat>(&from.node);
    to.is_directory = file == nullptr ? 1 : 0;
    if (file == nullptr) continue;
    to.bytes = file->bytes;
    to.generation = file->generation;
  }
  *out = made;
  return HSCELL_DONE;
}

void hscell_listing_free(hscell_listing* listing) {
  if (listing == nullptr) return;
  for (size_t i = 0; i < listing->count; ++i) std::free(const_cast<char*>(listing->entries[i].name));
  std::free(const_cast<char*>(listing->next));
  std::free(listing->entries);
  std::free(listing);
}

// ---- transactions ----

hscell_txn* hscell_txn_new(void) { return new hscell_txn(); }
void hscell_txn_free(hscell_txn* txn) { delete txn; }
void hscell_txn_if_exists(hscell_txn* txn, const char* path) {
  txn->txn.compares.emplace_back(cell::FileExists{text(path)});
}
void hscell_txn_if_absent(hscell_txn* txn, const char* path) {
  txn->txn.compares.emplace_back(cell::FileAbsent{text(path)});
}
void hscell_txn_if_generation(hscell_txn* txn, const char* path, uint64_t generation) {
  txn->txn.compares.emplace_back(cell::GenerationIs{text(path), generation});
}
void hscell_txn_if_sequencer(hscell_txn* txn, const char* path, int lock_mode, uint64_t generation) {
  txn->txn.compares.emplace_back(
      cell::SequencerStands{{text(path), static_cast<cell::LockMode>(lock_mode), cell::LockGeneration(generation)}});
}
void hscell_txn_put(hscell_txn* txn, const char* path, const void* content, size_t bytes, hscell_mode mode,
                    hscell_life life) {
  txn->txn.then_operations.emplace_back(put_of(path, content, bytes, mode, life));
}
void hscell_txn_delete(hscell_txn* txn, const char* path) {
  txn->txn.then_operations.emplace_back(cell::Delete{text(path)});
}

int hscell_txn_commit(hscell* cell, const hscell_txn* txn, int64_t timeout_ms, hscell_error* error) {
  const auto reply = cell->client->txn(txn->txn, {timeout_ms});
  if (reply && reply->branch == cell::TxnReply::Branch::Else)
    return refused({Code::Conflict, "a condition of the transaction did not hold"}, error);
  return status(reply, error);
}

// ---- locks ----

int hscell_lock(hscell* cell, const char* path, hscell_lock_mode mode, hscell_wait wait, uint32_t delay_ms,
                int64_t timeout_ms, uint64_t* generation, hscell_error* error) {
  const auto sequencer = cell->client->lock(
      text(path),
      {.mode = static_cast<cell::LockMode>(mode), .wait = static_cast<cell::Lock::Wait>(wait), .delay_ms = delay_ms},
      {timeout_ms});
  if (sequencer && generation != nullptr) *generation = sequencer->generation.value;
  return status(sequencer, error);
}

int hscell_unlock(hscell* cell, const char* path, int64_t timeout_ms, hscell_error* error) {
  return status(cell->client->unlock(text(path), {timeout_ms}), error);
}

int hscell_check_sequencer(hscell* cell, const char* path, hscell_lock_mode mode, uint64_t generation,
                           int64_t timeout_ms, int* stands, hscell_error* error) {
  const auto answer = cell->client->stands(
      {text(path), static_cast<cell::LockMode>(mode), cell::LockGeneration(generation)}, {timeout_ms});
  if (answer) *stands = *answer ? 1 : 0;
  return status(answer, error);
}

// ---- events ----

hscell_watch* hscell_watch_new(hscell* cell, const char* path, uint64_t after) {
  std::optional<cell::Revision> from;
  if (after != HSCELL_FROM_NOW) from = cell::Revision(after);
  return new hscell_watch{cell->client->watch(text(path), from)};
}

void hscell_watch_free(hscell_watch* watch) { delete watch; }

int hscell_watch_next(hscell_watch* watch, int64_t timeout_ms, hscell_events** out, hscell_error* error) {
  const auto batch = watch->watch->next({timeout_ms});
  if (!batch) return refused(batch.error(), error);
  auto* made = zeroed<hscell_events>(1);
  made->count = batch->events.size();
  made->events = zeroed<hscell_event>(made->count);
  made->upto = batch->upto.value;
  made->compacted = batch->compacted ? batch->compacted->value : 0;
  for (size_t i = 0; i < made->count; ++i) {
    const auto& [revision, event] = batch->events[i];
    made->events[i] = {.kind = static_cast<int>(event.kind),
                       .path = copy_of(event.path),
                       .revision = revision.value,
                       .instance = event.instance.value,
                       .generation = event.generation,
                       .session = event.session.value,
                       .lock_generation = event.lock_generation.value};
  }
  *out = made;
  return HSCELL_DONE;
}

void hscell_events_free(hscell_events* events) {
  if (events == nullptr) return;
  for (size_t i = 0; i < events->count; ++i) std::free(const_cast<char*>(events->events[i].path));
  std::free(events->events);
  std::free(events);
}

}  // extern "C"
