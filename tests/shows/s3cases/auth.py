"""Who asks, and may the request be believed: signatures in every form, and bodies that come in chunks."""
import base64
import datetime
import hashlib
import json

from . import signing
from .kit import answered, case, equal, etag, refused

MINUTE = datetime.timedelta(minutes=1)


# -- Authorization field ------------------------------------------------------------------------------------------------------
@case(("unknown-key", 403, "InvalidAccessKeyId"), ("wrong-secret", 403, "SignatureDoesNotMatch"),
      ("other-region", 400, "AuthorizationHeaderMalformed"), ("other-service", 400, "AuthorizationHeaderMalformed"),
      ("clock-behind", 403, "RequestTimeTooSkewed"), ("clock-ahead", 403, "RequestTimeTooSkewed"),
      ("other-day", 400, "AuthorizationHeaderMalformed"), ("no-date", 403, "AccessDenied"), ("bad-date", 403, "AccessDenied"),
      ("no-signature", 400, "AuthorizationHeaderMalformed"), ("no-credential", 400, "AuthorizationHeaderMalformed"),
      ("no-signed-headers", 400, "AuthorizationHeaderMalformed"), ("short-credential", 400, "AuthorizationHeaderMalformed"),
      ("unknown-algorithm", 400, "InvalidArgument"), ("empty", 400, "InvalidArgument"), ("basic", 400, "InvalidArgument"),
      ("host-not-signed", 403, "AccessDenied"), ("changed-header", 403, "SignatureDoesNotMatch"),
      ("changed-query", 403, "SignatureDoesNotMatch"), ("changed-path", 403, "SignatureDoesNotMatch"),
      ("unsigned-amz-header", 403, "AccessDenied"), ("no-sha256", 400, "InvalidRequest"),
      ("bad-sha256", 400, "InvalidArgument"), ("sigv2", 400, "InvalidRequest"), ("two-signatures", 400, "InvalidArgument"),
      ("session-token", 400, "InvalidToken"))
def header(kit, bend, status, code):
    bucket = kit.bucket(keys=["a"])
    signer, when = kit.signer(), signing.now()
    path, query, names = f"/{bucket}/a", "", None
    headers = {"host": kit.host, "x-amz-meta-color": "red"}
    if bend == "unknown-key":
        signer.id = "HS" + "0" * 18
    elif bend == "wrong-secret":
        signer.secret = signer.secret[::-1] + "x"
    elif bend == "other-region":
        signer.region = "eu-west-1"
    elif bend == "other-service":
        signer.service = "sqs"
    elif bend == "clock-behind":
        when -= 16 * MINUTE
    elif bend == "clock-ahead":
        when += 16 * MINUTE
    elif bend == "other-day":
        headers["x-amz-date"] = signing.amz_date(when)
        when -= datetime.timedelta(days=1)
    elif bend == "host-not-signed":
        names = ["x-amz-content-sha256", "x-amz-date", "x-amz-meta-color"]
    elif bend == "unsigned-amz-header":
        names = ["host", "x-amz-content-sha256", "x-amz-date"]
    elif bend == "bad-sha256":
        headers["x-amz-content-sha256"] = "not-a-digest"
    elif bend == "session-token":
        headers["x-amz-security-token"] = "a-token"
    signer.header("GET", path, query, headers, signing.EMPTY_SHA256, when=when, signed=names)
    given = headers["authorization"]
    if bend == "no-date":
        del headers["x-amz-date"]
    elif bend == "bad-date":
        headers["x-amz-date"] = "yesterday"
    elif bend == "no-signature":
        headers["authorization"] = given.split(", Signature")[0]
    elif bend == "no-credential":
        headers["authorization"] = "AWS4-HMAC-SHA256 " + given.split(", ", 1)[1]
    elif bend == "no-signed-headers":
        headers["authorization"] = given.split(", ")[0] + ", " + given.split(", ")[2]
    elif bend == "short-credential":
        headers["authorization"] = given.replace("/aws4_request", "")
    elif bend == "unknown-algorithm":
        headers["authorization"] = given.replace("AWS4-HMAC-SHA256", "AWS9-HMAC-MD5")
    elif bend == "empty":
        headers["authorization"] = ""
    elif bend == "basic":
        headers["authorization"] = "Basic dTpw"
    elif bend == "changed-header":
        headers["x-amz-meta-color"] = "blue"
    elif bend == "changed-query":
        query = "?response-content-type=text%2Fplain"
    elif bend == "changed-path":
        path += "b"
    elif bend == "no-sha256":
        del headers["x-amz-content-sha256"]
    elif bend == "sigv2":
        headers = {"host": kit.host, "x-amz-date": headers["x-amz-date"]}
        headers["authorization"] = f"AWS {signer.id}:{signer.v2('GET', path, '', headers)}"
    elif bend == "two-signatures":
        query = "?" + signer.presign("GET", path, {}, kit.host)
    answered(kit.send("GET", path + query, headers), status, code)


