#include "s3/edge.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <thread>

#include "base/sealing.h"
#include "depot/view.h"
#include "s3/buckets.h"
#include "s3/listing.h"
#include "s3/multipart.h"
#include "s3/objects.h"
#include "s3/unbuilt.h"
#include "s3/writing.h"
#include "s3auth/authenticate.h"

namespace hailstone::s3 {
namespace {

using s3proto::ErrorCode;
using s3proto::Operation;

constexpr uint64_t kUploadBytesMax = 12u << 20;   // of all bodies on their way (upload_memory.h)
constexpr uint32_t kUploadJobsMax = 8192;         // two for each upload
constexpr size_t kReleasesKept = 1000;            // per thread
constexpr uint64_t kSmallChunksBytes = 8u << 20;  // per thread
constexpr uint64_t kDocumentBytesMax = 2u << 20;  // a Delete of 1,000 keys of 1 KiB, escaped

bool reads_document(Operation operation) {
  switch (operation) {
    case Operation::CreateBucket:
    case Operation::CompleteMultipartUpload:
    case Operation::DeleteObjects:
    case Operation::PutObjectTagging:
    case Operation::PutObjectAcl:
    case Operation::PutObjectRetention:
    case Operation::PutObjectLegalHold:
    case Operation::PutBucketAcl:
    case Operation::PutBucketCors:
    case Operation::PutBucketLifecycleConfiguration:
    case Operation::PutBucketOwnershipControls:
    case Operation::PutBucketPolicy:
    case Operation::PutBucketTagging:
    case Operation::PutBucketVersioning:
    case Operation::PutObjectLockConfiguration:
    case Operation::PutPublicAccessBlock: return true;
    default: return false;
  }
}

// Answered on the server's thread: what they read is a few nodes and records, in memory as a rule.
bool answers_at_once(Operation operation) {
  switch (operation) {
    case Operation::GetObject:
    case Operation::HeadObject:
    case Operation::HeadBucket: return true;
    default: return false;
  }
}

Answer<http::Response> run(const Call& call, const std::optional<s3proto::BucketName>& name, ByteView document) {
  switch (call.operation) {
    case Operation::ListBuckets: return list_buckets(call);
    case Operation::CreateBucket: return create_bucket(call, *name, document);
    case Operation::DeleteBucket: return delete_bucket(call);
    case Operation::HeadBucket: return head_bucket(call);
    case Operation::GetObject:
    case Operation::HeadObject: return get_object(call);
    case Operation::GetObjectAttributes: return get_object_attributes(call);
    case Operation::GetObjectTagging: return get_object_tagging(call);
    case Operation::GetObjectAcl: return get_object_acl(call);
    case Operation::GetObjectRetention: return get_object_retention(call);
    case Operation::GetObjectLegalHold: return get_object_legal_hold(call);
    case Operation::ListObjects: return list_objects(call);
    case Operation::ListObjectsV2: return list_objects_v2(call);
    case Operation::ListObjectVersions: return list_object_versions(call);
    case Operation::CopyObject: return copy_object(call);
    case Operation::DeleteObject: return delete_object(call);
    case Operation::DeleteObjects: return delete_objects(call, document);
    case Operation::PutObjectTagging:
    case Operation::DeleteObjectTagging: return put_object_tagging(call, document);
    case Operation::PutObjectAcl: return put_object_acl(call, document);
    case Operation::PutObjectRetention: return put_object_retention(call, document);
    case Operation::PutObjectLegalHold: return put_object_legal_hold(call, document);
    case Operation::CreateMultipartUpload: return create_multipart_upload(call);
    case Operation::UploadPartCopy: return upload_part_copy(call);
    case Operation::CompleteMultipartUpload: return complete_multipart_upload(call, document);
    case Operation::AbortMultipartUpload: return abort_multipart_upload(call);
    case Operation::ListParts: return list_parts(call);
    case Operation::ListMultipartUploads: return list_multipart_uploads(call);
    default: break;
  }
  const std::string_view operation = s3proto::operation_name(call.operation);
  if (operation.starts_with("Get")) return get_bucket_document(call);
  if (operation.starts_with("Put")) return put_bucket_document(call, document);
  if (operation.starts_with("Delete")) return delete_bucket_document(call);
  return std::unexpected(Refused(s3proto::not_implemented(call.operation).error()));
}

// May read a whole object.
bool is_slow(const Call& call) {
  return call.operation == Operation::CompleteMultipartUpload || call.operation == Operation::UploadPartCopy ||
         (call.operation == Operation::CopyObject && call.field("x-amz-checksum-algorithm"));
}

// A key that is not found because its bucket went while the request was on its way.
Refused of_gone_bucket(const Call& call, Refused refused) {
  if (!call.bucket || refused.code != s3proto::error_name(ErrorCode::NoSuchKey)) return refused;
  const auto now = resolve_bucket(call.repository(), *call.repository().published().load(), call.bucket->name);
  if (!now) return now.error();
  if (now->volume->record.id == call.bucket->volume().record.id) return refused;
  return Refused(ErrorCode::OperationAborted, "The bucket was deleted and made again meanwhile");
}

}  // namespace

class Handler final : public http::Handler {
 public:
  explicit Handler(Edge& edge)
      : edge_(edge),
        states_(edge.services_.repository.published()),
        releases_(edge.services_.repository, kReleasesKept) {}

