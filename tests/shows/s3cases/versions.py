"""Versions of objects: kept, hidden under delete markers, listed, removed; object lock and retention."""
import datetime

from . import signing
from .kit import answered, case, equal, etag, headers_of, keys_of, refused, status_of

DAY = datetime.timedelta(days=1)


def versions_of(kit, bucket, **how):
    """(key, version, latest, marker) in the order listed, from one page."""
    answer = kit.s3.list_object_versions(Bucket=bucket, **how)
    rows = [(v["Key"], v["VersionId"], v["IsLatest"], False) for v in answer.get("Versions", [])]
    return rows + [(v["Key"], v["VersionId"], v["IsLatest"], True) for v in answer.get("DeleteMarkers", [])]


def puts(kit, bucket, key, *bodies):
    return [kit.put(bucket, key, body).get("VersionId") for body in bodies]


@case
def off_until_told(kit):
    bucket = kit.bucket()
    assert "Status" not in kit.s3.get_bucket_versioning(Bucket=bucket)
    assert "VersionId" not in kit.put(bucket, "a")
    equal(versions_of(kit, bucket), [("a", "null", True, False)])
    for status in ("Enabled", "Suspended", "Enabled"):
        kit.version(bucket, status)
        equal(kit.s3.get_bucket_versioning(Bucket=bucket)["Status"], status)


@case(("status", b"<VersioningConfiguration><Status>On</Status></VersioningConfiguration>", 400, "IllegalVersioningConfigurationException"),
      ("no-status", b"<VersioningConfiguration></VersioningConfiguration>", 400, "IllegalVersioningConfigurationException"),
      ("not-xml", b"on", 400, "MalformedXML"), ("empty", b"", 400, "MissingRequestBodyError"),
      ("mfa", b"<VersioningConfiguration><Status>Enabled</Status><MfaDelete>Enabled</MfaDelete></VersioningConfiguration>", 501, "NotImplemented"))
def configuration_refused(kit, _, body, status, code):
    bucket = kit.bucket()
    answered(kit.raw("PUT", f"/{bucket}", {"versioning": ""}, body=body), status, code)
    assert "Status" not in kit.s3.get_bucket_versioning(Bucket=bucket)


@case
def mfa_is_refused_clearly(kit):
    bucket = kit.bucket()
    body = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    answered(kit.raw("PUT", f"/{bucket}", {"versioning": ""}, {"x-amz-mfa": "arn 123456"}, body), 501, "NotImplemented")


@case
def every_put_makes_one(kit):
    bucket = kit.bucket(versioned=True)
    ids = puts(kit, bucket, "a", b"1", b"2", b"3")
    equal(len(set(ids)), 3)
    for version, body in zip(ids, (b"1", b"2", b"3")):
        got = kit.s3.get_object(Bucket=bucket, Key="a", VersionId=version)
        equal((got["Body"].read(), got["VersionId"], got["ETag"]), (body, version, etag(body)))
        equal(kit.s3.head_object(Bucket=bucket, Key="a", VersionId=version)["VersionId"], version)
    current = kit.s3.get_object(Bucket=bucket, Key="a")
    equal((current["Body"].read(), current["VersionId"]), (b"3", ids[2]))
    equal(versions_of(kit, bucket), [("a", ids[2], True, False), ("a", ids[1], False, False), ("a", ids[0], False, False)])


@case
def the_object_from_before_is_the_null_version(kit):
    bucket = kit.bucket()
    kit.put(bucket, "a", b"before")
    kit.version(bucket)
    equal(kit.s3.head_object(Bucket=bucket, Key="a")["VersionId"], "null")
    new = kit.put(bucket, "a", b"after")["VersionId"]
    equal(versions_of(kit, bucket), [("a", new, True, False), ("a", "null", False, False)])
    equal(kit.get(bucket, "a", VersionId="null"), b"before")
    kit.s3.delete_object(Bucket=bucket, Key="a", VersionId=new)
    equal(kit.get(bucket, "a"), b"before")


