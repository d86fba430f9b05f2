"""Reading objects: ranges, part numbers, conditions, overrides, attributes."""
import datetime

from . import signing
from .kit import answered, case, equal, etag, headers_of, refused, status_of

DATA = b"testcontent"  # 11 bytes


@case(("bytes=4-7", 206, b"cont", "4-7"), ("bytes=4-", 206, b"content", "4-10"), ("bytes=-7", 206, b"content", "4-10"), ("bytes=0-0", 206, b"t", "0-0"),
      ("bytes=0-", 206, DATA, "0-10"), ("bytes=10-10", 206, b"t", "10-10"), ("bytes=8-1000", 206, b"ent", "8-10"), ("bytes=-1000", 206, DATA, "0-10"),
      ("bytes=11-", 416, None, None), ("bytes=40-50", 416, None, None), ("bytes=-0", 416, None, None), ("bytes=7-4", 200, DATA, None),
      ("lines=1-2", 200, DATA, None), ("bytes=a-b", 200, DATA, None), ("bytes", 200, DATA, None), ("bytes=0-1,3-4", 200, DATA, None))
def ranges(kit, field, status, body, where):
    bucket = kit.bucket()
    kit.put(bucket, "a", DATA)
    reply = kit.raw("GET", f"/{bucket}/a", headers={"range": field})
    if status == 416:
        answered(reply, 416, "InvalidRange")
        equal((reply.text("RangeRequested"), reply.text("ActualObjectSize"), reply.headers["content-range"]), (field, "11", "bytes */11"))
    else:
        equal((reply.status, reply.body, reply.headers.get("content-range")), (status, body, f"bytes {where}/11" if where else None))
    head = kit.raw("HEAD", f"/{bucket}/a", headers={"range": field})
    equal(head.status, status)
    if body is not None:
        equal(head.headers["content-length"], str(len(body)))


@case
def range_of_nothing(kit):
    bucket = kit.bucket()
    kit.put(bucket, "a", b"")
    answered(kit.raw("GET", f"/{bucket}/a", headers={"range": "bytes=40-50"}), 416, "InvalidRange")
    answered(kit.raw("GET", f"/{bucket}/a", headers={"range": "bytes=0-"}), 416, "InvalidRange")


@case
def ranges_of_a_large_object(kit):
    bucket, data = kit.bucket(), bytes(i * 7 % 251 for i in range(3_000_000))
    kit.put(bucket, "a", data)
    for first, last in ((0, 0), (1_000_000, 2_000_001), (2_999_999, 2_999_999), (65535, 65536), (123, 2_500_000)):
        equal(kit.get(bucket, "a", Range=f"bytes={first}-{last}") == data[first:last + 1], True, f"{first}-{last}")


@case(("right", etag(DATA), 206), ("wrong", '"x"', 200), ("date-now", "now", 206), ("date-before", "Tue, 01 Dec 2020 16:00:00 GMT", 200))
def if_range(kit, _, value, status):
    bucket = kit.bucket()
    kit.put(bucket, "a", DATA)
    if value == "now":
        value = kit.raw("HEAD", f"/{bucket}/a").headers["last-modified"]
    equal(kit.raw("GET", f"/{bucket}/a", headers={"range": "bytes=0-3", "if-range": value}).status, status)


FUTURE, PAST = (signing.now() + datetime.timedelta(days=d) for d in (1, -1))


@case(("match", {"IfMatch": etag(DATA)}, 200), ("match-fails", {"IfMatch": '"x"'}, 412), ("match-star", {"IfMatch": "*"}, 200), ("match-unquoted", {"IfMatch": etag(DATA)[1:-1]}, 200),
      ("match-list", {"IfMatch": f'"x", {etag(DATA)}'}, 200), ("none-match", {"IfNoneMatch": '"x"'}, 200), ("none-match-holds", {"IfNoneMatch": etag(DATA)}, 304),
      ("none-match-star", {"IfNoneMatch": "*"}, 304), ("modified", {"IfModifiedSince": PAST}, 200), ("not-modified", {"IfModifiedSince": FUTURE}, 304),
      ("unmodified", {"IfUnmodifiedSince": FUTURE}, 200), ("unmodified-fails", {"IfUnmodifiedSince": PAST}, 412),
      ("match-over-unmodified", {"IfMatch": etag(DATA), "IfUnmodifiedSince": PAST}, 200),
      ("none-match-over-modified", {"IfNoneMatch": etag(DATA), "IfModifiedSince": PAST}, 304))
def conditions(kit, _, how, status):
    bucket = kit.bucket()
    kit.put(bucket, "a", DATA)
    for call in (kit.s3.get_object, kit.s3.head_object):
        arguments = {"Bucket": bucket, "Key": "a", **how}
        if status == 200:
            equal(status_of(call(**arguments)), 200)
        elif status == 412:
            refused(412, "PreconditionFailed", call, **arguments)
        else:
            error = refused(304, "304", call, **arguments)
            equal(headers_of(error)["etag"], etag(DATA))


@case
def modified_since_its_own_time(kit):
    bucket = kit.bucket()
    kit.put(bucket, "a", DATA)
    modified = kit.raw("HEAD", f"/{bucket}/a").headers["last-modified"]
    equal(kit.raw("GET", f"/{bucket}/a", headers={"if-modified-since": modified}).status, 304)
    equal(kit.raw("GET", f"/{bucket}/a", headers={"if-unmodified-since": modified}).status, 200)
    equal(kit.raw("GET", f"/{bucket}/a", headers={"if-modified-since": "not a date"}).status, 200)


