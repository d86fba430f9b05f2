"""boto3 at work: boto3_jobs.py URL BUCKET DIRECTORY BIG_MIB ROUNDS. Keys in the environment. Prints what it did, or raises.

Runs under any boto3 from 1.26 on (Debian 12's): conditional writes, which that one has no parameters for, go in by header."""
import concurrent.futures
import hashlib
import os
import pathlib
import sys
import threading
import urllib.error
import urllib.request
import uuid

import boto3
import botocore.config
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

URL, BUCKET, DIRECTORY, BIG_MIB, ROUNDS = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
RACERS = 16


def make_client():
    session = boto3.session.Session()
    config = botocore.config.Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, signature_version="s3v4",
                                    max_pool_connections=RACERS, region_name="us-east-1")
    client = session.client("s3", endpoint_url=URL, config=config)
    client.extra = threading.local()  # headers for this thread's next write

    def add(params, **_):
        for name, value in getattr(client.extra, "headers", {}).items():
            params["headers"][name] = value

    client.meta.events.register("before-call.s3.PutObject", add)
    client.meta.events.register("before-call.s3.CompleteMultipartUpload", add)
    return client


s3 = make_client()


def refusal(call, *words, **named):
    """The code that an operation is refused with; nothing when it is not."""
    try:
        call(*words, **named)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None


def refused(code, call, *words, **named):
    got = refusal(call, *words, **named)
    assert got == code, f"expected {code}, got {got}"


def conditional_put(client, key, body, headers):
    client.extra.headers = headers
    try:
        return client.put_object(Bucket=BUCKET, Key=key, Body=body)
    finally:
        client.extra.headers = {}


def races():
    """16 clients at once: of those that want to be first, one is; of those that replace what they read, none is lost."""
    clients = [make_client() for _ in range(RACERS)]
    with concurrent.futures.ThreadPoolExecutor(RACERS) as pool:
        for number in range(ROUNDS):
            gate = threading.Barrier(RACERS)

            def once(i, key=f"race/{number}", gate=gate):
                gate.wait()
                return refusal(conditional_put, clients[i], key, f"{i}", {"If-None-Match": "*"})

            said = list(pool.map(once, range(RACERS)))
            assert said.count(None) == 1, f"round {number}: {said.count(None)} of {RACERS} created the same key: {said}"
            assert set(said) == {None, "PreconditionFailed"}, said
            stored = s3.get_object(Bucket=BUCKET, Key=f"race/{number}")["Body"].read().decode()
            assert stored == str(said.index(None)), f"round {number}: {said.index(None)} was told it won, {stored} is stored"

        s3.put_object(Bucket=BUCKET, Key="counter", Body=b"0")

        def count(i):
            won = 0
            for _ in range(ROUNDS):
                now = clients[i].get_object(Bucket=BUCKET, Key="counter")
                value = int(now["Body"].read())
                code = refusal(conditional_put, clients[i], "counter", str(value + 1), {"If-Match": now["ETag"]})
                assert code in (None, "PreconditionFailed"), code
                won += code is None
            return won

        won = sum(pool.map(count, range(RACERS)))
        value = int(s3.get_object(Bucket=BUCKET, Key="counter")["Body"].read())
        assert value == won > 0, f"{won} increments were acknowledged, the counter says {value}"

        for number in range(max(2, ROUNDS // 5)):
            gate = threading.Barrier(RACERS)
            key = f"race/upload-{number}"

            def complete(i, key=key, gate=gate):
                client = clients[i]
                upload = client.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
                etag = client.upload_part(Bucket=BUCKET, Key=key, UploadId=upload, PartNumber=1, Body=f"{i}")["ETag"]
                gate.wait()
                client.extra.headers = {"If-None-Match": "*"}
                code = refusal(client.complete_multipart_upload, Bucket=BUCKET, Key=key, UploadId=upload,
                               MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
                client.extra.headers = {}
                if code:
                    client.abort_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload)
                return code

            said = list(pool.map(complete, range(RACERS)))
            assert said.count(None) == 1 and set(said) == {None, "PreconditionFailed"}, said
    return won


def fetch(method, url, body=None, headers=None):
    request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def presigned():
    sign = s3.generate_presigned_url
    body = os.urandom(200_000)
    where = {"Bucket": BUCKET, "Key": "signed/ü +%"}
    assert fetch("PUT", sign("put_object", where, 60), body)[0] == 200
    assert fetch("GET", sign("get_object", where, 60)) == (200, body)
    url = sign("get_object", dict(where, ResponseContentType="a/b"), 60)
    with urllib.request.urlopen(url) as answer:
        assert answer.headers["Content-Type"] == "a/b"
    assert fetch("GET", sign("get_object", where, 60) + "0")[0] == 403, "a changed signature was accepted"
    assert fetch("GET", sign("get_object", where, 60).replace("signed", "other"))[0] == 403, "a changed key was accepted"
    assert fetch("DELETE", sign("delete_object", where, 60))[0] == 204
    form = s3.generate_presigned_post(BUCKET, "form/${filename}", Fields={"x-amz-meta-via": "form"}, ExpiresIn=60,
                                      Conditions=[["content-length-range", 1, 1000], {"x-amz-meta-via": "form"},
                                                  ["starts-with", "$key", "form/"]])

    def post(content, fields):
        boundary = uuid.uuid4().hex
        parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in fields.items()]
        parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="up.txt"\r\n\r\n')
        data = "".join(parts).encode() + content + f"\r\n--{boundary}--\r\n".encode()
        return fetch("POST", form["url"], data, {"Content-Type": f"multipart/form-data; boundary={boundary}"})

    status, said = post(b"x" * 1000, form["fields"])
    assert status == 204, (status, said)
    head = s3.head_object(Bucket=BUCKET, Key="form/up.txt")
    assert head["ContentLength"] == 1000 and head["Metadata"] == {"via": "form"}
    assert post(b"x" * 1001, form["fields"])[0] == 400
    assert post(b"x", dict(form["fields"], key="elsewhere"))[0] == 403


def multipart():
    """In parallel parts, with a resume after half of them, and an abort."""
    big = DIRECTORY / "boto3-big"
    piece = bytearray(os.urandom(1 << 20))
    digest = hashlib.sha256()
    with open(big, "wb") as out:
        for i in range(BIG_MIB):
            piece[:8] = i.to_bytes(8, "little")
            digest.update(piece)
            out.write(piece)
    part_bytes = 8 << 20
    transfer = TransferConfig(multipart_threshold=part_bytes, multipart_chunksize=part_bytes, max_concurrency=10)
    s3.upload_file(str(big), BUCKET, "big", Config=transfer)
    s3.download_file(BUCKET, "big", str(big) + ".back", Config=transfer)
    assert hashlib.sha256((DIRECTORY / "boto3-big.back").read_bytes()).digest() == digest.digest()
    (DIRECTORY / "boto3-big.back").unlink()

    key = "resumed"
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
    numbers = range(1, -(-big.stat().st_size // part_bytes) + 1)

    def send(number):
        with open(big, "rb") as file:
            file.seek((number - 1) * part_bytes)
            return s3.upload_part(Bucket=BUCKET, Key=key, UploadId=upload, PartNumber=number, Body=file.read(part_bytes))

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(send, [n for n in numbers if n % 2]))
        # What a client that starts anew knows is what the server lists.
        (found,) = s3.list_multipart_uploads(Bucket=BUCKET, Prefix=key)["Uploads"]
        assert found["UploadId"] == upload
        there = {}
        for page in s3.get_paginator("list_parts").paginate(Bucket=BUCKET, Key=key, UploadId=upload, PaginationConfig={"PageSize": 3}):
            there.update({p["PartNumber"]: p for p in page.get("Parts", [])})
        assert sorted(there) == [n for n in numbers if n % 2], sorted(there)
        list(pool.map(send, [n for n in numbers if n not in there]))
    parts = s3.list_parts(Bucket=BUCKET, Key=key, UploadId=upload)["Parts"]
    done = s3.complete_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload, MultipartUpload={
        "Parts": [{"PartNumber": p["PartNumber"], "ETag": p["ETag"]} for p in parts]})
    whole = hashlib.md5(b"".join(bytes.fromhex(p["ETag"].strip('"')) for p in parts)).hexdigest()
    assert done["ETag"] == f'"{whole}-{len(parts)}"', done["ETag"]
    got = hashlib.sha256()
    for chunk in s3.get_object(Bucket=BUCKET, Key=key)["Body"].iter_chunks(1 << 20):
        got.update(chunk)
    assert got.digest() == digest.digest()

    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="given-up")["UploadId"]
    s3.upload_part(Bucket=BUCKET, Key="given-up", UploadId=upload, PartNumber=1, Body=b"x" * part_bytes)
    s3.abort_multipart_upload(Bucket=BUCKET, Key="given-up", UploadId=upload)
    refused("NoSuchUpload", s3.list_parts, Bucket=BUCKET, Key="given-up", UploadId=upload)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=BUCKET)

    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="copied")["UploadId"]
    half = 5 << 20
    parts = []
    for number, span in enumerate([f"bytes=0-{half - 1}", f"bytes={half}-{2 * half - 1}"], 1):
        answer = s3.upload_part_copy(Bucket=BUCKET, Key="copied", UploadId=upload, PartNumber=number, CopySourceRange=span,
                                     CopySource={"Bucket": BUCKET, "Key": "big"})
        parts.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
    s3.complete_multipart_upload(Bucket=BUCKET, Key="copied", UploadId=upload, MultipartUpload={"Parts": parts})
    with open(big, "rb") as file:
        assert s3.get_object(Bucket=BUCKET, Key="copied")["Body"].read() == file.read(2 * half)
    big.unlink()


