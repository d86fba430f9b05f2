#include <sys/stat.h>

#include "cli/testing_cli.h"

namespace hailstone::cli {
namespace {

using ::testing::HasSubstr;

// A server of one volume, in memory, that speaks the endpoints of import and export.
class ImportExportTest : public CliTest {
 protected:
  ImportExportTest() {
    ::mkdir(source_.c_str(), 0755);
    variables["HAILSTONE_URL"] = "http://fake";
  }

  Result<Answer> serve(const FakeRequest& request) override {
    requests.push_back(request);
    const std::string what = request.path.substr(request.path.rfind('/') + 1);
    if (fail_next_ > 0 && what == fail_what_) {
      --fail_next_;
      return fail(Code::Unavailable, "connection reset");
    }
    if (what == "token") return ok({{"token", token()}, {"release", nullptr}});
    if (what == "manifest")
      return wire([&](mirror::WireEncoder& out) {
        for (const auto& [key, object] : server_.objects)
          if (key.starts_with(request.parameter("prefix"))) EXPECT_TRUE(out.copy(key, object.entry));
      });
    if (what == "fetch") return fetch(Json::parse(request.body));
    if (what == "upload") {
      const std::string before = token();
      server_.upload(request.body);
      ++version_;
      Json answer{{"token", token()}, {"new_chunks", 1}};
      if (tells_previous_token_) answer["previous_token"] = before;
      return ok(answer);
    }
    if (what == "drafts") return ok({{"draft", 7}, {"base", release_ == 0 ? Json(nullptr) : Json(release_)}});
    if (request.method == "DELETE" && request.path.ends_with("/drafts/7")) {
      ++drafts_dropped_;
      return Answer{204, {}, {}};
    }
    if (what == "publish") {
      const uint64_t parent = release_++;
      parents_[release_] = parent;
      return ok({{"releases", {{{"volume", "site"}, {"release", release_}, {"channels", {"current"}}}}}});
    }
    if (request.path.find("/releases/") != std::string::npos)
      return ok({{"release", release_}, {"parent", parents_[release_]}});
    return refusal(404, "not_found", "no endpoint " + request.path);
  }

  std::string token() const { return "t" + std::to_string(version_); }

  Result<Answer> wire(const std::function<void(mirror::WireEncoder&)>& fill) {
    mirror::WireEncoder out;
    fill(out);
    out.end();
    Bytes bytes = out.take();
    if (damage_next_) bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
    damage_next_ = false;
    return Answer{200, {}, bytes};
  }

  Result<Answer> fetch(const Json& body) {
    return wire([&](mirror::WireEncoder& out) {
      for (const Json& element : body["keys"]) {
        const Bytes key = element.is_string() ? element.get<std::string>() : bytes_field(element, "key");
        const auto& object = server_.objects.at(key);
        ++fetched_;
        EXPECT_TRUE(out.begin_put(key, object.entry, object.content.size()));
        out.data(object.content);
        out.done(sha256(object.content));
      }
    });
  }

  void put(const std::string& name, std::string_view text, int64_t mtime = 1'000'000'000) {
    mirror::write_text(source_ + "/" + name, text);
    mirror::set_mtime(source_ + "/" + name, mtime);
  }
  Outcome import(std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"import", source_, "site", "--state", state_};
    arguments.insert(arguments.end(), more.begin(), more.end());
    requests.clear();
    return run(arguments);
  }
  size_t asked(const std::string& what) const {
    size_t count = 0;
    for (const auto& request : requests) count += request.path.ends_with("/" + what);
    return count;
  }

