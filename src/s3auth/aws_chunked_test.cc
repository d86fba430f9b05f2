#include "s3auth/aws_chunked.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <vector>

#include "s3auth/testing.h"

namespace hailstone::s3auth {
namespace {

using State = AwsChunkedDecoder::State;
using Mode = PayloadMode;

ChunkSeed example_seed(Bytes signature) {
  const Scope scope{kExample.access_key_id, "20130524", "us-east-1"};
  return {std::move(signature), derive_signing_key(kExample.secret, scope), Bytes(kExampleDate), scope.text()};
}

AwsChunkedDecoder::Options options(Mode mode, uint64_t decoded_length) {
  AwsChunkedDecoder::Options out{mode, decoded_length, {}, example_seed(Bytes(64, '0'))};
  if (has_trailer(mode)) out.trailer = {"x-amz-checksum-crc32c"};
  return out;
}

std::string told(const Refusal& refusal) { return std::string(refusal.code) + ": " + refusal.message; }

struct Outcome {
  std::string data, end;  // end: "ok" or the refusal
  std::vector<Trailer> trailer;
  bool operator==(const Outcome&) const = default;
};

Outcome decode(AwsChunkedDecoder::Options with, const std::vector<ByteView>& pieces) {
  AwsChunkedDecoder decoder(std::move(with));
  Outcome out;
  for (ByteView piece : pieces) {
    while (true) {
      const auto step = decoder.step(piece);
      piece.remove_prefix(step.consumed);
      out.data += step.data;
      if (step.state == State::Rejected) return {"", told(decoder.refusal()), {}};
      if (step.state != State::Data) break;
    }
    EXPECT_TRUE(piece.empty());
  }
  if (const auto ended = decoder.finish(); !ended) return {"", told(ended.error()), {}};
  return {out.data, "ok", decoder.trailer()};
}

std::string chunk(const std::string& size, const std::string& signature, const std::string& data) {
  return size + ";chunk-signature=" + signature + "\r\n" + data + "\r\n";
}

// "Signature Calculations for the Authorization Header: Transferring Payload in Multiple Chunks".
TEST(AwsChunked, DecodesAndEncodesThePublishedExample) {
  const std::string first(65536, 'a'), second(1024, 'a');
  const std::string body = chunk("10000", "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648", first) +
                           chunk("400", "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497", second) +
                           chunk("0", "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9", "");
  const auto seed = example_seed("4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9");
  EXPECT_TRUE(decode({Mode::SignedChunks, 66560, {}, seed}, {body}) == (Outcome{first + second, "ok", {}}));
  ChunkEncoder encoder(Mode::SignedChunks, seed);
  EXPECT_TRUE(encoder.chunk(first) + encoder.chunk(second) + encoder.last() == body);
  EXPECT_EQ(body.size(), 66824u);  // the example's Content-Length
}

// "... Including Trailing Headers (Chunked Upload)".
TEST(AwsChunked, DecodesAndEncodesThePublishedTrailerExample) {
  const std::string first(65536, 'a'), second(1024, 'a');
  const std::string chunks = chunk("10000", "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2", first) +
                             chunk("400", "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7", second) +
                             "0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n";
  const std::string signature =
      "x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n";
  const auto seed = example_seed("106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e");
  const AwsChunkedDecoder::Options with{Mode::SignedChunksTrailer, 66560, {"x-amz-checksum-crc32c"}, seed};
  const std::vector<Trailer> trailer = {{"x-amz-checksum-crc32c", "sOO8/Q=="}};
  for (const char* end : {"\r\n", "\n\r\n"}) {
    const std::string body = chunks + "x-amz-checksum-crc32c:sOO8/Q==" + end + signature;
    EXPECT_TRUE(decode(with, {body}) == (Outcome{first + second, "ok", trailer})) << printable(end);
  }
  ChunkEncoder encoder(Mode::SignedChunksTrailer, seed);
  const std::string body = chunks + "x-amz-checksum-crc32c:sOO8/Q==\r\n" + signature;
  EXPECT_TRUE(encoder.chunk(first) + encoder.chunk(second) + encoder.last(trailer) == body);
  EXPECT_EQ(body.size(), 66946u);
}

struct Case {
  Mode mode;
  uint64_t decoded_length;
  std::string body, data, end;
};

const std::vector<Case>& cases() {
  const auto signed_body = [](Mode mode, const std::vector<std::string>& chunks, const std::vector<Trailer>& trailer) {
    ChunkEncoder encoder(mode, example_seed(Bytes(64, '0')));
    std::string out;
    for (const auto& data : chunks) out += encoder.chunk(data);
    return out + encoder.last(trailer);
  };
  const auto changed = [](std::string body, const std::string& from, const std::string& to) {
    const size_t found = body.find(from);
    EXPECT_NE(found, std::string::npos) << from;
    return body.replace(found, from.size(), to);
  };
  const std::string t = "x-amz-checksum-crc32c:sOO8/Q==\r\n";
  const std::string plain = signed_body(Mode::SignedChunks, {"hello", " world"}, {});
  const std::string trailed =
      signed_body(Mode::SignedChunksTrailer, {"hello"}, {{"x-amz-checksum-crc32c", "sOO8/Q=="}});
  const std::string mismatch =
      "SignatureDoesNotMatch: The request signature we calculated does not match the signature you provided. Check "
      "your key and signing method.";
  const std::string cut = "IncompleteBody: The request body terminated unexpectedly";
  const std::string crlf = "InvalidRequest: aws-chunked: CR LF expected";
  const Mode u = Mode::UnsignedChunksTrailer, s = Mode::SignedChunks, st = Mode::SignedChunksTrailer;
  static const std::vector<Case> kCases = {
      {u, 0, "0\r\n" + t + "\r\n", "", "ok"},
      {u, 5, "5\r\nhello\r\n0\r\n" + t + "\r\n", "hello", "ok"},
      {u, 10, "5\r\nhello\r\n05\r\nworld\r\n000\r\n" + t + "\r\n", "helloworld", "ok"},
      {u, 11, "B\r\nhello world\r\n0\r\nX-Amz-Checksum-CRC32C: \tsOO8/Q== \r\n\r\n", "hello world", "ok"},
      {u, 0, "0\r\nx-amz-checksum-crc32c:sOO8/Q==\n\r\n\r\n", "", "ok"},
      {u, 0, "0\r\nx-amz-checksum-crc32c:sOO8/Q==\n\r\n", "", cut},
      {u, 0, "0\r\nx-amz-checksum-crc32c:sOO8/Q==\n\n", "", crlf},
      {u, 0, "0\r\nx-amz-checksum-crc32c:sOO8/Q==\nx", "", crlf},
      {u, 5, "", "", cut},
      {u, 5, "5\r\nhell", "", cut},
      {u, 5, "5\r\nhello\r\n0\r\n" + t, "", cut},
      {u, 5, "5\r\nhello\r\n0\r\n" + t + "\r", "", cut},
      {u, 5, "5\r\nhello\r\n0\r\n" + t + "\r\nx", "", "InvalidRequest: aws-chunked: bytes after the end"},
      {u, 5, "5\nhello\r\n", "", crlf},
      {u, 5, "5\r\nhello\n", "", crlf},
      {u, 5, "5\r\nhelloX", "", crlf},
      {u, 5, "5\r\nhello\rX", "", crlf},
      {u, 0, "0\r\n\n", "", crlf},
      {u, 5, "\r\n", "", "InvalidRequest: aws-chunked: bad chunk size in \"\""},
      {u, 5, "g\r\n", "", "InvalidRequest: aws-chunked: bad chunk size in \"g\""},
      {u, 5, "-5\r\n", "", "InvalidRequest: aws-chunked: bad chunk size in \"-5\""},
      {u, 5, "+5\r\n", "", "InvalidRequest: aws-chunked: bad chunk size in \"+5\""},
      {u, 5, "0x5\r\n", "", "InvalidRequest: aws-chunked: bad chunk size in \"0x5\""},
      {u, 5, " 5\r\n", "", "InvalidRequest: aws-chunked: bad chunk size in \" 5\""},
      {u, 5, "5\r\r\n", "", "InvalidRequest: aws-chunked: bad chunk size in \"5\\x0d\""},
      {u, 5, "00000000000000005\r\n", "", "InvalidRequest: aws-chunked: bad chunk size in \"00000000000000005\""},
      {u, 5, std::string(200, '0'), "", "InvalidRequest: aws-chunked: line too long"},
      {u, 5, "5;a=b\r\n", "", "InvalidRequest: aws-chunked: unexpected \";a=b\""},
      {u, 5, "ffffffffffffffff\r\n", "",
       "IncompleteBody: aws-chunked: more bytes of data, but x-amz-decoded-content-length says 5"},
      {u, 5, "3\r\nabc\r\n3\r\n", "",
       "IncompleteBody: aws-chunked: more bytes of data, but x-amz-decoded-content-length says 5"},
      {u, 5, "3\r\nabc\r\n0\r\n", "",
       "IncompleteBody: aws-chunked: 3 bytes of data, but x-amz-decoded-content-length says 5"},
      {u, 0, "0\r\n\r\n", "", "MalformedTrailerError: aws-chunked: declared trailer x-amz-checksum-crc32c is missing"},
      {u, 0, "0\r\nx-amz-checksum-sha1:a\r\n", "",
       "MalformedTrailerError: aws-chunked: trailer x-amz-checksum-sha1 was not declared"},
      {u, 0, "0\r\nx-amz-trailer-signature:a\r\n", "",
       "MalformedTrailerError: aws-chunked: trailer x-amz-trailer-signature was not declared"},
      {u, 0, "0\r\n" + t + t, "", "MalformedTrailerError: aws-chunked: trailer x-amz-checksum-crc32c is there twice"},
      {u, 0, "0\r\nnothing\r\n", "", "MalformedTrailerError: aws-chunked: bad trailer \"nothing\""},
      {u, 0, "0\r\n:x\r\n", "", "MalformedTrailerError: aws-chunked: bad trailer \":x\""},
      {u, 0, "0\r\na b:x\r\n", "", "MalformedTrailerError: aws-chunked: bad trailer \"a b:x\""},
      {u, 0, "0\r\nx-amz-checksum-crc32c:a\rb\r\n", "",
       "MalformedTrailerError: aws-chunked: bad trailer \"x-amz-checksum-crc32c:a\\x0db\""},
      {u, 0, "0\r\n" + std::string(2000, 'a'), "", "MalformedTrailerError: aws-chunked: line too long"},
      {s, 11, plain, "hello world", "ok"},
      {s, 0, signed_body(s, {}, {}), "", "ok"},
      {s, 11, changed(plain, "hello", "jello"), "", mismatch},
      {s, 11, changed(plain, "signature=", "signature=0"), "", mismatch},
      {s, 11, plain.substr(plain.find("6;")), "", mismatch},
      {s, 5, changed(plain, plain.substr(plain.find("6;"), 92), ""), "", mismatch},
      {s, 11, "5\r\nhello\r\n", "", "IncompleteSignature: aws-chunked: no chunk-signature in \"5\""},
      {s, 11, changed(plain, "chunk-s", "Chunk-s").substr(0, 89), "",
       "IncompleteSignature: aws-chunked: no chunk-signature in \"5;Chunk-s"},
      {s, 11, plain.substr(0, plain.size() - 2), "", cut},
      {s, 11, changed(plain, plain.substr(plain.size() - 4), "\r\nx"), "", crlf},
      {st, 5, trailed, "hello", "ok"},
      {st, 5, changed(trailed, "sOO8", "sOO9"), "", mismatch},
      {st, 5, changed(trailed, "trailer-signature:", "trailer-signature:0"), "", mismatch},
      {st, 5, trailed.substr(0, trailed.find("x-amz-trailer")) + "\r\n", "",
       "IncompleteSignature: aws-chunked: trailer without x-amz-trailer-signature"},
      {st, 5, trailed.substr(0, trailed.size() - 2) + "a:b\r\n", "",
       "MalformedTrailerError: aws-chunked: bad trailer \"a:b\""},
      {st, 5, trailed.substr(0, trailed.size() - 2), "", cut},
  };
  return kCases;
}

TEST(AwsChunked, DecodesOrSaysWhyNot) {
  for (const Case& c : cases()) {
    const Outcome got = decode(options(c.mode, c.decoded_length), {c.body});
    EXPECT_EQ(got.data, c.data) << printable(c.body);
    EXPECT_THAT(got.end, ::testing::StartsWith(c.end)) << printable(c.body);
  }
}

TEST(AwsChunked, MeansTheSameSplitAtEveryByte) {
  for (const Case& c : cases()) {
    const ByteView body = c.body;
    const Outcome whole = decode(options(c.mode, c.decoded_length), {body});
    for (size_t i = 0; i <= body.size(); ++i)
      ASSERT_EQ(decode(options(c.mode, c.decoded_length), {body.substr(0, i), body.substr(i)}), whole)
          << printable(body) << " at " << i;
    std::vector<ByteView> bytes;
    for (size_t i = 0; i < body.size(); ++i) bytes.push_back(body.substr(i, 1));
    ASSERT_EQ(decode(options(c.mode, c.decoded_length), bytes), whole) << printable(body);
  }
}

TEST(AwsChunked, NeverKeepsData) {
  AwsChunkedDecoder decoder(options(Mode::UnsignedChunksTrailer, 1u << 20));
  ASSERT_EQ(decoder.step("100000\r\n").state, State::NeedMore);
  const std::string piece(1000, 'x');
  const auto step = decoder.step(piece);
  EXPECT_EQ(step.state, State::Data);
  EXPECT_EQ(step.data.data(), piece.data());
  EXPECT_EQ(step.data.size(), piece.size());
}

TEST(AwsChunked, ReadsLengthAndTrailerOfTheRequest) {
  const auto with = [](PayloadMode mode, std::vector<std::pair<Bytes, Bytes>> fields) {
    const TestRequest request{"PUT", "/k", "", std::move(fields)};
    Authenticated who;
    who.payload = mode;
    const auto decoder = AwsChunkedDecoder::of(request.head(), who);
    return decoder ? "ok " + std::to_string(decoder->decoded_length()) : s3auth::told(decoder);
  };
  const std::pair<Bytes, Bytes> five{"x-amz-decoded-content-length", "5"}, crc{"x-amz-trailer", "x-amz-checksum-crc32"};
  EXPECT_EQ(with(Mode::SignedChunks, {five}), "ok 5");
  EXPECT_EQ(with(Mode::SignedChunksTrailer, {five, crc}), "ok 5");
  EXPECT_EQ(with(Mode::UnsignedChunksTrailer, {five, crc}), "ok 5");
  EXPECT_EQ(with(Mode::UnsignedChunksTrailer, {crc}),
            "MissingContentLength 411: You must provide the x-amz-decoded-content-length HTTP header.");
  for (const char* bad : {"", "-1", "5x", "0x5", "18446744073709551616"})
    EXPECT_EQ(with(Mode::SignedChunks, {{"x-amz-decoded-content-length", bad}}),
              "InvalidArgument 400: x-amz-decoded-content-length is not a number of bytes");
  EXPECT_EQ(
      with(Mode::SignedChunks, {five, crc}),
      "InvalidRequest 400: x-amz-trailer is there, but x-amz-content-sha256 is STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
  EXPECT_EQ(with(Mode::SignedChunksTrailer, {five}),
            "InvalidRequest 400: Missing required header for this request: x-amz-trailer");
  EXPECT_EQ(with(Mode::SignedChunksTrailer, {five, {"x-amz-trailer", " , "}}),
            "InvalidRequest 400: The x-amz-trailer header names no trailer");
  for (const char* bad : {"content-md5", "x-amz-checksum-crc32,X-Amz-Checksum-Crc32", "x-amz-checksum-a b"})
    EXPECT_EQ(
        with(Mode::SignedChunksTrailer, {five, {"x-amz-trailer", bad}}),
        std::string("InvalidRequest 400: The value specified in the x-amz-trailer header is not supported: ") + bad);
}

RC_GTEST_PROP(AwsChunked, RefusesAnyChangedByteOfASignedBody, ()) {
  const Mode mode = *rc::gen::element(Mode::SignedChunks, Mode::SignedChunksTrailer);
  const auto chunks = *rc::gen::container<std::vector<std::string>>(rc::gen::nonEmpty<std::string>());
  ChunkEncoder encoder(mode, example_seed(Bytes(64, '0')));
  std::string body, data;
  for (const std::string& c : chunks) {
    body += encoder.chunk(c);
    data += c;
  }
  std::vector<Trailer> trailer;
  if (has_trailer(mode)) trailer = {{"x-amz-checksum-crc32c", "sOO8/Q=="}};
  body += encoder.last(trailer);
  RC_ASSERT(decode(options(mode, data.size()), {body}) == (Outcome{data, "ok", trailer}));
  const size_t i = *rc::gen::inRange<size_t>(0, body.size());
  const char before = body[i];
  body[i] = static_cast<char>(before ^ *rc::gen::inRange(1, 256));
  const Outcome got = decode(options(mode, data.size()), {body});
  // What may change: the case of a size's digit or of a trailer's name.
  RC_ASSERT(got.end != "ok" || (before ^ body[i]) == 0x20);
  if (got.end == "ok") RC_ASSERT(got == (Outcome{data, "ok", trailer}));
}

}  // namespace
}  // namespace hailstone::s3auth
