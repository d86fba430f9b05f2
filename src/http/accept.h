// Content negotiation: which coding and which of two media types a client wants (RFC 9110 §12.5). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace hailstone::http {

/// Quality of `name` in an Accept-Encoding field, in thousandths; 0: not acceptable. Identity is acceptable unless
/// excluded; a missing field accepts anything, but only identity is sure to be understood.
uint32_t coding_quality(std::optional<std::string_view> accept_encoding, std::string_view name);

enum class Coding : uint8_t { Identity, Gzip, Zstd };
/// The best of `offered` by the client's qualities, ties by the order offered. Identity where nothing is acceptable: a
/// body the client may reject beats none.
Coding choose_coding(std::optional<std::string_view> accept_encoding, const std::vector<Coding>& offered);
std::string_view coding_name(Coding coding);

/// Quality of "type/subtype" in an Accept field, the most specific range deciding; 1000 when there is no field.
uint32_t media_quality(std::optional<std::string_view> accept, std::string_view media_type);

enum class Media : uint8_t { Html, Json };
/// Html only where the client asks for it above JSON: browsers do, tools don't.
Media choose_media(std::optional<std::string_view> accept);

}  // namespace hailstone::http
