"""Buckets themselves and what is set on them: names, location, tags, CORS, lifecycle, and everything that is not built."""
import re

import boto3

from . import signing
from .kit import answered, case, equal, headers_of, keys_of, refused, status_of


# -- buckets --------------------------------------------------------------------------------------------------------------------
@case("abc", "a" * 63, "with.dots.in-it", "0digits9", "a-b-c")
def names(kit, stem):
    name = stem if len(stem) == 63 else f"{stem}{kit.name('')}"
    name = (name[:57] + kit.name("")[-6:]).replace("-", "x", 0)[:63] if len(stem) == 63 else name
    answered(kit.raw("PUT", f"/{name}"), 200)
    equal(kit.raw("HEAD", f"/{name}").status, 200)
    answered(kit.raw("DELETE", f"/{name}"), 204)
    equal(kit.raw("HEAD", f"/{name}").status, 404)


@case("ab", "a" * 64, "Upper", "under_score", "-begins", "ends-", ".begins", "ends.", "two..dots", "dot.-dash", "dash-.dot", "192.168.5.123", "xn--a", "a b", "a\nb", "a--b--c")
def names_refused(kit, name):
    reply = kit.raw("PUT", f"/{name}")
    answered(reply, 400, "InvalidBucketName")


@case
def made_again(kit):
    bucket = kit.bucket(keys=["a"])
    kit.s3.create_bucket(Bucket=bucket)
    equal(keys_of(kit.s3.list_objects_v2(Bucket=bucket)), ["a"])
    refused(409, "BucketAlreadyExists", kit.s3.create_bucket, Bucket=bucket, ACL="public-read")
    refused(409, "BucketAlreadyExists", kit.alt.create_bucket, Bucket=bucket)


@case(("own", "us-east-1", 200, None), ("other", "eu-west-1", 400, "InvalidLocationConstraint"), ("nonsense", "moon", 400, "InvalidLocationConstraint"))
def location(kit, _, where, status, code):
    name = kit.name()
    body = f"<CreateBucketConfiguration><LocationConstraint>{where}</LocationConstraint></CreateBucketConfiguration>".encode()
    answered(kit.raw("PUT", f"/{name}", body=body), status, code)
    if status == 200:
        assert kit.s3.get_bucket_location(Bucket=name)["LocationConstraint"] in (None, "us-east-1")
        equal(headers_of(kit.s3.head_bucket(Bucket=name))["x-amz-bucket-region"], "us-east-1")


@case(("not-xml", b"hello", 400, "MalformedXML"), ("other-root", b"<Bucket/>", 400, "MalformedXML"), ("directory", b"<CreateBucketConfiguration><Bucket><Type>Directory</Type></Bucket></CreateBucketConfiguration>", 501, "NotImplemented"),
      ("bad-tag", b"<CreateBucketConfiguration><Tags><Tag><Key>aws:x</Key><Value>1</Value></Tag></Tags></CreateBucketConfiguration>", 400, "InvalidTag"))
def create_documents_refused(kit, _, body, status, code):
    name = kit.name()
    answered(kit.raw("PUT", f"/{name}", body=body), status, code)
    refused(404, "NoSuchBucket", kit.s3.head_bucket, Bucket=name)


@case
def made_with_tags(kit):
    name = kit.name()
    kit.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"Tags": [{"Key": "team", "Value": "ice"}]})
    equal(kit.s3.get_bucket_tagging(Bucket=name)["TagSet"], [{"Key": "team", "Value": "ice"}])


@case
def deleted(kit):
    bucket = kit.bucket(keys=["a"])
    refused(409, "BucketNotEmpty", kit.s3.delete_bucket, Bucket=bucket)
    kit.s3.delete_object(Bucket=bucket, Key="a")
    equal(status_of(kit.s3.delete_bucket(Bucket=bucket)), 204)
    refused(404, "NoSuchBucket", kit.s3.delete_bucket, Bucket=bucket)
    refused(404, "NoSuchBucket", kit.put, bucket, "a")
    kit.s3.create_bucket(Bucket=bucket)
    equal(keys_of(kit.s3.list_objects_v2(Bucket=bucket)), [])


@case
def what_was_set_goes_with_the_bucket(kit):
    bucket = kit.bucket(ACL="public-read")
    kit.s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    kit.s3.delete_bucket(Bucket=bucket)
    kit.s3.create_bucket(Bucket=bucket)
    refused(404, "NoSuchTagSet", kit.s3.get_bucket_tagging, Bucket=bucket)
    equal(len(kit.s3.get_bucket_acl(Bucket=bucket)["Grants"]), 1)


