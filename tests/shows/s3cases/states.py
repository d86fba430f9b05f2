"""Volumes, drafts, releases and channels as buckets: what can be read, what can be written, how a release is made."""
from .kit import answered, case, equal, keys_of, refused, status_of


class Published:
    """A volume with two releases, `stable` on the first of them, and a head that has moved on."""

    def __init__(self, kit):
        self.name = kit.bucket()
        kit.put(self.name, "a", b"one")
        self.first = self.publish(kit, ["stable"])
        kit.put(self.name, "a", b"two")
        kit.put(self.name, "b", b"b")
        self.second = self.publish(kit, ["latest"])
        kit.put(self.name, "a", b"head")

    def publish(self, kit, channels):
        items = [{"volume": self.name, "message": ""}]
        return kit.node.api("POST", "/publish", {"items": items, "channels": channels})["releases"][0]["release"]

    def of(self, what):
        return f"{self.name}--{what}"


@case
def each_state_is_a_bucket(kit):
    v = Published(kit)
    for bucket, body, keys in ((v.name, b"head", ["a", "b"]), (v.of(v.first), b"one", ["a"]), (v.of(v.second), b"two", ["a", "b"]), (v.of("stable"), b"one", ["a"])):
        equal(kit.get(bucket, "a"), body, bucket)
        equal(keys_of(kit.s3.list_objects_v2(Bucket=bucket)), keys, bucket)
        equal(keys_of(kit.s3.list_objects(Bucket=bucket)), keys, bucket)
        equal(status_of(kit.s3.head_bucket(Bucket=bucket)), 200)
        equal([x["Key"] for x in kit.s3.list_object_versions(Bucket=bucket)["Versions"]], keys)
    equal(kit.raw("GET", f"/{v.of('stable')}/a").headers["x-hailstone-release"], str(v.first))
    listed = [b["Name"] for b in kit.s3.list_buckets()["Buckets"]]
    assert v.name in listed and v.of(v.first) not in listed, listed


@case("put", "copy", "multipart", "delete", "delete-version", "delete-many", "tags", "acl", "form")
def releases_never_change(kit, how):
    v = Published(kit)
    for bucket in (v.of(v.first), v.of("stable")):
        path = f"/{bucket}/a"
        if how == "put":
            reply = kit.raw("PUT", path, body=b"x")
        elif how == "copy":
            reply = kit.raw("PUT", path, headers={"x-amz-copy-source": f"{v.name}/a"})
        elif how == "multipart":
            reply = kit.raw("POST", path, {"uploads": ""})
        elif how == "delete":
            reply = kit.raw("DELETE", path)
        elif how == "delete-version":
            reply = kit.raw("DELETE", path, {"versionId": "null"})
        elif how == "delete-many":
            reply = kit.raw("POST", f"/{bucket}", {"delete": ""}, body=b"<Delete><Object><Key>a</Key></Object></Delete>")
        elif how == "tags":
            reply = kit.raw("PUT", path, {"tagging": ""}, body=b"<Tagging><TagSet/></Tagging>")
        elif how == "acl":
            reply = kit.raw("PUT", path, {"acl": ""}, {"x-amz-acl": "public-read"})
        else:
            reply = kit.post_form(bucket, kit.signer().form([{"bucket": bucket}, {"key": "a"}], {"key": "a"}))
            assert reply.status == 403, reply
            continue
        answered(reply, 403, "AccessDenied")
        assert "release" in reply.text("Message"), reply
        equal(kit.get(bucket, "a"), b"one")


@case("versioning", "policy", "cors", "lifecycle", "tagging", "acl", "object-lock")
def configuration_is_the_volume_s(kit, sub):
    v = Published(kit)
    body = b"{}" if sub == "policy" else b"<x/>"
    reply = kit.raw("PUT", f"/{v.of(v.first)}", {sub: ""}, {"x-amz-acl": "private"} if sub == "acl" else {}, b"" if sub == "acl" else body)
    equal(reply.status, 405)
    reply = kit.raw("DELETE", f"/{v.of(v.first)}")
    equal(reply.status, 405)


@case("--1x", "--0", "--99", "--nightly", "--draft-77", "--draft-x", "--")
def states_that_are_not_there(kit, suffix):
    v = Published(kit)
    reply = kit.raw("GET", f"/{v.name}{suffix}")
    assert (reply.status, reply.code) in ((404, "NoSuchBucket"), (400, "InvalidBucketName")), reply


@case
def states_cannot_be_made(kit):
    v = Published(kit)
    for name in (v.of("7"), v.of("nightly"), v.of("draft-1")):
        answered(kit.raw("PUT", f"/{name}"), 400, "InvalidBucketName")


