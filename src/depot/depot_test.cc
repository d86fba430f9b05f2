// Files on channels and pinned paths: statuses and header rules (design 8, hazards).
#include "depot/depot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/clock.h"
#include "depot/rig_for_tests.h"
#include "volume/schema.h"

namespace hailstone::depot {
namespace {

using testing::Got;
using ::testing::HasSubstr;
using testing::Headers;
using ::testing::Not;

constexpr std::string_view kImmutable = "public, max-age=31536000, immutable";

Bytes quoted(ByteView content, std::string_view suffix = "") {
  return "\"" + sha256(content).hex() + Bytes(suffix) + "\"";
}

class DepotFiles : public ::testing::Test {
 protected:
  DepotFiles() {
    rig_.cell.create("repo");
    rig_.cell.put("repo", "a.txt", "one");
    rig_.cell.put("repo", "dir/b.html", "<p>b");
    rig_.cell.release("repo");
    rig_.cell.clock.advance_seconds(10);
  }
  testing::Rig rig_;
};

TEST_F(DepotFiles, AChannelFileHasEveryHeaderItShould) {
  const Got got = rig_.get("/repo/a.txt");
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.body, "one");
  EXPECT_EQ(got.header("ETag"), quoted("one"));
  EXPECT_EQ(got.header("Cache-Control"), "no-cache");
  EXPECT_EQ(got.header("Accept-Ranges"), "bytes");
  EXPECT_EQ(got.header("X-Hailstone-Release"), "1");
  EXPECT_EQ(got.header("X-Hailstone-Channel"), "current");
  EXPECT_EQ(got.header("X-Content-Type-Options"), "nosniff");
  EXPECT_THAT(got.header("Content-Type"), HasSubstr("text/plain"));
  EXPECT_EQ(got.header("Last-Modified"), format_http_date(rig_.cell.flips("repo")->back().modified_seconds));
  EXPECT_FALSE(got.has("Content-Encoding"));
}

TEST_F(DepotFiles, APinnedFileIsImmutable) {
  const Got got = rig_.get("/repo@1/a.txt");
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.body, "one");
  EXPECT_EQ(got.header("ETag"), quoted("one"));
  EXPECT_EQ(got.header("Cache-Control"), kImmutable);
  EXPECT_EQ(got.header("X-Hailstone-Release"), "1");
  EXPECT_FALSE(got.has("X-Hailstone-Channel"));
  EXPECT_TRUE(got.has("Last-Modified"));
}

TEST_F(DepotFiles, TagsAreMutableAndHaveNoDate) {
  ASSERT_TRUE(rig_.cell.repository.submit(rig_.cell.caller, volume::SetTag{"repo", "v1", ReleaseNumber(1)}));
  const Got got = rig_.get("/repo@v1/a.txt");
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.header("Cache-Control"), "no-cache");
  EXPECT_FALSE(got.has("Last-Modified")) << "a moved tag could give two contents one date";
}

TEST_F(DepotFiles, OtherChannelsByName) {
  rig_.cell.put("repo", "a.txt", "two");
  rig_.cell.release("repo", "testing");
  EXPECT_EQ(rig_.get("/repo@testing/a.txt").body, "two");
  EXPECT_EQ(rig_.get("/repo@testing/a.txt").header("X-Hailstone-Channel"), "testing");
  EXPECT_EQ(rig_.get("/repo/a.txt").body, "one");
  EXPECT_EQ(rig_.get("/repo@2/a.txt").body, "two");
}

TEST_F(DepotFiles, AFlipIsSeenByTheNextRequest) {
  for (int i = 2; i < 20; ++i) {
    rig_.cell.put("repo", "a.txt", std::to_string(i));
    rig_.cell.release("repo");
    const Got got = rig_.get("/repo/a.txt");
    ASSERT_EQ(got.body, std::to_string(i));
    ASSERT_EQ(got.header("X-Hailstone-Release"), std::to_string(i));
    ASSERT_EQ(rig_.get("/repo/a.txt").body, std::to_string(i)) << "and again from memory";
    ASSERT_EQ(rig_.get("/repo@1/a.txt").body, "one");
  }
}

