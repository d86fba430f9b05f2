// Cells of one and of several real members in one process, used by a real client.
#include "server/cell_service.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cell/query.h"
#include "cell/snapshot_file.h"
#include "client/blocking_client.h"
#include "disk/sim_disk.h"
#include "server/cell_restore.h"

namespace hailstone::server {
namespace {

using Json = nlohmann::json;
constexpr client::Within kSoon{20'000};  // a failed test's wait, never a passing one's

class CellServiceTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "cell_service_XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    base_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(base_); }

  std::string directory(uint64_t id) const { return fmt::format("{}/{}", base_, id); }
  CellConfig config(uint64_t id) const {
    CellConfig out;
    out.id = id;
    out.port = out.member_port = 0;
    return out;
  }
  /// A member without repositories.
  struct Member {
    std::unique_ptr<GroupHost> groups;
    std::unique_ptr<CellService> service;  // goes first
    CellService* operator->() const { return service.get(); }
    CellService& operator*() const { return *service; }
    void stop() {
      service->stop();
      groups->stop();
      reset();
    }
    void reset() {
      service.reset();
      groups.reset();
    }
  };
  Result<Member> start(disk::Disk& disk, const CellConfig& config, const std::string& directory) {
    Member out;
    TRY(out.groups, GroupHost::open(disk, clock_, config, {.directory = directory, .segment_bytes = 1u << 20},
                                    replica::WardReporter(), logger_));
    TRY(out.service, CellService::open(*out.groups, clock_, directory + "/cell", logger_));
    TRY_DO(out.groups->start());
    TRY_DO(out.service->start());
    return out;
  }
  Member start(const CellConfig& config) {
    auto started = start(*disk_, config, directory(config.id));
    EXPECT_TRUE(started) << started.error().message;
    return *std::move(started);
  }
  static std::unique_ptr<client::BlockingClient> connect(const CellService& service, bool open = true) {
    client::Options options;
    options.cell = net::CellAddress::parse(fmt::format("127.0.0.1:{}", service.port())).value();
    auto client = client::BlockingClient::make(std::move(options)).value();
    if (open) EXPECT_TRUE(client->open(kSoon));
    return client;
  }
  static std::string content(client::BlockingClient& client, Bytes path) {
    const auto copy = client.get(std::move(path), kSoon);
    if (!copy) return "failed: " + copy.error().error.message;
    return copy->file ? copy->file->content : "(none)";
  }
  static Result<Json> manage(client::BlockingClient& client, const Json& request) {
    const auto response = client.manage(request.dump(), kSoon);
    if (!response) return std::unexpected(response.error().error);
    return Json::parse(*response);
  }
  static std::string dump_of(CellService& service) {
    std::string out;
    const auto state = service.member().state().snapshot();
    EXPECT_TRUE(cell::dump(*state, [&](const Bytes& line) { out += line + "\n"; }));
    return out;
  }

  std::string base_;
  const std::unique_ptr<disk::Disk> disk_ = disk::make_real_disk();
  SystemClock clock_;
  NullLogger logger_;
};

TEST_F(CellServiceTest, WhatWasWrittenIsThereAfterAStopAndAfterACrash) {
  {
    auto service = start(config(1));
    const auto client = connect(*service);
    ASSERT_TRUE(client->put("/a", "1", {}, kSoon));
    service.stop();
  }
  {
    auto service = start(config(1));  // ends without stopping
    const auto client = connect(*service);
    EXPECT_EQ(content(*client, "/a"), "1");
    ASSERT_TRUE(client->put("/b", "2", {}, kSoon));
  }
  auto service = start(config(1));
  const auto client = connect(*service);
  EXPECT_EQ(content(*client, "/a") + content(*client, "/b"), "12");
}

TEST_F(CellServiceTest, WatchesHearOfWrites) {
  auto service = start(config(1));
  const auto writer = connect(*service), reader = connect(*service);
  const auto watch = reader->watch("/w", cell::Revision(0));
  ASSERT_TRUE(writer->put("/w/x", "1", {}, kSoon));
  ASSERT_TRUE(writer->put("/elsewhere", "1", {}, kSoon));
  ASSERT_TRUE(writer->put("/w/x", "2", {}, kSoon));
  std::vector<uint64_t> generations;
  while (generations.size() < 2) {
    const auto batch = watch->next(kSoon);
    ASSERT_TRUE(batch) << batch.error().message;
    for (const auto& item : batch->events) {
      EXPECT_EQ(item.event.path, "/w/x");
      generations.push_back(item.event.generation);
    }
  }
  EXPECT_EQ(generations, (std::vector<uint64_t>{1, 2}));
}

TEST_F(CellServiceTest, AMemberIsAddedPromotedAndTheFirstOneRemoved) {
  auto first = start(config(1));
  const auto client = connect(*first);
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(client->put(fmt::format("/f/{}", i), Bytes(1000, 'x'), {}, kSoon));
  CellConfig second_config = config(2);
  second_config.join = true;
  second_config.members = {fmt::format("1={}", format_address(first->member().members().at(0)))};
  auto second = start(second_config);
  const auto own =
      net::PeerAddress{.id = net::NodeId(2), .host = "127.0.0.1", .port = second->member().groups().port()};
  ASSERT_EQ(manage(*client, {{"op", "members.promote"}, {"id", 2}}).error().code, Code::NotFound);
  ASSERT_TRUE(manage(*client, {{"op", "members.add"}, {"id", 2}, {"address", format_address(own)}}));
  EXPECT_EQ(manage(*client, {{"op", "members.add"}, {"id", 2}, {"address", format_address(own)}}).error().code,
            Code::Exists);
  Result<Json> promoted = fail(Code::Timeout, "never tried");
  for (int i = 0; i < 200 && !promoted; ++i) {  // until it has caught up
    promoted = manage(*client, {{"op", "members.promote"}, {"id", 2}});
    if (!promoted) ::usleep(50'000);
  }
  ASSERT_TRUE(promoted) << promoted.error().message;

  const auto there = connect(*second);
  EXPECT_EQ(content(*there, "/f/49"), Bytes(1000, 'x'));
  ASSERT_TRUE(there->put("/g", "by way of the second", {}, kSoon));
  EXPECT_EQ(content(*client, "/g"), "by way of the second");

  Result<Json> removed = fail(Code::Timeout, "never tried");
  for (int i = 0; i < 200 && !removed; ++i) {  // it leads, hands over, and is then taken out by the other
    removed = manage(*there, {{"op", "members.remove"}, {"id", 1}});
    if (!removed) ::usleep(50'000);
  }
  ASSERT_TRUE(removed) << removed.error().message;
  first.stop();
  first.reset();
  ASSERT_TRUE(there->put("/h", "alone", {}, kSoon));
  const auto status = manage(*there, {{"op", "status"}}).value();
  EXPECT_EQ(status["leader"], 2);
  EXPECT_EQ(status["members"].size(), 1u);
  EXPECT_EQ(manage(*there, {{"op", "members.remove"}, {"id", 2}}).error().code, Code::Invalid);
}

TEST_F(CellServiceTest, WhoIsNotThereIsNotPromotedYet) {
  const auto service = start(config(1));
  const auto client = connect(*service);
  ASSERT_TRUE(client->put("/f", "1", {}, kSoon));
  ASSERT_TRUE(manage(*client, {{"op", "members.add"}, {"id", 2}, {"address", "127.0.0.1:1"}}));
  const auto promoted = manage(*client, {{"op", "members.promote"}, {"id", 2}});
  ASSERT_FALSE(promoted);
  EXPECT_EQ(promoted.error().code, Code::Conflict) << promoted.error().message;
  EXPECT_EQ(manage(*client, {{"op", "members.promote"}, {"id", 3}}).error().code, Code::NotFound);
}

TEST_F(CellServiceTest, ASnapshotBeginsAnotherCellWhoseNewMembersHaveItAll) {
  const std::string file = base_ + "/snapshot";
  {
    auto service = start(config(7));
    const auto client = connect(*service);
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(client->put(fmt::format("/f/{}", i), Bytes(2000, 'y'), {}, kSoon));
    const Json begun = manage(*client, {{"op", "snapshot.begin"}}).value();
    cell::SnapshotWriter writer;
    std::ofstream out(file, std::ios::binary);
    out << writer.begin(
        {.cell = begun["cell"].get<std::string>(), .revision = cell::Revision(begun["revision"].get<uint64_t>())});
    Bytes piece =
        client->manage(Json{{"op", "snapshot.read"}, {"snapshot", begun["snapshot"]}, {"after", ""}}.dump(), kSoon)
            .value();
    ASSERT_EQ(piece.back(), 1);  // all at once
    piece.pop_back();
    out << writer.add(piece) << writer.end();
  }
  const std::string data = base_ + "/restored";
  const auto header = restore_cell(*disk_, file, data, 1);
  ASSERT_TRUE(header) << header.error().message;
  EXPECT_EQ(header->cell, "hailstone");
  EXPECT_EQ(restore_cell(*disk_, file, data, 1).error().code, Code::Exists);
  std::filesystem::rename(data, directory(1));

  auto first = start(config(1));
  const auto client = connect(*first);
  EXPECT_EQ(content(*client, "/f/19"), Bytes(2000, 'y'));
  EXPECT_EQ(content(*client, "/cell/members/7"), "(none)");
  CellConfig second_config = config(2);
  second_config.join = true;
  second_config.members = {fmt::format("1=127.0.0.1:{}", first->member().groups().port())};
  auto second = start(second_config);
  ASSERT_TRUE(manage(
      *client,
      {{"op", "members.add"}, {"id", 2}, {"address", fmt::format("127.0.0.1:{}", second->member().groups().port())}}));
  const auto there = connect(*second, false);
  EXPECT_EQ(content(*there, "/f/19"), Bytes(2000, 'y'));  // linearizable: it has caught up
  EXPECT_EQ(dump_of(*first), dump_of(*second));
}

TEST_F(CellServiceTest, ADamagedSnapshotLeavesNothingBehind) {
  const std::string file = base_ + "/snapshot";
  cell::SnapshotWriter writer;
  Bytes whole = writer.begin({.cell = "c", .revision = cell::Revision(1)}) +
                writer.add(cell::encode_snapshot_block({{"a", "b"}})) + writer.end();
  whole[40] ^= 1;
  std::ofstream(file, std::ios::binary) << whole;
  const auto restored = restore_cell(*disk_, file, base_ + "/restored", 1);
  ASSERT_FALSE(restored);
  EXPECT_EQ(restored.error().code, Code::Corrupt);
  EXPECT_FALSE(std::filesystem::exists(base_ + "/restored/cell"));
  EXPECT_FALSE(std::filesystem::exists(base_ + "/restored/cell.part"));
}

TEST_F(CellServiceTest, WhoHasNoAdminRightManagesNothing) {
  auto service = start(config(1));
  const auto client = connect(*service);
  ASSERT_TRUE(client->command(cell::SetRules{"boss", {{"/", cell::kAllRights}}}, kSoon));
  EXPECT_EQ(manage(*client, {{"op", "snapshot.begin"}}).error().code, Code::Denied);
  EXPECT_EQ(manage(*client, {{"op", "members.remove"}, {"id", 1}}).error().code, Code::Denied);
  EXPECT_TRUE(manage(*client, {{"op", "status"}}));
  EXPECT_EQ(client->put("/a", "1", {}, kSoon).error().error.code, Code::Denied);
}

TEST_F(CellServiceTest, OddRequestsAreRefusedAndNothingElse) {
  auto service = start(config(1));
  const auto client = connect(*service);
  for (const std::string& odd :
       {std::string(), std::string("null"), std::string("[1]"), std::string("{"), std::string("{\"op\":7}"),
        std::string("{\"op\":\"\xff\"}"), std::string("{\"op\":\"members.add\",\"id\":-1,\"address\":{}}"),
        std::string("{\"op\":\"members.add\",\"id\":1e999}"), std::string("{\"op\":\"members.promote\",\"id\":[]}"),
        std::string("{\"op\":\"snapshot.read\",\"snapshot\":{},\"after\":9}"), std::string(2 << 20, '[')})
    EXPECT_FALSE(client->manage(odd, kSoon)) << odd.substr(0, 60);
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  EXPECT_TRUE(client->manage("{\"op\":\"status\",\"deep\":" + deep + "}", kSoon));
  EXPECT_TRUE(service->healthy());
}

TEST_F(CellServiceTest, AnAddressThatWillNotDoKeepsNoMemberOut) {
  auto service = start(config(1));
  const auto client = connect(*service);
  EXPECT_EQ(manage(*client, {{"op", "members.add"}, {"id", 2}, {"address", "192.0.2.1:9"}}).error().code, Code::Denied);
  ASSERT_TRUE(client->put("/cell/members/8", "192.0.2.1:9", {}, kSoon));
  ASSERT_TRUE(client->put("/cell/members/9", "127.0.0.1:9", {}, kSoon));
  const auto names = [&] {
    std::vector<uint64_t> out;
    for (const auto& member : service->member().members()) out.push_back(member.id.value);
    return out;
  };
  for (int i = 0; i < 400 && names().size() < 2; ++i) ::usleep(50'000);
  EXPECT_EQ(names(), (std::vector<uint64_t>{1, 9}));
}

TEST_F(CellServiceTest, AFailedMemberSendsItsClientsAway) {
  disk::SimDisk disk;
  auto started = start(disk, config(1), "/data");
  ASSERT_TRUE(started) << started.error().message;
  const auto client = connect(**started);
  ASSERT_TRUE(client->put("/a", "1", {}, kSoon));
  disk.crash();
  EXPECT_FALSE(client->put("/a", "2", {}, {.ms = 2000}));
  const auto again = connect(**started, false);
  const auto opened = again->open({.ms = 1000});
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().error.message.find("Connection refused"), std::string::npos) << opened.error().error.message;
  EXPECT_FALSE((*started)->healthy());
}

// The other files are the log's and the database's.
TEST_F(CellServiceTest, ClientsCannotTakeAllFiles) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit few = before;
  few.rlim_cur = 400;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  {
    auto service = start(config(1));
    const auto client = connect(*service);
    int told[2];
    ASSERT_EQ(::pipe(told), 0);
    sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(service->port()), .sin_addr = {}, .sin_zero = {}};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const pid_t crowd = ::fork();
    if (crowd == 0) {  // only what may be called between fork and exec
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::close(told[0]);
      for (int fd = 5; fd < 400; ++fd)
        if (fd != told[1]) ::close(fd);
      for (int i = 0; i < 380; ++i)
        if (::connect(::socket(AF_INET, SOCK_STREAM, 0), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
          break;
      if (::write(told[1], "x", 1) == 1) ::pause();
      ::_exit(0);
    }
    ::close(told[1]);
    char there = 0;
    ASSERT_EQ(::read(told[0], &there, 1), 1);
    bool going = true;
    for (int i = 0; i < 20 && going; ++i)  // several files of the log
      EXPECT_TRUE(going = bool(client->put("/f", Bytes(200'000, static_cast<char>('a' + i)), {}, {.ms = 5000})));
    EXPECT_TRUE(service->healthy());
    ::kill(crowd, SIGKILL);
    ::waitpid(crowd, nullptr, 0);
    ::close(told[0]);
  }
  ::setrlimit(RLIMIT_NOFILE, &before);
}

TEST(CellConfig, MembersAreCheckedByName) {
  CellConfig config;
  EXPECT_EQ(config.founders()->size(), 1u);
  config.members = {"1=127.0.0.1:1", "2=[::1]:2"};
  EXPECT_EQ(config.founders()->at(1).host, "::1");
  config.id = 3;
  EXPECT_EQ(config.validate().error().message, "cell.members: this node's id, 3, is not among them");
  config.join = true;
  EXPECT_TRUE(config.validate());
  for (const char* wrong :
       {"", "1", "1=", "x=a:1", "0=a:1", "1=a:", "1=a:0", "1=:1", "1=a:70000", "1=::1:8083", "1=a b:1"}) {
    config.members = {wrong};
    EXPECT_FALSE(config.validate()) << wrong;
  }
}

}  // namespace
}  // namespace hailstone::server