@case
def mismatch_tells_what_was_signed(kit):
    bucket, signer = kit.bucket(), kit.signer()
    signer.secret += "x"
    headers = {"host": kit.host}
    signer.header("GET", f"/{bucket}", "", headers, signing.EMPTY_SHA256)
    reply = answered(kit.send("GET", f"/{bucket}", headers), 403, "SignatureDoesNotMatch")
    assert reply.text("StringToSign").startswith("AWS4-HMAC-SHA256\n") and reply.text("CanonicalRequest").startswith("GET\n"), reply
    equal(reply.text("AWSAccessKeyId"), signer.id)


@case("a b", "a+b", "a%b", "a&b=c", "ü/ß", "a//b", "/a", "a/", "a?b", "a#b", "~!@$^*()[]{}'\",;:|\\<>", "a\nb", "\U0001f600", "..", "a/../b", "./a")
def keys_of_any_letters(kit, key):
    """As boto3 signs and sends them, and percent-encoded to the last letter."""
    bucket = kit.bucket()
    kit.put(bucket, key, key.encode())
    equal(kit.get(bucket, key), key.encode())
    path = f"/{bucket}/" + "".join(f"%{b:02X}" if b != 0x2F else "/" for b in key.encode())
    signer, headers = kit.signer(), {"host": kit.host}
    signer.header("GET", signing.quote(f"/{bucket}/{key}", safe="/-_.~"), "", headers, signing.EMPTY_SHA256)
    equal(kit.send("GET", path, headers).body, key.encode())
    equal([o["Key"] for o in kit.s3.list_objects_v2(Bucket=bucket)["Contents"]], [key])
    kit.s3.delete_object(Bucket=bucket, Key=key)
    refused(404, "NoSuchKey", kit.s3.get_object, Bucket=bucket, Key=key)


@case(("digest-of-other", 400, "XAmzContentSHA256Mismatch", None), ("unsigned", 200, None, "UNSIGNED-PAYLOAD"),
      ("short-digest", 400, "InvalidArgument", "abcd"))
def payload(kit, what, status, code, payload):
    bucket = kit.bucket()
    payload = payload or hashlib.sha256(b"other").hexdigest()
    answered(kit.raw("PUT", f"/{bucket}/a", body=b"body", payload=payload), status, code)
    if code:
        refused(404, "NoSuchKey", kit.s3.get_object, Bucket=bucket, Key="a")


# -- presigned ----------------------------------------------------------------------------------------------------------------
@case(("good", {}, 200, None), ("week", {"expires": 604800}, 200, None),
      ("over-a-week", {"expires": 604801}, 400, "AuthorizationQueryParametersError"),
      ("negative", {"expires": -1}, 400, "AuthorizationQueryParametersError"),
      ("words", {"expires": "soon"}, 400, "AuthorizationQueryParametersError"),
      ("expired", {"expires": 60, "when": signing.now() - 2 * MINUTE}, 403, "AccessDenied"),
      ("not-yet", {"when": signing.now() + 20 * MINUTE}, 403, "AccessDenied"),
      ("old-but-valid", {"expires": 86400, "when": signing.now() - 300 * MINUTE}, 200, None),
      ("no-expires", {"drop": ("X-Amz-Expires",)}, 400, "AuthorizationQueryParametersError"),
      ("no-date", {"drop": ("X-Amz-Date",)}, 400, "AuthorizationQueryParametersError"),
      ("no-credential", {"drop": ("X-Amz-Credential",)}, 400, "AuthorizationQueryParametersError"),
      ("no-signed-headers", {"drop": ("X-Amz-SignedHeaders",)}, 400, "AuthorizationQueryParametersError"),
      ("no-signature", {"drop": ("X-Amz-Signature",)}, 400, "AuthorizationQueryParametersError"),
      ("bad-algorithm", {"change": {"X-Amz-Algorithm": "AWS4-HMAC-MD5"}}, 400, "AuthorizationQueryParametersError"),
      ("override", {"query": {"response-content-type": "text/x"}}, 200, None))