TEST_F(DepotFiles, UnrelatedWritesChangeNothing) {
  const Got before = rig_.get("/repo/a.txt");
  rig_.cell.create("other");
  rig_.cell.put("repo", "a.txt", "not yet published");
  const Got after = rig_.get("/repo/a.txt");
  EXPECT_EQ(after.body, "one");
  EXPECT_EQ(after.headers, before.headers);
}

TEST_F(DepotFiles, AbsenceIsNeverStored) {
  for (std::string_view target : {"/repo/none", "/repo@1/none", "/repo@2/a.txt", "/repo@nothing/a.txt", "/nowhere/x",
                                  "/nowhere", "/repo/a.txt/", "/repo/a.txt/b", "/repo/-/nothing"}) {
    const Got got = rig_.get(target);
    EXPECT_EQ(got.status, 404) << target;
    EXPECT_EQ(got.header("Cache-Control"), "no-store") << target;
    EXPECT_FALSE(got.has("ETag")) << target;
    EXPECT_FALSE(got.has("Last-Modified")) << target;
    EXPECT_EQ(rig_.get(target).status, 404) << target << " asked again";
  }
}

TEST_F(DepotFiles, ACollectedReleaseIsGone) {
  rig_.cell.put("repo", "a.txt", "two");
  rig_.cell.release("repo");
  replica::Batch batch;
  batch.erase(volume::schema::release((*rig_.cell.repository.volume("repo"))->record.id, ReleaseNumber(1)));
  ASSERT_TRUE(rig_.cell.database->write(batch));
  for (std::string_view target : {"/repo@1/a.txt", "/repo@1/", "/repo@1/none"}) {
    EXPECT_EQ(rig_.get(target).status, 410) << target;
    EXPECT_EQ(rig_.get(target).header("Cache-Control"), "no-store");
  }
  EXPECT_EQ(rig_.get("/repo@3/a.txt").status, 404) << "not made yet";
}

TEST_F(DepotFiles, AbsenceEndsWithTheFlipThatBringsTheFile) {
  EXPECT_EQ(rig_.get("/repo/new").status, 404);
  EXPECT_EQ(rig_.get("/repo/new").status, 404);
  rig_.cell.put("repo", "new", "n");
  rig_.cell.release("repo");
  EXPECT_EQ(rig_.get("/repo/new").status, 200);
}

TEST_F(DepotFiles, MalformedPathsAreRefused) {
  for (std::string_view target : {"/repo/%00", "/repo/%2e%2e/x", "/repo/%zz", "//x", "/repo@0/x"}) {
    EXPECT_EQ(rig_.get(target).status, 400) << target;
    EXPECT_EQ(rig_.get(target).header("Cache-Control"), "no-store") << target;
  }
}

TEST_F(DepotFiles, NothingPublishedYet) {
  rig_.cell.create("empty");
  EXPECT_EQ(rig_.get("/empty/x").status, 404);
  EXPECT_EQ(rig_.get("/empty/").status, 404);
}

TEST_F(DepotFiles, OnlyGetAndHead) {
  for (std::string_view method : {"POST", "PUT", "DELETE", "OPTIONS", "PATCH"}) {
    const Got got = rig_.ask(method, "/repo/a.txt");
    EXPECT_EQ(got.status, 405) << method;
    EXPECT_EQ(got.header("Allow"), "GET, HEAD");
  }
}

TEST_F(DepotFiles, HeadEqualsGet) {
  for (std::string_view target :
       {"/", "/repo", "/repo/", "/repo/?format=json", "/repo/a.txt", "/repo@1/a.txt", "/repo/none", "/repo/dir",
        "/repo/dir/", "/repo@1/", "/repo/-/mirrorlist", "/repo/-/release"}) {
    const Got get = rig_.get(target);
    const Got head = rig_.ask("HEAD", target);
    EXPECT_EQ(head.status, get.status) << target;
    EXPECT_EQ(head.headers, get.headers) << target;
    EXPECT_EQ(head.length, get.length) << target;
    EXPECT_EQ(head.body, "") << target;
  }
}

