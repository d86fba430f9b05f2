#include "s3/call.h"

namespace hailstone::s3 {

Result<void> Options::validate() const {
  if (region.empty()) return fail(Code::Invalid, "s3.region is empty: us-east-1 is what most clients expect");
  if (inline_bytes_max > (1u << 20)) return fail(Code::Invalid, "s3.inline_bytes_max is beyond 1 MiB");
  return {};
}

Call::Call(const Services& s, const Options& o, const http::RequestHead& h) : services(s), options(o), head(h) {
  size_t bytes = h.method_text.size() + h.target.size();
  for (const auto& field : h.fields) bytes += field.name.size() + field.value.size();
  text.reserve(bytes);  // the views below must not move
  const auto keep = [this](std::string_view view) {
    const size_t at = text.size();
    text.append(view);
    return std::string_view(text).substr(at);
  };
  head.method_text = keep(h.method_text);
  head.target = keep(h.target);
  head.path = head.target.substr(0, h.path.size());
  head.query = h.query.empty() ? std::string_view() : head.target.substr(head.target.size() - h.query.size());
  for (auto& field : head.fields) {
    field.name = keep(field.name);
    field.value = keep(field.value);
  }
}

}  // namespace hailstone::s3
