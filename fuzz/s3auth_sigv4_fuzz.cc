// Any bytes as a request: authentication never accepts what was not signed, and verifies what it signs.
#include <cstdlib>
#include <string>

#include "http/parser.h"
#include "s3auth/authenticate.h"
#include "s3auth/canonical.h"
#include "s3auth/sigv2.h"
#include "s3auth/sigv4.h"

namespace {

using namespace hailstone;
using namespace hailstone::s3auth;

void require(bool holds) {
  if (!holds) std::abort();
}

const Credentials kCredentials{"AKID", "secret", "us-east-1"};
constexpr UnixMicros kNow{1'369'353'600'000'000};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView bytes(reinterpret_cast<const char*>(data), size);
  http::RequestParser parser({});
  http::RequestHead head;
  if (parser.parse(bytes, head).state != http::Parsed::State::Done) return 0;
  const SecretLookup secrets = [](std::string_view) { return kCredentials.secret; };
  AuthenticateOptions options;
  options.v2 = V2Rule::Accept;
  options.scope.region_rule = RegionRule::Any;
  const auto who = authenticate(head, options, derive_from(secrets), secrets, kNow);
  // No input holds a signature made with a secret it does not know.
  require(!who || who->scheme == Scheme::Anonymous);
  if (!who || head.field("x-amz-security-token") || head.field("x-amz-date")) return 0;
  head.fields.push_back({"x-amz-date", "20130524T000000Z"});
  if (const auto query = presign_v4(head, kCredentials, kNow, 60)) {
    http::RequestHead again = head;
    again.query = *query;
    const auto signed_by = authenticate(again, options, derive_from(secrets), secrets, kNow);
    // Parameters and fields of the input may themselves be refused, the signature must not be.
    require(signed_by || signed_by.error().code != "SignatureDoesNotMatch");
  }
  return 0;
}