TEST_F(DepotFiles, ConditionalRequests) {
  const Bytes etag = quoted("one");
  const Bytes date = rig_.get("/repo/a.txt").header("Last-Modified");
  int64_t seconds = 0;
  ASSERT_TRUE(parse_http_date(date, seconds));
  const auto status = [&](const Headers& headers) { return rig_.get("/repo/a.txt", headers).status; };
  EXPECT_EQ(status({{"If-None-Match", etag}}), 304);
  EXPECT_EQ(status({{"If-None-Match", "\"x\", " + etag}}), 304);
  EXPECT_EQ(status({{"If-None-Match", "*"}}), 304);
  EXPECT_EQ(status({{"If-None-Match", quoted("two")}}), 200);
  EXPECT_EQ(status({{"If-None-Match", quoted("one", "-zstd")}}), 200);
  EXPECT_EQ(status({{"If-Modified-Since", date}}), 304);
  EXPECT_EQ(status({{"If-Modified-Since", format_http_date(seconds + 1)}}), 200) << "exact equality only";
  EXPECT_EQ(status({{"If-Modified-Since", format_http_date(seconds - 1)}}), 200);
  EXPECT_EQ(status({{"If-None-Match", quoted("two")}, {"If-Modified-Since", date}}), 200) << "the tag decides";
  EXPECT_EQ(status({{"If-Match", etag}}), 200);
  EXPECT_EQ(status({{"If-Match", quoted("two")}}), 412);
  EXPECT_EQ(status({{"If-Unmodified-Since", format_http_date(seconds - 1)}}), 412);

  const Got got = rig_.get("/repo/a.txt", {{"If-None-Match", etag}});
  EXPECT_EQ(got.body, "");
  EXPECT_EQ(got.header("ETag"), etag);
  EXPECT_EQ(got.header("Cache-Control"), "no-cache");
  EXPECT_EQ(got.header("Last-Modified"), date);
  EXPECT_FALSE(got.has("Content-Type"));
}

TEST_F(DepotFiles, EqualContentKeepsItsValidatorsAcrossFlips) {
  const Got before = rig_.get("/repo/a.txt");
  rig_.cell.put("repo", "other", "x");
  rig_.cell.release("repo");
  rig_.cell.clock.advance_seconds(10);
  EXPECT_EQ(rig_.get("/repo/a.txt", {{"If-None-Match", before.header("ETag")}}).status, 304);
  EXPECT_EQ(rig_.get("/repo/a.txt", {{"If-Modified-Since", before.header("Last-Modified")}}).status, 304);
}

// Three flips in a second, then a rollback: a date that was announced never validates other bytes, and dates that lie
// in the future are neither sent nor heeded.
TEST_F(DepotFiles, DatesOfFastFlips) {
  std::map<Bytes, Bytes> announced;  // date -> content
  const auto look = [&] {
    const Got got = rig_.get("/repo/a.txt");
    const Bytes date = got.header("Last-Modified");
    if (!date.empty()) {
      const auto [it, first] = announced.emplace(date, got.body);
      EXPECT_EQ(it->second, got.body) << date;
      int64_t seconds = 0;
      EXPECT_TRUE(parse_http_date(date, seconds));
      EXPECT_LE(seconds, rig_.cell.clock.wall().seconds());
    }
    for (const auto& [old, content] : announced)
      if (content != got.body) EXPECT_EQ(rig_.get("/repo/a.txt", {{"If-Modified-Since", old}}).status, 200) << old;
    const auto now = rig_.cell.flips("repo")->back().modified_seconds;
    if (now > rig_.cell.clock.wall().seconds()) {
      EXPECT_EQ(date, "");
      EXPECT_EQ(rig_.get("/repo/a.txt", {{"If-Modified-Since", format_http_date(now)}}).status, 200);
    }
  };
  look();
  for (int i = 0; i < 3; ++i) {
    rig_.cell.put("repo", "a.txt", "fast " + std::to_string(i));
    rig_.cell.release("repo");
    look();
  }
  rig_.cell.flip("repo", ReleaseNumber(1));
  look();
  EXPECT_FALSE(rig_.get("/repo/a.txt").has("Last-Modified"));
  rig_.cell.clock.advance_seconds(60);
  look();
  EXPECT_TRUE(rig_.get("/repo/a.txt").has("Last-Modified")) << "once its time has come";
}

