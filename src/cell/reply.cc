#include "cell/reply.h"

#include "cell/fields.h"

namespace hailstone::cell {
namespace {

constexpr uint8_t kVersion = 1;

void put(Encoder& out, const OperationResult& result) {
  out.u8(static_cast<uint8_t>(result.index()));
  if (const auto* written = std::get_if<Written>(&result)) {
    encode(out, written->stat);
  } else if (const auto* deleted = std::get_if<Deleted>(&result)) {
    out.varint(deleted->files);
  } else if (const auto* got = std::get_if<Got>(&result)) {
    encode(out, got->file);
  } else {
    encode(out, std::get<Listed>(result).listing);
  }
}

OperationResult take_result(Decoder& in) {
  switch (in.u8()) {
    case 0: return Written{decode_file_stat(in)};
    case 1: return Deleted{in.varint()};
    case 2: {
      Got got;
      decode(in, got.file);
      return got;
    }
    case 3: {
      Listed listed;
      decode(in, listed.listing);
      return listed;
    }
    default: in.poison(); return {};
  }
}

void put(Encoder& out, const Outcome& outcome) {
  out.u8(static_cast<uint8_t>(outcome.index()));
  if (const auto* opened = std::get_if<Opened>(&outcome)) {
    out.varint(opened->session.value);
    out.varint(opened->lease_ms);
    out.u8(opened->caching);
  } else if (const auto* txn = std::get_if<TxnReply>(&outcome)) {
    put_enum(out, txn->branch);
    out.varint(txn->results.size());
    for (const auto& result : txn->results) put(out, result);
  } else if (const auto* lock = std::get_if<LockReply>(&outcome)) {
    put_enum(out, lock->outcome);
    out.varint(lock->generation.value);
  } else if (const auto* expired = std::get_if<Expired>(&outcome)) {
    out.varint(expired->sessions);
  }
}

Outcome take_outcome(Decoder& in) {
  switch (in.u8()) {
    case 0: return std::monostate();
    case 1: {
      Opened opened;
      opened.session = id_of<SessionId>(in);
      opened.lease_ms = u32_of(in);
      opened.caching = flag_of(in);
      return opened;
    }
    case 2: {
      TxnReply txn;
      txn.branch = enum_of(in, TxnReply::Branch::Else);
      for (uint64_t n = count_of(in); n > 0 && in.ok(); --n) txn.results.push_back(take_result(in));
      return txn;
    }
    case 3: {
      LockReply lock;
      lock.outcome = enum_of(in, LockReply::Outcome::Cancelled);
      lock.generation = id_of<LockGeneration>(in);
      return lock;
    }
    case 4: return Expired{in.varint()};
    default: in.poison(); return {};
  }
}

}  // namespace

void encode(Encoder& out, const std::optional<File>& file) {
  out.u8(file.has_value());
  if (!file) return;
  encode(out, file->stat);
  out.bytes(file->content);
}

void decode(Decoder& in, std::optional<File>& file) {
  file.reset();
  if (!flag_of(in)) return;
  file.emplace();
  file->stat = decode_file_stat(in);
  file->content = bytes_of(in);
}

void encode(Encoder& out, const Listing& listing) {
  out.varint(listing.entries.size());
  for (const auto& entry : listing.entries) {
    out.bytes(entry.name);
    encode(out, entry.node);
  }
  out.bytes(listing.next);
}

void decode(Decoder& in, Listing& listing) {
  for (uint64_t n = count_of(in); n > 0 && in.ok(); --n) {
    auto& entry = listing.entries.emplace_back();
    entry.name = bytes_of(in);
    entry.node = decode_node(in);
  }
  listing.next = bytes_of(in);
}

void encode(Encoder& out, const Error& error) {
  put_enum(out, error.code);
  out.bytes(error.message);
}

void decode(Decoder& in, Error& error) {
  const uint8_t code = in.u8();
  if (code > static_cast<uint8_t>(Code::Io)) in.poison();
  error = {static_cast<Code>(code), bytes_of(in)};
}

void encode(Encoder& out, const Reply& reply) {
  out.u8(kVersion);
  out.u8(reply.refused.has_value());
  if (reply.refused) encode(out, *reply.refused);
  out.varint(reply.revision.value);
  out.varint(reply.time.value);
  put(out, reply.outcome);
}

void decode(Decoder& in, Reply& reply) {
  if (in.u8() != kVersion) in.poison();
  if (flag_of(in)) decode(in, reply.refused.emplace());
  reply.revision = id_of<Revision>(in);
  reply.time = id_of<ClusterTime>(in);
  reply.outcome = take_outcome(in);
}

Bytes Reply::encode() const {
  Bytes bytes;
  bytes.reserve(64);
  Encoder out(bytes);
  cell::encode(out, *this);
  return bytes;
}

Bytes Reply::encode_kept() const {
  if (!refused) return encode();
  return Reply{.refused = Error{refused->code, ""}, .revision = revision, .time = time, .outcome = {}}.encode();
}

Result<Reply> Reply::decode(ByteView bytes) {
  Decoder in(bytes);
  Reply reply;
  cell::decode(in, reply);
  if (!in.done()) return fail(Code::Invalid, "reply: malformed");
  return reply;
}

}  // namespace hailstone::cell