def presigned_get(kit, name, how, status, code):
    bucket = kit.bucket(keys=["a"])
    query = kit.signer().presign("GET", f"/{bucket}/a", how.get("query", {}), kit.host,
                                 **{n: v for n, v in how.items() if n != "query"})
    reply = answered(kit.send("GET", f"/{bucket}/a?{query}"), status, code)
    if "query" in how:
        equal(reply.headers["content-type"], "text/x")


@case
def presigned_is_good_for_its_method_and_key_only(kit):
    bucket = kit.bucket(keys=["a", "b"])
    query = kit.signer().presign("GET", f"/{bucket}/a", {}, kit.host)
    answered(kit.send("GET", f"/{bucket}/b?{query}"), 403, "SignatureDoesNotMatch")
    answered(kit.send("DELETE", f"/{bucket}/a?{query}"), 403, "SignatureDoesNotMatch")
    answered(kit.send("GET", f"/{bucket}/a?{query}&response-content-type=x"), 403, "SignatureDoesNotMatch")


@case
def presigned_put_and_head_and_delete(kit):
    bucket = kit.bucket()
    for method, body, status in (("PUT", b"data", 200), ("HEAD", b"", 200), ("GET", b"", 200), ("DELETE", b"", 204), ("GET", b"", 404)):
        query = kit.signer().presign(method, f"/{bucket}/a", {}, kit.host)
        equal(kit.send(method, f"/{bucket}/a?{query}", body=body).status, status, method)


@case("put_object", "get_object", "delete_object", "head_object", "list_objects_v2", "upload_part")
def presigned_by_boto3(kit, call):
    bucket = kit.bucket(keys=["a"])
    arguments = {"Bucket": bucket}
    if call != "list_objects_v2":
        arguments["Key"] = "a"
    if call == "upload_part":
        arguments["UploadId"] = kit.s3.create_multipart_upload(Bucket=bucket, Key="a")["UploadId"]
        arguments["PartNumber"] = 1
    url = kit.s3.generate_presigned_url(call, Params=arguments)
    method = {"put": "PUT", "get": "GET", "delete": "DELETE", "head": "HEAD", "list": "GET", "upload": "PUT"}[call.split("_")[0]]
    reply = kit.send(method, url[url.index("/", 8):], body=b"x" if method == "PUT" else b"")
    equal(reply.status, 204 if method == "DELETE" else 200)


@case
def presigned_with_a_signed_header_needs_it(kit):
    bucket = kit.bucket()
    query = kit.signer().presign("PUT", f"/{bucket}/a", {}, kit.host, headers={"content-type": "text/plain"})
    answered(kit.send("PUT", f"/{bucket}/a?{query}", {"content-type": "text/html"}, b"x"), 403, "SignatureDoesNotMatch")
    answered(kit.send("PUT", f"/{bucket}/a?{query}", {"content-type": "text/plain"}, b"x"), 200)


# -- aws-chunked ----------------------------------------------------------------------------------------------------------------
DATA = bytes(range(256)) * 800  # over three chunks


def streaming(kit, bucket, payload, make, decoded=None, key="a", more=None, transfer=False):
    when, headers = signing.now(), {"host": kit.host, "content-encoding": "aws-chunked",
                                    "x-amz-decoded-content-length": str(len(DATA) if decoded is None else decoded), **(more or {})}
    headers = {n: v for n, v in headers.items() if v is not None}
    seed = kit.signer().header("PUT", f"/{bucket}/{key}", "", headers, payload, when=when)
    body = make(seed, when)
    if transfer:
        return kit.send("PUT", f"/{bucket}/{key}", headers, chunks=[body[i:i + 10000] for i in range(0, len(body), 10000)])
    return kit.send("PUT", f"/{bucket}/{key}", headers, body)


SIGNED, SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


