#include "cli/command_line.h"

#include "cli/exit_codes.h"
#include "cli/location.h"
#include "cli/testing_cli.h"

namespace hailstone::cli {
namespace {

using ::testing::HasSubstr;

TEST_F(CliTest, WrongUsageExitsWith2AndAsksNobody) {
  handler = [](const FakeRequest&) { return ok(nullptr); };
  const std::vector<std::vector<std::string>> table = {
      {},
      {"volum"},
      {"volume"},
      {"volume", "creat", "x"},
      {"volume", "create"},
      {"volume", "create", "a", "b"},
      {"volume", "create", "a", "--checks", "maybe"},
      {"volume", "create", "a", "--grace", "soon"},
      {"volume", "show", "site@42"},
      {"volume", "clone", "site/x", "b"},
      {"put", "file"},
      {"get", "site"},
      {"ls", "/x"},
      {"ls", "site@"},
      {"rm"},
      {"import", "/nowhere at all", "site"},
      {"import", "/tmp"},
      {"export", "site"},
      {"export", "site", "d", "--in-place", "--reuse", "copy"},
      {"export", "site", "d", "--reuse", "magic"},
      {"draft", "show", "site"},
      {"draft", "drop", "site@7"},
      {"publish"},
      {"publish", "site@42"},
      {"publish", "site@stable"},
      {"revert", "site"},
      {"release", "show", "site@stable"},
      {"release", "tag", "site@42"},
      {"channel", "set", "site=42"},
      {"channel", "set", "site@stable=0"},
      {"channel", "set", "site@stable=x"},
      {"channel", "rm", "site"},
      {"key", "create", "ci", "--role", "king"},
      {"config", "--check", "/nowhere"},
      {"completion", "tcsh"},
      {"--frobnicate", "status"},
  };
  for (const auto& arguments : table) {
    const Outcome outcome = run(arguments);
    std::string line;
    for (const auto& argument : arguments) line += argument + " ";
    EXPECT_EQ(outcome.exit, kExitUsage) << line;
    EXPECT_EQ(outcome.out, "") << line;
    EXPECT_THAT(outcome.err, HasSubstr("--help")) << line;
  }
  EXPECT_TRUE(requests.empty());
}

TEST_F(CliTest, NamesTheCommandThatWasProbablyMeant) {
  EXPECT_THAT(run({"volume", "creat", "x"}).err, HasSubstr("did you mean 'create'?"));
  EXPECT_THAT(run({"--json", "imprt", "x"}).err, HasSubstr("did you mean 'import'?"));
  EXPECT_THAT(run({"channel"}).err, HasSubstr("one of ls, set, rm"));
}

TEST_F(CliTest, HelpGoesToStandardOutputAndListsTheExitCodes) {
  const Outcome outcome = run({"--help"});
  EXPECT_EQ(outcome.exit, kExitOk);
  EXPECT_THAT(outcome.out, HasSubstr("  6  conflict"));
  EXPECT_EQ(run({"release", "tag", "--help"}).exit, kExitOk);
}

TEST_F(CliTest, EveryCodeHasAnExitCodeOfItsOwn) {
  std::map<int, Code> seen;
  for (int i = 0; i <= static_cast<int>(Code::Io); ++i) {
    const auto code = static_cast<Code>(i);
    EXPECT_TRUE(seen.emplace(exit_code_of(code), code).second) << i;
    Code parsed{};
    EXPECT_TRUE(parse_code(code_name(code), parsed));
    EXPECT_EQ(parsed, code);
  }
  EXPECT_FALSE(seen.contains(kExitUsage));
}

// What each command asks of the server.
TEST_F(CliTest, AReplacementIsAskedForUntilItIsDone) {
  handler = [this](const FakeRequest&) {
    return ok({{"done", requests.size() == 3}, {"step", requests.size() < 3 ? "node 4 learns" : "in place"}});
  };
  const auto done = run({"cluster", "replace", "2", "4", "--address", "10.0.0.4:8083"});
  EXPECT_EQ(done.exit, 0) << done.err;
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(requests[0].path, "/api/v1/cluster/nodes/2/replace");
  EXPECT_EQ(requests[2].body, R"({"address":"10.0.0.4:8083","by":4})");
  EXPECT_EQ(done.err, "node 4 learns ...\nin place\n");
}

TEST_F(CliTest, TheClusterIsOneScreenAndAnExitCode) {
  Json status = Json::parse(R"({"node":1,"copies":3,
    "nodes":[{"id":1,"registered":true,"answers":true,"healthy":true,"votes":true,"roles":["member","store"],"http":"http://a:1",
              "place":"a","version":"1.0","uptime_seconds":5},
             {"id":2,"registered":false,"answers":false,"votes":true}],
    "stores":[{"node":1,"state":"in","weight":100.0,"up":true,"chunks":7,"stored_bytes":2048,"missing_copies":null},
              {"node":2,"state":"draining","weight":100.0,"up":false}],
    "groups":[{"id":0,"leader":1,"voters":[1,2],"learners":[],"chosen":9,"applied":[{"node":1,"slot":9}]},
              {"id":1,"leader":0,"voters":[1,2],"learners":[3],"chosen":9,"applied":[]}],
    "channels":{"count":2,"unsettled":[{"volume":"v","channel":"current","decided":{"sequence":7,"release":42},
                "shown":{"sequence":6,"release":41},"excluded":[3]}]},
    "pending":["v@current: release 42 is decided"],"problems":["node 2 is not there"]})");
  handler = [&](const FakeRequest&) { return ok(status); };
  const auto ill = run({"cluster", "status"});
  EXPECT_EQ(ill.exit, 1);
  for (const char* part : {"GONE", "draining, DOWN", "2.0 KiB", "NOBODY", "v@current", "42", "41",
                           "WRONG    node 2 is not there", "pending  v@current"})
    EXPECT_NE(ill.out.find(part), std::string::npos) << part << "\n" << ill.out;
  status["problems"] = Json::array();
  EXPECT_EQ(run({"cluster", "status", "--json"}).exit, 0);
  EXPECT_EQ(run({"cluster", "status", "--json"}).out, status.dump() + "\n");
  handler = [](const FakeRequest&) { return ok({{"nodes", 3}, {"stores", "none"}, {"groups", {1}}}); };
  EXPECT_EQ(run({"cluster", "status"}).exit, 0) << "an answer of another version is no crash";
}

TEST_F(CliTest, SendsTheRequestsOfTheTable) {
  handler = [](const FakeRequest&) { return ok(Json::object()); };
  struct {
    std::vector<std::string> arguments;
    std::string request, body;
  } table[] = {
      {{"status"}, "GET /api/v1/status", ""},
      {{"config"}, "GET /api/v1/config", ""},
      {{"cluster", "status"}, "GET /api/v1/cluster", ""},
      {{"cluster", "nodes"}, "GET /api/v1/cluster", ""},
      {{"cluster", "drain", "2"}, "PUT /api/v1/cluster/stores/2", R"({"state":"draining"})"},
      {{"cluster", "undrain", "2"}, "PUT /api/v1/cluster/stores/2", R"({"state":"in"})"},
      {{"cluster", "remove", "2"}, "DELETE /api/v1/cluster/nodes/2", ""},
      {{"cluster", "remove", "2", "--lost"}, "DELETE /api/v1/cluster/nodes/2?lost=true", ""},
      {{"volume", "ls"}, "GET /api/v1/volumes", ""},
      {{"volume", "create", "site", "--overlay", "false", "--grace", "60"},
       "POST /api/v1/volumes",
       R"({"name":"site","settings":{"grace_seconds":60,"overlay":false}})"},
      {{"volume", "show", "site"}, "GET /api/v1/volumes/site", ""},
      {{"volume", "set", "site", "--public", "true"}, "PATCH /api/v1/volumes/site", R"({"settings":{"public":true}})"},
      {{"volume", "rm", "site", "--confirm", "site"}, "DELETE /api/v1/volumes/site?confirm=site", ""},
      {{"volume", "clone", "site@42", "copy"},
       "POST /api/v1/volumes",
       R"({"clone":{"release":42,"volume":"site"},"name":"copy"})"},
      {{"volume", "clone", "site", "copy"},
       "POST /api/v1/volumes",
       R"({"clone":{"release":null,"volume":"site"},"name":"copy"})"},
      {{"ls", "site@draft-7/a b/"}, "GET /api/v1/targets/site%40draft-7/list?prefix=a%20b%2F&delimiter=%2F", ""},
      {{"ls", "-r", "site", "--limit", "5"}, "GET /api/v1/targets/site/list?prefix=&limit=5", ""},
      {{"cp", "site/a", "other@draft-1/d/"},
       "POST /api/v1/targets/other%40draft-1/batch",
       R"({"edits":[{"copy_from":{"key":"a","target":"site"},"key":"d/a"}]})"},
      {{"cp", "site/\xff", "site/b"},
       "POST /api/v1/targets/site/batch",
       R"({"edits":[{"copy_from":{"key_base64":"/w==","target":"site"},"key":"b"}]})"},
      {{"search", "site@42", "lib", "ssl", "--limit", "3"},
       "GET /api/v1/targets/site%4042/search?q=lib%20ssl&limit=3",
       ""},
      {{"draft", "open", "site", "--base", "3", "-m", "why"},
       "POST /api/v1/volumes/site/drafts",
       R"({"base":3,"message":"why"})"},
      {{"draft", "ls", "site"}, "GET /api/v1/volumes/site/drafts", ""},
      {{"draft", "show", "site@draft-7"}, "GET /api/v1/volumes/site/drafts/7", ""},
      {{"draft", "drop", "site@draft-7"}, "DELETE /api/v1/volumes/site/drafts/7", ""},
      {{"draft", "diff", "site@draft-7"}, "GET /api/v1/volumes/site/drafts/7/diff", ""},
      {{"publish", "site", "docs@draft-7", "--channel", "current", "--channel", "stable", "-m", "m", "--dry-run"},
       "POST /api/v1/publish",
       R"({"author":"","channels":["current","stable"],"dry_run":true,"items":[{"draft":null,"message":"m","volume":"site"},{"draft":7,"message":"m","volume":"docs"}]})"},
      {{"publish", "site"},
       "POST /api/v1/publish",
       R"({"author":"","dry_run":false,"items":[{"draft":null,"message":"","volume":"site"}]})"},
      {{"rollback", "site@stable", "--to", "41"},
       "POST /api/v1/rollback",
       R"({"channel":"stable","to":41,"volume":"site"})"},
      {{"rollback", "site"}, "POST /api/v1/rollback", R"({"channel":"current","to":null,"volume":"site"})"},
      {{"revert", "site", "--to", "4"}, "POST /api/v1/revert", R"({"message":"","to":4,"volume":"site"})"},
      {{"release", "ls", "site", "--before", "9"}, "GET /api/v1/volumes/site/releases?limit=20&before=9", ""},
      {{"release", "show", "site@42"}, "GET /api/v1/volumes/site/releases/42", ""},
      {{"release", "diff", "site", "41", "stable"}, "GET /api/v1/volumes/site/diff?from=41&to=stable", ""},
      {{"release", "tag", "site@42", "v1/x"}, "PUT /api/v1/volumes/site/releases/42/tags/v1%2Fx", ""},
      {{"release", "untag", "site@42", "v1"}, "DELETE /api/v1/volumes/site/releases/42/tags/v1", ""},
      {{"release", "hold", "site@42", "audit", "--reason", "law"},
       "PUT /api/v1/volumes/site/releases/42/holds/audit",
       R"({"reason":"law"})"},
      {{"release", "unhold", "site@42", "audit"}, "DELETE /api/v1/volumes/site/releases/42/holds/audit", ""},
      {{"channel", "ls", "site"}, "GET /api/v1/volumes/site/channels", ""},
      {{"channel", "set", "site@stable=42", "--expect", "41"},
       "POST /api/v1/flip",
       R"({"flips":[{"channel":"stable","expect":41,"release":42,"volume":"site"}]})"},
      {{"channel", "rm", "site@stable"},
       "POST /api/v1/flip",
       R"({"flips":[{"channel":"stable","release":null,"volume":"site"}]})"},
      {{"key", "create", "ci", "--role", "writer", "--volume", "a", "--volume", "b"},
       "POST /api/v1/keys",
       R"({"name":"ci","role":"writer","volumes":["a","b"]})"},
      {{"key", "ls"}, "GET /api/v1/keys", ""},
      {{"key", "rm", "K1"}, "DELETE /api/v1/keys/K1", ""},
  };
  for (const auto& row : table) {
    requests.clear();
    const Outcome outcome = run(row.arguments);
    EXPECT_EQ(outcome.exit, kExitOk) << row.request << ": " << outcome.err;
    ASSERT_EQ(requests.size(), 1u) << row.request;
    const FakeRequest& request = requests[0];
    EXPECT_EQ(request.method + " " + request.path + (request.query.empty() ? "" : "?" + request.query), row.request);
    EXPECT_EQ(request.body, row.body);
    EXPECT_EQ(request.fields.contains("Idempotency-Key"), request.method != "GET") << row.request;
  }
}

TEST_F(CliTest, JsonPrintsExactlyWhatTheServerSent) {
  const std::string raw = "{\"volumes\": [ {\"name\":\"a\",\"new_field\":1e2} ]}\n";
  handler = [&](const FakeRequest&) -> Result<Answer> { return Answer{200, {}, raw}; };
  EXPECT_EQ(run({"volume", "ls", "--json"}).out, raw);
  EXPECT_EQ(run({"--json", "volume", "ls"}).out, raw);
}

TEST_F(CliTest, PrintsAlignedTables) {
  handler = [](const FakeRequest&) {
    return ok({{"volumes",
                {{{"name", "site"},
                  {"releases", 42},
                  {"keys", 7},
                  {"bytes", 1536},
                  {"channels", {{"current", 42}, {"stable", 40}}}},
                 {{"name", "a-longer-name"}, {"releases", 1}, {"keys", 1234567}, {"bytes", 3}}}}});
  };
  EXPECT_EQ(run({"volume", "ls"}).out,
            "VOLUME         RELEASES     KEYS     SIZE  CHANNELS\n"
            "site                 42        7  1.5 KiB  current=42 stable=40\n"
            "a-longer-name         1  1234567      3 B  -\n");
}

TEST_F(CliTest, ErrorsBecomeExitCodesWithKeysAndAdvice) {
  handler = [](const FakeRequest&) {
    return refusal(409, "conflict", "2 keys changed on both sides", {"a", {{"key_base64", "/w=="}}});
  };
  Outcome outcome = run({"publish", "site@draft-7"});
  EXPECT_EQ(outcome.exit, 6);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, HasSubstr("2 keys changed on both sides\n  a\n  \\xff\n"));
  outcome = run({"publish", "site@draft-7", "--json"});
  EXPECT_EQ(Json::parse(outcome.err)["error"]["code"], "conflict");
  handler = [](const FakeRequest&) -> Result<Answer> { return Answer{404, {}, "<html>"}; };
  EXPECT_EQ(run({"volume", "show", "x"}).exit, 4);
}