TEST_F(DepotFiles, Ranges) {
  rig_.cell.put("repo", "digits", "0123456789");
  rig_.cell.release("repo");
  const auto range = [&](Bytes value) { return rig_.get("/repo/digits", {{"Range", std::move(value)}}); };
  Got got = range("bytes=2-4");
  EXPECT_EQ(got.status, 206);
  EXPECT_EQ(got.body, "234");
  EXPECT_EQ(got.header("Content-Range"), "bytes 2-4/10");
  EXPECT_EQ(got.header("ETag"), quoted("0123456789"));
  EXPECT_EQ(range("bytes=-3").body, "789");
  EXPECT_EQ(range("bytes=8-").body, "89");
  EXPECT_EQ(range("bytes=5-100").header("Content-Range"), "bytes 5-9/10");
  got = range("bytes=10-");
  EXPECT_EQ(got.status, 416);
  EXPECT_EQ(got.header("Content-Range"), "bytes */10");
  EXPECT_EQ(got.header("Cache-Control"), "no-store");
  EXPECT_EQ(range("lines=1-2").status, 200);
  EXPECT_EQ(range("bytes=x").status, 200);
  got = rig_.ask("HEAD", "/repo/digits", {{"Range", "bytes=2-4"}});
  EXPECT_EQ(got.length, 3u);
  EXPECT_EQ(got.body, "");
}

TEST_F(DepotFiles, MultiRange) {
  rig_.cell.put("repo", "digits.txt", "0123456789");
  rig_.cell.release("repo");
  const Got got = rig_.get("/repo/digits.txt", {{"Range", "bytes=0-1,4-5,-1"}});
  EXPECT_EQ(got.status, 206);
  const Bytes type = got.header("Content-Type");
  ASSERT_TRUE(type.starts_with("multipart/byteranges; boundary=")) << type;
  const Bytes boundary = type.substr(type.find('=') + 1);
  const Bytes inner = rig_.get("/repo/digits.txt").header("Content-Type");
  const auto part = [&](std::string_view range, std::string_view bytes) {
    return "--" + boundary + "\r\nContent-Type: " + inner + "\r\nContent-Range: bytes " + Bytes(range) + "/10\r\n\r\n" +
           Bytes(bytes) + "\r\n";
  };
  EXPECT_EQ(got.body, part("0-1", "01") + part("4-5", "45") + part("9-9", "9") + "--" + boundary + "--\r\n");
  EXPECT_EQ(got.length, got.body.size());
  EXPECT_FALSE(got.has("Content-Range"));
}

TEST_F(DepotFiles, IfRange) {
  const Got whole = rig_.get("/repo/a.txt");
  const auto status = [&](Bytes value) {
    return rig_.get("/repo/a.txt", {{"Range", "bytes=0-0"}, {"If-Range", std::move(value)}}).status;
  };
  EXPECT_EQ(status(whole.header("ETag")), 206);
  EXPECT_EQ(status(quoted("two")), 200);
  EXPECT_EQ(status("W/" + whole.header("ETag")), 200);
  EXPECT_EQ(status(whole.header("Last-Modified")), 206);
  rig_.cell.put("repo", "a.txt", "two");
  rig_.cell.release("repo");
  rig_.cell.clock.advance_seconds(10);
  EXPECT_EQ(status(whole.header("Last-Modified")), 200) << "the rest of another file must not be spliced on";
  EXPECT_EQ(status(whole.header("ETag")), 200);
}

TEST_F(DepotFiles, ADownloadIsResumedFromGrace) {
  const Got before = rig_.get("/repo/a.txt");
  rig_.cell.remove("repo", "a.txt");
  rig_.cell.release("repo");
  const Got rest = rig_.get("/repo/a.txt", {{"Range", "bytes=1-"}, {"If-Range", before.header("ETag")}});
  EXPECT_EQ(rest.status, 206);
  EXPECT_EQ(rest.body, "ne");
  EXPECT_EQ(rest.header("X-Hailstone-Release"), "1");
}

TEST_F(DepotFiles, AClientMayDemandARelease) {
  EXPECT_EQ(rig_.get("/repo/a.txt?min-release=1").status, 200);
  const Got got = rig_.get("/repo/a.txt?min-release=2");
  EXPECT_EQ(got.status, 503);
  EXPECT_EQ(got.header("Retry-After"), "1");
  EXPECT_EQ(got.header("Cache-Control"), "no-store");
  EXPECT_EQ(rig_.get("/repo/a.txt", {{"If-Release-At-Least", "2"}}).status, 503);
  EXPECT_EQ(rig_.get("/repo/a.txt", {{"If-Release-At-Least", "1"}}).status, 200);
  EXPECT_EQ(rig_.get("/repo/none?min-release=2").status, 503) << "not 404: the release may have it";
  EXPECT_EQ(rig_.get("/repo/a.txt?min-release=x").status, 400);
  EXPECT_EQ(rig_.get("/repo@1/a.txt?min-release=2").status, 200) << "a pinned path is what it is";
  rig_.cell.put("repo", "b", "b");
  rig_.cell.release("repo");
  EXPECT_EQ(rig_.get("/repo/a.txt?min-release=2").status, 200);
}