@case
def a_delete_hides(kit):
    bucket = kit.bucket(versioned=True)
    version = kit.put(bucket, "a", b"1")["VersionId"]
    gone = kit.s3.delete_object(Bucket=bucket, Key="a")
    equal((status_of(gone), gone["DeleteMarker"]), (204, True))
    marker = gone["VersionId"]
    error = refused(404, "NoSuchKey", kit.s3.get_object, Bucket=bucket, Key="a")
    equal((headers_of(error)["x-amz-delete-marker"], headers_of(error)["x-amz-version-id"]), ("true", marker))
    error = refused(404, "NoSuchKey", kit.s3.head_object, Bucket=bucket, Key="a")
    equal(headers_of(error)["x-amz-delete-marker"], "true")
    error = refused(405, "MethodNotAllowed", kit.s3.get_object, Bucket=bucket, Key="a", VersionId=marker)
    equal((headers_of(error)["x-amz-delete-marker"], headers_of(error)["allow"]), ("true", "DELETE"))
    refused(405, "MethodNotAllowed", kit.s3.head_object, Bucket=bucket, Key="a", VersionId=marker)
    equal(kit.get(bucket, "a", VersionId=version), b"1")
    equal(keys_of(kit.s3.list_objects_v2(Bucket=bucket)), [])
    undone = kit.s3.delete_object(Bucket=bucket, Key="a", VersionId=marker)
    equal((undone["VersionId"], undone["DeleteMarker"]), (marker, True))
    equal(kit.get(bucket, "a"), b"1")


@case
def deletes_of_nothing_make_markers(kit):
    bucket = kit.bucket(versioned=True)
    ids = [kit.s3.delete_object(Bucket=bucket, Key="a")["VersionId"] for _ in range(2)]
    equal(versions_of(kit, bucket), [("a", ids[1], True, True), ("a", ids[0], False, True)])
    for version in ids:
        kit.s3.delete_object(Bucket=bucket, Key="a", VersionId=version)
    equal(versions_of(kit, bucket), [])


@case(0, 1, 2)
def delete_of_a_version(kit, which):
    bucket = kit.bucket(versioned=True)
    ids = puts(kit, bucket, "a", b"0", b"1", b"2")
    gone = kit.s3.delete_object(Bucket=bucket, Key="a", VersionId=ids[which])
    equal((status_of(gone), gone["VersionId"], "DeleteMarker" in gone), (204, ids[which], False))
    refused(404, "NoSuchVersion", kit.s3.get_object, Bucket=bucket, Key="a", VersionId=ids[which])
    left = [i for i in range(3) if i != which]
    equal(kit.get(bucket, "a"), str(left[-1]).encode())
    equal([row[1] for row in versions_of(kit, bucket)], [ids[i] for i in reversed(left)])
    equal(status_of(kit.s3.delete_object(Bucket=bucket, Key="a", VersionId=ids[which])), 204)  # again: nothing happens


@case
def versions_of_other_keys(kit):
    bucket = kit.bucket(versioned=True)
    version = kit.put(bucket, "a", b"1")["VersionId"]
    refused(404, "NoSuchVersion", kit.s3.get_object, Bucket=bucket, Key="b", VersionId=version)
    refused(404, "NoSuchVersion", kit.s3.get_object, Bucket=bucket, Key="a", VersionId="0" * 16)


@case("nonsense", "..", "0" * 17, "ABCDEF0123456789")
def version_ids_that_cannot_be(kit, version):
    bucket = kit.bucket(versioned=True, keys=["a"])
    refused(400, "InvalidArgument", kit.s3.get_object, Bucket=bucket, Key="a", VersionId=version)
    refused(400, "InvalidArgument", kit.s3.delete_object, Bucket=bucket, Key="a", VersionId=version)
    equal(kit.get(bucket, "a"), b"a")