TEST_F(CliTest, AuthorizesByOptionThenEnvironmentThenTheLocalServersKey) {
  handler = [](const FakeRequest&) { return ok(Json::object()); };
  mirror::TemporaryDirectory dir;
  mirror::write_text(dir / "admin.key", "ADMIN:secret\n");
  variables["HAILSTONE_DATA"] = dir.path();
  run({"volume", "ls"});
  EXPECT_EQ(requests.back().fields["Authorization"], "Bearer ADMIN:secret");
  variables["HAILSTONE_KEY"] = "K:s";
  run({"volume", "ls"});
  EXPECT_EQ(requests.back().fields["Authorization"], "Bearer K:s");
  run({"volume", "ls", "--key", "O:s"});
  EXPECT_EQ(requests.back().fields["Authorization"], "Bearer O:s");
}

TEST_F(CliTest, RemovesNothingWithoutConfirmation) {
  handler = [](const FakeRequest&) { return ok(Json::object()); };
  EXPECT_EQ(run({"volume", "rm", "site"}).exit, exit_code_of(Code::Invalid));
  EXPECT_EQ(run({"volume", "rm", "site", "--confirm", "sit"}).exit, exit_code_of(Code::Invalid));
  EXPECT_TRUE(requests.empty());
}

TEST_F(CliTest, ListsAllPages) {
  handler = [](const FakeRequest& request) {
    Json page{
        {"entries", {{{"key", request.parameter("start_after").empty() ? "a" : "b"}, {"kind", "file"}, {"size", 1}}}},
        {"prefixes", Json::array()},
        {"next", request.parameter("start_after").empty() ? Json("a") : Json(nullptr)}};
    return ok(page);
  };
  EXPECT_THAT(run({"ls", "site"}).out, HasSubstr("a\n"));
  EXPECT_EQ(requests.size(), 2u);
  EXPECT_THAT(run({"ls", "site"}).out, HasSubstr("b\n"));
}