def draft_of(kit, bucket):
    made = kit.node.api("POST", f"/volumes/{bucket}/drafts", {})
    return f"{bucket}--draft-{made['draft'] if 'draft' in made else made['id']}"


@case
def drafts(kit):
    bucket = kit.bucket(keys=["a"])
    draft = draft_of(kit, bucket)
    before = keys_of(kit.s3.list_objects_v2(Bucket=draft))
    kit.put(draft, "new", b"n")
    kit.s3.copy_object(Bucket=draft, Key="copied", CopySource=f"{bucket}/a")
    equal(kit.get(draft, "new"), b"n")
    equal(keys_of(kit.s3.list_objects_v2(Bucket=draft)), sorted(before + ["copied", "new"]))
    equal(keys_of(kit.s3.list_objects_v2(Bucket=bucket)), ["a"])
    upload = kit.s3.create_multipart_upload(Bucket=draft, Key="parts")["UploadId"]
    tag = kit.s3.upload_part(Bucket=draft, Key="parts", UploadId=upload, PartNumber=1, Body=b"p")["ETag"]
    equal(kit.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []), [])
    kit.s3.complete_multipart_upload(Bucket=draft, Key="parts", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})
    kit.s3.delete_object(Bucket=draft, Key="new")
    refused(404, "NoSuchKey", kit.s3.get_object, Bucket=draft, Key="new")


@case
def published_by_a_put(kit):
    bucket = kit.bucket(keys=["a"])
    draft = draft_of(kit, bucket)
    kit.put(draft, "new", b"n")
    answered(kit.raw("PUT", f"/{draft}/_hailstone/publish", body=b"first", who="writer"), 403, "AccessDenied")
    reply = answered(kit.raw("PUT", f"/{draft}/_hailstone/publish", body=b"first"), 200)
    release = reply.headers["x-hailstone-release"]
    equal(reply.headers["etag"], f'"release-{release}"')
    equal(kit.get(f"{bucket}--{release}", "new"), b"n")
    refused(404, "NoSuchBucket", kit.s3.list_objects_v2, Bucket=draft)


@case
def the_publish_key_is_an_object_elsewhere(kit):
    bucket = kit.bucket()
    kit.put(bucket, "_hailstone/publish", b"x")
    equal(kit.get(bucket, "_hailstone/publish"), b"x")


@case(1, 2)
def a_listing_stays_in_its_release(kit, size):
    """The channel flips between two pages: the second is of the release that the first was of."""
    v = Published(kit)
    bucket = v.of("stable")
    for key in ("c", "d", "e"):
        kit.put(v.name, key, b"x")
    v.publish(kit, ["stable"])
    first = kit.s3.list_objects_v2(Bucket=bucket, MaxKeys=size)
    kit.s3.delete_objects(Bucket=v.name, Delete={"Objects": [{"Key": k} for k in "abcde"]})
    kit.put(v.name, "z", b"z")
    v.publish(kit, ["stable"])
    equal(keys_of(kit.s3.list_objects_v2(Bucket=bucket)), ["z"])
    found, token = keys_of(first), first["NextContinuationToken"]
    while token:
        answer = kit.s3.list_objects_v2(Bucket=bucket, MaxKeys=size, ContinuationToken=token)
        found, token = found + keys_of(answer), answer.get("NextContinuationToken")
    equal(found, ["a", "b", "c", "d", "e"])


@case
def tokens_are_of_their_bucket(kit):
    v = Published(kit)
    token = kit.s3.list_objects_v2(Bucket=v.of(v.second), MaxKeys=1)["NextContinuationToken"]
    refused(400, "InvalidArgument", kit.s3.list_objects_v2, Bucket=v.name, ContinuationToken=token)


@case
def a_volume_with_releases_is_not_deleted(kit):
    v = Published(kit)
    kit.s3.delete_objects(Bucket=v.name, Delete={"Objects": [{"Key": "a"}, {"Key": "b"}]})
    refused(409, "BucketNotEmpty", kit.s3.delete_bucket, Bucket=v.name)


@case
def copies_out_of_releases(kit):
    v = Published(kit)
    kit.s3.copy_object(Bucket=v.name, Key="a", CopySource=f"{v.of(v.first)}/a")
    equal(kit.get(v.name, "a"), b"one")


@case
def versions_of_releases(kit):
    v = Published(kit)
    bucket = v.of(v.first)
    equal(kit.get(bucket, "a", VersionId="null"), b"one")
    equal(kit.raw("GET", f"/{bucket}/a", {"versionId": "0" * 16}).status in (400, 404), True)