@case
def suspended(kit):
    bucket = kit.bucket(versioned=True)
    one = kit.put(bucket, "a", b"1")["VersionId"]
    kit.version(bucket, "Suspended")
    equal(kit.put(bucket, "a", b"2").get("VersionId", "null"), "null")
    equal(kit.put(bucket, "a", b"3").get("VersionId", "null"), "null")
    equal(versions_of(kit, bucket), [("a", "null", True, False), ("a", one, False, False)])
    gone = kit.s3.delete_object(Bucket=bucket, Key="a")
    equal((gone["DeleteMarker"], gone["VersionId"]), (True, "null"))
    equal(sorted(versions_of(kit, bucket)), sorted([("a", "null", True, True), ("a", one, False, False)]))
    kit.version(bucket)
    two = kit.put(bucket, "a", b"4")["VersionId"]
    equal(sorted(versions_of(kit, bucket)), sorted([("a", two, True, False), ("a", "null", False, True), ("a", one, False, False)]))


@case
def suspended_null_version_is_removed_by_its_id(kit):
    bucket = kit.bucket(versioned=True)
    one = kit.put(bucket, "a", b"1")["VersionId"]
    kit.version(bucket, "Suspended")
    kit.put(bucket, "a", b"2")
    kit.s3.delete_object(Bucket=bucket, Key="a", VersionId="null")
    equal((kit.get(bucket, "a"), versions_of(kit, bucket)), (b"1", [("a", one, True, False)]))


@case
def copies_of_versions(kit):
    bucket = kit.bucket(versioned=True)
    one, two = puts(kit, bucket, "a", b"1", b"22")
    made = kit.s3.copy_object(Bucket=bucket, Key="b", CopySource={"Bucket": bucket, "Key": "a", "VersionId": one})
    assert made["VersionId"] and made["CopySourceVersionId"] == one, made
    equal(kit.get(bucket, "b"), b"1")
    restored = kit.s3.copy_object(Bucket=bucket, Key="a", CopySource={"Bucket": bucket, "Key": "a", "VersionId": one})
    equal(kit.get(bucket, "a"), b"1")
    equal([row[1] for row in versions_of(kit, bucket, Prefix="a")], [restored["VersionId"], two, one])
    kit.s3.delete_object(Bucket=bucket, Key="a")
    refused(404, "NoSuchKey", kit.s3.copy_object, Bucket=bucket, Key="c", CopySource=f"{bucket}/a")


@case
def multipart_makes_one(kit):
    bucket = kit.bucket(versioned=True)
    old = kit.put(bucket, "a", b"old")["VersionId"]
    upload = kit.s3.create_multipart_upload(Bucket=bucket, Key="a")["UploadId"]
    tag = kit.s3.upload_part(Bucket=bucket, Key="a", UploadId=upload, PartNumber=1, Body=b"new")["ETag"]
    done = kit.s3.complete_multipart_upload(Bucket=bucket, Key="a", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})
    equal([row[1] for row in versions_of(kit, bucket)], [done["VersionId"], old])


@case
def delete_objects_of_versions(kit):
    bucket = kit.bucket(versioned=True)
    ids = puts(kit, bucket, "a", b"1", b"2", b"3")
    gone = kit.s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a", "VersionId": ids[0]}, {"Key": "a", "VersionId": ids[2]}, {"Key": "b"}]})
    equal(len(gone["Deleted"]), 3)
    marker = [d for d in gone["Deleted"] if d["Key"] == "b"][0]
    assert marker["DeleteMarker"] and marker["DeleteMarkerVersionId"], marker
    equal(sorted(versions_of(kit, bucket)), sorted([("a", ids[1], True, False), ("b", marker["DeleteMarkerVersionId"], True, True)]))
    gone = kit.s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "b", "VersionId": marker["DeleteMarkerVersionId"]}]})["Deleted"][0]
    equal((gone["VersionId"], gone["DeleteMarker"], gone["DeleteMarkerVersionId"]), (marker["DeleteMarkerVersionId"], True, marker["DeleteMarkerVersionId"]))


