#include "api/json.h"

#include <gtest/gtest.h>

namespace hailstone::api {
namespace {

TEST(ParseObject, NamesThePositionOfWhatIsNoJson) {
  const auto parsed = parse_object("{\"a\": 1,\n \"b\": }");
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().code, Code::Invalid);
  EXPECT_NE(parsed.error().message.find("line 2, column 7"), Bytes::npos) << parsed.error().message;
}

TEST(ParseObject, RefusesWhatTheLibraryWouldLetThrough) {
  EXPECT_NE(parse_object(R"({"a":1,"b":{"a":2},"a":3})").error().message.find("'a' is there twice"), Bytes::npos);
  Bytes deep = R"({"a":)";
  for (int i = 0; i < 40; ++i) deep += "[";
  EXPECT_FALSE(parse_object(deep + Bytes(40, ']') + "}"));
  EXPECT_FALSE(parse_object(Bytes(5'000'000, '[')));
  for (const char* text : {"", "[]", "1", "null", "\"a\"", "{} {}", "{}x", "{\"a\":\"\xff\"}", "{\"a\":1e999}"})
    EXPECT_EQ(parse_object(text).error().code, Code::Invalid) << text;
  EXPECT_TRUE(parse_object(R"({"a":[{"x":1},{"x":2}]})"));
}

TEST(Fields, TellsTheFirstThingThatIsWrongWithItsPlace) {
  const auto wrong = [](const char* text, auto read) {
    const Json object = *parse_object(text);
    Fields fields(object, "items[2]");
    read(fields);
    const auto finished = fields.finish();
    return finished ? Bytes("fine") : finished.error().message;
  };
  EXPECT_EQ(wrong("{}", [](Fields& f) { f.text("name"); }), "field 'items[2].name' is missing");
  EXPECT_EQ(wrong(R"({"name":null})", [](Fields& f) { f.text("name"); }), "field 'items[2].name' is missing");
  EXPECT_EQ(wrong(R"({"name":7})", [](Fields& f) { f.text("name"); }),
            "field 'items[2].name' must be a string, not number");
  EXPECT_EQ(wrong(R"({"n":-1})", [](Fields& f) { f.number("n", 0, 9); }),
            "field 'items[2].n' must be a whole number from 0 to 9");
  EXPECT_EQ(wrong(R"({"n":1.0})", [](Fields& f) { f.number("n", 0, 9); }),
            "field 'items[2].n' must be a whole number from 0 to 9");
  EXPECT_EQ(wrong(R"({"n":10})", [](Fields& f) { f.number("n", 0, 9); }),
            "field 'items[2].n' must be a whole number from 0 to 9");
  EXPECT_EQ(wrong(R"({"n":"1"})", [](Fields& f) { f.number("n", 0, 9); }),
            "field 'items[2].n' must be a whole number from 0 to 9");
  EXPECT_EQ(wrong(R"({"on":1})", [](Fields& f) { f.optional_flag("on"); }),
            "field 'items[2].on' must be true or false, not number");
  EXPECT_EQ(wrong(R"({"l":{}})", [](Fields& f) { f.optional_texts("l"); }),
            "field 'items[2].l' must be an array, not object");
  EXPECT_EQ(wrong(R"({"l":["a",1]})", [](Fields& f) { f.optional_texts("l"); }),
            "field 'items[2].l[1]' must be a string, not number");
  EXPECT_EQ(wrong(R"({"b":"%"})", [](Fields& f) { f.optional_base64("b"); }),
            "field 'items[2].b' is not base64 (RFC 4648 section 4, with padding)");
  EXPECT_EQ(wrong(R"({"nmae":"x"})", [](Fields& f) { f.optional_text("name"); }),
            "unknown field 'items[2].nmae'; did you mean 'name'?");
  EXPECT_EQ(wrong(R"({"name":"x"})", [](Fields& f) { f.text("name"); }), "fine");
}

TEST(Fields, KeysComeAsTextOrAsBase64) {
  const auto key = [](const char* text) -> Result<Bytes> {
    const Json object = *parse_object(text);
    Fields fields(object, "");
    Bytes out = fields.key();
    TRY_DO(fields.finish());
    return out;
  };
  EXPECT_EQ(key(R"({"key":"a/b"})"), "a/b");
  EXPECT_EQ(key(R"({"key_base64":"/w=="})"), "\xff");
  EXPECT_FALSE(key(R"({"key":"a","key_base64":"YQ=="})"));
  EXPECT_FALSE(key("{}"));
  EXPECT_FALSE(key(R"({"key":""})"));
  EXPECT_FALSE(key((R"({"key":")" + Bytes(1025, 'k') + "\"}").c_str()));
}

