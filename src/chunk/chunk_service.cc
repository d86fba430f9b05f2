#include "chunk/chunk_service.h"

#include <algorithm>

#include "chunk/remote_wire.h"
#include "chunk/stored.h"

namespace hailstone::chunk {

ChunkService::ChunkService(net::NodeId self, ChunkStore& store, Logger& logger)
    : store_(store), logger_(logger), sessions_(self, store) {}

void ChunkService::serve(net::Rpc& rpc) {
  const auto serve = [&](RemoteMethod method, auto handler) {
    rpc.serve(static_cast<uint16_t>(method), std::move(handler));
  };
  serve(RemoteMethod::Put, [this](net::NodeId from, ByteView body) { return put(from, body); });
  serve(RemoteMethod::Get, [this](net::NodeId, ByteView body) { return get(body); });
  serve(RemoteMethod::Has, [this](net::NodeId, ByteView body) { return has(body); });
  serve(RemoteMethod::Touch, [this](net::NodeId from, ByteView body) { return touch(from, body); });
  serve(RemoteMethod::Stat, [this](net::NodeId, ByteView body) { return stat(body); });
  serve(RemoteMethod::List, [this](net::NodeId, ByteView body) { return list(body); });
  serve(RemoteMethod::Sessions, [this](net::NodeId from, ByteView body) { return note_sessions(from, body); });
}

Result<Bytes> ChunkService::put(net::NodeId from, ByteView body) {
  TRY(const PutRequest request, read_put(body));
  TRY_DO(sessions_.heard(from, request.writer, RemoteSessions::Hold::Yes));
  std::vector<PutFailure> failures;
  for (uint32_t i = 0; i < request.chunks.size(); ++i) {
    const NamedChunk& each = request.chunks[i];
    auto stored = verify(compressor_, each.id, each.chunk);
    if (!stored) logger_.warn("chunk refused", {{"peer", net::node_name(from)}, {"reason", stored.error().message}});
    if (stored) stored = store_.put_stored(each.id, each.chunk);
    if (!stored) failures.push_back({i, std::move(stored).error()});
  }
  if (failures.size() < request.chunks.size()) TRY_DO(store_.sync());
  return encode_put_answer(failures);
}

Result<Bytes> ChunkService::get(ByteView body) {
  TRY(const IdsRequest request, read_ids(body));
  Bytes out = encode_get_answers();
  for (const ChunkId& id : request.ids) {
    append_get_answer(out, store_.get_stored(id));
    if (out.size() >= kRemoteAnswerBytes) break;
  }
  return out;
}

Result<Bytes> ChunkService::has(ByteView body) {
  TRY(const IdsRequest request, read_ids(body));
  TRY(const auto present, store_.has(request.ids));
  return encode_presence(present);
}

Result<Bytes> ChunkService::touch(net::NodeId from, ByteView body) {
  TRY(const IdsRequest request, read_touch(body));
  TRY_DO(sessions_.heard(from, request.writer, RemoteSessions::Hold::Yes));
  TRY(const auto present, store_.touch(request.ids));
  // Another writer may have put it a moment ago.
  if (std::ranges::find(present, true) != present.end()) TRY_DO(store_.sync());
  return encode_presence(present);
}

Result<Bytes> ChunkService::stat(ByteView body) {
  TRY(const IdsRequest request, read_ids(body));
  if (request.ids.size() != 1) return fail(Code::Invalid, "stat: of one chunk");
  TRY(const Stat stat, store_.stat(request.ids[0]));
  return encode_stat(stat);
}

Result<Bytes> ChunkService::list(ByteView body) {
  TRY(const ListRequest request, read_listing(body));
  TRY(const auto ids, store_.list(request.after, std::min<size_t>(request.limit, kRemoteIdsMax)));
  return encode_ids(ids);
}

Result<Bytes> ChunkService::note_sessions(net::NodeId from, ByteView body) {
  TRY(const WriterMark mark, read_sessions(body));
  TRY_DO(sessions_.heard(from, mark, RemoteSessions::Hold::No));
  return Bytes();
}

}  // namespace hailstone::chunk