  http::Task<http::Response> handle(http::Request request) override {
    const int64_t started_ns = edge_.services_.repository.clock().monotonic_ns();
    const Bytes id = fmt::format("{:016X}", next_request_id());
    const bool head = request.head.method == http::Method::Head;
    auto call = std::make_shared<Call>(edge_.services_, edge_.options_, request.head);
    call->uploads = &edge_.uploads_;
    call->small_chunks = &small_chunks_;
    call->request_id = id;
    auto answered = co_await answer(request, *call);
    http::Response response;
    if (answered) {
      response = *std::move(answered);
    } else {
      const Refused refused = of_gone_bucket(*call, std::move(answered).error());
      if (refused.broken)
        edge_.services_.logger.error("s3_request_failed", {{"operation", s3proto::operation_name(call->operation)},
                                                           {"resource", printable(call->head.path)},
                                                           {"code", refused.code},
                                                           {"message", refused.message},
                                                           {"request_id", id}});
      response = error_response(refused, call->head.path, id, head);
    }
    response.headers.add("x-amz-request-id", id);
    response.headers.add("x-amz-id-2", "hailstone");
    add_cors(*call, response);
    // botocore takes an answer that no 100 came before for the answer to its next request with Expect as well, unless
    // the connection ends in between. An empty body is answered so.
    if (request.head.content_length == 0 && call->field("Expect")) response.close = true;
    edge_.meter_.count(call->operation, response.status,
                       edge_.services_.repository.clock().monotonic_ns() - started_ns);
    co_return response;
  }

 private:
  uint64_t next_request_id() {
    // Unique on this node: time of the first request, then counting, beside the thread's own address.
    if (request_id_ == 0)
      request_id_ = static_cast<uint64_t>(edge_.services_.repository.clock().wall().value) * 64 +
                    (reinterpret_cast<uintptr_t>(this) >> 6) % 64;
    return request_id_ += 64;
  }

  std::optional<Bytes> secret_of(std::string_view id) {
    const auto& state = states_.get();
    const auto found = state->keys->find(id);
    if (found == state->keys->end()) return std::nullopt;
    auto secret = open_secret(edge_.services_.master_key, found->second->id, found->second->sealed_secret);
    if (!secret) {
      edge_.services_.logger.error("s3_secret_unreadable",
                                   {{"key", found->second->id}, {"error", secret.error().message}});
      return std::nullopt;
    }
    return *std::move(secret);
  }