@case
def tags_and_acls_are_of_versions(kit):
    bucket = kit.bucket(versioned=True)
    one, two = puts(kit, bucket, "a", b"1", b"2")
    where = {"Bucket": bucket, "Key": "a"}
    kit.s3.put_object_tagging(**where, VersionId=one, Tagging={"TagSet": [{"Key": "k", "Value": "1"}]})
    equal(kit.s3.get_object_tagging(**where, VersionId=one)["TagSet"], [{"Key": "k", "Value": "1"}])
    equal(kit.s3.get_object_tagging(**where)["TagSet"], [])
    kit.s3.put_object_acl(**where, VersionId=one, ACL="public-read")
    equal(kit.raw("GET", f"/{bucket}/a", {"versionId": one}, who=None).status, 200)
    equal(kit.raw("GET", f"/{bucket}/a", {"versionId": two}, who=None).status, 403)
    kit.s3.delete_object_tagging(**where, VersionId=one)
    equal(kit.s3.get_object_tagging(**where, VersionId=one)["TagSet"], [])
    refused(404, "NoSuchVersion", kit.s3.put_object_tagging, **where, VersionId="0" * 16, Tagging={"TagSet": []})


@case
def attributes_of_versions(kit):
    bucket = kit.bucket(versioned=True)
    one, _ = puts(kit, bucket, "a", b"1", b"22")
    got = kit.s3.get_object_attributes(Bucket=bucket, Key="a", VersionId=one, ObjectAttributes=["ObjectSize"])
    equal((got["ObjectSize"], got["VersionId"]), (1, one))


@case
def a_bucket_with_versions_stays(kit):
    bucket = kit.bucket(versioned=True)
    version = kit.put(bucket, "a")["VersionId"]
    marker = kit.s3.delete_object(Bucket=bucket, Key="a")["VersionId"]
    refused(409, "BucketNotEmpty", kit.s3.delete_bucket, Bucket=bucket)
    for one in (version, marker):
        kit.s3.delete_object(Bucket=bucket, Key="a", VersionId=one)
    kit.s3.delete_bucket(Bucket=bucket)


@case
def writers_at_once(kit):
    """Every put of many at the same time is a version of its own, and one of them is the latest."""
    import concurrent.futures
    bucket = kit.bucket(versioned=True)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda i: kit.put(bucket, "a", str(i).encode())["VersionId"], range(20)))
    rows = versions_of(kit, bucket)
    equal((sorted(row[1] for row in rows), [row[2] for row in rows]), (sorted(ids), [True] + [False] * 19))
    equal(kit.s3.head_object(Bucket=bucket, Key="a")["VersionId"], rows[0][1])


# -- listing ------------------------------------------------------------------------------------------------------------------
def grown(kit):
    bucket = kit.bucket(versioned=True)
    for key in ("a", "b/1", "b/2", "c"):
        puts(kit, bucket, key, b"1", b"2")
    kit.s3.delete_object(Bucket=bucket, Key="c")
    return bucket


@case(1, 2, 3, 4)
def listed_by_pages(kit, size):
    bucket = grown(kit)
    whole = sorted(versions_of(kit, bucket))
    equal(len(whole), 9)
    found, how = [], {}
    for _ in range(20):
        answer = kit.s3.list_object_versions(Bucket=bucket, MaxKeys=size, **how)
        rows = answer.get("Versions", []) + answer.get("DeleteMarkers", [])
        assert len(rows) <= size
        found += rows
        if not answer["IsTruncated"]:
            break
        how = {"KeyMarker": answer["NextKeyMarker"], "VersionIdMarker": answer["NextVersionIdMarker"]}
    equal(sorted((r["Key"], r["VersionId"], r["IsLatest"]) for r in found), sorted(row[:3] for row in whole))


@case
def listed_with_delimiter(kit):
    bucket = grown(kit)
    answer = kit.s3.list_object_versions(Bucket=bucket, Delimiter="/")
    equal(([v["Key"] for v in answer["Versions"]], [p["Prefix"] for p in answer["CommonPrefixes"]]), (["a", "a", "c", "c"], ["b/"]))
    equal([v["Key"] for v in kit.s3.list_object_versions(Bucket=bucket, Prefix="b/1")["Versions"]], ["b/1", "b/1"])
    equal({row[0] for row in versions_of(kit, bucket, KeyMarker="b/1")}, {"b/2", "c"})


