#include "s3auth/form_decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <vector>

#include "s3auth/testing.h"

namespace hailstone::s3auth {
namespace {

using State = FormDecoder::State;

// "name=value&...|filename|type|data|ok" or "!why".
std::string decode(const std::vector<ByteView>& pieces, std::string_view boundary = "B") {
  FormDecoder decoder(boundary);
  std::string data, head;
  for (ByteView piece : pieces) {
    while (true) {
      const auto step = decoder.step(piece);
      piece.remove_prefix(step.consumed);
      if (step.state == State::Rejected) return "!" + decoder.refusal().message;
      if (step.state == State::Data) {
        EXPECT_FALSE(step.data.empty() || head.empty());
        data += step.data;
      } else if (step.state == State::File) {
        EXPECT_TRUE(head.empty());
        for (const auto& [name, value] : decoder.fields()) head += name + "=" + value + "&";
        head += "|" + decoder.filename() + "|" + decoder.file_content_type() + "|";
      } else {
        break;
      }
    }
    EXPECT_TRUE(piece.empty());
  }
  if (const auto ended = decoder.finish(); !ended) return "!" + ended.error().message;
  return head + data + "|ok";
}

std::string part(const std::string& head, const std::string& body) {
  return "--B\r\nContent-Disposition: form-data; " + head + "\r\n\r\n" + body + "\r\n";
}

const std::vector<std::pair<std::string, std::string>>& cases() {
  const std::string bad = "!The body of your POST request is not well-formed multipart/form-data.";
  const std::string none = "!POST requires exactly one file upload per request.";
  const std::string large = "!Your POST request fields preceding the upload file were too large.";
  const std::string key = part("name=\"key\"", "a/b");
  const std::string file = part("name=\"file\"; filename=\"x.jpg\"\r\nContent-Type: image/jpeg", "data");
  static const std::vector<std::pair<std::string, std::string>> kCases = {
      {key + file + "--B--\r\n", "key=a/b&|x.jpg|image/jpeg|data|ok"},
      {key + file + "--B--", "key=a/b&|x.jpg|image/jpeg|data|ok"},
      {key + file + "--B--anything", "key=a/b&|x.jpg|image/jpeg|data|ok"},
      {"preamble\r\n" + key + file + "--B--", "key=a/b&|x.jpg|image/jpeg|data|ok"},
      {key + file + part("name=\"submit\"", "Upload") + "--B\r\nnot even a head\r\n--B--",
       "key=a/b&|x.jpg|image/jpeg|data|ok"},
      {part("name=file", "") + "--B--", "||||ok"},
      {part("NAME=\"File\"; filename=\"C:\\dir\\a \\\"b\\\".txt\"", "x") + "--B--", "|a \"b\".txt||x|ok"},
      {part("name=file; filename=\"../../etc/passwd\"", "x") + "--B--", "|passwd||x|ok"},
      {part("name=a", "") + part("name=\"a\"; other=1", "2\r\n3") + part("name=file", "") + "--B--",
       "a=&a=2\r\n3&||||ok"},
      {part("name=file", "\r\n--b\r\n--\r\r\n-\r\n--A\r\n--\r\n") + "--B--",
       "|||\r\n--b\r\n--\r\r\n-\r\n--A\r\n--\r\n|ok"},
      {part("name=file", "\r\n\r\n--") + "--B--", "|||\r\n\r\n--|ok"},
      {"--B\r\ncontent-disposition:form-data;name=file\r\nX-Other: y\r\n\r\nz\r\n--B--", "|||z|ok"},
      {"", bad},
      {"--B--", none},
      {key + "--B--", none},
      {key + file, bad},
      {key + file + "--B", bad},
      {key + file + "--B-", bad},
      {key + file + "--BB--", bad},
      {key + file + "--B -", bad},
      {key + file + "--B\n", bad},
      {"--C--", bad},
      {"--B\r\n\r\nvalue\r\n--B--", bad},
      {"--B\r\nContent-Type: a\r\n\r\nvalue\r\n--B--", bad},
      {"--B\r\nContent-Disposition: attachment; name=a\r\n\r\nvalue\r\n--B--", bad},
      {"--B\r\nContent-Disposition: form-data\r\n\r\nvalue\r\n--B--", bad},
      {"--B\r\nContent-Disposition form-data\r\n\r\nvalue\r\n--B--", bad},
      {"--B\r\nContent-Disposition: form-data; name=\"a\r\n\r\nvalue\r\n--B--", bad},
      {"--B\r\nContent-Disposition: form-data; name=a; name=b\r\n\r\nvalue\r\n--B--", bad},
      {"--B\r\nContent-Disposition: form-data; name=a b c=\r\n\r\nvalue\r\n--B", bad},
      {part("name=a", std::string(kFormBytesMax, 'x')), large},
      {std::string(kFormBytesMax + 1, 'x'), large},
      {"--B\r\n" + std::string(kFormBytesMax, 'x'), large},
  };
  return kCases;
}

TEST(FormDecoder, DecodesOrSaysWhyNot) {
  for (const auto& [body, wanted] : cases()) EXPECT_EQ(decode({body}), wanted) << printable(body);
}

TEST(FormDecoder, MeansTheSameSplitAtEveryByte) {
  for (const auto& [text, wanted] : cases()) {
    const ByteView body = text;
    const size_t step = body.size() > 1000 ? 97 : 1;
    for (size_t i = 0; i <= body.size(); i += step)
      ASSERT_EQ(decode({body.substr(0, i), body.substr(i)}), wanted) << printable(body) << " at " << i;
    std::vector<ByteView> bytes;
    for (size_t i = 0; i < body.size(); ++i) bytes.push_back(body.substr(i, 1));
    ASSERT_EQ(decode(bytes), wanted) << printable(body);
  }
}

TEST(FormDecoder, BoundsFieldsExactly) {
  const std::string head = "--B\r\nContent-Disposition: form-data; name=a\r\n\r\n";
  const std::string file = "\r\n--B\r\nContent-Disposition: form-data; name=file\r\n\r\n";
  const size_t room = kFormBytesMax - head.size() - file.size();
  EXPECT_THAT(decode({head + std::string(room, '\r') + file + "\r\n--B--"}), ::testing::EndsWith("ok"));
  EXPECT_THAT(decode({head + std::string(room + 1, '\r') + file + "\r\n--B--"}), ::testing::EndsWith("too large."));
  // What the file holds is not counted.
  const std::string data(3 * kFormBytesMax, 'x');
  EXPECT_TRUE(decode({head + file + data + "\r\n--B--"}) == "a=&|||" + data + "|ok");
}

TEST(FormDecoder, ReadsTheBoundary) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"multipart/form-data; boundary=----WebKitFormBoundary7MA4", "----WebKitFormBoundary7MA4"},
      {"Multipart/Form-Data;charset=utf-8;Boundary=\"a b\"", "a b"},
      {"multipart/form-data", ""},
      {"multipart/form-data; boundary=", ""},
      {"multipart/form-data; boundary=\"a", ""},
      {"multipart/form-data; boundary=\"a \"", ""},
      {"multipart/form-data; boundary=" + std::string(71, 'a'), ""},
      {"multipart/mixed; boundary=a", ""},
      {"", ""}};
  for (const auto& [type, wanted] : cases) {
    const auto boundary = FormDecoder::boundary_of(type);
    EXPECT_EQ(boundary.value_or(""), wanted) << type;
    if (!boundary)
      EXPECT_EQ(told(boundary),
                "PreconditionFailed 412: Bucket POST must be of the enclosure-type multipart/form-data");
  }
}

RC_GTEST_PROP(FormDecoder, HandsOutAnyFileWhole, ()) {
  const auto data = *rc::gen::container<std::string>(rc::gen::element('\r', '\n', '-', 'B', 'x'));
  RC_PRE(("\r\n" + data + "\r\n").find("\r\n--B") == std::string::npos);
  const std::string body = "--B\r\nContent-Disposition: form-data; name=file\r\n\r\n" + data + "\r\n--B--\r\n";
  const size_t i = *rc::gen::inRange<size_t>(0, body.size());
  RC_ASSERT(decode({ByteView(body).substr(0, i), ByteView(body).substr(i)}) == "|||" + data + "|ok");
}

}  // namespace
}  // namespace hailstone::s3auth