@case(("good", None, None, 200, None), ("first-chunk-forged", 0, None, 403, "SignatureDoesNotMatch"),
      ("second-chunk-forged", 1, None, 403, "SignatureDoesNotMatch"), ("last-chunk-forged", 4, None, 403, "SignatureDoesNotMatch"),
      ("announced-too-short", None, 7, 400, "IncompleteBody"), ("announced-too-long", None, len(DATA) + 1, 400, "IncompleteBody"))
def chunked_signed(kit, name, break_at, decoded, status, code):
    bucket = kit.bucket()
    reply = streaming(kit, bucket, SIGNED, lambda seed, when: kit.signer().chunked(DATA, seed, when, break_at=break_at), decoded)
    answered(reply, status, code)
    if status == 200:
        equal(reply.headers["etag"], etag(DATA))
        answer = kit.s3.get_object(Bucket=bucket, Key="a")
        equal(answer["Body"].read(), DATA)
        assert "ContentEncoding" not in answer, "aws-chunked is kept as the object's own encoding"
    else:
        refused(404, "NoSuchKey", kit.s3.get_object, Bucket=bucket, Key="a")


@case
def chunked_signed_without_its_length(kit):
    reply = streaming(kit, kit.bucket(), SIGNED, lambda s, w: kit.signer().chunked(DATA, s, w), more={"x-amz-decoded-content-length": None})
    answered(reply, 411, "MissingContentLength")


@case
def chunked_keeps_the_other_encodings(kit):
    bucket = kit.bucket()
    answered(streaming(kit, bucket, SIGNED, lambda s, w: kit.signer().chunked(DATA, s, w), more={"content-encoding": "gzip,aws-chunked"}), 200)
    equal(kit.s3.head_object(Bucket=bucket, Key="a")["ContentEncoding"], "gzip")


@case(*[(f"{kind}-{name}-{bend}", payload, name, bend)
        for kind, payload in (("signed", SIGNED_TRAILER), ("unsigned", UNSIGNED_TRAILER)) for name in signing.CHECKSUMS
        for bend in ("good", "wrong")])
def trailer(kit, _, payload, name, bend):
    bucket, header = kit.bucket(), f"x-amz-checksum-{name.lower()}"
    value = signing.checksum(name, DATA if bend == "good" else b"other")

    def make(seed, when):
        if payload == SIGNED_TRAILER:
            return kit.signer().chunked(DATA, seed, when, trailer=[(header, value)])
        return signing.unsigned_chunked(DATA, [(header, value)])

    reply = streaming(kit, bucket, payload, make, more={"x-amz-trailer": header})
    if bend == "wrong":
        answered(reply, 400, "BadDigest")
        refused(404, "NoSuchKey", kit.s3.head_object, Bucket=bucket, Key="a")
    else:
        answered(reply, 200)
        equal(reply.headers[header], value)
        equal(kit.s3.get_object(Bucket=bucket, Key="a", ChecksumMode="ENABLED")[f"Checksum{name}"], value)


@case(("missing", [], "x-amz-checksum-crc32", 400, "MalformedTrailerError"),
      ("other", [("x-amz-checksum-sha1", signing.checksum("SHA1", DATA))], "x-amz-checksum-crc32", 400, "MalformedTrailerError"),
      ("not-announced", [("x-amz-checksum-crc32", signing.checksum("CRC32", DATA))], None, 400, "InvalidRequest"),
      ("malformed-value", [("x-amz-checksum-crc32", "AAA")], "x-amz-checksum-crc32", 400, "InvalidRequest"))
def trailer_that_is_not_as_announced(kit, name, lines, announced, status, code):
    bucket = kit.bucket()
    reply = streaming(kit, bucket, UNSIGNED_TRAILER, lambda s, w: signing.unsigned_chunked(DATA, lines), more={"x-amz-trailer": announced})
    answered(reply, status, code)
    refused(404, "NoSuchKey", kit.s3.head_object, Bucket=bucket, Key="a")


@case
def trailer_signature_forged(kit):
    header = "x-amz-checksum-crc32"
    reply = streaming(kit, kit.bucket(), SIGNED_TRAILER, lambda s, w: kit.signer().chunked(
        DATA, s, w, trailer=[(header, signing.checksum("CRC32", DATA))], break_at="trailer"), more={"x-amz-trailer": header})
    answered(reply, 403, "SignatureDoesNotMatch")