@case(("max-keys", "-1"), ("max-keys-words", "x"), ("encoding-type", "base64"), ("version-id-marker", "0" * 16))
def listed_wrongly(kit, name, value):
    answered(kit.raw("GET", f"/{kit.bucket()}", {"versions": "", name.removesuffix("-words"): value}), 400, "InvalidArgument")


@case
def a_row_of_the_listing(kit):
    bucket = kit.bucket(versioned=True)
    kit.put(bucket, "a b", b"1")
    answer = kit.s3.list_object_versions(Bucket=bucket)
    row = answer["Versions"][0]
    equal((row["Key"], row["Size"], row["ETag"], row["StorageClass"]), ("a b", 1, etag(b"1"), "STANDARD"))
    assert row["Owner"]["ID"] and row["LastModified"] and answer["MaxKeys"] == 1000, answer


# -- object lock --------------------------------------------------------------------------------------------------------------
def locked(kit, rule=None):
    bucket = kit.name()
    kit.s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    if rule:
        kit.s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": rule}})
    return bucket


def until(days=1):
    return (signing.now() + days * DAY).replace(microsecond=0)


@case
def lock_turns_versions_on(kit):
    bucket = locked(kit)
    equal(kit.s3.get_bucket_versioning(Bucket=bucket)["Status"], "Enabled")
    equal(kit.s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"], {"ObjectLockEnabled": "Enabled"})
    refused(409, "InvalidBucketState", kit.version, bucket, "Suspended")


@case
def lock_needs_versions(kit):
    bucket = kit.bucket()
    refused(404, "ObjectLockConfigurationNotFoundError", kit.s3.get_object_lock_configuration, Bucket=bucket)
    rule = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}}
    refused(409, "InvalidBucketState", kit.s3.put_object_lock_configuration, Bucket=bucket, ObjectLockConfiguration=rule)
    kit.version(bucket)
    kit.s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=rule)


@case(("days-and-years", {"Mode": "GOVERNANCE", "Days": 1, "Years": 1}, "MalformedXML"), ("no-days", {"Mode": "GOVERNANCE"}, "MalformedXML"),
      ("zero-days", {"Mode": "GOVERNANCE", "Days": 0}, "InvalidRetentionPeriod"), ("negative-years", {"Mode": "GOVERNANCE", "Years": -1}, "InvalidRetentionPeriod"),
      ("mode", {"Mode": "abc", "Days": 1}, "MalformedXML"), ("no-mode", {"Days": 1}, "MalformedXML"))