  mirror::TemporaryDirectory dir_;
  std::string source_ = dir_ / "source", state_ = dir_ / "state", out_ = dir_ / "out";
  mirror::MemoryServer server_;
  uint64_t version_ = 1, release_ = 0;
  std::map<uint64_t, uint64_t> parents_;
  unsigned fail_next_ = 0;
  std::string fail_what_;
  bool damage_next_ = false;
  bool tells_previous_token_ = true;
  uint64_t fetched_ = 0;
  unsigned drafts_dropped_ = 0;
};

TEST_F(ImportExportTest, ImportsThenExportsTheSameTree) {
  put("a", "hello");
  put("b\xff", Bytes(100'000, 'b'));
  put("big", Bytes(3'000'000, 'B'));
  ::mkdir((source_ + "/d").c_str(), 0700);
  const Outcome imported = import();
  ASSERT_EQ(imported.exit, 0) << imported.err;
  EXPECT_THAT(imported.out, HasSubstr("site: 5 sent"));
  const Outcome exported = run({"export", "site", out_});
  ASSERT_EQ(exported.exit, 0) << exported.err;
  EXPECT_EQ(mirror::read_text(out_ + "/a"), "hello");
  EXPECT_EQ(mirror::read_text(out_ + "/b\xff").size(), 100'000u);
  EXPECT_EQ(mirror::read_text(out_ + "/big"), Bytes(3'000'000, 'B'));
  EXPECT_EQ(fetched_, 2u);
  const Outcome again = run({"export", "site", out_, "--json"});
  EXPECT_EQ(fetched_, 2u) << "nothing has changed";
  const Json report = Json::parse(again.out);
  EXPECT_EQ(report["fetched"], 0);
  EXPECT_EQ(report["reused"], 3);
}

TEST_F(ImportExportTest, TheSecondImportNeitherSendsNorAsksForTheManifest) {
  put("a", "hello");
  ASSERT_EQ(import().exit, 0);
  EXPECT_EQ(asked("manifest"), 1u);
  const Outcome again = import({"--json"});
  EXPECT_EQ(asked("manifest"), 0u);
  EXPECT_EQ(asked("upload"), 0u);
  EXPECT_EQ(Json::parse(again.out)["unchanged"], 2);
}

TEST_F(ImportExportTest, ComparesInFullWhenSomebodyElseWrote) {
  put("a", "hello");
  ASSERT_EQ(import().exit, 0);
  server_.objects.erase("a");
  ++version_;
  ASSERT_EQ(import().exit, 0);
  EXPECT_EQ(asked("manifest"), 1u);
  EXPECT_TRUE(server_.objects.contains("a"));
}

TEST_F(ImportExportTest, RemembersNothingThatIsNotProved) {
  tells_previous_token_ = false;
  put("a", "hello");
  ASSERT_EQ(import().exit, 0);
  ASSERT_EQ(import().exit, 0);
  EXPECT_EQ(asked("manifest"), 1u);
  // Nothing was written between the two tokens around that manifest: now it is proved.
  ASSERT_EQ(import().exit, 0);
  EXPECT_EQ(asked("manifest"), 0u);
}

TEST_F(ImportExportTest, DeletesOnlyWhenAskedAndOnlyUnderThePrefix) {
  put("a", "1");
  put("b", "2");
  ASSERT_EQ(run({"import", source_, "site/docs", "--state", state_}).exit, 0);
  server_.objects["elsewhere"] = server_.objects["docs/a"];
  ::unlink((source_ + "/b").c_str());
  ASSERT_EQ(run({"import", source_, "site/docs", "--state", state_}).exit, 0);
  EXPECT_TRUE(server_.objects.contains("docs/b"));
  ASSERT_EQ(run({"import", source_, "site/docs", "--state", state_, "--delete"}).exit, 0);
  EXPECT_FALSE(server_.objects.contains("docs/b"));
  EXPECT_TRUE(server_.objects.contains("elsewhere"));
  EXPECT_TRUE(server_.objects.contains("docs/"));
}

TEST_F(ImportExportTest, DryRunChangesNothing) {
  put("a", "1");
  const Outcome outcome = import({"--dry-run"});
  EXPECT_EQ(outcome.exit, 0);
  EXPECT_THAT(outcome.out, HasSubstr("put    a  1 bytes  (new)\n"));
  EXPECT_TRUE(server_.objects.empty());
  EXPECT_NE(::access(state_.c_str(), F_OK), 0);
  const Json plan = Json::parse(import({"--dry-run", "--json"}).out);
  EXPECT_EQ(plan["puts"], 2);
  EXPECT_EQ(plan["steps"][1]["key"], "a");
}

TEST_F(ImportExportTest, SendsABatchAgainWhenTheConnectionBreaks) {
  put("a", "1");
  fail_what_ = "upload";
  fail_next_ = 2;
  const Outcome outcome = import();
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  EXPECT_EQ(asked("upload"), 3u);
  EXPECT_EQ(server_.objects.at("a").content, "1");
  EXPECT_EQ(requests[4].fields.at("Idempotency-Key"), requests[5].fields.at("Idempotency-Key"));
}

TEST_F(ImportExportTest, PublishesADraftAndKnowsItAgainByItsRelease) {
  put("a", "1");
  const Outcome outcome = import({"--draft", "--publish"});
  ASSERT_EQ(outcome.exit, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("site@draft-7"));
  EXPECT_THAT(outcome.out, HasSubstr("site@1"));
  put("b", "2");
  ASSERT_EQ(import({"--draft", "--publish"}).exit, 0);
  EXPECT_EQ(asked("manifest"), 0u) << "the new draft starts as the release we made";
  // Somebody else published in between: our release's parent is not our draft's base.
  ++release_;
  put("c", "3");
  ASSERT_EQ(import({"--draft", "--publish"}).exit, 0);
  EXPECT_EQ(asked("manifest"), 1u);
}

TEST_F(ImportExportTest, DropsADraftThatChangesNothing) {
  put("a", "1");
  ASSERT_EQ(import({"--draft", "--publish"}).exit, 0);
  const Outcome again = import({"--draft", "--publish"});
  ASSERT_EQ(again.exit, 0) << again.err;
  EXPECT_EQ(drafts_dropped_, 1u);
  EXPECT_EQ(asked("publish"), 0u);
  EXPECT_EQ(release_, 1u);
}

TEST_F(ImportExportTest, SaysWhatCouldNotBeReadAndDoesNotPublish) {
  // ext4 keeps less than 4 KiB of attributes a file, tmpfs more than an entry may have.
  const mirror::TemporaryDirectory roomy(::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : ::testing::TempDir());
  source_ = roomy.path();
  put("a", "1");
  ::mkdir((source_ + "/d").c_str(), 0755);
  mirror::write_text(source_ + "/d/long-attributes", "x");
  const Bytes value(3000, 'v');
  bool supported = true;
  for (const char* name : {"user.a", "user.b", "user.c"})
    supported =
        supported && ::setxattr((source_ + "/d/long-attributes").c_str(), name, value.data(), value.size(), 0) == 0;
  if (!supported) GTEST_SKIP() << "no attributes that large here";
  const Outcome outcome = import({"--publish"});
  EXPECT_EQ(outcome.exit, 1);
  EXPECT_THAT(outcome.err, HasSubstr("d/long-attributes: metadata is"));
  EXPECT_EQ(asked("publish"), 0u);
  EXPECT_TRUE(server_.objects.contains("a"));
  // It is tried again the next time.
  EXPECT_EQ(import().exit, 1);
}

TEST_F(ImportExportTest, FetchesAgainWhatCameDamaged) {
  put("a", Bytes(50'000, 'a'));
  ASSERT_EQ(import().exit, 0);
  requests.clear();
  fail_what_ = "fetch";
  fail_next_ = 1;
  ASSERT_EQ(run({"export", "site", out_}).exit, 0);
  EXPECT_EQ(asked("fetch"), 2u);
  EXPECT_EQ(mirror::read_text(out_ + "/a"), Bytes(50'000, 'a'));
}

TEST_F(ImportExportTest, GivesUpOnAContentThatDoesNotMatch) {
  put("a", Bytes(50'000, 'a'));
  ASSERT_EQ(import().exit, 0);
  server_.objects["a"].content = Bytes(50'000, 'b');
  const Outcome outcome = run({"export", "site", out_});
  EXPECT_NE(outcome.exit, 0);
  EXPECT_NE(::access(out_.c_str(), F_OK), 0);
}

TEST_F(ImportExportTest, RefusesADamagedManifest) {
  put("a", "1");
  ASSERT_EQ(import().exit, 0);
  damage_next_ = true;
  EXPECT_EQ(run({"export", "site", out_}).exit, 9);
}

}  // namespace
}  // namespace hailstone::cli
