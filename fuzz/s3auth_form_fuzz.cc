// Any bytes as multipart/form-data and as a policy: fields and file do not depend on where the input is cut.
#include <cstdlib>
#include <string>

#include "s3auth/form_decoder.h"
#include "s3auth/post_policy.h"

namespace {

using namespace hailstone;
using namespace hailstone::s3auth;

void require(bool holds) {
  if (!holds) std::abort();
}

struct Outcome {
  std::string file;
  std::vector<FormField> fields;
  bool ended = false;
  bool operator==(const Outcome&) const = default;
};

Outcome decode(ByteView bytes, size_t split) {
  FormDecoder decoder("B");
  Outcome out;
  for (ByteView piece : {bytes.substr(0, split), bytes.substr(split)}) {
    while (true) {
      const auto step = decoder.step(piece);
      require(step.consumed <= piece.size());
      piece.remove_prefix(step.consumed);
      out.file += step.data;
      if (step.state == FormDecoder::State::NeedMore || step.state == FormDecoder::State::End) break;
      if (step.state == FormDecoder::State::Rejected) return {};
    }
  }
  out.ended = decoder.finish().has_value();
  out.fields = decoder.fields();
  size_t bytes_kept = 0;
  for (const auto& [name, value] : out.fields) bytes_kept += name.size() + value.size();
  require(bytes_kept <= kFormBytesMax);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const ByteView bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Outcome whole = decode(bytes, 0);
  require(decode(bytes, data[0] * bytes.size() / 256) == whole);
  (void)FormDecoder::boundary_of(bytes);

  const Credentials credentials{"AKID", "secret", "us-east-1"};
  const SecretLookup secrets = [&](std::string_view) { return credentials.secret; };
  const UnixMicros now{1'369'353'600'000'000};
  (void)verify_post_v4({whole.fields, "b", "f"}, {}, derive_from(secrets), now);
  std::vector<FormField> fields = sign_post_v4(bytes, credentials, now);
  fields.push_back({"key", "a/${filename}"});
  (void)verify_post_v4({fields, "b", bytes}, {}, derive_from(secrets), now);
  return 0;
}
