// Header fields that ask for what is not built: refused by name, never ignored. Without I/O.
#pragma once

#include "s3/call.h"

namespace hailstone::s3 {

/// NotImplemented for encryption, appends and the conditions of directory buckets; InvalidRequest where a key is given
/// to read an object that is not encrypted.
Answer<> refuse_unbuilt_fields(const Call& call);

/// The same of a form's fields, by name.
Answer<> refuse_unbuilt_field(std::string_view name);

}  // namespace hailstone::s3