  // Signing keys are good for a day: one derivation a key and day, thrown away when any key changes.
  std::optional<s3auth::SigningKey> signing_key_of(const s3auth::Scope& scope) {
    const auto& state = states_.get();
    const auto known = state->keys->find(scope.access_key_id);
    if (known == state->keys->end()) return std::nullopt;
    const Bytes name = scope.credential();
    if (const auto it = signing_keys_.find(name); it != signing_keys_.end() && it->second.first == known->second)
      return it->second.second;
    const auto secret = secret_of(scope.access_key_id);
    if (!secret) return std::nullopt;
    if (signing_keys_.size() > 1000) signing_keys_.clear();
    const auto key = s3auth::derive_signing_key(*secret, scope);
    signing_keys_[name] = {known->second, key};
    return key;
  }

  Answer<Identity> identity_of(const Bytes& id) {
    const auto& state = states_.get();
    const auto found = state->keys->find(id);
    if (found == state->keys->end()) return refusal(ErrorCode::InvalidAccessKeyId);
    return Identity{found->second};
  }

  Answer<std::shared_ptr<const BucketDocuments>> documents_of(const std::shared_ptr<const volume::Volume>& volume) {
    auto& cached = documents_[volume->record.name];
    if (cached.first != volume) {
      TRY(auto parsed, parse_documents(*volume));
      if (documents_.size() > 10'000) documents_.clear();
      auto& kept = documents_[volume->record.name];
      kept = {volume, std::move(parsed)};
      return kept.second;
    }
    return cached.second;
  }

  Answer<> prepare(const http::Request& request, Call& call, std::optional<s3proto::BucketName>& name) {
    call.state = states_.get();
    call.now = edge_.services_.repository.clock().wall();
    call.peer = request.peer;
    call.secure = request.secure;
    TRY(call.resource,
        s3proto::parse_resource(call.field("Host").value_or(""), call.head.path, edge_.options_.domains));
    TRY(call.query, s3proto::Query::parse(call.head.query));
    TRY(call.operation,
        s3proto::route(call.head.method, call.resource, call.query, call.field("x-amz-copy-source").has_value()));
    if (!call.resource.bucket.empty()) {
      TRY(name, s3proto::parse_bucket(call.resource.bucket));
    }
    return {};
  }

  Answer<> authenticate(Call& call) {
    const bool virtual_host = call.resource.style == s3proto::AddressStyle::VirtualHost;
    const s3auth::AuthenticateOptions options{
        .scope = {.region = edge_.options_.region},
        .v2 = edge_.options_.signature_v2 ? s3auth::V2Rule::Accept : s3auth::V2Rule::Refuse,
        .bucket_in_host = virtual_host ? std::string_view(call.resource.bucket) : std::string_view()};
    TRY(call.who, s3auth::authenticate(
                      call.head, options, [this](const s3auth::Scope& scope) { return signing_key_of(scope); },
                      [this](std::string_view id) { return secret_of(id); }, call.now));
    if (call.who.scheme != s3auth::Scheme::Anonymous) {
      TRY(call.identity, identity_of(call.who.access_key_id));
    }
    return {};
  }

  Answer<> open_bucket(Call& call, const s3proto::BucketName& name) {
    Bucket bucket{.name = name, .target = {}, .documents = {}};
    TRY(bucket.target, resolve_bucket(call.repository(), *call.state, name));
    TRY(bucket.documents, documents_of(bucket.target.volume));
    if (bucket.target.release)
      if (const auto release = releases_.get(bucket.target.volume, *bucket.target.release))
        bucket.root = (*release)->root;
    call.bucket = std::move(bucket);
    return {};
  }

  /// Whether the answer rests on what was done through other nodes. A plain write does not: it is decided where it is
  /// applied.
  bool must_settle(const Call& call, const std::optional<s3proto::BucketName>& name) {
    switch (call.operation) {
      case Operation::PreflightRequest: return false;
      case Operation::PutObject:
      case Operation::UploadPart:
      case Operation::PostObject:
      case Operation::DeleteObject:
      case Operation::DeleteObjects: return !name || !call.state->find(name->volume);
      default: return true;
    }
  }

  http::Task<Answer<>> settle(Call& call, std::optional<s3proto::BucketName> name) {
    std::optional<ByteView> volume;
    if (name) volume = name->volume;
    const auto& repository = edge_.services_.repository;
    if (!repository.settled(volume)) {
      const auto settled = co_await http::await_callback<Result<void>>(
          [&repository, volume](auto done) { repository.settle(volume, std::move(done)); });
      if (!settled) co_return refusal(ErrorCode::ServiceUnavailable, settled.error().message);
      call.state = states_.get();
    }
    co_return Answer<>();
  }

  http::Task<Answer<http::Response>> answer(http::Request& request, Call& call) {
    std::optional<s3proto::BucketName> name;
    CO_TRY_DO(prepare(request, call, name));
    if (must_settle(call, name) &&
        !edge_.services_.repository.settled(name ? std::optional<ByteView>(name->volume) : std::nullopt)) {
      auto settled = co_await settle(call, name);
      if (!settled) co_return std::unexpected(std::move(settled).error());
    }
    if (call.operation == Operation::PreflightRequest) co_return preflight(call, name);
    if (call.operation != Operation::PostObject) {
      auto known = authenticate(call);
      if (!known && known.error().code == s3proto::error_name(ErrorCode::InvalidAccessKeyId)) {
        auto settled = co_await settle(call, std::nullopt);  // the key may have been made elsewhere a moment ago
        if (!settled) co_return std::unexpected(std::move(settled).error());
        known = authenticate(call);
      }
      if (!known) co_return std::unexpected(std::move(known).error());
    }
    if (name && call.operation != Operation::CreateBucket) {
      if (auto opened = open_bucket(call, *name); !opened) {
        // Whether a bucket exists is not told to strangers who may make none.
        co_return std::unexpected(std::move(opened).error());
      }
      CO_TRY_DO(require_expected_owner(call, *call.bucket, "x-amz-expected-bucket-owner"));
    }
    CO_TRY_DO(refuse_unbuilt_fields(call));
    if (answers_at_once(call.operation)) co_return run(call, name, "");
    switch (call.operation) {
      case Operation::PutObject: co_return co_await put_object(call, edge_.pool_, request.body);
      case Operation::UploadPart: co_return co_await upload_part(call, edge_.pool_, request.body);
      case Operation::PostObject:
        co_return co_await post_object(
            call, edge_.pool_, request.body, [this](const Bytes& id) { return identity_of(id); },
            [this](const s3auth::Scope& scope) { return signing_key_of(scope); },
            [this](std::string_view id) { return secret_of(id); });
      default: break;
    }
    Bytes document;
    if (reads_document(call.operation)) {
      auto read = co_await read_document(call, request.body, kDocumentBytesMax);
      if (!read) co_return std::unexpected(std::move(read).error());
      document = *std::move(read);
    }
    if (call.operation == Operation::PutObjectTagging)
      if (auto tags = s3proto::parse_tagging(document, s3proto::TagLevel::Object)) call.request_tags = *std::move(tags);
    http::BlockingPool& pool = is_slow(call) ? edge_.slow_pool_ : edge_.pool_;
    auto done = co_await http::offload(
        pool,
        [self = call.shared_from_this(), name, document = std::move(document)]() -> Result<Answer<http::Response>> {
          return run(*self, name, document);
        });
    if (!done) co_return refusal(ErrorCode::SlowDown, done.error().message);
    co_return *std::move(done);
  }

  // -- CORS -----------------------------------------------------------------------------------------------------------
  static void add_allowed(const s3proto::CorsAllowed& allowed, http::HeaderBlock& headers) {
    const auto join = [](const std::vector<std::string>& items) {
      std::string out;
      for (const auto& item : items) out += (out.empty() ? "" : ", ") + item;
      return out;
    };
    headers.add("Access-Control-Allow-Origin", allowed.allow_origin);
    if (allowed.credentials) headers.add("Access-Control-Allow-Credentials", "true");
    headers.add("Access-Control-Allow-Methods", join(allowed.methods));
    if (!allowed.allow_headers.empty()) headers.add("Access-Control-Allow-Headers", join(allowed.allow_headers));
    if (!allowed.expose_headers.empty()) headers.add("Access-Control-Expose-Headers", join(allowed.expose_headers));
    if (allowed.max_age_seconds) headers.add("Access-Control-Max-Age", std::to_string(*allowed.max_age_seconds));
    headers.add("Vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method");
  }

  Answer<http::Response> preflight(Call& call, const std::optional<s3proto::BucketName>& name) {
    const auto origin = call.field("Origin");
    const auto method = call.field("Access-Control-Request-Method");
    if (!origin) return refusal(ErrorCode::BadRequest, "Insufficient information. Origin request header needed.");
    if (!method) return refusal(ErrorCode::BadRequest, "Invalid Access-Control-Request-Method: null");
    if (name) TRY_DO(open_bucket(call, *name));
    std::vector<std::string_view> asked;
    std::string_view rest = call.field("Access-Control-Request-Headers").value_or("");
    while (!rest.empty()) {
      const size_t comma = rest.find(',');
      std::string_view one = rest.substr(0, comma);
      while (!one.empty() && one.front() == ' ') one.remove_prefix(1);
      while (!one.empty() && one.back() == ' ') one.remove_suffix(1);
      if (!one.empty()) asked.push_back(one);
      rest.remove_prefix(comma == rest.npos ? rest.size() : comma + 1);
    }
    std::optional<s3proto::CorsAllowed> allowed;
    if (call.bucket && call.bucket->documents->cors)
      allowed = s3proto::match_cors(*call.bucket->documents->cors, *origin, *method, asked);
    if (!allowed) return refusal(ErrorCode::AccessDenied, "CORSResponse: This CORS request is not allowed.");
    http::Response response;
    add_allowed(*allowed, response.headers);
    response.body = http::Part(Bytes());
    return response;
  }

  void add_cors(const Call& call, http::Response& response) {
    if (call.operation == Operation::PreflightRequest || !call.bucket || !call.bucket->documents->cors) return;
    const auto origin = call.field("Origin");
    if (!origin) return;
    if (const auto allowed =
            s3proto::match_cors(*call.bucket->documents->cors, *origin,
                                call.field("Access-Control-Request-Method").value_or(call.head.method_text), {}))
      add_allowed(*allowed, response.headers);
  }

  Edge& edge_;
  volume::StateCache states_;
  depot::Releases releases_;
  SmallChunks small_chunks_{kSmallChunksBytes};
  std::map<Bytes, std::pair<std::shared_ptr<const volume::AccessKey>, s3auth::SigningKey>>
      signing_keys_;  // by credential
  std::map<Bytes, std::pair<std::shared_ptr<const volume::Volume>, std::shared_ptr<const BucketDocuments>>, std::less<>>
      documents_;
  uint64_t request_id_ = 0;
};

Edge::Edge(Services services, Options options, http::BlockingPool& pool, http::BlockingPool& slow_pool)
    : services_(std::move(services)),
      options_(std::move(options)),
      pool_(pool),
      slow_pool_(slow_pool),
      uploads_{http::BlockingPool(
                   {.threads = std::max(2u, std::thread::hardware_concurrency()) + 1, .queue_max = kUploadJobsMax}),
               std::make_shared<UploadMemory>(kUploadBytesMax)} {}

std::unique_ptr<http::Handler> Edge::make_handler() { return std::make_unique<Handler>(*this); }

}  // namespace hailstone::s3
