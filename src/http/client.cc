#include "http/client.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "http/body_decoder.h"
#include "http/grammar.h"
#include "http/input_buffer.h"
#include "http/parser.h"
#include "http/wire.h"

namespace hailstone::http {
namespace {

constexpr size_t kInputBytes = 16u << 10;
constexpr size_t kSourceBytes = 64u << 10;      // read from a body source at a time
constexpr size_t kJoinBytesMax = 16u << 10;     // bodies up to this go out with their head
constexpr uint64_t kDropBytesMax = 256u << 10;  // of an unread response, to keep the connection

bool is_idempotent(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE" || method == "OPTIONS";
}

bool may_carry_body(std::string_view method) { return method == "PUT" || method == "POST" || method == "PATCH"; }

}  // namespace

struct Client::Reading {
  explicit Reading(uint32_t head_bytes_max) : in(kInputBytes), parser(HeadLimits{head_bytes_max, 200}) {}
  InputBuffer in;
  ResponseParser parser;
  BodyDecoder decoder = BodyDecoder::fixed(0);
  bool keep_alive = false;
  bool any_byte = false;     // of the present response
  bool request_cut = false;  // the response came before the request was sent whole
};

std::optional<std::string_view> ClientResponse::field(std::string_view name) const {
  for (const auto& [key, value] : fields)
    if (same_text(key, name)) return value;
  return std::nullopt;
}

Client::Client(BaseUrl base, ClientOptions options) : base_(std::move(base)), options_(std::move(options)) {}
Client::~Client() = default;

void Client::close() {
  wire_.reset();
  reading_.reset();
}

Result<void> Client::connect() {
  close();
  const WireOptions options{options_.connect_timeout_ms, options_.stall_timeout_ms, options_.ca_file,
                            options_.verify == ClientOptions::Verify::Peer};
  TRY(wire_, Wire::connect(base_, options));
  reading_ = std::make_unique<Reading>(options_.head_bytes_max);
  return {};
}

// Reads what is left of the last response. False when the connection can't be used again.
bool Client::reusable() {
  if (wire_ == nullptr || !reading_->keep_alive || reading_->request_cut) return false;
  const auto remaining = reading_->decoder.remaining();
  if (!reading_->decoder.ended() && remaining.value_or(0) > kDropBytesMax) return false;
  char dropped[4096];
  uint64_t total = 0;
  while (!reading_->decoder.ended()) {
    const Result<size_t> count = read_some(dropped, sizeof dropped);
    if (!count || (total += *count) > kDropBytesMax) return false;
  }
  return wire_ != nullptr && reading_->keep_alive && reading_->in.empty() && !wire_->readable();
}

Result<ClientResponse> Client::send(const ClientRequest& request) {
  const bool reused = reusable();
  if (!reused) TRY_DO(connect());
  Result<ClientResponse> response = exchange(request);
  if (response) return response;
  const bool repeatable = is_idempotent(request.method) && !request.body_source;
  const bool died = response.error().code == Code::Unavailable && !reading_->any_byte;
  if (reused && died && repeatable) {
    TRY_DO(connect());
    response = exchange(request);
    if (response) return response;
  }
  close();
  Error error = std::move(response).error();
  // Whether the server acted on it is anyone's guess.
  if (error.code == Code::Unavailable && !is_idempotent(request.method)) error.code = Code::Timeout;
  return std::unexpected(std::move(error));
}

Result<ClientResponse> Client::exchange(const ClientRequest& request) {
  reading_->any_byte = reading_->request_cut = false;
  Result<void> sent = send_request(request);
  // A server that refuses a body may close before it took all: its reason is worth more than our EPIPE.
  if (!sent && (sent.error().code != Code::Unavailable || !may_carry_body(request.method)))
    return std::unexpected(std::move(sent).error());
  if (!sent) reading_->request_cut = true;
  Result<ClientResponse> response = read_head(request.method);
  if (!response && !sent) return std::unexpected(std::move(sent).error());
  return response;
}

Result<void> Client::send_request(const ClientRequest& request) {
  if (!is_token(request.method)) return fail(Code::Invalid, "method " + printable(request.method) + " is not a token");
  if (request.target.empty() || request.target.find_first_of(" \t\r\n") != std::string::npos)
    return fail(Code::Invalid, "request target " + printable(request.target) + " is not one");
  Bytes head = request.method + " " + (request.target == "*" ? "" : base_.path) + request.target +
               " HTTP/1.1\r\nHost: " + base_.authority() + "\r\nUser-Agent: hailstone\r\n";
  if (request.body_source && !request.body_length) {
    head += "Transfer-Encoding: chunked\r\n";
  } else if (request.body_source) {
    head += "Content-Length: " + std::to_string(*request.body_length) + "\r\n";
  } else if (!request.body.empty() || may_carry_body(request.method)) {
    head += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
  }
  head += request.headers.lines();
  head += "\r\n";
  ByteView rest = request.body_source ? ByteView() : request.body;
  if (rest.size() <= kJoinBytesMax) {
    head += rest;
    rest = {};
  }
  TRY_DO(wire_->send(head, Wire::OnInput::KeepSending));
  if (request.body_source) return send_source(request);
  TRY(const bool whole, wire_->send(rest, Wire::OnInput::Stop));
  reading_->request_cut = !whole;
  return {};
}

Result<void> Client::send_source(const ClientRequest& request) {
  const bool chunked = !request.body_length;
  Bytes buffer(kSourceBytes, '\0'), frame;
  uint64_t total = 0;
  while (true) {
    TRY(const size_t count, request.body_source(buffer.data(), buffer.size()));
    if (count == 0) break;
    total += count;
    if (!chunked && total > *request.body_length) break;
    ByteView piece(buffer.data(), count);
    if (chunked) {
      char size[16];
      frame.assign(size, std::to_chars(size, size + sizeof size, count, 16).ptr);
      frame.append("\r\n").append(piece).append("\r\n");
      piece = frame;
    }
    TRY(const bool whole, wire_->send(piece, Wire::OnInput::Stop));
    if (!whole) {
      reading_->request_cut = true;
      return {};
    }
  }
  if (!chunked && total != *request.body_length)
    return fail(Code::Invalid, "request body has " + std::to_string(total) + " bytes, not the " +
                                   std::to_string(*request.body_length) + " announced");
  if (chunked) TRY_DO(wire_->send("0\r\n\r\n", Wire::OnInput::KeepSending));
  return {};
}

Result<ClientResponse> Client::read_head(std::string_view method) {
  InputBuffer& in = reading_->in;
  ResponseHead head;
  while (true) {
    reading_->parser.reset();
    Parsed parsed;
    while (true) {
      parsed = reading_->parser.parse(in.unread(), head);
      if (parsed.state != Parsed::State::NeedMore) break;
      if (!in.compact()) in.grow(2 * in.capacity());
      TRY(const size_t count, wire_->receive(in.space(), in.space_bytes()));
      if (count == 0) return fail(Code::Unavailable, base_.host_port() + " closed the connection before it answered");
      in.filled(count);
      reading_->any_byte = true;
    }
    if (parsed.state == Parsed::State::Rejected)
      return fail(Code::Corrupt, "response of " + base_.host_port() + ": " + std::string(reject_text(parsed.reason)));
    in.consume(parsed.head_bytes);
    if (head.status >= 200 || head.status == 101) break;
  }
  ClientResponse response{head.status, std::string(head.reason), {}, head.content_length};
  response.fields.reserve(head.fields.size());
  for (const RequestHead::Field& f : head.fields) response.fields.emplace_back(f.name, f.value);
  reading_->keep_alive = head.keep_alive;
  if (method == "HEAD" || head.status == 204 || head.status == 304) {
    reading_->decoder = BodyDecoder::fixed(0);
  } else if (head.chunked) {
    reading_->decoder = BodyDecoder::chunked();
  } else if (head.content_length) {
    reading_->decoder = BodyDecoder::fixed(*head.content_length);
  } else {
    reading_->decoder = BodyDecoder::until_close();
    reading_->keep_alive = false;
  }
  return response;
}

Result<size_t> Client::read_some(char* out, size_t size) {
  if (reading_ == nullptr || size == 0) return size_t{0};
  InputBuffer& in = reading_->in;
  BodyDecoder& decoder = reading_->decoder;
  while (!decoder.ended()) {
    if (!in.empty()) {
      const BodyDecoder::Step step = decoder.step(in.unread(), size);
      in.consume(step.consumed);
      if (step.state == BodyDecoder::State::Data) {
        std::memcpy(out, step.data.data(), step.data.size());
        return step.data.size();
      }
      if (step.state == BodyDecoder::State::End) break;
      if (step.state == BodyDecoder::State::Rejected) {
        const std::string why(reject_text(step.reason));
        close();
        return fail(Code::Corrupt, "response body of " + base_.host_port() + ": " + why);
      }
    }
    in.unpin();
    in.compact();
    const uint64_t certain = decoder.certain();
    const bool direct = certain > 0;
    Result<size_t> count = direct ? wire_->receive(out, static_cast<size_t>(std::min<uint64_t>(size, certain)))
                                  : wire_->receive(in.space(), in.space_bytes());
    if (count && *count == 0 && decoder.finish_at_close()) break;
    if (count && *count == 0)
      count = fail(Code::Unavailable, "response body of " + base_.host_port() + " is cut short");
    if (!count) {
      close();
      return count;
    }
    if (direct) {
      decoder.skip(*count);
      return count;
    }
    in.filled(*count);
  }
  return size_t{0};
}

Result<Bytes> Client::read_all(uint64_t bytes_max) {
  Bytes all;
  size_t used = 0;
  while (true) {
    const uint64_t step = std::clamp<uint64_t>(used, 4u << 10, 1u << 20);
    const size_t room = static_cast<size_t>(std::min(step, bytes_max - used + 1));
    if (all.size() < used + room) all.resize(used + room);
    TRY(const size_t count, read_some(all.data() + used, room));
    if (count == 0) break;
    used += count;
    if (used > bytes_max)
      return fail(Code::Exhausted,
                  "response of " + base_.host_port() + " is longer than " + std::to_string(bytes_max) + " bytes");
  }
  all.resize(used);
  return all;
}

Result<Client::Whole> Client::fetch(const ClientRequest& request, uint64_t bytes_max) {
  TRY(ClientResponse head, send(request));
  TRY(Bytes body, read_all(bytes_max));
  return Whole{std::move(head), std::move(body)};
}

}  // namespace hailstone::http
