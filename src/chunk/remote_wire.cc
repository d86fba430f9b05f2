#include "chunk/remote_wire.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/codec.h"
#include "net/rpc_frame.h"

namespace hailstone::chunk {
namespace {

constexpr uint8_t kVersion = 1;
constexpr uint8_t kZstd = 1;  // bit of a form

/// A body that begins with its version; room for what follows it and for the trailer behind it.
Bytes begin(size_t bytes) {
  Bytes out;
  out.reserve(1 + bytes + net::kRpcTrailerBytes);
  Encoder(out).u8(kVersion);
  return out;
}

Result<Decoder> open(ByteView body, const char* what) {
  Decoder in(body);
  const uint8_t version = in.u8();
  if (!in.ok()) return fail(Code::Corrupt, fmt::format("{}: empty", what));
  if (version != kVersion)
    return fail(Code::Unsupported, fmt::format("{}: version {}, {} is known", what, version, kVersion));
  return in;
}

std::unexpected<Error> malformed(const char* what) { return fail(Code::Corrupt, fmt::format("{}: malformed", what)); }

void write(Encoder& out, const WriterMark& writer) {
  out.u64(writer.term);
  out.varint(writer.generation);
  out.varint(writer.ended);
}

WriterMark read_writer(Decoder& in) {
  WriterMark out;
  out.term = in.u64();
  out.generation = in.varint();
  out.ended = in.varint();
  if (out.ended >= out.generation) in.poison();
  return out;
}

void write(Encoder& out, const StoredView& chunk) {
  out.u8(chunk.zstd ? kZstd : 0);
  out.varint(chunk.bytes);
  out.bytes(chunk.payload);
}

StoredView read_chunk(Decoder& in) {
  StoredView out;
  const uint8_t form = in.u8();
  const uint64_t bytes = in.varint();
  out.payload = in.bytes();
  out.zstd = form == kZstd;
  out.bytes = static_cast<uint32_t>(bytes);
  if (form > kZstd || bytes == 0 || bytes > kChunkBytesMax || out.payload.size() > kChunkBytesMax) in.poison();
  return out;
}

void write(Encoder& out, const Error& error) {
  out.u8(net::wire_number(error.code));
  out.bytes(ByteView(error.message).substr(0, net::kRpcMessageBytesMax));
}

Error read_error(Decoder& in) {
  const uint8_t code = in.u8();
  const ByteView message = in.bytes();
  if (code == 0 || message.size() > net::kRpcMessageBytesMax) in.poison();
  return {net::code_of_wire(code), printable(message)};
}

void write(Encoder& out, std::span<const ChunkId> ids) {
  out.varint(ids.size());
  for (const ChunkId& id : ids) out.hash(id);
}

std::vector<ChunkId> read_id_list(Decoder& in) {
  const uint64_t count = in.varint();
  std::vector<ChunkId> out;
  if (count > kRemoteIdsMax || count > in.rest().size() / 32) in.poison();
  if (!in.ok()) return out;
  out.reserve(count);
  for (uint64_t i = 0; i < count; ++i) out.emplace_back(in.hash());
  return out;
}

}  // namespace

Bytes encode_put(const WriterMark& writer, std::span<const NamedChunk> chunks) {
  size_t bytes = 64;
  for (const NamedChunk& each : chunks) bytes += kPutOverhead + each.chunk.payload.size();
  Bytes body = begin(bytes);
  Encoder out(body);
  write(out, writer);
  out.varint(chunks.size());
  for (const NamedChunk& each : chunks) {
    out.hash(each.id);
    write(out, each.chunk);
  }
  return body;
}

Result<PutRequest> read_put(ByteView body) {
  TRY(Decoder in, open(body, "put"));
  PutRequest out;
  out.writer = read_writer(in);
  const uint64_t count = in.varint();
  if (count > kRemoteIdsMax) in.poison();
  for (uint64_t i = 0; i < count && in.ok(); ++i) {
    const ChunkId id(in.hash());
    const StoredView chunk = read_chunk(in);
    out.chunks.push_back({id, chunk});
  }
  if (!in.done()) return malformed("put");
  return out;
}

Bytes encode_put_answer(std::span<const PutFailure> failures) {
  Bytes body = begin(16 + 64 * failures.size());
  Encoder out(body);
  out.varint(failures.size());
  for (const PutFailure& failure : failures) {
    out.varint(failure.index);
    write(out, failure.error);
  }
  return body;
}

Result<std::vector<PutFailure>> read_put_answer(ByteView body) {
  TRY(Decoder in, open(body, "put answer"));
  std::vector<PutFailure> out;
  const uint64_t count = in.varint();
  for (uint64_t i = 0; i < count && in.ok(); ++i) {
    const uint64_t index = in.varint();
    if (index >= kRemoteIdsMax) in.poison();
    out.push_back({static_cast<uint32_t>(index), read_error(in)});
  }
  if (!in.done()) return malformed("put answer");
  return out;
}

Bytes encode_ids(std::span<const ChunkId> ids) {
  Bytes body = begin(16 + 32 * ids.size());
  Encoder out(body);
  write(out, ids);
  return body;
}

Result<IdsRequest> read_ids(ByteView body) {
  TRY(Decoder in, open(body, "ids"));
  IdsRequest out{.writer = {}, .ids = read_id_list(in)};
  if (!in.done()) return malformed("ids");
  return out;
}

Bytes encode_touch(const WriterMark& writer, std::span<const ChunkId> ids) {
  Bytes body = begin(48 + 32 * ids.size());
  Encoder out(body);
  write(out, writer);
  write(out, ids);
  return body;
}

Result<IdsRequest> read_touch(ByteView body) {
  TRY(Decoder in, open(body, "touch"));
  IdsRequest out;
  out.writer = read_writer(in);
  out.ids = read_id_list(in);
  if (!in.done()) return malformed("touch");
  return out;
}

Bytes encode_presence(const std::vector<bool>& present) {
  Bytes bits((present.size() + 7) / 8, '\0');
  for (size_t i = 0; i < present.size(); ++i)
    if (present[i]) bits[i / 8] = static_cast<char>(bits[i / 8] | 1 << (i % 8));
  Bytes body = begin(bits.size());
  return body += bits;
}

Result<std::vector<bool>> read_presence(ByteView body, size_t count) {
  TRY(Decoder in, open(body, "presence"));
  const ByteView bits = in.raw((count + 7) / 8);
  if (!in.done()) return malformed("presence");
  std::vector<bool> out(count);
  for (size_t i = 0; i < count; ++i) out[i] = (bits[i / 8] >> (i % 8) & 1) != 0;
  return out;
}

Bytes encode_get_answers() { return begin(0); }

void append_get_answer(Bytes& body, const Result<StoredChunk>& chunk) {
  if (chunk) body.reserve(body.size() + kPutOverhead + chunk->payload.size() + net::kRpcTrailerBytes);
  Encoder out(body);
  if (chunk) {
    out.u8(0);
    write(out, chunk->view());
  } else {
    write(out, chunk.error());
  }
}

Result<std::vector<GetAnswer>> read_get_answers(ByteView body, size_t count) {
  TRY(Decoder in, open(body, "get answer"));
  std::vector<GetAnswer> out;
  while (in.ok() && !in.rest().empty() && out.size() < count) {
    if (in.rest()[0] == 0) {
      (void)in.u8();
      out.push_back({read_chunk(in)});
    } else {
      out.push_back({std::unexpected(read_error(in))});
    }
  }
  if (!in.done() || (out.empty() && count > 0)) return malformed("get answer");
  return out;
}

Bytes encode_stat(const Stat& stat) {
  Bytes body = begin(16);
  Encoder out(body);
  out.u8(stat.zstd ? kZstd : 0);
  out.varint(stat.bytes);
  out.varint(stat.stored_bytes);
  return body;
}

Result<Stat> read_stat(ByteView body) {
  TRY(Decoder in, open(body, "stat"));
  const uint8_t form = in.u8();
  const uint64_t bytes = in.varint(), stored = in.varint();
  if (!in.done() || form > kZstd || bytes > kChunkBytesMax || stored > kChunkBytesMax) return malformed("stat");
  return Stat{
      .bytes = static_cast<uint32_t>(bytes), .stored_bytes = static_cast<uint32_t>(stored), .zstd = form == kZstd};
}

Bytes encode_listing(const ListRequest& request) {
  Bytes body = begin(48);
  Encoder out(body);
  out.hash(request.after);
  out.u32(request.limit);
  return body;
}

Result<ListRequest> read_listing(ByteView body) {
  TRY(Decoder in, open(body, "list"));
  ListRequest out;
  out.after = ChunkId(in.hash());
  out.limit = in.u32();
  if (!in.done()) return malformed("list");
  return out;
}

Bytes encode_sessions(const WriterMark& writer) {
  Bytes body = begin(32);
  Encoder out(body);
  write(out, writer);
  return body;
}

Result<WriterMark> read_sessions(ByteView body) {
  TRY(Decoder in, open(body, "sessions"));
  const WriterMark out = read_writer(in);
  if (!in.done()) return malformed("sessions");
  return out;
}

}  // namespace hailstone::chunk
