#include "s3/edge.h"

#include <gtest/gtest.h>

#include <future>
#include <latch>

#include "s3/testing.h"

namespace hailstone::s3 {
namespace {

using testing::EdgeRig;
using volume::Role;

TEST(Options, AreCheckedInWords) {
  EXPECT_TRUE(Options{}.validate());
  EXPECT_FALSE(Options{.region = ""}.validate());
}

class EdgeServer : public ::testing::Test {
 protected:
  EdgeServer() { EXPECT_EQ(rig.ask("PUT", "/vol", "", admin).status, 200); }
  EdgeRig rig;
  s3auth::Credentials admin = rig.key("ann", Role::Admin);
};

TEST_F(EdgeServer, RefusesWithTheDocumentOfItsCode) {
  struct Row {
    const char *method, *path, *query;
    bool is_signed;
    int status;
    const char* code;
  };
  for (const Row& row : {Row{"GET", "/none", "", true, 404, "NoSuchBucket"},
                         {"GET", "/vol/none", "", true, 404, "NoSuchKey"},
                         {"GET", "/vol/none", "", false, 403, "AccessDenied"},
                         {"GET", "/vol/none", "versionId=0123456789abcdef", true, 404, "NoSuchVersion"},
                         {"GET", "/vol/none", "versionId=x", true, 400, "InvalidArgument"},
                         {"GET", "/vol", "list-type=3", true, 400, "InvalidArgument"},
                         {"GET", "/vol", "acl=&cors=", true, 400, "InvalidArgument"},
                         {"GET", "/vol", "cors=", true, 404, "NoSuchCORSConfiguration"},
                         {"PUT", "/vol", "website=", true, 501, "NotImplemented"},
                         {"POST", "/vol/none", "uploadId=1", true, 400, "MissingRequestBodyError"},
                         {"PUT", "/Not_A_Name", "", true, 400, "InvalidBucketName"},
                         {"PUT", "/vol", "versions=", true, 405, "MethodNotAllowed"},
                         {"GET", "/vol/%zz", "", false, 400, "InvalidURI"},
                         {"GET", "/", "", false, 403, "AccessDenied"}}) {
    const auto got = rig.ask(row.method, row.path, row.query, row.is_signed ? admin : s3auth::Credentials{});
    EXPECT_EQ(got.status, row.status) << row.method << ' ' << row.path << '?' << row.query;
    EXPECT_EQ(got.code, row.code) << row.method << ' ' << row.path << '?' << row.query;
    EXPECT_EQ(got.head.field("Content-Type"), "application/xml");
    EXPECT_FALSE(got.element("Message").empty());
    EXPECT_EQ(got.element("Resource"), row.path);
    EXPECT_EQ(got.element("RequestId"), got.head.field("x-amz-request-id"));
  }
}

TEST_F(EdgeServer, HeadHasTheStatusAndNoDocument) {
  const auto got = rig.ask("HEAD", "/vol/none", "", admin);
  EXPECT_EQ(got.status, 404);
  EXPECT_EQ(got.body, "");
  EXPECT_TRUE(got.head.field("x-amz-request-id"));
}

TEST_F(EdgeServer, AForgedSignatureTellsWhatWasSigned) {
  auto forger = admin;
  forger.secret = "not it";
  const auto got = rig.ask("GET", "/vol", "", forger);
  EXPECT_EQ(got.code, "SignatureDoesNotMatch");
  EXPECT_TRUE(got.element("StringToSign").starts_with("AWS4-HMAC-SHA256"));
}

TEST_F(EdgeServer, KeepsWhatIsPutAndGivesItBack) {
  EXPECT_EQ(rig.ask("PUT", "/vol/a%20b", "", admin, "body").status, 200);
  const auto got = rig.ask("GET", "/vol/a%20b", "", admin);
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.body, "body");
  EXPECT_EQ(got.head.field("ETag"), "\"841a2d689ad86bd1611447453c22c6fc\"");
  EXPECT_EQ(rig.ask("DELETE", "/vol", "", admin).code, "BucketNotEmpty");
  EXPECT_EQ(rig.ask("DELETE", "/vol/a%20b", "", admin).status, 204);
  EXPECT_EQ(rig.ask("DELETE", "/vol", "", admin).status, 204);
}

TEST_F(EdgeServer, AReleaseIsReadOnly) {
  EXPECT_EQ(rig.ask("PUT", "/vol/a", "", admin, "1").status, 200);
  rig.cell.release("vol", "stable");
  for (const char* bucket : {"/vol--1", "/vol--stable"}) {
    EXPECT_EQ(rig.ask("GET", bucket + Bytes("/a"), "", admin).body, "1");
    const auto got = rig.ask("PUT", bucket + Bytes("/a"), "", admin, "2");
    EXPECT_EQ(got.status, 403);
    EXPECT_NE(got.element("Message").find("release"), Bytes::npos);
  }
  EXPECT_EQ(rig.ask("DELETE", "/vol/a", "", admin).status, 204);
  EXPECT_EQ(rig.ask("DELETE", "/vol", "", admin).code, "BucketNotEmpty");
}

TEST_F(EdgeServer, ABucketIsNotDeletedUnderAPublish) {
  auto lock = rig.cell.repository.lock_volume((*rig.cell.repository.volume("vol"))->record.id);
  auto deleted = std::async(std::launch::async, [&] { return rig.ask("DELETE", "/vol", "", admin); });
  rig.cell.release("vol");
  lock.unlock();
  EXPECT_EQ(deleted.get().code, "BucketNotEmpty");
}

TEST_F(EdgeServer, ABucketIsNotDeletedWithAnObjectPutAfterTheLook) {
  rig.cell.group.before_next([&] { rig.cell.put("vol", "a", "1"); });
  EXPECT_EQ(rig.ask("DELETE", "/vol", "", admin).code, "BucketNotEmpty");
  EXPECT_EQ(rig.ask("GET", "/vol/a", "", admin).body, "1");
}

TEST_F(EdgeServer, ABucketWrittenToAndEmptiedDuringTheLookIsDeleted) {
  rig.cell.group.before_next([&] {
    rig.cell.put("vol", "a", "1");
    rig.cell.remove("vol", "a");
  });
  EXPECT_EQ(rig.ask("DELETE", "/vol", "", admin).status, 204);
}

TEST_F(EdgeServer, AnObjectPutAfterItsBucketWentIsRefused) {
  rig.cell.group.before_next(
      [&] { EXPECT_TRUE(rig.cell.repository.submit(rig.cell.caller, volume::DeleteVolume{"vol"})); });
  EXPECT_EQ(rig.ask("PUT", "/vol/a", "", admin, "1").code, "NoSuchBucket");
}

TEST_F(EdgeServer, AnObjectPutWhileItsBucketIsDeletedIsKeptOrRefused) {
  for (int round = 0; round < 200; ++round) {
    std::latch start(2);
    auto put = std::async(std::launch::async, [&] {
      start.arrive_and_wait();
      return rig.ask("PUT", "/vol/a", "", admin, "1");
    });
    start.arrive_and_wait();
    const auto deleted = rig.ask("DELETE", "/vol", "", admin);
    const auto stored = put.get();
    const auto got = rig.ask("GET", "/vol/a", "", admin);
    if (stored.status == 200) {
      EXPECT_EQ(deleted.code, "BucketNotEmpty") << "round " << round;
      EXPECT_EQ(got.status, 200) << "round " << round;
      ASSERT_EQ(rig.ask("DELETE", "/vol/a", "", admin).status, 204);
    } else {
      EXPECT_EQ(stored.code, "NoSuchBucket");
      EXPECT_EQ(deleted.status, 204);
      ASSERT_EQ(rig.ask("PUT", "/vol", "", admin).status, 200);
    }
    if (HasFailure()) return;
  }
}

TEST_F(EdgeServer, CountsWhatItAnswers) {
  for (int i = 0; i < 3; ++i) rig.ask("GET", "/vol/none", "", admin);
  const auto row = rig.meter().row(s3proto::Operation::GetObject);
  EXPECT_EQ(row.requests, 3u);
  EXPECT_EQ(row.by_class[4], 3u);
  EXPECT_EQ(rig.meter().row(s3proto::Operation::CreateBucket).by_class[2], 1u);
}

TEST(EdgeOwners, MakeAndHaveTheirBucketsWhereThatIsOn) {
  EdgeRig rig({.own_buckets = true});
  const auto ann = rig.key("ann", Role::Admin, {"anns"}), bob = rig.key("bob", Role::Admin, {"bobs"});
  EXPECT_EQ(rig.ask("PUT", "/free", "", ann).status, 200);
  EXPECT_EQ(rig.ask("PUT", "/free/a", "", ann, "1").status, 200);
  EXPECT_EQ(rig.ask("PUT", "/free", "", bob).code, "BucketAlreadyExists");
  EXPECT_EQ(rig.ask("GET", "/free/a", "", bob).code, "AccessDenied");
  EXPECT_NE(rig.ask("GET", "/", "", ann).body.find("<Name>free</Name>"), Bytes::npos);
  EXPECT_EQ(rig.ask("GET", "/", "", bob).body.find("<Name>free</Name>"), Bytes::npos);
}

TEST(EdgeOwners, AreRefusedWhereItIsOff) {
  EdgeRig rig;
  EXPECT_EQ(rig.ask("PUT", "/free", "", rig.key("ann", Role::Admin, {"anns"})).code, "AccessDenied");
}

}  // namespace
}  // namespace hailstone::s3
