"""Writing objects: PUT, copies, deletes, metadata, checksums, conditions and tags."""
import base64
import datetime
import hashlib

from . import signing
from .kit import answered, case, encoded, equal, etag, headers_of, keys_of, refused, status_of


# -- PUT ------------------------------------------------------------------------------------------------------------------------
@case(0, 1, 100, 65536, 65537, 1 << 20, (1 << 20) + 1, 5 << 20)
def put_then_get(kit, size):
    bucket, data = kit.bucket(), (b"0123456789abcdef" * (size // 16 + 1))[:size]
    equal(kit.put(bucket, "a", data)["ETag"], etag(data))
    answer = kit.s3.get_object(Bucket=bucket, Key="a")
    equal((answer["ETag"], answer["ContentLength"], answer["ContentType"]), (etag(data), size, "binary/octet-stream"))
    equal(hashlib.md5(answer["Body"].read()).hexdigest(), etag(data)[1:-1])
    head = kit.s3.head_object(Bucket=bucket, Key="a")
    equal((head["ETag"], head["ContentLength"]), (etag(data), size))


@case
def overwritten(kit):
    bucket = kit.bucket()
    kit.put(bucket, "a", b"one", Metadata={"m": "1"}, ContentType="text/x")
    kit.put(bucket, "a", b"second")
    head = kit.s3.get_object(Bucket=bucket, Key="a")
    equal((head["Body"].read(), head["Metadata"], head["ContentType"]), (b"second", {}, "binary/octet-stream"))


@case("put_object", "get_object", "head_object", "delete_object", "list_objects", "list_objects_v2", "create_multipart_upload", "list_multipart_uploads",
      "get_bucket_acl", "get_bucket_location", "get_bucket_versioning", "list_object_versions", "get_object_tagging", "delete_bucket")
def no_such_bucket(kit, call):
    arguments = {"Bucket": kit.name("missing")}
    if call in ("put_object", "get_object", "head_object", "delete_object", "create_multipart_upload", "get_object_tagging"):
        arguments["Key"] = "a"
    error = refused(404, "NoSuchBucket", getattr(kit.s3, call), **arguments)
    if call != "head_object":
        equal(error["Error"]["BucketName"], arguments["Bucket"])


@case("get_object", "head_object", "get_object_tagging", "get_object_acl", "put_object_tagging", "delete_object_tagging", "put_object_acl")
def no_such_key(kit, call):
    arguments = {"Bucket": kit.bucket(), "Key": "a"}
    if call == "put_object_tagging":
        arguments["Tagging"] = {"TagSet": []}
    if call == "put_object_acl":
        arguments["ACL"] = "private"
    error = refused(404, "NoSuchKey", getattr(kit.s3, call), **arguments)
    if call != "head_object":
        equal(error["Error"]["Key"], "a")


@case((1024, 200, None), (1025, 400, "KeyTooLongError"))
def key_length(kit, size, status, code):
    bucket = kit.bucket()
    reply = answered(kit.raw("PUT", f"/{bucket}/" + "k" * size, body=b"x"), status, code)
    if code:
        equal((reply.text("Size"), reply.text("MaxSizeAllowed")), (str(size), "1024"))


@case(b"%ff%fe", b"a%00b", b"a%2", b"a%zz")
def keys_that_cannot_be(kit, path):
    bucket = kit.bucket()
    headers, raw = {"host": kit.host}, f"/{bucket}/".encode() + path
    kit.signer().header("PUT", raw.decode(), "", headers, "UNSIGNED-PAYLOAD")
    reply = kit.send("PUT", raw.decode(), headers, b"x")
    equal(reply.status, 400)
    assert reply.code in ("InvalidURI", "SignatureDoesNotMatch"), reply


@case
def put_needs_a_length(kit):
    bucket, headers = kit.bucket(), {"host": kit.host, "content-length": None}
    kit.signer().header("PUT", f"/{bucket}/a", "", headers, "UNSIGNED-PAYLOAD", signed=["host", "x-amz-content-sha256", "x-amz-date"])
    answered(kit.send("PUT", f"/{bucket}/a", headers), 411, "MissingContentLength")


@case(("right", 200, None), ("wrong", 400, "BadDigest"), ("short", 400, "InvalidDigest"), ("words", 400, "InvalidDigest"), ("empty", 400, "InvalidDigest"))
def content_md5(kit, what, status, code):
    bucket = kit.bucket()
    md5 = {"right": signing.checksum("MD5", b"bar"), "wrong": signing.checksum("MD5", b"foo"), "short": "YWJyYWNhZGFicmE=",
           "words": "not base64!", "empty": ""}[what]
    answered(kit.raw("PUT", f"/{bucket}/a", headers={"content-md5": md5}, body=b"bar"), status, code)


@case(("too-large", str((5 << 30) + 1), 400, "EntityTooLarge"))
def length_limit(kit, _, length, status, code):
    bucket = kit.bucket()
    headers = {"host": kit.host, "content-length": length, "expect": "100-continue"}
    kit.signer().header("PUT", f"/{bucket}/a", "", headers, "UNSIGNED-PAYLOAD", signed=["host", "x-amz-content-sha256", "x-amz-date"])
    answered(kit.send("PUT", f"/{bucket}/a", headers), status, code)


@case
def a_cut_body_leaves_nothing(kit):
    import socket
    bucket, headers = kit.bucket(), {"host": kit.host, "content-length": "1000"}
    kit.signer().header("PUT", f"/{bucket}/a", "", headers, "UNSIGNED-PAYLOAD")
    with socket.create_connection(("127.0.0.1", kit.port), timeout=30) as s:
        s.sendall((f"PUT /{bucket}/a HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in headers.items()) + "\r\nonly this").encode())
        s.shutdown(socket.SHUT_WR)
        s.recv(65536)
    refused(404, "NoSuchKey", kit.s3.get_object, Bucket=bucket, Key="a")


@case
def expect_100_continue(kit):
    import socket
    bucket, headers = kit.bucket(), {"host": kit.host, "content-length": "3", "expect": "100-continue"}
    kit.signer().header("PUT", f"/{bucket}/a", "", headers, "UNSIGNED-PAYLOAD")
    with socket.create_connection(("127.0.0.1", kit.port), timeout=30) as s:
        s.sendall((f"PUT /{bucket}/a HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in headers.items()) + "\r\n").encode())
        assert s.recv(65536).startswith(b"HTTP/1.1 100"), "no 100 Continue"
        s.sendall(b"bar")
        assert s.recv(65536).startswith(b"HTTP/1.1 200"), "not stored"
    equal(kit.get(bucket, "a"), b"bar")


# -- metadata -----------------------------------------------------------------------------------------------------------------------
@case(("Content-Type", "text/plain"), ("Cache-Control", "public, max-age=14400"), ("Content-Disposition", 'attachment; filename="a b"'),
      ("Content-Encoding", "gzip"), ("Content-Language", "de"), ("Expires", "Tue, 01 Dec 2026 16:00:00 GMT"),
      ("x-amz-website-redirect-location", "/elsewhere"), ("x-amz-meta-color", "red"), ("x-amz-meta-empty", ""),
      ("x-amz-meta-with-dash", "a  b"), ("x-amz-meta-utf8", "Hällo"))
def headers_are_kept(kit, name, value):
    bucket = kit.bucket()
    sent = value.encode().decode("latin-1")
    signer, headers = kit.signer(), {"host": kit.host, name.lower(): value.encode()}
    signing_view = {"host": kit.host, name.lower(): value}
    signer.header("PUT", f"/{bucket}/a", "", signing_view, "UNSIGNED-PAYLOAD")
    answered(kit.send("PUT", f"/{bucket}/a", {**signing_view, **headers}, b"x"), 200)
    for method in ("GET", "HEAD"):
        equal(kit.raw(method, f"/{bucket}/a").headers.get(name.lower()), sent, method)
    answered(kit.raw("PUT", f"/{bucket}/b", headers={"x-amz-copy-source": f"/{bucket}/a"}), 200)
    equal(kit.raw("HEAD", f"/{bucket}/b").headers.get(name.lower()), sent if name != "x-amz-website-redirect-location" else None, "of the copy")


@case
def metadata_names_are_lower_case(kit):
    bucket = kit.bucket()
    kit.put(bucket, "a", Metadata={"Meta1": "Mymeta", "OTHER": "x"})
    equal(kit.s3.head_object(Bucket=bucket, Key="a")["Metadata"], {"meta1": "Mymeta", "other": "x"})


@case((2048, 200, None), (2049, 400, "MetadataTooLarge"))
def metadata_size(kit, size, status, code):
    bucket = kit.bucket()
    answered(kit.raw("PUT", f"/{bucket}/a", headers={"x-amz-meta-m": "x" * (size - 1)}, body=b"x"), status, code)


# -- checksums --------------------------------------------------------------------------------------------------------------------------
@case(*signing.CHECKSUMS)
def checksum_given(kit, name):
    bucket, data = kit.bucket(), b"the quick brown fox"
    header, value = f"x-amz-checksum-{name.lower()}", signing.checksum(name, data)
    reply = answered(kit.raw("PUT", f"/{bucket}/a", headers={header: value}, body=data), 200)
    equal((reply.headers[header], reply.headers["x-amz-checksum-type"]), (value, "FULL_OBJECT"))
    head = kit.s3.head_object(Bucket=bucket, Key="a", ChecksumMode="ENABLED")
    equal((head[f"Checksum{name}"], head["ChecksumType"]), (value, "FULL_OBJECT"))
    assert f"Checksum{name}" not in kit.s3.head_object(Bucket=bucket, Key="a"), "shown unasked"
    attributes = kit.s3.get_object_attributes(Bucket=bucket, Key="a", ObjectAttributes=["Checksum"])
    equal(attributes["Checksum"], {f"Checksum{name}": value, "ChecksumType": "FULL_OBJECT"})
    listed = kit.s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    equal((listed["ChecksumAlgorithm"], listed["ChecksumType"]), ([name], "FULL_OBJECT"))
    copied = kit.s3.copy_object(Bucket=bucket, Key="b", CopySource={"Bucket": bucket, "Key": "a"})
    equal(copied["CopyObjectResult"][f"Checksum{name}"], value)


@case(*[(f"{name}-{bend}", name, bend) for name in signing.CHECKSUMS for bend in ("other", "short", "words")])
def checksum_refused(kit, _, name, bend):
    bucket = kit.bucket()
    value = {"other": signing.checksum(name, b"other"), "short": "AAA=", "words": "no base64 at all"}[bend]
    reply = kit.raw("PUT", f"/{bucket}/a", headers={f"x-amz-checksum-{name.lower()}": value}, body=b"data")
    answered(reply, 400, "BadDigest" if bend == "other" else "InvalidRequest")
    refused(404, "NoSuchKey", kit.s3.head_object, Bucket=bucket, Key="a")


@case
def two_checksums_are_one_too_many(kit):
    headers = {f"x-amz-checksum-{n.lower()}": signing.checksum(n, b"x") for n in ("CRC32", "SHA1")}
    answered(kit.raw("PUT", f"/{kit.bucket()}/a", headers=headers, body=b"x"), 400, "InvalidRequest")


@case
def unknown_checksum_algorithm(kit):
    answered(kit.raw("PUT", f"/{kit.bucket()}/a", headers={"x-amz-sdk-checksum-algorithm": "MD6"}, body=b"x"), 400, "InvalidRequest")


@case(*signing.CHECKSUMS)
def copy_computes_the_checksum_asked_for(kit, name):
    bucket = kit.bucket(keys=["a"])
    made = kit.s3.copy_object(Bucket=bucket, Key="b", CopySource={"Bucket": bucket, "Key": "a"}, ChecksumAlgorithm=name)
    equal(made["CopyObjectResult"][f"Checksum{name}"], signing.checksum(name, b"a"))


# -- conditions on writes -------------------------------------------------------------------------------------------------------------------
@case(("none-match-star-new", "new", {"IfNoneMatch": "*"}, 200, None), ("none-match-star-there", "a", {"IfNoneMatch": "*"}, 412, "PreconditionFailed"),
      ("match-right", "a", {"IfMatch": etag(b"a")}, 200, None), ("match-unquoted", "a", {"IfMatch": etag(b"a")[1:-1]}, 200, None),
      ("match-wrong", "a", {"IfMatch": '"abc"'}, 412, "PreconditionFailed"), ("match-missing", "new", {"IfMatch": '"abc"'}, 404, "NoSuchKey"),
      ("match-star", "a", {"IfMatch": "*"}, 200, None))
def conditional_put(kit, _, key, how, status, code):
    for bucket in (kit.bucket(keys=["a"]), kit.bucket(versioned=True, keys=["a"])):
        if code:
            refused(status, code, kit.put, bucket, key, **how)
            equal(keys_of(kit.s3.list_objects_v2(Bucket=bucket)), ["a"])
            equal(kit.get(bucket, "a"), b"a")
        else:
            equal(status_of(kit.put(bucket, key, **how)), status)
            equal(kit.get(bucket, key), b"bar")


@case
def conditional_puts_race(kit):
    """Of many creations at once one succeeds."""
    import concurrent.futures
    import botocore.exceptions
    bucket = kit.bucket()

    def attempt(n):
        try:
            kit.put(bucket, "a", str(n).encode(), IfNoneMatch="*")
            return n
        except botocore.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict"), error
            return None

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        won = [n for n in pool.map(attempt, range(24)) if n is not None]
    equal(len(won), 1)
    equal(kit.get(bucket, "a"), str(won[0]).encode())


@case(("match-right", etag(b"a"), 204, None), ("match-wrong", '"abc"', 412, "PreconditionFailed"), ("match-star", "*", 204, None))
def conditional_delete(kit, _, value, status, code):
    for bucket in (kit.bucket(keys=["a"]), kit.bucket(versioned=True, keys=["a"])):
        answered(kit.raw("DELETE", f"/{bucket}/a", headers={"if-match": value}), status, code)
        equal(keys_of(kit.s3.list_objects_v2(Bucket=bucket)), ["a"] if code else [])


@case("x-amz-if-match-size", "x-amz-if-match-last-modified-time")
def conditions_of_directory_buckets(kit, header):
    bucket = kit.bucket(keys=["a"])
    value = "1" if header.endswith("size") else "Tue, 01 Dec 2026 16:00:00 GMT"
    answered(kit.raw("DELETE", f"/{bucket}/a", headers={header: value}), 501, "NotImplemented")
    equal(kit.get(bucket, "a"), b"a")


# -- DELETE -----------------------------------------------------------------------------------------------------------------------------------
@case
def delete_is_idempotent(kit):
    bucket = kit.bucket(keys=["a"])
    for _ in range(2):
        equal(status_of(kit.s3.delete_object(Bucket=bucket, Key="a")), 204)
    equal(status_of(kit.s3.delete_object(Bucket=bucket, Key="never/there")), 204)


@case
def delete_objects(kit):
    bucket = kit.bucket(keys=["a", "b", "c", "ü<&>"])
    answer = kit.s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": k} for k in ("a", "b", "missing", "ü<&>")]})
    equal(sorted(d["Key"] for d in answer["Deleted"]), ["a", "b", "missing", "ü<&>"])
    assert "Errors" not in answer, answer
    equal(keys_of(kit.s3.list_objects_v2(Bucket=bucket)), ["c"])


@case
def delete_objects_quietly(kit):
    bucket = kit.bucket(keys=["a"])
    answer = kit.s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a"}], "Quiet": True})
    assert "Deleted" not in answer, answer
    equal(keys_of(kit.s3.list_objects_v2(Bucket=bucket)), [])


@case
def delete_a_thousand(kit):
    bucket = kit.bucket(keys=["k0007"])
    answer = kit.s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": f"k{i:04}"} for i in range(1000)]})
    equal(len(answer["Deleted"]), 1000)
    refused(400, "MalformedXML", kit.s3.delete_objects, Bucket=bucket, Delete={"Objects": [{"Key": f"k{i:04}"} for i in range(1001)]})


@case(("no-md5", b"<Delete><Object><Key>a</Key></Object></Delete>", None, 400, "InvalidRequest"),
      ("wrong-md5", b"<Delete><Object><Key>a</Key></Object></Delete>", b"x", 400, "BadDigest"),
      ("not-xml", b"hello", b"hello", 400, "MalformedXML"), ("empty", b"", b"", 400, "MissingRequestBodyError"),
      ("no-object", b"<Delete></Delete>", b"<Delete></Delete>", 400, "MalformedXML"),
      ("empty-key", *[b"<Delete><Object><Key></Key></Object></Delete>"] * 2, 400, "MalformedXML"),
      ("unknown-element", *[b"<Delete><Object><Key>a</Key><What/></Object></Delete>"] * 2, 400, "MalformedXML"),
      ("entity-bomb", *[b'<!DOCTYPE d [<!ENTITY a "b">]><Delete><Object><Key>&a;</Key></Object></Delete>'] * 2, 400, "MalformedXML"))
def delete_objects_document(kit, _, body, summed, status, code):
    bucket = kit.bucket(keys=["a"])
    headers = {"content-md5": signing.checksum("MD5", summed)} if summed is not None else {}
    answered(kit.raw("POST", f"/{bucket}", {"delete": ""}, headers, body, payload="UNSIGNED-PAYLOAD"), status, code)
    equal(keys_of(kit.s3.list_objects_v2(Bucket=bucket)), ["a"])


@case
def delete_objects_by_etag(kit):
    bucket = kit.bucket(keys=["a", "b"])
    answer = kit.s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a", "ETag": etag(b"a")}, {"Key": "b", "ETag": etag(b"x")}]})
    equal([d["Key"] for d in answer["Deleted"]], ["a"])
    equal([(e["Key"], e["Code"]) for e in answer["Errors"]], [("b", "PreconditionFailed")])


@case
def delete_objects_with_any_checksum(kit):
    bucket = kit.bucket(keys=["a"])
    body = b"<Delete><Object><Key>a</Key></Object></Delete>"
    answered(kit.raw("POST", f"/{bucket}", {"delete": ""}, {"x-amz-checksum-crc32": signing.checksum("CRC32", b"x")}, body), 400, "BadDigest")
    answered(kit.raw("POST", f"/{bucket}", {"delete": ""}, {"x-amz-checksum-crc32": signing.checksum("CRC32", body)}, body), 200)


# -- copies ---------------------------------------------------------------------------------------------------------------------------------------
@case("a", "dir/a b", "ü+%25", "a?versionId=x", "q?")
def copy(kit, key):
    source, target = kit.bucket(), kit.bucket()
    kit.put(source, key, b"data", Metadata={"color": "red"}, ContentType="text/x", CacheControl="no-store")
    answer = kit.s3.copy_object(Bucket=target, Key="copy", CopySource={"Bucket": source, "Key": key})
    equal(answer["CopyObjectResult"]["ETag"], etag(b"data"))
    assert answer["CopyObjectResult"]["LastModified"], answer
    head = kit.s3.head_object(Bucket=target, Key="copy")
    equal((head["Metadata"], head["ContentType"], head["CacheControl"], kit.get(target, "copy")), ({"color": "red"}, "text/x", "no-store", b"data"))


@case
def copy_replaces_metadata(kit):
    bucket = kit.bucket()
    kit.put(bucket, "a", Metadata={"color": "red"}, ContentType="text/x")
    kit.s3.copy_object(Bucket=bucket, Key="b", CopySource=f"{bucket}/a", MetadataDirective="REPLACE", Metadata={"size": "l"}, ContentType="text/y")
    head = kit.s3.head_object(Bucket=bucket, Key="b")
    equal((head["Metadata"], head["ContentType"]), ({"size": "l"}, "text/y"))


@case
def copy_ignores_metadata_unless_told(kit):
    bucket = kit.bucket()
    kit.put(bucket, "a", Metadata={"color": "red"})
    kit.s3.copy_object(Bucket=bucket, Key="b", CopySource=f"{bucket}/a", Metadata={"size": "l"})
    equal(kit.s3.head_object(Bucket=bucket, Key="b")["Metadata"], {"color": "red"})


@case
def copy_to_itself(kit):
    bucket = kit.bucket(keys=["a"])
    refused(400, "InvalidRequest", kit.s3.copy_object, Bucket=bucket, Key="a", CopySource=f"{bucket}/a")
    kit.s3.copy_object(Bucket=bucket, Key="a", CopySource=f"{bucket}/a", MetadataDirective="REPLACE", Metadata={"m": "1"})
    equal((kit.s3.head_object(Bucket=bucket, Key="a")["Metadata"], kit.get(bucket, "a")), ({"m": "1"}, b"a"))


@case(("no-bucket", "missing-bucket-x/a", 404, "NoSuchBucket"), ("no-key", "{bucket}/missing", 404, "NoSuchKey"), ("no-slash", "{bucket}", 400, "InvalidArgument"),
      ("empty", "", 400, "InvalidArgument"), ("bad-escape", "{bucket}/a%zz", 400, "InvalidArgument"), ("version-of-none", "{bucket}/a?versionId=abc", 400, "InvalidArgument"),
      ("unknown-query", "{bucket}/a?x=y", 400, "InvalidArgument"), ("arn", "arn:aws:s3:us-east-1:1:accesspoint/x/object/a", 501, "NotImplemented"))
def copy_source(kit, _, source, status, code):
    bucket = kit.bucket(keys=["a"])
    answered(kit.raw("PUT", f"/{bucket}/b", headers={"x-amz-copy-source": source.format(bucket=bucket)}), status, code)


@case(("metadata", {"x-amz-metadata-directive": "KEEP"}, 400, "InvalidArgument"), ("tagging", {"x-amz-tagging-directive": "KEEP"}, 400, "InvalidArgument"))
def copy_directive(kit, _, headers, status, code):
    bucket = kit.bucket(keys=["a"])
    answered(kit.raw("PUT", f"/{bucket}/b", headers={"x-amz-copy-source": f"{bucket}/a", **headers}), status, code)


FUTURE, PAST = (signing.now() + datetime.timedelta(days=d) for d in (1, -1))


@case(("match", {"CopySourceIfMatch": etag(b"a")}, True), ("match-fails", {"CopySourceIfMatch": '"x"'}, False),
      ("none-match", {"CopySourceIfNoneMatch": '"x"'}, True), ("none-match-fails", {"CopySourceIfNoneMatch": etag(b"a")}, False),
      ("modified", {"CopySourceIfModifiedSince": PAST}, True), ("unmodified", {"CopySourceIfUnmodifiedSince": FUTURE}, True),
      ("unmodified-fails", {"CopySourceIfUnmodifiedSince": PAST}, False),
      ("match-over-unmodified", {"CopySourceIfMatch": etag(b"a"), "CopySourceIfUnmodifiedSince": PAST}, True),
      ("none-match-over-modified", {"CopySourceIfNoneMatch": etag(b"a"), "CopySourceIfModifiedSince": PAST}, False))
def copy_conditions(kit, _, how, good):
    bucket = kit.bucket(keys=["a"])
    arguments = {"Bucket": bucket, "Key": "b", "CopySource": f"{bucket}/a", **how}
    if good:
        kit.s3.copy_object(**arguments)
    else:
        refused(412, "PreconditionFailed", kit.s3.copy_object, **arguments)


@case(("none-match-there", {"if-none-match": "*"}, "there", 412, "PreconditionFailed"), ("none-match-new", {"if-none-match": "*"}, "new", 200, None),
      ("match-right", {"if-match": etag(b"there")}, "there", 200, None), ("match-wrong", {"if-match": '"x"'}, "there", 412, "PreconditionFailed"))
def copy_conditions_on_its_target(kit, _, headers, key, status, code):
    bucket = kit.bucket(keys=["a", "there"])
    answered(kit.raw("PUT", f"/{bucket}/{key}", headers={"x-amz-copy-source": f"{bucket}/a", **headers}), status, code)


@case
def copy_of_an_emptied_object(kit):
    bucket = kit.bucket()
    kit.put(bucket, "a", b"")
    kit.s3.copy_object(Bucket=bucket, Key="b", CopySource=f"{bucket}/a")
    equal(kit.s3.head_object(Bucket=bucket, Key="b")["ContentLength"], 0)


# -- tags ----------------------------------------------------------------------------------------------------------------------------------------------
def tag_set(count, key="k{}", value="v{}"):
    return [{"Key": key.format(i), "Value": value.format(i)} for i in range(count)]


@case
def tags(kit):
    bucket = kit.bucket(keys=["a"])
    equal(kit.s3.get_object_tagging(Bucket=bucket, Key="a")["TagSet"], [])
    kit.s3.put_object_tagging(Bucket=bucket, Key="a", Tagging={"TagSet": tag_set(10)})
    equal(sorted(kit.s3.get_object_tagging(Bucket=bucket, Key="a")["TagSet"], key=str), sorted(tag_set(10), key=str))
    equal(kit.s3.head_object(Bucket=bucket, Key="a")["TagCount"], 10)
    equal(status_of(kit.s3.delete_object_tagging(Bucket=bucket, Key="a")), 204)
    equal(kit.s3.get_object_tagging(Bucket=bucket, Key="a")["TagSet"], [])


@case(("eleven", tag_set(11), "InvalidTag"), ("doubled", [{"Key": "k", "Value": "1"}] * 2, "InvalidTag"), ("key-129", [{"Key": "k" * 129, "Value": ""}], "InvalidTag"),
      ("value-257", [{"Key": "k", "Value": "v" * 257}], "InvalidTag"),
      ("reserved", [{"Key": "aws:x", "Value": "v"}], "InvalidTag"))
def tags_refused(kit, _, tags, code):
    bucket = kit.bucket(keys=["a"])
    error = refused(400, code, kit.s3.put_object_tagging, Bucket=bucket, Key="a", Tagging={"TagSet": tags})
    assert error["Error"]["Message"], error


@case(("longest", [{"Key": "k" * 128, "Value": "v" * 256}]), ("odd-letters", [{"Key": "a+b -=._:/@", "Value": "ü ß"}]), ("empty-value", [{"Key": "k", "Value": ""}]))
def tags_accepted(kit, _, tags):
    bucket = kit.bucket(keys=["a"])
    kit.s3.put_object_tagging(Bucket=bucket, Key="a", Tagging={"TagSet": tags})
    equal(kit.s3.get_object_tagging(Bucket=bucket, Key="a")["TagSet"], tags)


@case(("two", "a=1&b=%C3%BC+x", [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "ü x"}]), ("valueless", "a", [{"Key": "a", "Value": ""}]))
def tags_in_the_header(kit, _, header, expected):
    bucket = kit.bucket()
    kit.put(bucket, "a", Tagging=header)
    equal(kit.s3.get_object_tagging(Bucket=bucket, Key="a")["TagSet"], expected)
    kit.s3.copy_object(Bucket=bucket, Key="b", CopySource=f"{bucket}/a")
    equal(kit.s3.get_object_tagging(Bucket=bucket, Key="b")["TagSet"], expected)
    kit.s3.copy_object(Bucket=bucket, Key="c", CopySource=f"{bucket}/a", TaggingDirective="REPLACE", Tagging="z=9")
    equal(kit.s3.get_object_tagging(Bucket=bucket, Key="c")["TagSet"], [{"Key": "z", "Value": "9"}])


@case(("eleven", "&".join(f"k{i}=v" for i in range(11))), ("doubled", "a=1&a=2"), ("bad-escape", "a=%zz"), ("long-key", "k" * 129 + "=v"))
def tags_in_the_header_refused(kit, _, header):
    reply = kit.raw("PUT", f"/{kit.bucket()}/a", headers={"x-amz-tagging": header}, body=b"x")
    equal(reply.status, 400)
    assert reply.code in ("InvalidTag", "InvalidArgument", "BadRequest"), reply


# -- what is not built -----------------------------------------------------------------------------------------------------------------------------------
KEY = base64.b64encode(b"k" * 32).decode()


@case(("sse-s3", {"x-amz-server-side-encryption": "AES256"}), ("sse-kms", {"x-amz-server-side-encryption": "aws:kms"}),
      ("kms-key-alone", {"x-amz-server-side-encryption-aws-kms-key-id": "key"}),
      ("kms-context", {"x-amz-server-side-encryption-context": "e30="}), ("bucket-key", {"x-amz-server-side-encryption-bucket-key-enabled": "true"}),
      ("sse-c", {"x-amz-server-side-encryption-customer-algorithm": "AES256", "x-amz-server-side-encryption-customer-key": KEY,
                 "x-amz-server-side-encryption-customer-key-md5": signing.checksum("MD5", b"k" * 32)}),
      ("sse-c-half", {"x-amz-server-side-encryption-customer-key": KEY}), ("append", {"x-amz-write-offset-bytes": "0"}))
def not_built(kit, _, headers):
    bucket = kit.bucket(keys=["there"])
    answered(kit.raw("PUT", f"/{bucket}/a", headers=headers, body=b"x"), 501, "NotImplemented")
    answered(kit.raw("POST", f"/{bucket}/a", {"uploads": ""}, headers=headers), 501, "NotImplemented")
    answered(kit.raw("PUT", f"/{bucket}/a", headers={"x-amz-copy-source": f"{bucket}/there", **headers}), 501, "NotImplemented")
    equal(keys_of(kit.s3.list_objects_v2(Bucket=bucket)), ["there"])


@case
def copy_of_an_encrypted_source(kit):
    bucket = kit.bucket(keys=["a"])
    answered(kit.raw("PUT", f"/{bucket}/b", headers={"x-amz-copy-source": f"{bucket}/a", "x-amz-copy-source-server-side-encryption-customer-algorithm": "AES256"}), 501, "NotImplemented")


@case
def reading_with_a_key_what_is_not_encrypted(kit):
    bucket = kit.bucket(keys=["a"])
    headers = {"x-amz-server-side-encryption-customer-algorithm": "AES256", "x-amz-server-side-encryption-customer-key": KEY,
               "x-amz-server-side-encryption-customer-key-md5": signing.checksum("MD5", b"k" * 32)}
    answered(kit.raw("GET", f"/{bucket}/a", headers=headers), 400, "InvalidRequest")
    equal(kit.raw("HEAD", f"/{bucket}/a", headers=headers).status, 400)


@case(("STANDARD", 200, None), ("GLACIER", 400, "InvalidStorageClass"), ("nonsense", 400, "InvalidStorageClass"))
def storage_class(kit, name, status, code):
    bucket = kit.bucket()
    answered(kit.raw("PUT", f"/{bucket}/a", headers={"x-amz-storage-class": name}, body=b"x"), status, code)


@case(("restore", "POST", b"<RestoreRequest/>"), ("select", "POST", b"<x/>"), ("torrent", "GET", b""), ("renameObject", "PUT", b""), ("encryption", "PUT", b"<x/>"))
def object_operations_not_built(kit, sub, method, body):
    bucket = kit.bucket(keys=["a"])
    answered(kit.raw(method, f"/{bucket}/a", {sub: ""}, body=body), 501, "NotImplemented")
    equal(kit.get(bucket, "a"), b"a")


@case(("expected-owner", "x-amz-expected-bucket-owner", "someone", 403, "AccessDenied"))
def expected_owner(kit, _, header, value, status, code):
    bucket = kit.bucket(keys=["a"])
    owner = kit.s3.get_bucket_acl(Bucket=bucket)["Owner"]["ID"]
    answered(kit.raw("GET", f"/{bucket}/a", headers={header: value}), status, code)
    answered(kit.raw("GET", f"/{bucket}/a", headers={header: owner}), 200)
    answered(kit.raw("PUT", f"/{bucket}/b", headers={"x-amz-copy-source": f"{bucket}/a", "x-amz-source-expected-bucket-owner": value}), status, code)


@case("PATCH", "POST")
def methods_of_objects(kit, method):
    bucket = kit.bucket(keys=["a"])
    reply = kit.raw(method, f"/{bucket}/a")
    equal((reply.status, reply.code), (405, "MethodNotAllowed"))