@case
def head_of_a_stranger_s(kit):
    bucket = kit.bucket()
    equal(kit.raw("HEAD", f"/{bucket}", who="alt").status, 403)
    equal(kit.raw("HEAD", f"/{bucket}", who=None).status, 403)


# -- tags -----------------------------------------------------------------------------------------------------------------------
@case
def tags(kit):
    bucket = kit.bucket()
    refused(404, "NoSuchTagSet", kit.s3.get_bucket_tagging, Bucket=bucket)
    rows = [{"Key": f"k{i:02}", "Value": "v"} for i in range(50)]
    equal(status_of(kit.s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": rows})) in (200, 204), True)
    equal(kit.s3.get_bucket_tagging(Bucket=bucket)["TagSet"], rows)
    refused(400, "InvalidTag", kit.s3.put_bucket_tagging, Bucket=bucket, Tagging={"TagSet": rows + [{"Key": "more", "Value": ""}]})
    equal(status_of(kit.s3.delete_bucket_tagging(Bucket=bucket)), 204)
    refused(404, "NoSuchTagSet", kit.s3.get_bucket_tagging, Bucket=bucket)


# -- CORS -----------------------------------------------------------------------------------------------------------------------
RULES = [{"AllowedMethods": ["GET", "PUT"], "AllowedOrigins": ["http://*.good"], "AllowedHeaders": ["x-*", "content-type"], "ExposeHeaders": ["ETag", "x-amz-meta-m"], "MaxAgeSeconds": 300},
         {"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]


def with_cors(kit):
    bucket = kit.bucket()
    kit.put(bucket, "a", ACL="public-read")
    kit.s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": RULES})
    return bucket


@case
def cors(kit):
    bucket = kit.bucket()
    refused(404, "NoSuchCORSConfiguration", kit.s3.get_bucket_cors, Bucket=bucket)
    kit.s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": RULES})
    equal(kit.s3.get_bucket_cors(Bucket=bucket)["CORSRules"], RULES)
    equal(status_of(kit.s3.delete_bucket_cors(Bucket=bucket)), 204)
    refused(404, "NoSuchCORSConfiguration", kit.s3.get_bucket_cors, Bucket=bucket)


@case(("subdomain", "http://a.good", "PUT", None, 200, "http://a.good"), ("header", "http://a.good", "PUT", "X-Amz-Date, Content-Type", 200, "http://a.good"), ("other-header", "http://a.good", "PUT", "accept-x", 403, None),
      ("other-method", "http://a.good", "DELETE", None, 403, None), ("anyone-gets", "http://bad", "GET", None, 200, "*"), ("anyone-puts", "http://bad", "PUT", None, 403, None),
      ("no-origin", None, "GET", None, 400, None), ("no-method", "http://a.good", None, None, 400, None))
def preflight(kit, _, origin, method, headers, status, allowed):
    sent = {"origin": origin, "access-control-request-method": method, "access-control-request-headers": headers}
    reply = kit.raw("OPTIONS", f"/{with_cors(kit)}/a", headers={n: v for n, v in sent.items() if v}, who=None)
    equal((reply.status, reply.headers.get("access-control-allow-origin")), (status, allowed))
    if status == 200 and method == "PUT":
        equal((reply.headers["access-control-allow-methods"], reply.headers["access-control-max-age"]), ("GET, PUT", "300"))
        equal(reply.headers["access-control-expose-headers"], "ETag, x-amz-meta-m")
        assert "Origin" in reply.headers["vary"]
    elif status != 200:
        answered(reply, status, "AccessDenied" if status == 403 else "BadRequest")


@case
def preflight_where_nothing_is_set(kit):
    bucket = kit.bucket()
    answered(kit.raw("OPTIONS", f"/{bucket}/a", headers={"origin": "http://a", "access-control-request-method": "GET"}, who=None), 403, "AccessDenied")


@case(("allowed", "http://a.good", "http://a.good"), ("any", "http://elsewhere", "*"), ("none", None, None))
def cors_on_answers(kit, _, origin, allowed):
    bucket = with_cors(kit)
    headers = {"origin": origin} if origin else {}
    equal(kit.raw("GET", f"/{bucket}/a", headers=headers, who=None).headers.get("access-control-allow-origin"), allowed)
    equal(kit.raw("GET", f"/{bucket}/missing", headers=headers).headers.get("access-control-allow-origin"), allowed, "errors too")
    if origin:  # what a preflight would have asked for is what counts, as browsers' test tools send it
        reply = kit.raw("PUT", f"/{bucket}/a", headers={**headers, "access-control-request-method": "GET"}, who=None)
        equal((reply.status, reply.headers.get("access-control-allow-origin")), (403, allowed))


@case(("no-rule", b"<CORSConfiguration/>"), ("method", b"<CORSConfiguration><CORSRule><AllowedMethod>PATCH</AllowedMethod><AllowedOrigin>*</AllowedOrigin></CORSRule></CORSConfiguration>"),
      ("no-origin", b"<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>"), ("two-stars", b"<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*a*</AllowedOrigin></CORSRule></CORSConfiguration>"),
      ("not-xml", b"x"))
def cors_refused(kit, _, body):
    reply = kit.raw("PUT", f"/{kit.bucket()}", {"cors": ""}, body=body)
    equal(reply.status, 400)
    assert reply.code in ("MalformedXML", "InvalidRequest"), reply


# -- lifecycle ------------------------------------------------------------------------------------------------------------------
@case
def lifecycle(kit):
    bucket = kit.bucket()
    refused(404, "NoSuchLifecycleConfiguration", kit.s3.get_bucket_lifecycle_configuration, Bucket=bucket)
    rules = [{"ID": "rule1", "Expiration": {"Days": 1}, "Filter": {"Prefix": "test1/"}, "Status": "Enabled"},
             {"ID": "rule2", "Expiration": {"Days": 2}, "Filter": {"Prefix": "test2/"}, "Status": "Disabled"},
             {"ID": "rule3", "NoncurrentVersionExpiration": {"NoncurrentDays": 3, "NewerNoncurrentVersions": 2}, "Filter": {"And": {"Prefix": "a/", "Tags": [{"Key": "k", "Value": "v"}]}}, "Status": "Enabled"},
             {"ID": "rule4", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 4}, "Filter": {"Prefix": ""}, "Status": "Enabled"},
             {"ID": "rule5", "Expiration": {"ExpiredObjectDeleteMarker": True}, "Filter": {"Prefix": "b/"}, "Status": "Enabled"}]
    equal(status_of(kit.s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})), 200)
    equal(kit.s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"], rules)
    kit.put(bucket, "test1/a")
    kit.put(bucket, "test2/a")
    head = kit.s3.head_object(Bucket=bucket, Key="test1/a")
    assert re.match(r'expiry-date="[^"]+ GMT", rule-id="rule1"', head["Expiration"]), head["Expiration"]
    assert "Expiration" not in kit.s3.head_object(Bucket=bucket, Key="test2/a")
    equal(status_of(kit.s3.delete_bucket_lifecycle(Bucket=bucket)), 204)
    refused(404, "NoSuchLifecycleConfiguration", kit.s3.get_bucket_lifecycle_configuration, Bucket=bucket)


@case
def lifecycle_of_before_there_were_filters(kit):
    bucket = kit.bucket()
    rules = [{"ID": "r", "Expiration": {"Days": 3}, "Prefix": "p/", "Status": "Enabled"}]
    kit.s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    equal(kit.s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"], rules)
    assert 'rule-id="r"' in kit.put(bucket, "p/a")["Expiration"]


@case
def lifecycle_rules_get_ids(kit):
    bucket = kit.bucket()
    kit.s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [{"Expiration": {"Days": d}, "Filter": {"Prefix": f"{d}/"}, "Status": "Enabled"} for d in (1, 2)]})
    ids = [r.get("ID") for r in kit.s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]]
    assert all(ids) and len(set(ids)) == 2, ids