OVERRIDES = {"response-content-type": "text/other", "response-content-language": "fr", "response-expires": "Tue, 01 Dec 2026 16:00:00 GMT",
             "response-cache-control": "no-cache", "response-content-disposition": 'attachment; filename="x"', "response-content-encoding": "gzip"}


@case(*OVERRIDES.items())
def overrides(kit, parameter, value):
    bucket = kit.bucket()
    kit.put(bucket, "a", ContentType="text/plain", CacheControl="max-age=1")
    for method in ("GET", "HEAD"):
        reply = kit.raw(method, f"/{bucket}/a", {parameter: value})
        equal((reply.status, reply.headers[parameter.removeprefix("response-")]), (200, value))


@case
def overrides_need_a_signature(kit):
    bucket = kit.bucket()
    kit.put(bucket, "a", ACL="public-read")
    answered(kit.raw("GET", f"/{bucket}/a", {"response-cache-control": "x"}, who=None), 400, "InvalidRequest")
    answered(kit.raw("GET", f"/{bucket}/a", who=None), 200)


@case
def overrides_do_not_split_headers(kit):
    bucket = kit.bucket(keys=["a"])
    reply = kit.raw("GET", f"/{bucket}/a", {"response-content-type": "x\r\nx-evil: 1"})
    assert "x-evil" not in reply.headers, reply
    equal(reply.status, 400)


@case((["ETag"], {"ETag"}), (["ObjectSize", "StorageClass"], {"ObjectSize", "StorageClass"}),
      (["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"], {"ETag", "StorageClass", "ObjectSize"}))
def attributes(kit, asked, expected):
    bucket = kit.bucket()
    kit.put(bucket, "a", DATA)
    answer = kit.s3.get_object_attributes(Bucket=bucket, Key="a", ObjectAttributes=asked)
    equal({n for n in answer if n in ("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize")}, expected)
    for name, value in (("ETag", etag(DATA)[1:-1]), ("ObjectSize", 11), ("StorageClass", "STANDARD")):
        if name in answer:
            equal(answer[name], value)
    assert answer["LastModified"], answer


@case((None, 400, "InvalidRequest"), ("", 400, "InvalidArgument"), ("Color", 400, "InvalidArgument"))
def attributes_asked_wrongly(kit, header, status, code):
    bucket = kit.bucket(keys=["a"])
    reply = kit.raw("GET", f"/{bucket}/a", {"attributes": ""}, headers={"x-amz-object-attributes": header} if header is not None else {})
    equal(reply.status, status)
    assert reply.code in ("InvalidRequest", "InvalidArgument"), reply


@case
def attributes_of_what_is_not_there(kit):
    refused(404, "NoSuchKey", kit.s3.get_object_attributes, Bucket=kit.bucket(), Key="a", ObjectAttributes=["ETag"])


@case((1, 200), (2, 416), (0, 400), (10001, 400), ("x", 400))
def part_of_a_plain_object(kit, number, status):
    bucket = kit.bucket()
    kit.put(bucket, "a", DATA)
    reply = kit.raw("GET", f"/{bucket}/a", {"partNumber": number})
    if status == 200:
        equal((reply.status, reply.body, reply.headers.get("content-range")), (206, DATA, "bytes 0-10/11"))
        assert "x-amz-mp-parts-count" not in reply.headers
    else:
        answered(reply, status, "InvalidPartNumber" if status == 416 else "InvalidArgument")


@case
def part_and_range(kit):
    bucket = kit.bucket(keys=["a"])
    answered(kit.raw("GET", f"/{bucket}/a", {"partNumber": 1}, headers={"range": "bytes=0-0"}), 400, "InvalidRequest")


@case
def head_has_no_body(kit):
    bucket = kit.bucket(keys=["a"])
    for path, status in ((f"/{bucket}/a", 200), (f"/{bucket}/missing", 404), (f"/{bucket}", 200), ("/no-such-bucket-at-all", 404)):
        reply = kit.raw("HEAD", path)
        equal((reply.status, reply.body), (status, b""))
        assert reply.headers["x-amz-request-id"]


@case
def the_answer_s_headers(kit):
    bucket = kit.bucket(keys=["a"])
    reply = kit.raw("GET", f"/{bucket}/a")
    equal((reply.headers["accept-ranges"], reply.headers["etag"]), ("bytes", etag(b"a")))
    assert reply.headers["last-modified"].endswith(" GMT") and reply.headers["x-amz-id-2"]
    assert "x-amz-version-id" not in reply.headers


@case
def versions_of_buckets_without(kit):
    bucket = kit.bucket(keys=["a"])
    equal(kit.get(bucket, "a", VersionId="null"), b"a")
    refused(404, "NoSuchVersion", kit.s3.get_object, Bucket=bucket, Key="a", VersionId="0000000000000001")
    refused(400, "InvalidArgument", kit.s3.get_object, Bucket=bucket, Key="a", VersionId="nonsense")
    equal(status_of(kit.s3.delete_object(Bucket=bucket, Key="a", VersionId="null")), 204)
    refused(404, "NoSuchKey", kit.s3.get_object, Bucket=bucket, Key="a")