def versions():
    bucket = BUCKET + "-versions"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="k", Body=b"before")  # becomes version "null"
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    ids = [s3.put_object(Bucket=bucket, Key="k", Body=f"v{i}".encode())["VersionId"] for i in range(3)]
    marker = s3.delete_object(Bucket=bucket, Key="k")
    assert marker["DeleteMarker"]
    refused("NoSuchKey", s3.get_object, Bucket=bucket, Key="k")
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    listed = s3.list_object_versions(Bucket=bucket)
    assert [v["VersionId"] for v in listed["Versions"]] == [*reversed(ids), "null"], listed["Versions"]
    assert [m["VersionId"] for m in listed["DeleteMarkers"]] == [marker["VersionId"]]
    for i, version in enumerate(ids):
        assert s3.get_object(Bucket=bucket, Key="k", VersionId=version)["Body"].read() == f"v{i}".encode()
    undone = s3.delete_object(Bucket=bucket, Key="k", VersionId=marker["VersionId"])
    assert undone["DeleteMarker"] and undone["VersionId"] == marker["VersionId"]
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"v2"
    s3.delete_object(Bucket=bucket, Key="k", VersionId=ids[2])
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"v1"
    refused("BucketNotEmpty", s3.delete_bucket, Bucket=bucket)
    boto3.session.Session().resource("s3", endpoint_url=URL, region_name="us-east-1").Bucket(bucket).object_versions.delete()
    s3.delete_bucket(Bucket=bucket)


s3.create_bucket(Bucket=BUCKET)
won = races()
presigned()
multipart()
versions()
print(f"ok: of {RACERS} writers one won {ROUNDS} times of {ROUNDS}, {won} of {RACERS * ROUNDS} increments by If-Match, all counted")