@case
def trailer_over_transfer_chunks(kit):
    """As SDKs send streams over TLS-terminating proxies: both codings at once."""
    bucket, header = kit.bucket(), "x-amz-checksum-crc32"
    reply = streaming(kit, bucket, UNSIGNED_TRAILER, lambda s, w: signing.unsigned_chunked(DATA, [(header, signing.checksum("CRC32", DATA))]),
                      more={"x-amz-trailer": header}, transfer=True)
    answered(reply, 200)
    equal(kit.get(bucket, "a"), DATA)


@case("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER")
def streaming_with_elliptic_curves_is_not_built(kit, payload):
    reply = streaming(kit, kit.bucket(), payload, lambda s, w: signing.unsigned_chunked(DATA))
    answered(reply, 501, "NotImplemented")


@case
def sdk_defaults(kit):
    """What current SDKs do unasked: CRC32 in a trailer or header, checked when read."""
    client = kit.client("main", request_checksum_calculation="when_supported", response_checksum_validation="when_supported")
    bucket = kit.bucket()
    client.put_object(Bucket=bucket, Key="a", Body=DATA)
    equal(client.get_object(Bucket=bucket, Key="a")["Body"].read(), DATA)
    equal(client.head_object(Bucket=bucket, Key="a", ChecksumMode="ENABLED")["ChecksumCRC32"], signing.checksum("CRC32", DATA))


# -- version 2 ----------------------------------------------------------------------------------------------------------------
@case("get", "put", "list", "subresource", "presigned", "forged", "skewed")
def sigv2_where_it_is_on(kit, what):
    old = kit.old  # a node with s3.signature_v2
    bucket, signer = old.bucket(keys=["a"]), old.signer()
    path, sub, method, body = f"/{bucket}/a", "", "GET", b""
    if what == "put":
        method, body = "PUT", b"data"
    if what == "list":
        path = f"/{bucket}/"
    if what == "subresource":
        path, sub = f"/{bucket}", "versioning"
    when = signing.now() - (20 * MINUTE if what == "skewed" else 0 * MINUTE)
    headers = {"date": when.strftime("%a, %d %b %Y %H:%M:%S GMT")}
    if what == "presigned":
        client = old.client("main", signature_version="s3")
        url = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a"})
        answered(old.send("GET", url[url.index("/", 8):]), 200)
        return
    signature = signer.v2(method, path, sub, headers)
    headers["authorization"] = f"AWS {signer.id}:{signature[::-1] if what == 'forged' else signature}"
    reply = old.send(method, path + (f"?{sub}" if sub else ""), headers, body)
    expected = {"forged": (403, "SignatureDoesNotMatch"), "skewed": (403, "RequestTimeTooSkewed")}.get(what, (200, None))
    answered(reply, *expected)


@case
def presigned_v2_is_off(kit):
    bucket = kit.bucket(keys=["a"])
    url = kit.client("main", signature_version="s3").generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a"})
    answered(kit.send("GET", url[url.index("/", 8):]), 400, "InvalidRequest")


# -- where the bucket stands ------------------------------------------------------------------------------------------------------
@case("get", "put", "list", "delete", "copy", "presigned", "two-letters")
def virtual_host(kit, what):
    bucket = kit.bucket(keys=["a"])
    host = f"{bucket}.s3.test:{kit.port}"
    if what == "get":
        equal(kit.raw("GET", "/a", host=host).body, b"a")
    elif what == "put":
        answered(kit.raw("PUT", "/b/c", host=host, body=b"x"), 200)
        equal(kit.get(bucket, "b/c"), b"x")
    elif what == "list":
        equal(answered(kit.raw("GET", "/", {"list-type": "2"}, host=host), 200).text("Contents/Key"), "a")
    elif what == "delete":
        equal(kit.raw("DELETE", "/a", host=host).status, 204)
    elif what == "copy":
        answered(kit.raw("PUT", "/b", host=host, headers={"x-amz-copy-source": f"/{bucket}/a"}), 200)
    elif what == "presigned":
        query = kit.signer().presign("GET", "/a", {}, host)
        equal(kit.send("GET", f"/a?{query}", host=host).body, b"a")
    else:
        equal(kit.raw("GET", "/a", host=f"{bucket.upper()}.S3.Test").body, b"a")


@case
def the_domain_itself_is_path_style(kit):
    bucket = kit.bucket(keys=["a"])
    equal(kit.raw("GET", f"/{bucket}/a", host="s3.test").body, b"a")
    equal(answered(kit.raw("GET", "/", host="s3.test"), 200).xml.tag, "ListAllMyBucketsResult")


