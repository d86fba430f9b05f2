// Any Host, path and query: never a crash; keys that are accepted are keys, bucket names say what they mean.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "s3proto/names.h"
#include "s3proto/operation.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hailstone;
  using namespace hailstone::s3proto;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  if (input.empty()) return 0;
  const auto method = static_cast<http::Method>(static_cast<unsigned char>(input[0]) % 8);
  input.remove_prefix(1);
  const auto take_line = [&] {
    const size_t end = input.find('\n');
    const std::string_view line = input.substr(0, end);
    input.remove_prefix(end == input.npos ? input.size() : end + 1);
    return line;
  };
  const std::string_view host = take_line(), path = take_line(), raw_query = take_line();
  const std::string domains[] = {"s3.example.org"};
  const auto resource = parse_resource(host, path, domains);
  const auto query = Query::parse(raw_query);
  if (resource && !resource->key.empty()) CHECK(validate_key(resource->key).has_value());
  if (resource && query) (void)route(method, *resource, *query, host.empty());
  if (const auto bucket = parse_bucket(host)) CHECK(bucket->text() == host);
  (void)parse_copy_source(path);
  return 0;
}
