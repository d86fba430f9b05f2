#include "s3/access.h"

#include <gtest/gtest.h>

#include "s3/testing.h"

namespace hailstone::s3 {
namespace {

using s3proto::Operation;
using volume::Role;

TEST(Needs, AreSaidForEveryOperationThatIsBuilt) {
  size_t unknown = 0;
  for (size_t i = 0; i < s3proto::kOperationCount; ++i) {
    const auto operation = static_cast<Operation>(i);
    const Need need = need_of(operation, false);
    if (need.action == "s3:Unknown") {
      ++unknown;
      EXPECT_EQ(need.role, Role::Admin) << s3proto::operation_name(operation) << ": what is unknown is for admins";
      EXPECT_FALSE(need.permission) << s3proto::operation_name(operation);
    }
  }
  EXPECT_LT(unknown, s3proto::kOperationCount / 2);
}

TEST(Needs, ReadingNeverNeedsMoreThanAReaderAndWritingNeverLess) {
  for (const auto operation :
       {Operation::GetObject, Operation::HeadObject, Operation::ListObjectsV2, Operation::HeadBucket})
    EXPECT_EQ(need_of(operation, false).role, Role::Reader) << s3proto::operation_name(operation);
  for (const auto operation :
       {Operation::PutObject, Operation::DeleteObject, Operation::CopyObject, Operation::UploadPart,
        Operation::CompleteMultipartUpload, Operation::PutObjectTagging, Operation::PutObjectAcl})
    EXPECT_EQ(need_of(operation, false).role, Role::Writer) << s3proto::operation_name(operation);
  for (const auto operation : {Operation::DeleteBucket, Operation::PutBucketPolicy, Operation::PutBucketVersioning})
    EXPECT_EQ(need_of(operation, false).role, Role::Admin) << s3proto::operation_name(operation);
}

// Who asks, against what the bucket's ACL and policy say: the status of a GET of an object, a listing, a PUT.
struct Row {
  const char* name;
  const char* acl;     // canned, of bucket and object
  const char* policy;  // statement without its braces; empty: none
  int reader[3], stranger[3], anonymous[3];
};

TEST(Access, IsTheTable) {
  constexpr const char* kAllow =
      R"("Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::vol/*")";
  constexpr const char* kDeny =
      R"("Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::vol/*")";
  const Row rows[] = {
      {"private", "private", "", {200, 200, 403}, {403, 403, 403}, {403, 403, 403}},
      {"public-read", "public-read", "", {200, 200, 403}, {200, 200, 403}, {200, 200, 403}},
      {"public-read-write", "public-read-write", "", {200, 200, 200}, {200, 200, 200}, {200, 200, 200}},
      {"authenticated-read", "authenticated-read", "", {200, 200, 403}, {200, 200, 403}, {403, 403, 403}},
      {"a policy allows", "private", kAllow, {200, 200, 403}, {200, 403, 403}, {200, 403, 403}},
      {"a policy denies", "public-read", kDeny, {403, 200, 403}, {403, 200, 403}, {403, 200, 403}},
  };
  for (const Row& row : rows) {
    testing::EdgeRig rig;
    const auto admin = rig.key("ann", Role::Admin), reader = rig.key("ray", Role::Reader);
    const auto stranger = rig.key("sue", Role::Admin, {"other"});
    ASSERT_EQ(rig.ask("PUT", "/vol", "", admin, "", {{"x-amz-acl", row.acl}}).status, 200);
    ASSERT_EQ(rig.ask("PUT", "/vol/a", "", admin, "1", {{"x-amz-acl", row.acl}}).status, 200);
    if (*row.policy != '\0')
      ASSERT_EQ(rig.ask("PUT", "/vol", "policy=", admin,
                        Bytes(R"({"Version":"2012-10-17","Statement":[{)") + row.policy + "}]}")
                    .status,
                204);
    const auto check = [&](const char* who, const s3auth::Credentials& key, const int(&expected)[3]) {
      EXPECT_EQ(rig.ask("GET", "/vol/a", "", key).status, expected[0]) << row.name << ": " << who << " reads";
      EXPECT_EQ(rig.ask("GET", "/vol", "", key).status, expected[1]) << row.name << ": " << who << " lists";
      EXPECT_EQ(rig.ask("PUT", "/vol/b", "", key, "2").status, expected[2]) << row.name << ": " << who << " writes";
    };
    check("a reader", reader, row.reader);
    check("a stranger", stranger, row.stranger);
    check("anyone", {}, row.anonymous);
  }
}

}  // namespace
}  // namespace hailstone::s3