@case
def a_virtual_host_without_its_bucket(kit):
    answered(kit.raw("GET", "/a", host="no-such-bucket-here.s3.test"), 404, "NoSuchBucket")


# -- forms ------------------------------------------------------------------------------------------------------------------------
def form(kit, bucket, key="foo.txt", conditions=None, fields=None, data=b"bar", who="main", filename="file.txt", drop=(), **how):
    fields = {"key": key, "acl": "private", **(fields or {})}
    conditions = [{"bucket": bucket}, ["starts-with", "$key", ""], ["starts-with", "$acl", ""],
                  ["content-length-range", 0, 1 << 20]] if conditions is None else conditions
    fields = kit.signer(who).form(conditions, fields, **how)
    return kit.post_form(bucket, {n: v for n, v in fields.items() if n not in drop}, data, filename=filename)


@case
def form_uploads(kit):
    bucket = kit.bucket()
    reply = answered(form(kit, bucket), 204)
    equal((reply.headers["etag"], reply.body), (etag(b"bar"), b""))
    equal(kit.get(bucket, "foo.txt"), b"bar")


@case((200, 200), (201, 201), (204, 204), (404, 204))
def form_status(kit, asked, status):
    bucket = kit.bucket()
    conditions = [{"bucket": bucket}, ["starts-with", "$key", ""], ["starts-with", "$acl", ""], ["eq", "$success_action_status", str(asked)]]
    reply = answered(form(kit, bucket, conditions=conditions, fields={"success_action_status": str(asked)}), status)
    if status == 201:
        equal((reply.text("Bucket"), reply.text("Key"), reply.text("ETag")), (bucket, "foo.txt", etag(b"bar")))


@case
def form_redirects(kit):
    bucket = kit.bucket()
    conditions = [{"bucket": bucket}, ["starts-with", "$key", ""], ["starts-with", "$acl", ""], ["eq", "$success_action_redirect", "http://localhost/done"]]
    reply = answered(form(kit, bucket, conditions=conditions, fields={"success_action_redirect": "http://localhost/done"}), 303)
    equal(reply.headers["location"], f"http://localhost/done?bucket={bucket}&key=foo.txt&etag=%22{etag(b'bar')[1:-1]}%22")


@case
def form_takes_the_file_s_name(kit):
    bucket = kit.bucket()
    answered(form(kit, bucket, key="up/${filename}", filename="a b.txt"), 204)
    equal(kit.get(bucket, "up/a b.txt"), b"bar")


@case
def form_keeps_type_metadata_and_tags(kit):
    bucket = kit.bucket()
    tags = "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>"
    conditions = [{"bucket": bucket}, ["starts-with", "$key", ""], ["starts-with", "$acl", ""], ["starts-with", "$Content-Type", "text/"],
                  ["starts-with", "$x-amz-meta-color", ""], ["starts-with", "$tagging", ""]]
    answered(form(kit, bucket, conditions=conditions, fields={"Content-Type": "text/plain", "x-amz-meta-color": "red", "tagging": tags}), 204)
    head = kit.s3.head_object(Bucket=bucket, Key="foo.txt")
    equal((head["ContentType"], head["Metadata"]), ("text/plain", {"color": "red"}))
    equal(kit.s3.get_object_tagging(Bucket=bucket, Key="foo.txt")["TagSet"], [{"Key": "k", "Value": "v"}])


@case(("forged", {"x-amz-signature": "0" * 64}, 403, "SignatureDoesNotMatch"),
      ("unknown-key", {"x-amz-credential": f"HS000/{signing.now():%Y%m%d}/us-east-1/s3/aws4_request"}, 403, "InvalidAccessKeyId"),
      ("policy-not-base64", {"policy": "%%%"}, 403, "SignatureDoesNotMatch"),
      ("field-not-in-policy", {"x-amz-meta-extra": "1"}, 403, "AccessDenied"),
      ("ignored-field", {"x-ignore-extra": "1"}, 204, None))
def form_bent_after_signing(kit, name, change, status, code):
    bucket = kit.bucket()
    fields = kit.signer().form([{"bucket": bucket}, ["starts-with", "$key", ""]], {"key": "foo"})
    answered(kit.post_form(bucket, {**fields, **change}), status, code)