def rule(inside, status="Enabled"):
    return f"<LifecycleConfiguration><Rule><ID>r</ID><Status>{status}</Status>{inside}</Rule></LifecycleConfiguration>".encode()


PREFIX = "<Filter><Prefix>a</Prefix></Filter>"


@case(("status", rule(PREFIX + "<Expiration><Days>1</Days></Expiration>", "enabled"), 400, "MalformedXML"), ("zero-days", rule(PREFIX + "<Expiration><Days>0</Days></Expiration>"), 400, "InvalidArgument"),
      ("long-id", rule(PREFIX + "<Expiration><Days>1</Days></Expiration>").replace(b"<ID>r", b"<ID>" + b"r" * 256), 400, "InvalidArgument"),
      ("same-id", rule(PREFIX + "<Expiration><Days>1</Days></Expiration>").replace(b"</Rule>", b"</Rule><Rule><ID>r</ID><Status>Enabled</Status><Filter><Prefix>b</Prefix></Filter><Expiration><Days>1</Days></Expiration></Rule>"), 400, "InvalidArgument"),
      ("date", rule(PREFIX + "<Expiration><Date>20200101</Date></Expiration>"), 400, "MalformedXML"), ("not-midnight", rule(PREFIX + "<Expiration><Date>2030-01-01T10:00:00Z</Date></Expiration>"), 400, "InvalidArgument"),
      ("days-and-date", rule(PREFIX + "<Expiration><Days>1</Days><Date>2030-01-01T00:00:00Z</Date></Expiration>"), 400, "MalformedXML"), ("no-action", rule(PREFIX), 400, "InvalidRequest"),
      ("no-filter", rule("<Expiration><Days>1</Days></Expiration>"), 400, "MalformedXML"), ("no-rule", b"<LifecycleConfiguration/>", 400, "MalformedXML"),
      ("transition", rule(PREFIX + "<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>"), 501, "NotImplemented"), ("not-xml", b"x", 400, "MalformedXML"))
