"""Multipart uploads: parts, copies into parts, completion, abort and listings."""
import base64
import hashlib

from . import signing
from .kit import answered, case, equal, etag, keys_of, refused, status_of

MIB = 1 << 20
FIVE = b"0123456789abcdef" * (5 * MIB // 16)


class Upload:
    def __init__(self, kit, bucket=None, key="a", **how):
        self.kit, self.key = kit, key
        self.bucket = bucket or kit.bucket()
        self.id = kit.s3.create_multipart_upload(Bucket=self.bucket, Key=key, **how)["UploadId"]
        self.where = {"Bucket": self.bucket, "Key": key, "UploadId": self.id}
        self.parts = []

    def part(self, number, body, **how):
        name = how.get("ChecksumAlgorithm")
        if name in ("CRC32C", "CRC64NVME"):  # for which boto3 needs a library of its own
            header, value = f"x-amz-checksum-{name.lower()}", signing.checksum(name, body)
            reply = answered(self.kit.raw("PUT", f"/{self.bucket}/{self.key}", {"partNumber": number, "uploadId": self.id}, {header: value}, body), 200)
            answer = {"ETag": reply.headers["etag"], f"Checksum{name}": reply.headers[header]}
        else:
            answer = self.kit.s3.upload_part(**self.where, PartNumber=number, Body=body, **how)
        self.parts = [p for p in self.parts if p["PartNumber"] != number]
        self.parts.append({"PartNumber": number, "ETag": answer["ETag"], **{n: v for n, v in answer.items() if n.startswith("Checksum")}})
        return answer

    def complete(self, parts=None, **how):
        parts = sorted(self.parts, key=lambda p: p["PartNumber"]) if parts is None else parts
        return self.kit.s3.complete_multipart_upload(**self.where, MultipartUpload={"Parts": parts}, **how)


def etag_of_parts(*parts):
    return f'"{hashlib.md5(b"".join(hashlib.md5(p).digest() for p in parts)).hexdigest()}-{len(parts)}"'


@case(("one-small", [b"small"]), ("one-empty", [b""]), ("two", [FIVE, b"end"]), ("three", [FIVE, FIVE[:-1] + b"x", b"end"]))
def completed(kit, _, parts):
    upload = Upload(kit, Metadata={"color": "red"}, ContentType="text/x")
    for number, body in enumerate(parts, 1):
        equal(upload.part(number * 3, body)["ETag"], etag(body))
    refused(404, "NoSuchKey", kit.s3.head_object, Bucket=upload.bucket, Key="a")
    answer = upload.complete()
    equal((answer["Bucket"], answer["Key"], answer["ETag"]), (upload.bucket, "a", etag_of_parts(*parts)))
    got = kit.s3.get_object(Bucket=upload.bucket, Key="a")
    equal((got["ETag"], got["Metadata"], got["ContentType"]), (etag_of_parts(*parts), {"color": "red"}, "text/x"))
    equal(got["Body"].read() == b"".join(parts), True)
    refused(404, "NoSuchUpload", kit.s3.list_parts, **upload.where)
    equal(kit.s3.list_multipart_uploads(Bucket=upload.bucket).get("Uploads", []), [])


@case
def parts_are_read_by_number(kit):
    upload = Upload(kit)
    upload.part(2, FIVE)
    upload.part(7, b"end")
    upload.complete()
    for number, body, where in ((1, FIVE, f"bytes 0-{5 * MIB - 1}/{5 * MIB + 3}"), (2, b"end", f"bytes {5 * MIB}-{5 * MIB + 2}/{5 * MIB + 3}")):
        got = kit.s3.get_object(Bucket=upload.bucket, Key="a", PartNumber=number)
        equal((got["PartsCount"], got["ContentRange"], got["Body"].read() == body), (2, where, True))
        equal(kit.s3.head_object(Bucket=upload.bucket, Key="a", PartNumber=number)["ContentLength"], len(body))
    refused(416, "InvalidPartNumber", kit.s3.get_object, Bucket=upload.bucket, Key="a", PartNumber=3)


@case
def parts_overwritten_and_left_out(kit):
    upload = Upload(kit)
    upload.part(1, b"first try")
    upload.part(1, FIVE)
    upload.part(2, b"not wanted")
    upload.part(3, b"end")
    upload.complete([p for p in upload.parts if p["PartNumber"] != 2])
    equal(kit.s3.head_object(Bucket=upload.bucket, Key="a")["ContentLength"], 5 * MIB + 3)


@case
def replaces_what_was_there(kit):
    bucket = kit.bucket(keys=["a"])
    upload = Upload(kit, bucket)
    upload.part(1, b"new")
    equal(kit.get(bucket, "a"), b"a")
    upload.complete()
    equal(kit.get(bucket, "a"), b"new")


@case(("small-first", 400, "EntityTooSmall"), ("wrong-etag", 400, "InvalidPart"), ("missing-part", 400, "InvalidPart"), ("descending", 400, "InvalidPartOrder"),
      ("twice", 400, "InvalidPartOrder"), ("none", 400, "MalformedXML"), ("number-0", 400, "InvalidArgument"), ("number-10001", 400, "InvalidArgument"),
      ("no-etag", 400, "MalformedXML"), ("not-xml", 400, "MalformedXML"), ("empty-body", 400, "MissingRequestBodyError"), ("unknown-upload", 404, "NoSuchUpload"), ("other-key", 404, "NoSuchUpload"))
def completed_wrongly(kit, what, status, code):
    upload = Upload(kit)
    upload.part(1, b"small")
    upload.part(2, b"end")
    tags = [p["ETag"] for p in upload.parts]
    rows = {"small-first": [(1, tags[0]), (2, tags[1])], "wrong-etag": [(1, '"' + "0" * 32 + '"')], "missing-part": [(1, tags[0]), (3, tags[1])], "descending": [(2, tags[1]), (1, tags[0])],
            "twice": [(1, tags[0])] * 2, "number-0": [(0, tags[0])], "number-10001": [(10001, tags[0])]}.get(what, [(2, tags[1])] if what not in ("none", "no-etag") else [])
    body = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{t}</ETag></Part>" for n, t in rows)
    if what == "no-etag":
        body = "<Part><PartNumber>1</PartNumber></Part>"
    body = f"<CompleteMultipartUpload>{body}</CompleteMultipartUpload>".encode()
    body = {"not-xml": b"hello", "empty-body": b""}.get(what, body)
    upload_id = "0" * 32 if what == "unknown-upload" else upload.id
    answered(kit.raw("POST", f"/{upload.bucket}/{'b' if what == 'other-key' else 'a'}", {"uploadId": upload_id}, body=body), status, code)
    equal(len(kit.s3.list_parts(**upload.where)["Parts"]), 2)
    refused(404, "NoSuchKey", kit.s3.head_object, Bucket=upload.bucket, Key="a")


@case
def completed_twice(kit):
    upload = Upload(kit)
    upload.part(1, b"x")
    first = upload.complete()
    equal(upload.complete()["ETag"], first["ETag"])


@case(("none-match-new", {"IfNoneMatch": "*"}, False, None), ("none-match-there", {"IfNoneMatch": "*"}, True, (412, "PreconditionFailed")),
      ("match", {"IfMatch": etag(b"a")}, True, None), ("match-wrong", {"IfMatch": '"x"'}, True, (412, "PreconditionFailed")),
      ("match-missing", {"IfMatch": '"x"'}, False, (404, "NoSuchKey")))
def completed_on_condition(kit, _, how, there, expected):
    upload = Upload(kit, kit.bucket(keys=["a"] if there else []))
    upload.part(1, b"new")
    if expected:
        refused(*expected, upload.complete, **how)
        equal(len(kit.s3.list_parts(**upload.where)["Parts"]), 1)
    else:
        upload.complete(**how)
        equal(kit.get(upload.bucket, "a"), b"new")


@case((0, 400, "InvalidArgument"), (10000, 200, None), (10001, 400, "InvalidArgument"), ("x", 400, "InvalidArgument"), ("", 400, "InvalidArgument"))
def part_numbers(kit, number, status, code):
    upload = Upload(kit)
    answered(kit.raw("PUT", f"/{upload.bucket}/a", {"partNumber": number, "uploadId": upload.id}, body=b"x"), status, code)


@case(("wrong-md5", {"content-md5": signing.checksum("MD5", b"y")}, 400, "BadDigest"), ("bad-md5", {"content-md5": "x"}, 400, "InvalidDigest"),
      ("wrong-crc", {"x-amz-checksum-crc32": signing.checksum("CRC32", b"y")}, 400, "BadDigest"), ("right-crc", {"x-amz-checksum-crc32": signing.checksum("CRC32", b"x")}, 200, None),
      ("encrypted", {"x-amz-server-side-encryption-customer-algorithm": "AES256"}, 501, "NotImplemented"))
def part_bodies(kit, _, headers, status, code):
    upload = Upload(kit)
    answered(kit.raw("PUT", f"/{upload.bucket}/a", {"partNumber": 1, "uploadId": upload.id}, headers, b"x"), status, code)
    equal(len(kit.s3.list_parts(**upload.where).get("Parts", [])), 0 if code else 1)


@case("0" * 32, "nonsense", "../..")
def unknown_uploads(kit, upload_id):
    bucket = kit.bucket()
    where = {"Bucket": bucket, "Key": "a", "UploadId": upload_id}
    refused(404, "NoSuchUpload", kit.s3.upload_part, **where, PartNumber=1, Body=b"x")
    refused(404, "NoSuchUpload", kit.s3.list_parts, **where)
    refused(404, "NoSuchUpload", kit.s3.abort_multipart_upload, **where)
    refused(404, "NoSuchUpload", kit.s3.complete_multipart_upload, **where, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": "x"}]})


@case
def aborted(kit):
    upload = Upload(kit)
    upload.part(1, b"x")
    equal(status_of(kit.s3.abort_multipart_upload(**upload.where)), 204)
    refused(404, "NoSuchUpload", upload.part, 2, b"y")
    refused(404, "NoSuchUpload", kit.s3.abort_multipart_upload, **upload.where)
    equal(keys_of(kit.s3.list_objects_v2(Bucket=upload.bucket)), [])


@case
def a_bucket_with_uploads_can_go(kit):
    upload = Upload(kit)
    upload.part(1, b"x")
    kit.s3.delete_bucket(Bucket=upload.bucket)


# -- checksums --------------------------------------------------------------------------------------------------------------------------
def composite(name, parts):
    raw = signing.raw_checksum(name, b"".join(signing.raw_checksum(name, p) for p in parts))
    return f"{base64.b64encode(raw).decode()}-{len(parts)}"


SMALL = bytes(range(256)) * (5 * MIB // 256)


@case(("CRC32", "COMPOSITE"), ("CRC32C", "COMPOSITE"), ("SHA1", "COMPOSITE"), ("SHA256", "COMPOSITE"), slow=True)
def composite_checksums(kit, name, kind):
    upload = Upload(kit, ChecksumAlgorithm=name)
    bodies = [SMALL, b"end"]
    for number, body in enumerate(bodies, 1):
        equal(upload.part(number, body, ChecksumAlgorithm=name)[f"Checksum{name}"], signing.checksum(name, body))
    answer = upload.complete()
    equal((answer[f"Checksum{name}"], answer["ChecksumType"]), (composite(name, bodies), kind))
    head = kit.s3.head_object(Bucket=upload.bucket, Key="a", ChecksumMode="ENABLED")
    equal((head[f"Checksum{name}"], head["ChecksumType"]), (composite(name, bodies), kind))
    parts = kit.s3.get_object_attributes(Bucket=upload.bucket, Key="a", ObjectAttributes=["ObjectParts", "Checksum"])
    equal([(p["PartNumber"], p["Size"], p[f"Checksum{name}"]) for p in parts["ObjectParts"]["Parts"]],
          [(n, len(b), signing.checksum(name, b)) for n, b in enumerate(bodies, 1)])


@case("CRC32", "CRC32C", "CRC64NVME", slow=True)
def full_object_checksums(kit, name):
    upload = Upload(kit, ChecksumAlgorithm=name, ChecksumType="FULL_OBJECT")
    for number, body in enumerate([SMALL, b"end"], 1):
        upload.part(number, body, ChecksumAlgorithm=name)
    whole = signing.checksum(name, SMALL + b"end")
    refused(400, "BadDigest", upload.complete, **{f"Checksum{name}": signing.checksum(name, b"other"), "ChecksumType": "FULL_OBJECT"})
    answer = upload.complete(**{f"Checksum{name}": whole, "ChecksumType": "FULL_OBJECT"})
    equal((answer[f"Checksum{name}"], answer["ChecksumType"]), (whole, "FULL_OBJECT"))


@case(("SHA1-full", "SHA1", "FULL_OBJECT"), ("SHA256-full", "SHA256", "FULL_OBJECT"), ("CRC64NVME-composite", "CRC64NVME", "COMPOSITE"), ("unknown", "MD6", None),
      ("type-alone", None, "FULL_OBJECT"), ("unknown-type", "CRC32", "HALF"))
def checksum_types_that_cannot_be(kit, _, name, kind):
    headers = {n: v for n, v in (("x-amz-checksum-algorithm", name), ("x-amz-checksum-type", kind)) if v}
    answered(kit.raw("POST", f"/{kit.bucket()}/a", {"uploads": ""}, headers), 400, "InvalidRequest")


@case
def a_part_with_another_checksum(kit):
    upload = Upload(kit, ChecksumAlgorithm="SHA256")
    refused(400, "InvalidRequest", upload.part, 1, b"x", ChecksumAlgorithm="CRC32")


@case
def a_wrong_checksum_in_the_list(kit):
    upload = Upload(kit, ChecksumAlgorithm="SHA256")
    upload.part(1, b"x", ChecksumAlgorithm="SHA256")
    upload.parts[0]["ChecksumSHA256"] = signing.checksum("SHA256", b"y")
    refused(400, "InvalidPart", upload.complete)


@case(("right", "1", 200, None), ("wrong", "2", 400, "InvalidRequest"), ("words", "x", 400, "InvalidRequest"))
def object_size_promised(kit, _, size, status, code):
    upload = Upload(kit)
    tag = upload.part(1, b"x")["ETag"]
    body = f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{tag}</ETag></Part></CompleteMultipartUpload>".encode()
    answered(kit.raw("POST", f"/{upload.bucket}/a", {"uploadId": upload.id}, {"x-amz-mp-object-size": size}, body), status, code)


# -- copies into parts --------------------------------------------------------------------------------------------------------------------
@case(("whole", None, b"0123456789"), ("range", "bytes=2-5", b"2345"), ("last", "bytes=9-9", b"9"))
def copied_parts(kit, _, where, expected):
    source = kit.bucket()
    kit.put(source, "s ü%", b"0123456789")
    upload = Upload(kit)
    how = {"CopySourceRange": where} if where else {}
    answer = kit.s3.upload_part_copy(**upload.where, PartNumber=1, CopySource={"Bucket": source, "Key": "s ü%"}, **how)
    equal(answer["CopyPartResult"]["ETag"], etag(expected))
    upload.complete([{"PartNumber": 1, "ETag": answer["CopyPartResult"]["ETag"]}])
    equal(kit.get(upload.bucket, "a"), expected)


@case(("beyond", "bytes=0-10", 416, "InvalidRange"), ("far-beyond", "bytes=100-200", 416, "InvalidRange"), ("open", "bytes=0-", 400, "InvalidArgument"), ("suffix", "bytes=-3", 400, "InvalidArgument"),
      ("backwards", "bytes=5-2", 400, "InvalidArgument"), ("words", "some", 400, "InvalidArgument"), ("no-unit", "0-2", 400, "InvalidArgument"), ("trailing", "bytes=0-2x", 400, "InvalidArgument"), ("several", "bytes=0-1,3-4", 400, "InvalidArgument"))
def copied_ranges_refused(kit, _, where, status, code):
    source, upload = kit.bucket(), Upload(kit)
    kit.put(source, "s", b"0123456789")
    headers = {"x-amz-copy-source": f"/{source}/s", "x-amz-copy-source-range": where}
    answered(kit.raw("PUT", f"/{upload.bucket}/a", {"partNumber": 1, "uploadId": upload.id}, headers), status, code)


@case(("no-key", "{b}/missing", 404, "NoSuchKey"), ("no-bucket", "missing-bucket-x/s", 404, "NoSuchBucket"), ("nonsense", "x", 400, "InvalidArgument"))
def copied_from_nowhere(kit, _, source, status, code):
    upload = Upload(kit)
    answered(kit.raw("PUT", f"/{upload.bucket}/a", {"partNumber": 1, "uploadId": upload.id}, {"x-amz-copy-source": source.format(b=upload.bucket)}), status, code)


@case(("match", {"CopySourceIfMatch": etag(b"s")}, True), ("match-fails", {"CopySourceIfMatch": '"x"'}, False), ("none-match-fails", {"CopySourceIfNoneMatch": etag(b"s")}, False))
def copied_on_condition(kit, _, how, good):
    source, upload = kit.bucket(keys=["s"]), Upload(kit)
    arguments = {**upload.where, "PartNumber": 1, "CopySource": f"{source}/s", **how}
    if good:
        kit.s3.upload_part_copy(**arguments)
    else:
        refused(412, "PreconditionFailed", kit.s3.upload_part_copy, **arguments)


@case
def copied_from_a_version(kit):
    source, upload = kit.bucket(versioned=True), Upload(kit)
    old = kit.put(source, "s", b"old")["VersionId"]
    kit.put(source, "s", b"newer")
    answer = kit.s3.upload_part_copy(**upload.where, PartNumber=1, CopySource={"Bucket": source, "Key": "s", "VersionId": old})
    equal((answer["CopyPartResult"]["ETag"], answer["CopySourceVersionId"]), (etag(b"old"), old))


# -- listings ------------------------------------------------------------------------------------------------------------------------------------
@case
def list_parts(kit):
    upload = Upload(kit)
    for number in (1, 3, 5, 10000):
        upload.part(number, b"x" * number)
    answer = kit.s3.list_parts(**upload.where)
    equal([(p["PartNumber"], p["Size"], p["ETag"]) for p in answer["Parts"]], [(n, n, etag(b"x" * n)) for n in (1, 3, 5, 10000)])
    equal((answer["Bucket"], answer["Key"], answer["UploadId"], answer["StorageClass"], answer["IsTruncated"], answer["MaxParts"]),
          (upload.bucket, "a", upload.id, "STANDARD", False, 1000))
    assert answer["Initiator"]["ID"] and answer["Owner"]["ID"], answer
    first = kit.s3.list_parts(**upload.where, MaxParts=2)
    equal(([p["PartNumber"] for p in first["Parts"]], first["IsTruncated"], first["NextPartNumberMarker"]), ([1, 3], True, 3))
    then = kit.s3.list_parts(**upload.where, PartNumberMarker=3)
    equal(([p["PartNumber"] for p in then["Parts"]], then["PartNumberMarker"], then["IsTruncated"]), ([5, 10000], 3, False))


@case(("max-parts", "-1"), ("max-parts-words", "x"), ("part-number-marker", "x"))
def list_parts_asked_wrongly(kit, name, value):
    upload = Upload(kit)
    answered(kit.raw("GET", f"/{upload.bucket}/a", {"uploadId": upload.id, name.removesuffix("-words"): value}), 400, "InvalidArgument")


@case
def list_uploads(kit):
    bucket = kit.bucket()
    uploads = {key: Upload(kit, bucket, key) for key in ("a", "b/1", "b/2", "c")}
    answer = kit.s3.list_multipart_uploads(Bucket=bucket)
    equal([(u["Key"], u["UploadId"]) for u in answer["Uploads"]], [(k, u.id) for k, u in uploads.items()])
    assert all(u["Initiator"]["ID"] and u["Owner"]["ID"] and u["Initiated"] and u["StorageClass"] == "STANDARD" for u in answer["Uploads"]), answer
    answer = kit.s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    equal(([u["Key"] for u in answer["Uploads"]], [p["Prefix"] for p in answer["CommonPrefixes"]]), (["a", "c"], ["b/"]))
    equal([u["Key"] for u in kit.s3.list_multipart_uploads(Bucket=bucket, Prefix="b/")["Uploads"]], ["b/1", "b/2"])
    equal([u["Key"] for u in kit.s3.list_multipart_uploads(Bucket=bucket, KeyMarker="b/1")["Uploads"]], ["b/2", "c"])


@case("", "/")
def list_uploads_by_pages(kit, delimiter):
    bucket = kit.bucket()
    made = [(key, Upload(kit, bucket, key).id) for key in ("a", "a", "a", "b/1", "b/2", "c", "d/1")]
    found, prefixes, how = [], [], {"Delimiter": delimiter} if delimiter else {}
    for _ in range(20):
        answer = kit.s3.list_multipart_uploads(Bucket=bucket, MaxUploads=1, **how)
        found += [(u["Key"], u["UploadId"]) for u in answer.get("Uploads", [])]
        prefixes += [p["Prefix"] for p in answer.get("CommonPrefixes", [])]
        if not answer["IsTruncated"]:
            break
        how.update(KeyMarker=answer["NextKeyMarker"], UploadIdMarker=answer["NextUploadIdMarker"])
    equal(sorted(found), sorted(m for m in made if not (delimiter and "/" in m[0])))
    equal(prefixes, ["b/", "d/"] if delimiter else [])


@case(("max-uploads", "-1"), ("max-uploads-words", "x"), ("encoding-type", "x"))
def list_uploads_asked_wrongly(kit, name, value):
    answered(kit.raw("GET", f"/{kit.bucket()}", {"uploads": "", name.removesuffix("-words"): value}), 400, "InvalidArgument")


@case
def attributes_of_parts(kit):
    upload = Upload(kit, ChecksumAlgorithm="CRC32")
    for number, body in ((1, SMALL), (2, SMALL), (3, b"end")):
        upload.part(number, body, ChecksumAlgorithm="CRC32")
    upload.complete()
    answer = kit.s3.get_object_attributes(Bucket=upload.bucket, Key="a", ObjectAttributes=["ObjectParts"], MaxParts=1, PartNumberMarker=1)["ObjectParts"]
    equal((answer["TotalPartsCount"], answer["PartNumberMarker"], answer["NextPartNumberMarker"], answer["MaxParts"], answer["IsTruncated"], answer["Parts"][0]["PartNumber"]),
          (3, 1, 2, 1, True, 2))


@case
def by_the_sdk_s_own_transfer(kit):
    """boto3's upload_file: parts in parallel, then read back in parallel."""
    import io
    import boto3.s3.transfer
    bucket, data = kit.bucket(), SMALL * 3
    client = kit.client("main", request_checksum_calculation="when_supported", response_checksum_validation="when_supported")
    config = boto3.s3.transfer.TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
    client.upload_fileobj(io.BytesIO(data), bucket, "a", Config=config)
    out = io.BytesIO()
    client.download_fileobj(bucket, "a", out, Config=config)
    equal(out.getvalue() == data, True)
    client.copy({"Bucket": bucket, "Key": "a"}, bucket, "b", Config=config)
    equal(kit.s3.head_object(Bucket=bucket, Key="b")["ContentLength"], len(data))