@case(("expired", {"expiration": "2010-01-01T00:00:00.000Z"}, 403, "AccessDenied"),
      ("no-expiration", {"expiration": ""}, 400, "InvalidPolicyDocument"),
      ("bad-expiration", {"expiration": "tomorrow"}, 400, "InvalidPolicyDocument"),
      ("not-json", {"bend": lambda p: b"{"}, 400, "InvalidPolicyDocument"),
      ("no-conditions", {"bend": lambda p: json.dumps({"expiration": p["expiration"]}).encode()}, 400, "InvalidPolicyDocument"),
      ("other-bucket", {"conditions": [{"bucket": "other"}, ["starts-with", "$key", ""], ["starts-with", "$acl", ""]]}, 403, "AccessDenied"),
      ("key-not-as-promised", {"conditions": [["starts-with", "$key", "zoo"], ["starts-with", "$acl", ""]]}, 403, "AccessDenied"),
      ("key-not-in-policy", {"conditions": [["starts-with", "$acl", ""]]}, 403, "AccessDenied"),
      ("bad-operator", {"conditions": [["ends-with", "$key", ""]]}, 400, "InvalidPolicyDocument"),
      ("range-negative", {"conditions": [["content-length-range", -1, 5]]}, 400, "InvalidPolicyDocument"),
      ("range-half", {"conditions": [["content-length-range", 5]]}, 400, "InvalidPolicyDocument"))
def form_policy(kit, name, how, status, code):
    bucket = kit.bucket()
    answered(form(kit, bucket, **how), status, code)
    refused(404, "NoSuchKey", kit.s3.get_object, Bucket=bucket, Key="foo.txt")


@case((1, 2, 400, "EntityTooLarge"), (4, 9, 400, "EntityTooSmall"), (3, 3, 204, None))
def form_length(kit, low, high, status, code):
    bucket = kit.bucket()
    conditions = [{"bucket": bucket}, ["starts-with", "$key", ""], ["starts-with", "$acl", ""], ["content-length-range", low, high]]
    answered(form(kit, bucket, conditions=conditions), status, code)


@case(("no-key", 400, "InvalidArgument"), ("no-file", 400, "InvalidArgument"), ("not-multipart", 412, "PreconditionFailed"),
      ("no-boundary", 412, "PreconditionFailed"), ("cut", 400, "MalformedPOSTRequest"),
      ("no-policy", 403, "AccessDenied"), ("fields-too-long", 400, "MaxPostPreDataLengthExceeded"))
def form_shape(kit, what, status, code):
    bucket = kit.bucket()
    fields = kit.signer().form([{"bucket": bucket}, ["starts-with", "$key", ""]], {} if what == "no-key" else {"key": "foo"})
    if what == "no-policy":
        fields = {"key": "foo"}
    if what == "fields-too-long":
        fields = {"key": "foo", "x-ignore-a": "x" * 30000, **fields}
    kind, body = signing.multipart_form(fields, None if what == "no-file" else b"bar")
    if what == "not-multipart":
        kind = "application/x-www-form-urlencoded"
    if what == "no-boundary":
        kind = "multipart/form-data"
    reply = kit.send("POST", f"/{bucket}", {"content-type": kind}, body[:-30] if what == "cut" else body)
    equal(reply.status, status)
    if what == "no-file":
        assert reply.code in ("InvalidArgument", "IncorrectNumberOfFilesInPostRequest"), reply
    elif what in ("not-multipart", "no-boundary"):
        assert reply.code in ("PreconditionFailed", "RequestIsNotMultiPartContent"), reply
    elif what == "fields-too-long":
        assert reply.code.startswith(code), reply
    else:
        equal(reply.code, code)


@case("public-read-write", "private")
def form_unsigned(kit, acl):
    bucket = kit.bucket(ACL=acl)
    answered(kit.post_form(bucket, {"key": "foo"}), *((204,) if acl == "public-read-write" else (403, "AccessDenied")))


@case
def form_by_boto3(kit):
    bucket = kit.bucket()
    made = kit.s3.generate_presigned_post(bucket, "dir/${filename}", Conditions=[["content-length-range", 1, 10]])
    answered(kit.post_form(bucket, made["fields"], b"hello", filename="n.txt"), 204)
    equal(kit.get(bucket, "dir/n.txt"), b"hello")
