#include "http/parser.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <vector>

namespace hailstone::http {
namespace {

using namespace std::string_literals;

// "GET /a keep; host=x; accept=*/*" or "reject: bare line feed" or "more".
std::string parsed(ByteView raw, const HeadLimits& limits = {}) {
  RequestParser parser(limits);
  RequestHead head;
  const Parsed p = parser.parse(raw, head);
  if (p.state == Parsed::State::NeedMore) return "more";
  if (p.state == Parsed::State::Rejected) return "reject: " + std::string(reject_text(p.reason));
  std::string out = std::string(head.method_text) + " " + std::string(head.path);
  if (!head.query.empty()) out += " ?" + std::string(head.query);
  if (head.minor_version == 0) out += " 1.0";
  if (!head.keep_alive) out += " close";
  if (head.content_length) out += " length=" + std::to_string(*head.content_length);
  if (head.chunked) out += " chunked";
  if (head.expects_continue) out += " expect";
  for (const auto& f : head.fields) out += "; " + std::string(f.name) + "=" + std::string(f.value);
  if (p.head_bytes != raw.size()) out += " +" + std::to_string(raw.size() - p.head_bytes);
  return out;
}

struct Case {
  std::string raw, want;
};

const std::vector<Case>& accepted() {
  static const std::vector<Case> kCases = {
      {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET /; Host=x"},
      {"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET", "GET /; Host=x +3"},
      {"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET /; Host=x"},
      {"HEAD /a%20b?c=d&e HTTP/1.1\r\nhost:x:80\r\n\r\n", "HEAD /a%20b ?c=d&e; host=x:80"},
      {"GET //a?? HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "GET //a ??; Host=[::1]:80"},
      {"GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET /; Host="},
      {"GET / HTTP/1.1\r\nHost: x\r\nA: \t b c \t\r\nB:\r\n\r\n", "GET /; Host=x; A=b c; B="},
      {"GET / HTTP/1.1\r\nHost: x\r\nA: \xc3\xa9\r\n\r\n", "GET /; Host=x; A=\xc3\xa9"},
      {"GET / HTTP/1.0\r\n\r\n", "GET / 1.0 close"},
      {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET / 1.0; Connection=Keep-Alive"},
      {"GET / HTTP/1.1\r\nHost: x\r\nConnection: a, CLOSE\r\n\r\n", "GET / close; Host=x; Connection=a, CLOSE"},
      {"GET http://h:8/p?q HTTP/1.1\r\nHost: x\r\n\r\n", "GET /p ?q; Host=h:8"},
      {"GET HTTPS://h HTTP/1.1\r\nHost: x\r\n\r\n", "GET /; Host=h"},
      {"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "OPTIONS *; Host=x"},
      {"PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", "PUT /a length=5; Host=x; Content-Length=5 +5"},
      {"PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n",
       "PUT /a chunked; Host=x; Transfer-Encoding=Chunked"},
      {"PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\r\n",
       "PUT /a length=5 expect; Host=x; Content-Length=5; Expect=100-Continue"},
      {"PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n",
       "PUT /a length=0; Host=x; Content-Length=0; Expect=100-continue"},
      {"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
       "GET /; Host=x; Connection=Upgrade, HTTP2-Settings; Upgrade=h2c"},
      {"PROPFIND / HTTP/1.1\r\nHost: x\r\n\r\n", "PROPFIND /; Host=x"},
      {"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 9223372036854775799\r\n\r\n",
       "PUT / length=9223372036854775799; Host=x; Content-Length=9223372036854775799"},
  };
  return kCases;
}

// Requests that two parsers could read differently, and others that are plainly wrong.
const std::vector<Case>& refused() {
  static const std::vector<Case> kCases = {
      // Which body?
      {"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
       "ambiguous message length"},
      {"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
       "ambiguous message length"},
      {"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
       "malformed or repeated Content-Length"},
      {"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
       "malformed or repeated Content-Length"},
      {"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\n", "malformed or repeated Content-Length"},
      {"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\n", "malformed or repeated Content-Length"},
      {"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\n", "malformed or repeated Content-Length"},
      {"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x3\r\n\r\n", "malformed or repeated Content-Length"},
      {"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3 4\r\n\r\n", "malformed or repeated Content-Length"},
      {"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n", "malformed or repeated Content-Length"},
      {"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551615\r\n\r\n", "Content-Length too large"},
      {"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "unknown transfer coding"},
      {"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", "unknown transfer coding"},
      {"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n", "unknown transfer coding"},
      {"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n", "unknown transfer coding"},
      {"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \"chunked\"\r\n\r\n", "unknown transfer coding"},
      {"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n\r\n", "unknown transfer coding"},
      {"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
       "unknown transfer coding"},
      {"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
       "unknown transfer coding"},
      {"PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "ambiguous message length"},
      {"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n", "malformed header field"},
      {"PUT / HTTP/1.1\r\nHost: x\r\n Transfer-Encoding: chunked\r\n\r\n", "folded header field"},
      {"PUT / HTTP/1.1\r\n Content-Length: 3\r\nHost: x\r\n\r\n", "folded header field"},
      {"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n chunked\r\n\r\n", "folded header field"},
      {"PUT / HTTP/1.1\r\nHost: x\r\nX: a\rTransfer-Encoding: chunked\r\n\r\n", "bare carriage return"},
      {"PUT / HTTP/1.1\r\nHost: x\r\nX: a\nTransfer-Encoding: chunked\r\n\r\n", "bare line feed"},
      {"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \x0b"
       "chunked\r\n\r\n",
       "malformed header field"},
      {"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding\0: chunked\r\n\r\n"s, "malformed header field"},
      // Line ends.
      {"GET / HTTP/1.1\nHost: x\n\n", "bare line feed"},
      {"GET / HTTP/1.1\r\nHost: x\r\n\n", "bare line feed"},
      {"GET / HTTP/1.1\r\nHost: x\r\r\n\r\n", "bare carriage return"},
      {"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", "malformed request line"},
      {"\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", "bare line feed"},
      // Request line.
      {"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", "malformed request target"},
      {"GET / HTTP/1.1 \r\nHost: x\r\n\r\n", "malformed request line"},
      {"GET /\r\nHost: x\r\n\r\n", "malformed request line"},
      {"GET\r\nHost: x\r\n\r\n", "malformed request line"},
      {"GET / http/1.1\r\nHost: x\r\n\r\n", "malformed request line"},
      {"GET / HTTP/1.10\r\nHost: x\r\n\r\n", "malformed request line"},
      {"GET / HTTP/2.0\r\nHost: x\r\n\r\n", "unsupported HTTP version"},
      {"GET / HTTP/1.2\r\nHost: x\r\n\r\n", "unsupported HTTP version"},
      {"PRI * HTTP/2.0\r\n\r\n", "unsupported HTTP version"},
      {"BREW / HTTP/1.1\r\nHost: x\r\n\r\n", "unknown method"},
      {"get / HTTP/1.1\r\nHost: x\r\n\r\n", "unknown method"},
      {"CONNECT h:1 HTTP/1.1\r\nHost: x\r\n\r\n", "unknown method"},
      {"G(T / HTTP/1.1\r\nHost: x\r\n\r\n", "malformed request line"},
      {"\x16\x03\x01\x02", "malformed request line"},
      {"\x16\x03\x01\r\nmore", "malformed request line"},
      {"\x16\x03\nmore", "malformed request line"},
      {"GET a HTTP/1.1\r\nHost: x\r\n\r\n", "malformed request target"},
      {"GET * HTTP/1.1\r\nHost: x\r\n\r\n", "malformed request target"},
      {"GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n", "malformed request target"},
      {"GET /a\x80 HTTP/1.1\r\nHost: x\r\n\r\n", "malformed request target"},
      {"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", "malformed request target"},
      {"GET /a\tb HTTP/1.1\r\nHost: x\r\n\r\n", "malformed request target"},
      {"GET ftp://h/ HTTP/1.1\r\nHost: x\r\n\r\n", "malformed request target"},
      {"GET http:///a HTTP/1.1\r\nHost: x\r\n\r\n", "malformed request target"},
      {"GET http://u@h/a HTTP/1.1\r\nHost: x\r\n\r\n", "malformed request target"},
      // Fields.
      {"GET / HTTP/1.1\r\n\r\n", "missing, repeated or malformed Host"},
      {"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", "missing, repeated or malformed Host"},
      {"GET / HTTP/1.0\r\nHost: x\r\nhost: y\r\n\r\n", "missing, repeated or malformed Host"},
      {"GET / HTTP/1.1\r\nHost: x/y\r\n\r\n", "missing, repeated or malformed Host"},
      {"GET / HTTP/1.1\r\nHost: x y\r\n\r\n", "missing, repeated or malformed Host"},
      {"GET / HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n", "malformed header field"},
      {"GET / HTTP/1.1\r\nHost: x\r\nA\r\n\r\n", "malformed header field"},
      {"GET / HTTP/1.1\r\nHost: x\r\n: a\r\n\r\n", "malformed header field"},
      {"GET / HTTP/1.1\r\nHost: x\r\nA: b\x7f\r\n\r\n", "malformed header field"},
      {"GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n"s, "malformed header field"},
      {"GET / HTTP/1.1\r\nHost: x\r\nExpect: 200-ok\r\n\r\n", "unknown expectation"},
  };
  return kCases;
}

TEST(RequestParser, ReadsWhatIsWellFormed) {
  for (const Case& c : accepted()) EXPECT_EQ(parsed(c.raw), c.want) << printable(c.raw);
}

TEST(RequestParser, RefusesWhatTwoParsersCouldReadDifferently) {
  for (const Case& c : refused()) EXPECT_EQ(parsed(c.raw), "reject: " + c.want) << printable(c.raw);
}

TEST(RequestParser, GivesTheSameAnswerHoweverTheBytesArrive) {
  for (const auto* table : {&accepted(), &refused()}) {
    for (const Case& c : *table) {
      const std::string whole = parsed(c.raw);
      for (size_t split = 0; split < c.raw.size(); ++split) {
        RequestParser parser({});
        RequestHead head;
        const Parsed first = parser.parse(ByteView(c.raw).substr(0, split), head);
        // An early answer must be the final one.
        if (first.state == Parsed::State::Rejected) {
          EXPECT_EQ("reject: " + std::string(reject_text(first.reason)), whole) << split << printable(c.raw);
          continue;
        }
        if (first.state == Parsed::State::Done) continue;
        const Parsed second = parser.parse(c.raw, head);
        if (second.state == Parsed::State::Rejected) {
          EXPECT_EQ("reject: " + std::string(reject_text(second.reason)), whole) << split << printable(c.raw);
        } else {
          EXPECT_TRUE(second.state == Parsed::State::Done && whole.find("reject") == std::string::npos)
              << printable(c.raw);
        }
      }
      RequestParser byte_by_byte({});
      RequestHead head;
      Parsed last;
      for (size_t n = 0; n <= c.raw.size() && last.state == Parsed::State::NeedMore; ++n)
        last = byte_by_byte.parse(ByteView(c.raw).substr(0, n), head);
      EXPECT_EQ(last.state == Parsed::State::Rejected, whole.starts_with("reject")) << printable(c.raw);
    }
  }
}

// Every single-bit error either is refused or leaves a head whose views lie within its bytes.
TEST(RequestParser, SurvivesEveryFlippedBit) {
  for (const auto* table : {&accepted(), &refused()}) {
    for (const Case& c : *table) {
      for (size_t bit = 0; bit < c.raw.size() * 8; ++bit) {
        // On the heap and without a terminator: a read past the end is seen by the sanitizer.
        std::vector<char> bytes(c.raw.begin(), c.raw.end());
        bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
        RequestParser parser({});
        RequestHead head;
        const Parsed p = parser.parse({bytes.data(), bytes.size()}, head);
        if (p.state != Parsed::State::Done) continue;
        ASSERT_LE(p.head_bytes, bytes.size());
        for (const auto& f : head.fields) {
          ASSERT_FALSE(f.name.empty());
          ASSERT_EQ(f.value.find_first_of("\r\n\0"s), std::string_view::npos);
        }
        ASSERT_TRUE(head.target == "*" || head.target.front() == '/');
        ASSERT_FALSE(head.chunked && head.content_length);
      }
    }
  }
}

TEST(RequestParser, AllowsExactlyTheCharactersOfTheGrammar) {
  for (int c = 0; c < 256; ++c) {
    const std::string in_name = "GET / HTTP/1.1\r\nHost: x\r\nA" + std::string(1, static_cast<char>(c)) + ": b\r\n\r\n";
    const std::string in_value =
        "GET / HTTP/1.1\r\nHost: x\r\nA: a" + std::string(1, static_cast<char>(c)) + "b\r\n\r\n";
    const bool token = std::isalnum(c) != 0 || (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != nullptr);
    const bool value = c == '\t' || (c >= 0x20 && c != 0x7f);
    // A second colon belongs to the value.
    EXPECT_EQ(parsed(in_name).starts_with("GET"), (token && c < 128) || c == ':') << c;
    EXPECT_EQ(parsed(in_value).starts_with("GET"), value) << c;
  }
}

TEST(RequestParser, LimitsLinesBytesAndFields) {
  const HeadLimits limits{.bytes_max = 200, .fields_max = 3};
  const std::string head = "GET / HTTP/1.1\r\nHost: x\r\n";
  EXPECT_EQ(parsed("GET /" + std::string(300, 'a'), limits), "reject: request target too long");
  EXPECT_EQ(parsed(head + "A: " + std::string(300, 'a'), limits), "reject: request head too large");
  EXPECT_EQ(parsed(head + "A: 1\r\nB: 2\r\n\r\n", limits), "GET /; Host=x; A=1; B=2");
  EXPECT_EQ(parsed(head + "A: 1\r\nB: 2\r\nC: 3\r\n\r\n", limits), "reject: too many header fields");
  // One byte decides.
  const std::string rest = "\r\n\r\n";
  const size_t fill = 200 - head.size() - rest.size() - 3;
  EXPECT_TRUE(parsed(head + "A: " + std::string(fill, 'a') + rest, limits).starts_with("GET"));
  EXPECT_EQ(parsed(head + "A: " + std::string(fill + 1, 'a') + rest, limits), "reject: request head too large");
}

TEST(RequestParser, ReadsOneHeadAfterAnother) {
  const std::string two = "GET /a HTTP/1.1\r\nHost: x\r\nA: 1\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n";
  RequestParser parser({});
  RequestHead head;
  const Parsed first = parser.parse(two, head);
  ASSERT_EQ(first.state, Parsed::State::Done);
  EXPECT_EQ(head.fields.size(), 2u);
  parser.reset();
  ASSERT_EQ(parser.parse(ByteView(two).substr(first.head_bytes), head).state, Parsed::State::Done);
  EXPECT_EQ(head.path, "/b");
  EXPECT_EQ(head.fields.size(), 1u);
}

RC_GTEST_PROP(RequestParser, SurvivesAnyBytes, (const std::string& bytes)) {
  RequestParser parser({});
  RequestHead head;
  parser.parse("GET / HTTP/1.1\r\nHost: " + bytes, head);
  parser.reset();
  parser.parse(bytes + "\r\n\r\n", head);
}

TEST(Reject, EachHasItsStatusAndText) {
  for (int r = 0; r <= static_cast<int>(Reject::UnsupportedVersion); ++r) {
    const int status = status_of(static_cast<Reject>(r));
    EXPECT_TRUE(status >= 400 && status < 600);
    EXPECT_NE(reason_phrase(status), "Unknown");
    EXPECT_FALSE(reject_text(static_cast<Reject>(r)).empty());
  }
  EXPECT_EQ(status_of(Reject::TargetTooLong), 414);
  EXPECT_EQ(status_of(Reject::HeadTooLarge), 431);
  EXPECT_EQ(status_of(Reject::UnknownTransferCoding), 501);
}

TEST(ResponseParser, ReadsHeadsAndRefusesAmbiguity) {
  const auto parse = [](ByteView raw) {
    ResponseParser parser({});
    ResponseHead head;
    const Parsed p = parser.parse(raw, head);
    if (p.state == Parsed::State::NeedMore) return "more"s;
    if (p.state == Parsed::State::Rejected) return "reject: " + std::string(reject_text(p.reason));
    return std::to_string(head.status) + " " + std::string(head.reason) +
           (head.content_length ? " length=" + std::to_string(*head.content_length) : "") +
           (head.chunked ? " chunked" : "") + (head.keep_alive ? "" : " close");
  };
  EXPECT_EQ(parse("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"), "200 OK length=3");
  EXPECT_EQ(parse("HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"),
            "404 Not Found chunked close");
  EXPECT_EQ(parse("HTTP/1.0 204 \r\n\r\n"), "204  close");
  EXPECT_EQ(parse("HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n"), "304 Not Modified length=10");
  EXPECT_EQ(parse("HTTP/1.1 20"), "more");
  EXPECT_EQ(parse("HTTP/1.1 2x0 OK\r\n\r\n"), "reject: malformed request line");
  EXPECT_EQ(parse("HTTP/2 200 OK\r\n\r\n"), "reject: unsupported HTTP version");
  EXPECT_EQ(parse("SSH-2.0-OpenSSH\r\n\r\n"), "reject: unsupported HTTP version");
  EXPECT_EQ(parse("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"),
            "reject: ambiguous message length");
}

}  // namespace
}  // namespace hailstone::http