def lifecycle_refused(kit, _, body, status, code):
    answered(kit.raw("PUT", f"/{kit.bucket()}", {"lifecycle": ""}, {"content-md5": signing.checksum("MD5", body)}, body), status, code)


@case
def lifecycle_by_date(kit):
    bucket = kit.bucket()
    rules = [{"ID": "r", "Expiration": {"Date": "2017-09-27T00:00:00Z"}, "Filter": {"Prefix": "past/"}, "Status": "Enabled"}]
    kit.s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    equal(kit.s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"][0]["Expiration"]["Date"].year, 2017)


@case
def lifecycle_is_carried_out(kit):
    """At a collection: a date in the past expires what is under its prefix, and nothing else."""
    import time
    plain, kept = kit.bucket(keys=["past/a", "past/b", "other/a"]), kit.bucket(versioned=True, keys=["past/a", "other/a"])
    rules = [{"ID": "r", "Expiration": {"Date": "2017-09-27T00:00:00Z"}, "Filter": {"Prefix": "past/"}, "Status": "Enabled"}]
    for bucket in (plain, kept):
        kit.s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    kit.node.cli("gc")
    for _ in range(100):
        if keys_of(kit.s3.list_objects_v2(Bucket=plain)) == keys_of(kit.s3.list_objects_v2(Bucket=kept)) == ["other/a"]:
            break
        time.sleep(0.1)
    equal(keys_of(kit.s3.list_objects_v2(Bucket=plain)), ["other/a"])
    equal(keys_of(kit.s3.list_objects_v2(Bucket=kept)), ["other/a"])
    versions = kit.s3.list_object_versions(Bucket=kept)
    equal(([v["Key"] for v in versions["Versions"]], [m["Key"] for m in versions["DeleteMarkers"]]), (["other/a", "past/a"], ["past/a"]))


# -- everything else ------------------------------------------------------------------------------------------------------------
@case(("logging", "GetBucketLogging"), ("notification", "GetBucketNotificationConfiguration"), ("accelerate", "GetBucketAccelerateConfiguration"), ("requestPayment", "GetBucketRequestPayment"))
def settings_that_are_never_on(kit, sub, _):
    answered(kit.raw("GET", f"/{kit.bucket()}", {sub: ""}), 200)


@case(("encryption", "ServerSideEncryptionConfigurationNotFoundError"), ("website", "NoSuchWebsiteConfiguration"), ("replication", "ReplicationConfigurationNotFoundError"))
def settings_that_are_never_there(kit, sub, code):
    answered(kit.raw("GET", f"/{kit.bucket()}", {sub: ""}), 404, code)


BUILT = """AbortMultipartUpload CompleteMultipartUpload CopyObject CreateBucket CreateMultipartUpload DeleteBucket DeleteBucketCors DeleteBucketLifecycle
DeleteBucketOwnershipControls DeleteBucketPolicy DeleteBucketTagging DeleteObject DeleteObjectTagging DeleteObjects DeletePublicAccessBlock GetBucketAcl GetBucketCors
GetBucketLifecycleConfiguration GetBucketLocation GetBucketOwnershipControls GetBucketPolicy GetBucketPolicyStatus GetBucketTagging GetBucketVersioning GetObject GetObjectAcl
GetObjectAttributes GetObjectLegalHold GetObjectLockConfiguration GetObjectRetention GetObjectTagging GetPublicAccessBlock HeadBucket HeadObject ListBuckets
ListMultipartUploads ListObjectVersions ListObjects ListObjectsV2 ListParts PutBucketAcl PutBucketCors PutBucketLifecycleConfiguration PutBucketOwnershipControls
PutBucketPolicy PutBucketTagging PutBucketVersioning PutObject PutObjectAcl PutObjectLegalHold PutObjectLockConfiguration PutObjectRetention PutObjectTagging
PutPublicAccessBlock UploadPart UploadPartCopy""".split()
# What is true without being built: there is none, or it is off. The old names are of operations above.
NONE_THERE = """GetBucketLogging GetBucketNotificationConfiguration GetBucketAccelerateConfiguration GetBucketRequestPayment GetBucketEncryption GetBucketWebsite
GetBucketReplication GetBucketLifecycle PutBucketLifecycle GetBucketNotification""".split()
# To other hosts or services, and directory buckets.
ELSEWHERE = ["WriteGetObjectResponse", "ListDirectoryBuckets"]
UNBUILT = sorted(set(boto3.client("s3", region_name="us-east-1").meta.service_model.operation_names) - set(BUILT) - set(NONE_THERE) - set(ELSEWHERE))


@case(*UNBUILT)
def not_built(kit, name):
    """Every other operation that boto3 knows: a request as its model has it is answered NotImplemented."""
    bucket = kit.bucket(keys=["a"])
    http = kit.s3.meta.service_model.operation_model(name).http
    path, _, query = http["requestUri"].partition("?")
    # The id of one configuration of several.
    shape = kit.s3.meta.service_model.operation_model(name).input_shape
    query = dict((p.split("=", 1) + [""])[:2] for p in query.split("&") if p and not p.startswith("x-id"))
    if shape and "Id" in shape.members and shape.members["Id"].serialization.get("name") == "id":
        query["id"] = "x"
    path = path.replace("{Bucket}", bucket).replace("{Key+}", "a")
    answered(kit.raw(http["method"], path, query, body=b"<x/>" if http["method"] in ("PUT", "POST") else b""), 501, "NotImplemented")
    equal(keys_of(kit.s3.list_objects_v2(Bucket=bucket)), ["a"])


@case(*[(f"{m}-{sub}-{'object' if p.endswith('a') else 'bucket'}", m, p, sub) for m, p, sub in (
    ("PUT", "/{b}/a", "versions"), ("POST", "/{b}", "acl"), ("DELETE", "/{b}", "versioning"), ("PUT", "/{b}", "versions"), ("DELETE", "/{b}", "location"),
    ("POST", "/{b}/a", "tagging"), ("GET", "/{b}/a", "cors"), ("DELETE", "/{b}/a", "acl"))])
def subresources_of_other_methods(kit, _, method, path, sub):
    bucket = kit.bucket(keys=["a"])
    answered(kit.raw(method, path.format(b=bucket), {sub: ""}, body=b"x" if method != "DELETE" else b""), 405, "MethodNotAllowed")
    equal(kit.get(bucket, "a"), b"a")


@case("PATCH", "TRACE", "BREW")
def methods_unknown(kit, method):
    reply = kit.raw(method, f"/{kit.bucket()}")
    assert reply.status in (400, 405, 501), reply


@case("PUT", "DELETE", "POST")
def methods_of_the_service(kit, method):
    answered(kit.raw(method, "/"), 405, "MethodNotAllowed")


@case
def errors_have_request_ids_of_their_own(kit):
    bucket = kit.bucket()
    ids = {kit.raw("GET", f"/{bucket}/missing").headers["x-amz-request-id"] for _ in range(10)}
    equal(len(ids), 10)


@case
def metrics_tell(kit):
    kit.raw("GET", f"/{kit.name('missing')}")
    text = kit.node.get("/metrics")[2].decode()
    for line in ('hailstone_s3_responses_total{operation="ListObjects",class="4xx"}', 'hailstone_s3_responses_total{operation="CreateBucket",class="2xx"}',
                 'hailstone_s3_request_seconds_bucket{operation="PutObject",le="+Inf"}', "hailstone_s3_connections "):
        assert line in text, line
