// How a client wants a generated page: HTML or JSON, how much of it, from where.
#pragma once

#include "depot/facts.h"
#include "depot/options.h"
#include "http/message.h"

namespace hailstone::depot {

struct Form {
  bool json = false;
  bool negotiated = true;  // by Accept: caches must know

  std::string_view content_type() const { return json ? "application/json" : "text/html; charset=utf-8"; }
};
/// ?format=html or json, else by Accept. Invalid: another format.
Result<Form> form_of(const http::RequestHead& head, const Facts& facts);

/// A number from the query, `otherwise` when it isn't there. Invalid below `least`; cut at `most`.
Result<size_t> number_of(const http::RequestHead& head, std::string_view name, size_t otherwise, size_t least,
                         size_t most);

/// `lines` and what the form adds to them.
Bytes with_form(Bytes lines, const Form& form);

}  // namespace hailstone::depot