TEST(Fields, ElementsThatAreNoObjectsAreRefused) {
  const Json object = *parse_object(R"({"items":[1]})");
  Fields fields(object, "");
  auto items = fields.objects("items", 5);
  ASSERT_EQ(items.size(), 1u);
  EXPECT_EQ(items[0].finish().error().message, "items[0] must be an object, not number");
  Fields few(object, "");
  few.objects("items", 0);
  EXPECT_EQ(few.finish().error().message, "field 'items' has 1 elements, limit 0");
}

TEST(Settings, ChangeOnlyWhatIsThere) {
  volume::Settings settings;
  const Json object = *parse_object(
      R"({"overlay":false,"grace_seconds":60,"public":false,"checks":"warn","cookie_pin":true,"chunk_average_bytes":131072,)"
      R"("compress":false,"keep_releases":7,"keep_seconds":8,"trash_seconds":9,"description":"d"})");
  ASSERT_TRUE(read_settings(Fields(object, "settings"), settings));
  EXPECT_EQ(settings, (volume::Settings{.overlay = false,
                                        .grace_seconds = 60,
                                        .public_read = false,
                                        .cookie_pin = true,
                                        .checks = volume::CheckMode::Warn,
                                        .compress = false,
                                        .chunk_average_bytes = 131072,
                                        .keep_releases = 7,
                                        .keep_seconds = 8,
                                        .trash_seconds = 9,
                                        .description = "d"}));
  const volume::Settings before = settings;
  EXPECT_EQ(to_json(settings), object);
  ASSERT_TRUE(read_settings(Fields(*parse_object("{}"), ""), settings));
  EXPECT_EQ(settings, before);
}

TEST(Settings, RefuseTheUnknownAndTheSenseless) {
  const auto wrong = [](const char* text) {
    volume::Settings settings;
    const Json object = *parse_object(text);
    return read_settings(Fields(object, "settings"), settings).error().message;
  };
  EXPECT_EQ(wrong(R"({"grace_secs":1})"), "unknown field 'settings.grace_secs'; did you mean 'grace_seconds'?");
  EXPECT_EQ(wrong(R"({"checks":"maybe"})"), "field 'settings.checks' must be 'refuse', 'warn' or 'off'");
  EXPECT_EQ(wrong(R"({"chunk_average_bytes":1000})"), "chunk_average_bytes 1000 is not within 131072..2097152");
  EXPECT_EQ(wrong(R"({"chunk_average_bytes":200000})"), "chunk_average_bytes 200000 is not a power of two");
}

TEST(Writing, KeysThatAreNoTextGoAsBase64) {
  volume::Listing listing;
  volume::Listed listed;
  listed.key = "\xff\xfe";
  listed.entry.kind = volume::Kind::Symlink;
  listed.entry.content.sha256 = sha256("");
  listed.entry.posix = volume::Posix{.mode = 0755, .uid = 1, .gid = 2, .link = "", .xattrs = {{"user.a", "\x80"}}};
  listed.entry.metadata = {{"colour", "red"}};
  listing.entries.push_back(listed);
  listing.prefixes = {"ok/", "\xc3(/"};
  listing.next = "\xff";
  const Json out = to_json(listing, ReleaseNumber(7));
  EXPECT_EQ(out["release"], 7);
  EXPECT_EQ(out["entries"][0]["key_base64"], "//4=");
  EXPECT_FALSE(out["entries"][0].contains("key"));
  EXPECT_EQ(out["entries"][0]["kind"], "symlink");
  EXPECT_EQ(out["entries"][0]["posix"]["mode"], 0755);
  EXPECT_EQ(out["entries"][0]["posix"]["xattrs"][0]["value_base64"], "gA==");
  EXPECT_EQ(out["entries"][0]["metadata"]["colour"], "red");
  EXPECT_EQ(out["prefixes"], Json::array({"ok/"}));
  EXPECT_EQ(out["prefixes_base64"], Json::array({"wygv"}));
  EXPECT_EQ(out["next_base64"], "/w==");
  EXPECT_TRUE(out["next"].is_null());
}

TEST(Writing, DumpNeverThrowsOnBytesThatAreNoText) { EXPECT_EQ(dump({{"m", "a\xff"}}), "{\"m\":\"a\xef\xbf\xbd\"}\n"); }

}  // namespace
}  // namespace hailstone::api