TEST_F(DepotFiles, TimesRedirectToTheReleaseOfThatTime) {
  const UnixMicros first = rig_.cell.flips("repo")->back().at;
  rig_.cell.clock.advance_seconds(3600);
  rig_.cell.put("repo", "a.txt", "two");
  rig_.cell.release("repo");
  const auto at = [&](int64_t seconds, Bytes rest) {
    return rig_.get("/repo@" + format_iso8601(UnixMicros{(first.seconds() + seconds) * 1'000'000}) + rest);
  };
  const Got got = at(60, "/dir/x%20y?q=1&r");
  EXPECT_EQ(got.status, 302);
  EXPECT_EQ(got.header("Location"), "/repo@1/dir/x%20y?q=1&r");
  EXPECT_EQ(got.header("Cache-Control"), "no-store");
  EXPECT_EQ(at(7200, "/").header("Location"), "/repo@2/");
  EXPECT_EQ(at(7200, "").header("Location"), "/repo@2");
  EXPECT_EQ(at(60, "/-/changes").header("Location"), "/repo@1/-/changes");
  EXPECT_EQ(at(-3600, "/a.txt").status, 404);
}

TEST_F(DepotFiles, DirectoriesGetTheirSlash) {
  const Got got = rig_.get("/repo/dir?format=json");
  EXPECT_EQ(got.status, 301);
  EXPECT_EQ(got.header("Location"), "/repo/dir/?format=json");
  EXPECT_EQ(got.header("Cache-Control"), "no-store");
  EXPECT_EQ(rig_.get("/repo").header("Location"), "/repo/");
  EXPECT_EQ(rig_.get("/repo").header("Cache-Control"), "no-store");
  EXPECT_EQ(rig_.get("/repo@1/dir").header("Location"), "/repo@1/dir/");
  EXPECT_EQ(rig_.get("/repo@1/dir").header("Cache-Control"), kImmutable);
}

TEST_F(DepotFiles, RedirectsCarryNothingOfTheRequestRaw) {
  rig_.cell.put("repo", "we<ird\r\nX: y/f", "x");
  rig_.cell.release("repo");
  const Got got = rig_.get("/repo/we%3Cird%0d%0aX:%20y");
  EXPECT_EQ(got.status, 301);
  EXPECT_EQ(got.header("Location"), "/repo/we%3Cird%0D%0AX%3A%20y/");
  EXPECT_FALSE(got.has("X"));
}

TEST_F(DepotFiles, AWritersContentTypeCannotSplitTheResponse) {
  auto entry = rig_.cell.file("0123456789");
  entry.content_type = "text/x\r\nSet-Cookie: a=b";
  rig_.cell.put_entry("repo", "evil", entry);
  rig_.cell.release("repo");
  EXPECT_FALSE(rig_.get("/repo/evil").has("Set-Cookie"));
  EXPECT_THAT(rig_.get("/repo/evil", {{"Range", "bytes=0-1,4-5"}}).body, Not(HasSubstr("\r\nSet-Cookie")));
}

TEST_F(DepotFiles, LinksServeTheirTarget) {
  rig_.cell.link("repo", "link", "a.txt");
  rig_.cell.link("repo", "d", "dir");
  rig_.cell.release("repo");
  const Got got = rig_.get("/repo/link");
  EXPECT_EQ(got.body, "one");
  EXPECT_THAT(got.header("Content-Type"), HasSubstr("text/plain"));
  EXPECT_EQ(rig_.get("/repo/d/b.html").body, "<p>b");
  EXPECT_EQ(rig_.get("/repo/d").header("Location"), "/repo/d/");
}