TEST_F(CliTest, RemovesAPrefixInOneCommit) {
  handler = [](const FakeRequest& request) {
    if (request.method == "GET")
      return ok({{"entries", {{{"key", "d/a"}}, {{"key_base64", "/w=="}}}}, {"next", nullptr}});
    return ok({{"position", 1}, {"token", "t"}});
  };
  EXPECT_THAT(run({"rm", "-r", "-n", "site/d/"}).out, HasSubstr("delete site/d/a\n"));
  EXPECT_EQ(requests.size(), 1u);
  EXPECT_EQ(run({"rm", "-r", "site/d/"}).exit, kExitOk);
  EXPECT_EQ(requests.back().body, R"({"edits":[{"delete":true,"key":"d/a"},{"delete":true,"key_base64":"/w=="}]})");
}

TEST_F(CliTest, PutsAndGetsAFileAndChecksItsHash) {
  mirror::TemporaryDirectory dir;
  const Bytes content(600'000, 'x');
  mirror::write_text(dir / "f", content);
  Bytes stored;
  handler = [&](const FakeRequest& request) -> Result<Answer> {
    if (request.method == "PUT") {
      stored = request.body;
      return ok({{"sha256", sha256(stored).hex()}});
    }
    if (request.path.ends_with("/entry")) return ok({{"size", stored.size()}, {"sha256", sha256(content).hex()}});
    return Answer{200, {}, stored};
  };
  EXPECT_EQ(run({"put", dir / "f", "site/d/", "--if-none-match", "*"}).exit, kExitOk);
  EXPECT_EQ(requests.back().parameter("key"), "d/f");
  EXPECT_EQ(requests.back().fields["If-None-Match"], "*");
  EXPECT_TRUE(stored == content);
  EXPECT_EQ(run({"get", "site/d/f", dir / "g"}).exit, kExitOk);
  EXPECT_TRUE(mirror::read_text(dir / "g") == content);
  stored[5] = 'y';
  EXPECT_EQ(run({"get", "site/d/f", dir / "h"}).exit, exit_code_of(Code::Conflict));
  EXPECT_EQ(::access((dir / "h").c_str(), F_OK), -1);
  EXPECT_EQ(::access((dir / "h.hailstone-part").c_str(), F_OK), -1);
}

TEST_F(CliTest, ServeGetsItsArgumentsAndItsExitCodeIsTheProcesses) {
  ServeArguments got;
  hooks.serve = [&](const ServeArguments& arguments) {
    got = arguments;
    return 5;
  };
  EXPECT_EQ(run({"serve", "--data", "/d", "--listen", "0.0.0.0:80", "--set", "a=1", "--set", "b=2"}).exit, 5);
  EXPECT_EQ(got.data, "/d");
  EXPECT_EQ(got.set, (std::vector<std::string>{"a=1", "b=2"}));
}

TEST(Location, ParsesWhatPeopleType) {
  const auto at = parse_location("site@draft-7/a/b@c");
  ASSERT_TRUE(at);
  EXPECT_EQ(at->volume, "site");
  EXPECT_EQ(at->draft(), 7u);
  EXPECT_EQ(at->path, "a/b@c");
  EXPECT_EQ(at->target(), "site@draft-7");
  EXPECT_EQ(parse_location("site@42")->release(), 42u);
  EXPECT_EQ(parse_location("site@stable")->release(), std::nullopt);
  EXPECT_EQ(parse_flip("a@b=3")->release, 3u);
  EXPECT_FALSE(parse_location("@42"));
}

}  // namespace
}  // namespace hailstone::cli