def lock_rules_refused(kit, _, rule, code):
    bucket = locked(kit)
    refused(400, code, kit.s3.put_object_lock_configuration, Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": rule}})


@case
def lock_status_must_be_enabled(kit):
    refused(400, "MalformedXML", kit.s3.put_object_lock_configuration, Bucket=locked(kit),
            ObjectLockConfiguration={"ObjectLockEnabled": "Disabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}})


@case(("days", {"Mode": "GOVERNANCE", "Days": 2}, 2), ("years", {"Mode": "COMPLIANCE", "Years": 1}, 365))
def default_retention(kit, _, rule, days):
    bucket = locked(kit, rule)
    equal(kit.s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"]["Rule"]["DefaultRetention"], rule)
    kit.put(bucket, "a")
    head = kit.s3.head_object(Bucket=bucket, Key="a")
    equal(head["ObjectLockMode"], rule["Mode"])
    left = head["ObjectLockRetainUntilDate"] - signing.now()
    assert abs(left - days * DAY) < datetime.timedelta(minutes=5), left


@case("GOVERNANCE", "COMPLIANCE")
def retention(kit, mode):
    bucket, end = locked(kit), until()
    version = kit.put(bucket, "a", ObjectLockMode=mode, ObjectLockRetainUntilDate=end)["VersionId"]
    where = {"Bucket": bucket, "Key": "a"}
    equal(kit.s3.get_object_retention(**where)["Retention"], {"Mode": mode, "RetainUntilDate": end})
    refused(403, "AccessDenied", kit.s3.delete_object, **where, VersionId=version)
    errors = kit.s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a", "VersionId": version}]})["Errors"]
    equal([(e["Key"], e["Code"], e["VersionId"]) for e in errors], [("a", "AccessDenied", version)])
    kit.s3.put_object_retention(**where, Retention={"Mode": mode, "RetainUntilDate": until(2)})
    refused(403, "AccessDenied", kit.s3.put_object_retention, **where, Retention={"Mode": mode, "RetainUntilDate": until()})
    if mode == "GOVERNANCE":
        kit.s3.put_object_retention(**where, Retention={"Mode": mode, "RetainUntilDate": until()}, BypassGovernanceRetention=True)
        equal(status_of(kit.s3.delete_object(**where, VersionId=version, BypassGovernanceRetention=True)), 204)
    else:
        refused(403, "AccessDenied", kit.s3.put_object_retention, **where, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until(3)}, BypassGovernanceRetention=True)
        refused(403, "AccessDenied", kit.s3.delete_object, **where, VersionId=version, BypassGovernanceRetention=True)
    kit.s3.delete_object(**where)  # a marker is always possible


@case
def legal_hold(kit):
    bucket = locked(kit)
    version = kit.put(bucket, "a", ObjectLockLegalHoldStatus="ON")["VersionId"]
    where = {"Bucket": bucket, "Key": "a"}
    equal((kit.s3.get_object_legal_hold(**where)["LegalHold"], kit.s3.head_object(**where)["ObjectLockLegalHoldStatus"]), ({"Status": "ON"}, "ON"))
    refused(403, "AccessDenied", kit.s3.delete_object, **where, VersionId=version, BypassGovernanceRetention=True)
    kit.s3.put_object_legal_hold(**where, LegalHold={"Status": "OFF"})
    equal(status_of(kit.s3.delete_object(**where, VersionId=version)), 204)


@case("put_object_retention", "get_object_retention", "put_object_legal_hold", "get_object_legal_hold")
def locks_where_there_are_none(kit, call):
    bucket = kit.bucket(versioned=True, keys=["a"])
    more = {"put_object_retention": {"Retention": {"Mode": "GOVERNANCE", "RetainUntilDate": until()}}, "put_object_legal_hold": {"LegalHold": {"Status": "ON"}}}.get(call, {})
    refused(400, "InvalidRequest", getattr(kit.s3, call), Bucket=bucket, Key="a", **more)


@case
def retention_of_an_object_without(kit):
    bucket = locked(kit)
    kit.put(bucket, "a")
    refused(404, "NoSuchObjectLockConfiguration", kit.s3.get_object_retention, Bucket=bucket, Key="a")


@case(("mode", {"x-amz-object-lock-mode": "abc", "x-amz-object-lock-retain-until-date": "2099-01-01T00:00:00Z"}, "InvalidArgument"),
      ("mode-alone", {"x-amz-object-lock-mode": "GOVERNANCE"}, "InvalidArgument"), ("date-alone", {"x-amz-object-lock-retain-until-date": "2099-01-01T00:00:00Z"}, "InvalidArgument"),
      ("past", {"x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": "2001-01-01T00:00:00Z"}, "InvalidArgument"),
      ("date", {"x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": "soon"}, "InvalidArgument"),
      ("hold", {"x-amz-object-lock-legal-hold": "abc"}, "InvalidArgument"))
def lock_headers_refused(kit, _, headers, code):
    answered(kit.raw("PUT", f"/{locked(kit)}/a", headers=headers, body=b"x"), 400, code)


@case
def lock_headers_where_there_is_no_lock(kit):
    answered(kit.raw("PUT", f"/{kit.bucket()}/a", headers={"x-amz-object-lock-legal-hold": "ON"}, body=b"x"), 400, "InvalidRequest")


@case(("mode", {"Mode": "abc", "RetainUntilDate": until()}, "MalformedXML"), ("past", {"Mode": "GOVERNANCE", "RetainUntilDate": until(-1)}, "InvalidArgument"))
def retention_refused(kit, _, how, code):
    bucket = locked(kit)
    kit.put(bucket, "a")
    refused(400, code, kit.s3.put_object_retention, Bucket=bucket, Key="a", Retention=how)
