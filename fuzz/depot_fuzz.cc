// Feeds any bytes to what the depot parses of a request: paths, tokens, cookies, credentials, hosts, by-hash names,
// Accept.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "depot/authorizer.h"
#include "depot/by_hash.h"
#include "depot/listing.h"
#include "depot/mirrors.h"
#include "depot/path.h"
#include "depot/pin.h"

using namespace hailstone;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void path(ByteView bytes) {
  const auto parsed = depot::parse_path(bytes);
  if (!parsed) return;
  const Bytes slashed = "/" + parsed->key + "/";
  require(slashed.find("/../") == Bytes::npos && slashed.find("/./") == Bytes::npos);
  require(parsed->key.find('\0') == Bytes::npos);
  require((parsed->kind == depot::Path::Kind::Root) == parsed->volume.empty());
  if (parsed->kind == depot::Path::Kind::Root) return;
  // The canonical form of a path means the same.
  Bytes again = depot::encode_base(parsed->volume, parsed->selector);
  if (parsed->kind != depot::Path::Kind::Volume) again += "/";
  if (parsed->kind == depot::Path::Kind::Endpoint) again += "-/";
  again += percent_encode_path(parsed->key);
  const auto reparsed = depot::parse_path(again);
  require(reparsed && *reparsed == *parsed);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView bytes(reinterpret_cast<const char*>(data), size);
  path(bytes);
  path("/" + Bytes(bytes));
  if (const auto token = depot::decode_token(bytes))
    require(depot::decode_token(depot::encode_token(*token)) == *token);
  if (const auto pin = depot::read_pin(bytes, "v")) require(pin->value != 0);
  if (const auto credentials = depot::parse_authorization(bytes)) require(!credentials->key_id.empty());
  if (const auto origin = depot::origin_of(bytes, true))
    require(origin->find_first_of(" \r\n\t<>\"'/\\@?#%&", 8) == Bytes::npos);
  if (const auto by_hash = depot::parse_by_hash(bytes))
    require(bytes == by_hash->directory + "by-hash/SHA256/" + by_hash->hash.hex());
  depot::prefers_json(bytes);
  return 0;
}