TEST_F(DepotFiles, LostChunksAreErrorsNeverAbsence) {
  const Bytes big(100'000, 'x');
  rig_.cell.put("repo", "big", big);
  rig_.cell.release("repo");
  ASSERT_TRUE(rig_.cell.chunks->erase(std::vector<ChunkId>{ChunkId(sha256(big))}));
  const Got got = rig_.get("/repo/big");
  EXPECT_EQ(got.status, 500);
  EXPECT_EQ(got.header("Cache-Control"), "no-store");
  EXPECT_THAT(got.body, HasSubstr("corrupt"));
  EXPECT_EQ(rig_.ask("HEAD", "/repo/big").status, 500);
}

TEST_F(DepotFiles, ADeletedAndRemadeVolumeIsAnother) {
  EXPECT_EQ(rig_.get("/repo/a.txt").status, 200);
  ASSERT_TRUE(rig_.cell.repository.submit(rig_.cell.caller, volume::DeleteVolume{"repo"}));
  EXPECT_EQ(rig_.get("/repo/a.txt").status, 404);
  rig_.cell.create("repo");
  rig_.cell.put("repo", "a.txt", "new");
  rig_.cell.release("repo");
  EXPECT_EQ(rig_.get("/repo/a.txt").body, "new");
  EXPECT_EQ(rig_.get("/repo@1/a.txt").body, "new");
}

// -- access
// ---------------------------------------------------------------------------------------------------------------

class DepotAccess : public DepotFiles {
 protected:
  DepotAccess() {
    rig_.cell.create("closed", {.public_read = false});
    rig_.cell.put("closed", "a.txt", "secret");
    rig_.cell.release("closed");
    rig_.authorizer.volumes = {"closed"};
  }
  const Headers good_ = {{"Authorization", "Bearer id:secret"}};
};

TEST_F(DepotAccess, ClosedVolumesWantAKey) {
  for (std::string_view target : {"/closed/a.txt", "/closed/", "/closed", "/closed/none", "/closed@1/a.txt",
                                  "/closed/-/release", "/closed@2026-01-01/x", "/closed@nothing/x"}) {
    for (const Headers& headers :
         {Headers{}, Headers{{"Authorization", "Bearer id:wrong"}}, Headers{{"Authorization", "junk"}}}) {
      const Got got = rig_.get(target, headers);
      EXPECT_EQ(got.status, 401) << target;
      EXPECT_THAT(got.header("WWW-Authenticate"), HasSubstr("Basic realm=\"hailstone\""));
      EXPECT_EQ(got.header("Cache-Control"), "no-store");
      EXPECT_THAT(got.body, Not(HasSubstr("secret")));
    }
  }
}

TEST_F(DepotAccess, GoodKeysReadAndNobodyElseFromMemory) {
  EXPECT_EQ(rig_.get("/closed/a.txt", good_).body, "secret");
  EXPECT_EQ(rig_.get("/closed/a.txt", good_).body, "secret");
  EXPECT_EQ(rig_.get("/closed/a.txt", {{"Authorization", "Basic " + to_base64("id:secret")}}).status, 200);
  EXPECT_EQ(rig_.get("/closed/a.txt").status, 401);
}

TEST_F(DepotAccess, SharedCachesKeepNothingOfThem) {
  EXPECT_EQ(rig_.get("/closed/a.txt", good_).header("Cache-Control"), "private, no-cache");
  EXPECT_EQ(rig_.get("/closed@1/a.txt", good_).header("Cache-Control"), "private, max-age=31536000, immutable");
}

TEST_F(DepotAccess, AKeyOfAnotherVolumeIsForbidden) {
  rig_.authorizer.volumes = {"other"};
  EXPECT_EQ(rig_.get("/closed/a.txt", good_).status, 403);
}

TEST_F(DepotAccess, ClosingAVolumeTakesEffectAtOnce) {
  EXPECT_EQ(rig_.get("/repo/a.txt").status, 200);
  rig_.cell.set("repo", {.public_read = false});
  EXPECT_EQ(rig_.get("/repo/a.txt").status, 401);
}

TEST_F(DepotAccess, TheListOfVolumesShowsWhatMayBeRead) {
  EXPECT_THAT(rig_.get("/?format=json").body, Not(HasSubstr("closed")));
  EXPECT_THAT(rig_.get("/?format=json").body, HasSubstr("repo"));
  const Got got = rig_.get("/?format=json", good_);
  EXPECT_THAT(got.body, HasSubstr("closed"));
  EXPECT_EQ(got.header("Cache-Control"), "private, no-cache");
}

}  // namespace
}  // namespace hailstone::depot
