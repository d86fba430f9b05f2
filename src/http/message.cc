#include "http/message.h"

#include <algorithm>
#include <string>

#include "http/grammar.h"

namespace hailstone::http {
namespace {

// application/x-www-form-urlencoded: '+' is a space.
bool decode_form(std::string_view text, Bytes& out) {
  Bytes spaced(text);
  std::replace(spaced.begin(), spaced.end(), '+', ' ');
  return percent_decode(spaced, out);
}

Response with_body(int status, std::string_view content_type, Bytes body) {
  Response response;
  response.status = status;
  response.headers.add("Content-Type", content_type);
  response.body = Part(std::move(body));
  return response;
}

}  // namespace

std::optional<Bytes> RequestHead::parameter(std::string_view name) const {
  std::string_view rest = query;
  while (!rest.empty()) {
    const size_t end = rest.find('&');
    const std::string_view pair = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    const size_t equals = pair.find('=');
    Bytes key, value;
    if (!decode_form(pair.substr(0, equals), key) || key != name) continue;
    if (equals == std::string_view::npos) return Bytes();
    if (!decode_form(pair.substr(equals + 1), value)) return std::nullopt;
    return value;
  }
  return std::nullopt;
}

uint64_t part_length(const Part& part) {
  if (const auto* bytes = std::get_if<Bytes>(&part)) return bytes->size();
  if (const auto* span = std::get_if<SharedSpan>(&part)) return span->length;
  if (const auto* span = std::get_if<PageSpan>(&part)) return span->bytes.size();
  return std::get<FileSpan>(part).length;
}

void HeaderBlock::add(std::string_view name, std::string_view value) {
  lines_.reserve(lines_.size() + name.size() + value.size() + 4);
  lines_.append(name).append(": ");
  const size_t at = lines_.size();
  lines_.append(value);
  for (size_t i = at; i < lines_.size(); ++i)
    if (lines_[i] == '\r' || lines_[i] == '\n' || lines_[i] == '\0') lines_[i] = ' ';
  lines_.append("\r\n");
}

Response Response::text(int status, Bytes body) {
  return with_body(status, "text/plain; charset=utf-8", std::move(body));
}

Response Response::json(int status, Bytes body) { return with_body(status, "application/json", std::move(body)); }

std::string_view reason_phrase(int status) {
  switch (status) {
    case 100: return "Continue";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 207: return "Multi-Status";
    case 300: return "Multiple Choices";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 423: return "Locked";
    case 425: return "Too Early";
    case 426: return "Upgrade Required";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    case 507: return "Insufficient Storage";
    default: return "Unknown";
  }
}

Task<Result<Bytes>> read_all(RequestBody& body, uint64_t bytes_max) {
  Bytes all;
  size_t used = 0;
  while (true) {
    // Room doubles as the body proves to be long. One byte more than allowed may be read, to see that there is one.
    const uint64_t step = std::clamp<uint64_t>(used, 4u << 10, 1u << 20);
    const size_t room = static_cast<size_t>(std::min(step, bytes_max - used + 1));
    if (all.size() < used + room) all.resize(used + room);
    CO_TRY(const size_t count, co_await body.read_some(all.data() + used, room));
    if (count == 0) break;
    used += count;
    if (used > bytes_max)
      co_return fail(Code::Exhausted, "request body is longer than " + std::to_string(bytes_max) + " bytes");
  }
  all.resize(used);
  co_return all;
}

}  // namespace hailstone::http
