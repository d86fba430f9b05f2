#include "cli/transport.h"

#include <algorithm>

#include "http/client.h"

namespace hailstone::cli {
namespace {

constexpr uint64_t kAnswerBytesMax = 256u << 20;  // of an answer kept in memory: a page, a diff, an error
constexpr size_t kPieceBytes = 256u << 10;
// A publish may check and derive for minutes before its first byte.
constexpr uint32_t kStallTimeoutMs = 10 * 60'000;

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c; });
  return text;
}

class HttpTransport final : public Transport {
 public:
  HttpTransport(http::BaseUrl base, http::ClientOptions options) : client_(std::move(base), std::move(options)) {}

  Result<Answer> call(const Call& call, const BodySink* sink) override {
    auto answer = exchange(call, sink);
    // What is left of a broken exchange must not be taken for the next answer.
    if (!answer) client_.close();
    return answer;
  }

 private:
  Result<Answer> exchange(const Call& call, const BodySink* sink) {
    http::ClientRequest request;
    request.method = call.method;
    request.target = call.target;
    for (const auto& [name, value] : call.fields) request.headers.add(name, value);
    request.body = call.body;
    Bytes piece;
    size_t taken = 0;
    if (call.pull) {
      request.body_length = call.length;
      request.body_source = [&](char* out, size_t size) -> Result<size_t> {
        if (taken == piece.size()) {
          piece.clear();
          taken = 0;
          TRY(const bool more, call.pull(piece));
          if (!more) return size_t{0};
        }
        const size_t n = std::min(size, piece.size() - taken);
        std::copy_n(piece.data() + taken, n, out);
        taken += n;
        return n;
      };
    }
    TRY(const http::ClientResponse head, client_.send(request));
    Answer answer;
    answer.status = head.status;
    for (const auto& [name, value] : head.fields) answer.fields.emplace_back(lower_case(name), value);
    if (sink == nullptr || head.status < 200 || head.status > 299) {
      TRY(answer.body, client_.read_all(kAnswerBytesMax));
      return answer;
    }
    Bytes buffer(kPieceBytes, '\0');
    while (true) {
      TRY(const size_t n, client_.read_some(buffer.data(), buffer.size()));
      if (n == 0) return answer;
      TRY_DO((*sink)(ByteView(buffer).substr(0, n)));
    }
  }

  http::Client client_;
};

}  // namespace

Result<std::unique_ptr<Transport>> make_transport(const Server& server) {
  TRY(http::BaseUrl base, http::BaseUrl::parse(server.url));
  http::ClientOptions options;
  options.stall_timeout_ms = kStallTimeoutMs;
  options.ca_file = server.ca_file;
  return std::make_unique<HttpTransport>(std::move(base), std::move(options));
}

}  // namespace hailstone::cli
