// Refusals that more than one way of signing can meet.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/ids.h"
#include "s3auth/refusal.h"
#include "s3auth/scope.h"

namespace hailstone::s3auth {

std::unexpected<Refusal> unknown_key(std::string_view access_key_id);
/// `access_key_id` is empty within a body (the request's own signature was good), `canonical` where there is none.
std::unexpected<Refusal> signature_mismatch(std::string_view access_key_id, ByteView string_to_sign,
                                            std::string_view provided, ByteView canonical);
std::unexpected<Refusal> bad_uri();
std::unexpected<Refusal> session_token();
std::unexpected<Refusal> ecdsa_not_built();
/// `request_time` as the client wrote it.
std::unexpected<Refusal> time_skewed(std::string_view request_time, UnixMicros now);
std::unexpected<Refusal> expired(int64_t expired_at_s, UnixMicros now);
std::unexpected<Refusal> no_date();

/// Where a credential stands decides the code and the first words of what is wrong with it.
enum class Place : uint8_t { Header, Query, Form };
std::unexpected<Refusal> malformed(Place place, std::string_view what,
                                   std::vector<std::pair<std::string_view, Bytes>> details = {});

enum class RegionRule : uint8_t { Exact, Any };
/// What a server expects of a scope.
struct ScopeRule {
  Bytes region = "us-east-1";
  RegionRule region_rule = RegionRule::Exact;  // Any: whatever the client signed for
};
/// Parses a credential and holds it against the rule and the day of the request's own date.
Verdict<Scope> read_scope(Place place, std::string_view credential, std::string_view amz_date, const ScopeRule& rule);

}  // namespace hailstone::s3auth
