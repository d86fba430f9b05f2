"""Who may do what: roles, owners, ACLs, policies, public access, ownership of objects."""
import json

from .kit import answered, case, equal, refused, status_of

ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
AUTHENTICATED = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"


def grants_of(acl):
    return sorted((g["Grantee"].get("ID") or g["Grantee"].get("URI"), g["Permission"]) for g in acl["Grants"])


def statement(bucket, what="*", **how):
    row = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/{what}", **how}
    return json.dumps({"Version": "2012-10-17", "Statement": [row]})


# -- roles --------------------------------------------------------------------------------------------------------------------
@case(("reader", {"GET": 200, "PUT": 403, "DELETE": 403}), ("writer", {"GET": 200, "PUT": 200, "DELETE": 204}), ("publisher", {"GET": 200, "PUT": 200, "DELETE": 204}),
      ("alt", {"GET": 403, "PUT": 403, "DELETE": 403}), (None, {"GET": 403, "PUT": 403, "DELETE": 403}))
def roles(kit, who, expected):
    bucket = kit.bucket(keys=["a"])
    for method, status in expected.items():
        reply = kit.raw(method, f"/{bucket}/a", body=b"x" if method == "PUT" else b"", who=who)
        equal((reply.status, reply.code), (status, "AccessDenied" if status == 403 else None), method)
    equal(kit.raw("GET", f"/{bucket}", who=who).status, expected["GET"])
    equal(kit.raw("PUT", f"/{bucket}", {"versioning": ""}, body=b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>", who=who).status, 403)
    equal(kit.raw("DELETE", f"/{bucket}", who=who).status, 403)


@case("reader", "writer", "publisher", None)
def making_buckets_is_for_admins(kit, who):
    name = kit.name()
    answered(kit.raw("PUT", f"/{name}", who=who), 403, "AccessDenied")
    refused(404, "NoSuchBucket", kit.s3.head_bucket, Bucket=name)


@case
def what_is_missing_is_not_told_to_strangers(kit):
    bucket = kit.bucket(keys=["a"])
    for key in ("a", "missing"):
        answered(kit.raw("GET", f"/{bucket}/{key}", who="alt"), 403, "AccessDenied")
    answered(kit.raw("GET", f"/{kit.name('missing')}/a", who="alt"), 404, "NoSuchBucket")


@case
def an_owner_has_its_own_buckets(kit):
    """alt is an admin of a volume that is none of these: what it made is its own, what others made is not."""
    mine = kit.name()
    kit.alt.create_bucket(Bucket=mine)
    kit.alt.put_object(Bucket=mine, Key="a", Body=b"x")
    assert mine in [b["Name"] for b in kit.alt.list_buckets()["Buckets"]]
    equal(kit.alt.get_object(Bucket=mine, Key="a")["Body"].read(), b"x")
    kit.alt.put_bucket_versioning(Bucket=mine, VersioningConfiguration={"Status": "Enabled"})
    refused(409, "BucketAlreadyExists", kit.alt.create_bucket, Bucket=kit.bucket())
    refused(409, "BucketAlreadyExists", kit.s3.create_bucket, Bucket=mine)
    equal(kit.alt.get_bucket_acl(Bucket=mine)["Owner"]["ID"], "alt")


# -- canned ACLs of buckets and objects -----------------------------------------------------------------------------------------
@case("private", "public-read", "public-read-write", "authenticated-read")
def bucket_acls(kit, acl):
    bucket = kit.bucket(keys=["a"], ACL=acl)
    equal(kit.raw("GET", f"/{bucket}", who=None).status, 200 if acl.startswith("public") else 403)
    equal(kit.raw("GET", f"/{bucket}", who="alt").status, 403 if acl == "private" else 200)
    equal(kit.raw("PUT", f"/{bucket}/b", body=b"x", who=None).status, 200 if acl == "public-read-write" else 403)
    equal(kit.raw("PUT", f"/{bucket}/c", body=b"x", who="alt").status, 200 if acl == "public-read-write" else 403)
    equal(kit.raw("GET", f"/{bucket}/a", who=None).status, 403, "the object is private whatever its bucket is")
    equal(kit.raw("GET", f"/{bucket}", {"acl": ""}, who=None).status, 403)


@case(*[(f"{bucket}-{thing}", bucket, thing) for bucket in ("private", "public-read", "public-read-write") for thing in ("private", "public-read", "public-read-write")])
def object_acls(kit, _, of_bucket, of_object):
    """The table of the access tests everybody runs: a bucket's ACL by an object's."""
    bucket = kit.bucket(ACL=of_bucket)
    kit.put(bucket, "foo", b"foo", ACL=of_object)
    kit.put(bucket, "bar", b"bar")
    read = 200 if of_object != "private" else 403
    listed = 200 if of_bucket != "private" else 403
    written = 200 if of_bucket == "public-read-write" else 403
    for who in ("alt", None):
        equal(kit.raw("GET", f"/{bucket}/foo", who=who).status, read, f"{who} reads")
        equal(kit.raw("GET", f"/{bucket}/bar", who=who).status, 403, f"{who} reads the private one")
        equal(kit.raw("GET", f"/{bucket}", who=who).status, listed, f"{who} lists v1")
        equal(kit.raw("GET", f"/{bucket}", {"list-type": "2"}, who=who).status, listed, f"{who} lists v2")
        for key in ("foo", "bar", "new"):
            equal(kit.raw("PUT", f"/{bucket}/{key}", body=b"over", who=who).status, written, f"{who} writes {key}")
            if written == 200 and key != "new":
                kit.put(bucket, key, key.encode(), ACL=of_object if key == "foo" else "private")


@case(("private", []), ("public-read", [(ALL_USERS, "READ")]), ("public-read-write", [(ALL_USERS, "READ"), (ALL_USERS, "WRITE")]),
      ("authenticated-read", [(AUTHENTICATED, "READ")]), ("bucket-owner-read", None), ("bucket-owner-full-control", None))
def canned_object_acls(kit, acl, expected):
    bucket = kit.bucket()
    kit.put(bucket, "a", ACL=acl)
    got = kit.s3.get_object_acl(Bucket=bucket, Key="a")
    owner = got["Owner"]["ID"]
    equal(owner, kit.s3.get_bucket_acl(Bucket=bucket)["Owner"]["ID"])
    assert (owner, "FULL_CONTROL") in grants_of(got), got
    if expected is not None:
        equal(grants_of(got), sorted([(owner, "FULL_CONTROL"), *expected]))


@case("private", "public-read", "public-read-write", "authenticated-read")
def canned_bucket_acls(kit, acl):
    bucket = kit.bucket()
    kit.s3.put_bucket_acl(Bucket=bucket, ACL=acl)
    expected = {"private": [], "public-read": [(ALL_USERS, "READ")], "public-read-write": [(ALL_USERS, "READ"), (ALL_USERS, "WRITE")], "authenticated-read": [(AUTHENTICATED, "READ")]}[acl]
    got = kit.s3.get_bucket_acl(Bucket=bucket)
    equal(grants_of(got), sorted([(got["Owner"]["ID"], "FULL_CONTROL"), *expected]))
    kit.s3.put_bucket_acl(Bucket=bucket, ACL="private")
    equal(len(kit.s3.get_bucket_acl(Bucket=bucket)["Grants"]), 1)


@case
def object_acl_changed(kit):
    bucket = kit.bucket(keys=["a"])
    for acl, status in (("public-read", 200), ("private", 403), ("authenticated-read", 403)):
        kit.s3.put_object_acl(Bucket=bucket, Key="a", ACL=acl)
        equal(kit.raw("GET", f"/{bucket}/a", who=None).status, status, acl)
    equal(kit.raw("GET", f"/{bucket}/a", who="alt").status, 200)
    equal(kit.get(bucket, "a"), b"a")


@case("READ", "WRITE", "READ_ACP", "WRITE_ACP", "FULL_CONTROL")
def bucket_grants_to_a_user(kit, permission):
    bucket = kit.bucket(keys=["a"])
    owner = kit.s3.get_bucket_acl(Bucket=bucket)["Owner"]
    policy = {"Owner": owner, "Grants": [{"Grantee": {"Type": "CanonicalUser", "ID": owner["ID"]}, "Permission": "FULL_CONTROL"},
                                         {"Grantee": {"Type": "CanonicalUser", "ID": "alt"}, "Permission": permission}]}
    kit.s3.put_bucket_acl(Bucket=bucket, AccessControlPolicy=policy)
    equal(grants_of(kit.s3.get_bucket_acl(Bucket=bucket)), sorted([(owner["ID"], "FULL_CONTROL"), ("alt", permission)]))
    may = lambda *of: 200 if permission in (*of, "FULL_CONTROL") else 403
    equal(kit.raw("GET", f"/{bucket}", who="alt").status, may("READ"), "lists")
    equal(kit.raw("PUT", f"/{bucket}/b", body=b"x", who="alt").status, may("WRITE"), "writes")
    equal(kit.raw("GET", f"/{bucket}", {"acl": ""}, who="alt").status, may("READ_ACP"), "reads the ACL")
    equal(kit.raw("PUT", f"/{bucket}", {"acl": ""}, {"x-amz-acl": "public-read"}, who="alt").status, may("WRITE_ACP"), "writes the ACL")


@case("READ", "READ_ACP", "WRITE_ACP", "FULL_CONTROL")
def object_grants_to_a_user(kit, permission):
    bucket = kit.bucket()
    header = f"x-amz-grant-{permission.lower().replace('_', '-')}"
    answered(kit.raw("PUT", f"/{bucket}/a", headers={header: 'id="alt"'}, body=b"x"), 200)
    may = lambda *of: 200 if permission in (*of, "FULL_CONTROL") else 403
    equal(kit.raw("GET", f"/{bucket}/a", who="alt").status, may("READ"), "reads")
    equal(kit.raw("GET", f"/{bucket}/a", {"acl": ""}, who="alt").status, may("READ_ACP"), "reads the ACL")
    equal(kit.raw("PUT", f"/{bucket}/a", {"acl": ""}, {"x-amz-acl": "private"}, who="alt").status, may("WRITE_ACP"), "writes the ACL")


@case
def grant_headers_of_a_bucket(kit):
    name = kit.name()
    kit.s3.create_bucket(Bucket=name, GrantRead='id="alt"', GrantWriteACP=f'uri="{AUTHENTICATED}"')
    rows = grants_of(kit.s3.get_bucket_acl(Bucket=name))
    assert ("alt", "READ") in rows and (AUTHENTICATED, "WRITE_ACP") in rows, rows


@case(("canned", {"x-amz-acl": "everybody"}, 400, "InvalidArgument"), ("both", {"x-amz-acl": "private", "x-amz-grant-read": 'id="alt"'}, 400, "InvalidRequest"),
      ("email", {"x-amz-grant-read": 'emailAddress="a@b.c"'}, 400, "UnresolvableGrantByEmailAddress"), ("malformed", {"x-amz-grant-read": "alt"}, 400, "InvalidArgument"),
      ("group", {"x-amz-grant-read": 'uri="http://acs.amazonaws.com/groups/x"'}, 400, "InvalidArgument"))
def acl_headers_refused(kit, _, headers, status, code):
    bucket = kit.bucket(keys=["there"])
    answered(kit.raw("PUT", f"/{bucket}/a", headers=headers, body=b"x"), status, code)
    answered(kit.raw("PUT", f"/{bucket}/there", {"acl": ""}, headers), status, code)
    answered(kit.raw("PUT", f"/{bucket}", {"acl": ""}, headers), status, code)


@case(("empty", b"", 400, "MissingSecurityHeader"), ("not-xml", b"hello", 400, "MalformedACLError"), ("no-owner", b"<AccessControlPolicy><AccessControlList/></AccessControlPolicy>", 400, "MalformedACLError"),
      ("permission", b'<AccessControlPolicy><Owner><ID>main</ID></Owner><AccessControlList><Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>alt</ID>'
       b"</Grantee><Permission>ALL</Permission></Grant></AccessControlList></AccessControlPolicy>", 400, "MalformedACLError"))
def acl_documents_refused(kit, _, body, status, code):
    reply = kit.raw("PUT", f"/{kit.bucket()}", {"acl": ""}, body=body)
    equal(reply.status, status)
    assert reply.code in (code, "MalformedXML"), reply


@case
def who_wrote_an_object_owns_it(kit):
    bucket = kit.bucket(ACL="public-read-write")
    kit.alt.put_object(Bucket=bucket, Key="a", Body=b"x")
    equal(kit.alt.get_object_acl(Bucket=bucket, Key="a")["Owner"]["ID"], "alt")
    equal(kit.alt.get_object(Bucket=bucket, Key="a")["Body"].read(), b"x")
    kit.alt.put_object_acl(Bucket=bucket, Key="a", ACL="public-read")
    equal(kit.raw("GET", f"/{bucket}/a", who=None).status, 200)


@case
def copies_need_the_right_to_read(kit):
    bucket, theirs = kit.bucket(), kit.name()
    kit.put(bucket, "secret", b"s")
    kit.put(bucket, "open", b"o", ACL="public-read")
    kit.alt.create_bucket(Bucket=theirs)
    refused(403, "AccessDenied", kit.alt.copy_object, Bucket=theirs, Key="a", CopySource=f"{bucket}/secret")
    kit.alt.copy_object(Bucket=theirs, Key="a", CopySource=f"{bucket}/open")
    equal(kit.alt.get_object(Bucket=theirs, Key="a")["Body"].read(), b"o")
    refused(403, "AccessDenied", kit.alt.copy_object, Bucket=bucket, Key="b", CopySource=f"{theirs}/a")


# -- ownership and public access -------------------------------------------------------------------------------------------------
@case("BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter")
def ownership(kit, value):
    bucket = kit.bucket(ObjectOwnership=value)
    equal(kit.s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"], [{"ObjectOwnership": value}])
    if value == "BucketOwnerEnforced":
        refused(400, "AccessControlListNotSupported", kit.put, bucket, "a", ACL="public-read")
        refused(400, "AccessControlListNotSupported", kit.s3.put_bucket_acl, Bucket=bucket, ACL="public-read")
        kit.put(bucket, "a", ACL="bucket-owner-full-control")
    else:
        kit.put(bucket, "a", ACL="public-read")
    equal(status_of(kit.s3.delete_bucket_ownership_controls(Bucket=bucket)), 204)
    refused(404, "OwnershipControlsNotFoundError", kit.s3.get_bucket_ownership_controls, Bucket=bucket)


@case
def ownership_refused(kit):
    bucket = kit.bucket()
    body = b"<OwnershipControls><Rule><ObjectOwnership>Nobody</ObjectOwnership></Rule></OwnershipControls>"
    answered(kit.raw("PUT", f"/{bucket}", {"ownershipControls": ""}, body=body), 400, "MalformedXML")
    reply = kit.raw("PUT", f"/{kit.name()}", headers={"x-amz-object-ownership": "Nobody"})
    equal(reply.status, 400)


BLOCK = {"BlockPublicAcls": False, "IgnorePublicAcls": False, "BlockPublicPolicy": False, "RestrictPublicBuckets": False}


@case("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
def public_access_blocks(kit, which):
    bucket = kit.bucket()
    kit.put(bucket, "open", ACL="public-read")
    kit.s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={**BLOCK, which: True})
    equal(kit.s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"], {**BLOCK, which: True})
    equal(kit.raw("GET", f"/{bucket}/open", who=None).status, 403 if which == "IgnorePublicAcls" else 200)
    if which == "BlockPublicAcls":
        refused(403, "AccessDenied", kit.put, bucket, "b", ACL="public-read")
        refused(403, "AccessDenied", kit.s3.put_object_acl, Bucket=bucket, Key="open", ACL="public-read")
        refused(403, "AccessDenied", kit.s3.put_bucket_acl, Bucket=bucket, ACL="public-read")
    else:
        kit.put(bucket, "b", ACL="public-read")
    if which == "BlockPublicPolicy":
        refused(403, "AccessDenied", kit.s3.put_bucket_policy, Bucket=bucket, Policy=statement(bucket))
    else:
        kit.put(bucket, "c")
        kit.s3.put_bucket_policy(Bucket=bucket, Policy=statement(bucket, "c"))
        equal(kit.raw("GET", f"/{bucket}/c", who=None).status, 403 if which == "RestrictPublicBuckets" else 200)
    equal(status_of(kit.s3.delete_public_access_block(Bucket=bucket)), 204)
    refused(404, "NoSuchPublicAccessBlockConfiguration", kit.s3.get_public_access_block, Bucket=bucket)


# -- policies ----------------------------------------------------------------------------------------------------------------------
@case
def policy(kit):
    bucket = kit.bucket(keys=["open/a", "closed/a"])
    error = refused(404, "NoSuchBucketPolicy", kit.s3.get_bucket_policy, Bucket=bucket)
    equal(error["Error"]["BucketName"], bucket)
    text = statement(bucket, "open/*")
    equal(status_of(kit.s3.put_bucket_policy(Bucket=bucket, Policy=text)), 204)
    equal(json.loads(kit.s3.get_bucket_policy(Bucket=bucket)["Policy"]), json.loads(text))
    for who in (None, "alt"):
        equal(kit.raw("GET", f"/{bucket}/open/a", who=who).status, 200)
        equal(kit.raw("GET", f"/{bucket}/closed/a", who=who).status, 403)
        equal(kit.raw("PUT", f"/{bucket}/open/a", body=b"x", who=who).status, 403)
    equal(status_of(kit.s3.delete_bucket_policy(Bucket=bucket)), 204)
    equal(kit.raw("GET", f"/{bucket}/open/a", who=None).status, 403)
    equal(status_of(kit.s3.delete_bucket_policy(Bucket=bucket)), 204)


@case(("one-user", {"Principal": {"AWS": "arn:aws:iam:::user/alt"}}, 200, 403), ("star", {"Principal": {"AWS": "*"}}, 200, 200), ("list", {"Principal": {"AWS": ["arn:aws:iam:::user/alt"]}}, 200, 403),
      ("other-action", {"Action": "s3:PutObject"}, 403, 403), ("all-actions", {"Action": "s3:*"}, 200, 200), ("get-star", {"Action": ["s3:Get*"]}, 200, 200),
      ("ip", {"Condition": {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}}, 200, 200), ("other-ip", {"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}, 403, 403),
      ("not-ip", {"Condition": {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}, 200, 200), ("secure", {"Condition": {"Bool": {"aws:SecureTransport": "true"}}}, 403, 403),
      ("insecure", {"Condition": {"Bool": {"aws:SecureTransport": "false"}}}, 200, 200), ("name", {"Condition": {"StringEquals": {"aws:username": "alt"}}}, 200, 403),
      ("referer", {"Condition": {"StringLike": {"aws:Referer": "http://good/*"}}}, 403, 403), ("not-action", {"NotAction": "s3:PutObject", "Action": None}, 200, 200))
def policy_matches(kit, _, how, alt, anonymous):
    bucket = kit.bucket(keys=["a"])
    row = {k: v for k, v in {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*", **how}.items() if v is not None}
    kit.s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [row]}))
    equal((kit.raw("GET", f"/{bucket}/a", who="alt").status, kit.raw("GET", f"/{bucket}/a", who=None).status), (alt, anonymous))


@case
def a_deny_wins(kit):
    bucket = kit.bucket(keys=["a"])
    rows = [{"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]},
            {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject", "Resource": f"arn:aws:s3:::{bucket}/*"}]
    kit.s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": rows}))
    equal(kit.raw("GET", f"/{bucket}", who=None).status, 200)
    for who in ("main", "alt", None):
        equal(kit.raw("DELETE", f"/{bucket}/a", who=who).status, 403, str(who))
    kit.s3.delete_bucket_policy(Bucket=bucket)  # which an admin can always
    kit.s3.delete_object(Bucket=bucket, Key="a")


@case
def policy_for_listings(kit):
    bucket = kit.bucket(keys=["open/a", "closed/a"])
    text = statement(bucket, Action="s3:ListBucket", Resource=f"arn:aws:s3:::{bucket}", Condition={"StringEquals": {"s3:prefix": "open/"}})
    kit.s3.put_bucket_policy(Bucket=bucket, Policy=text)
    equal(kit.raw("GET", f"/{bucket}", {"prefix": "open/"}, who=None).status, 200)
    equal(kit.raw("GET", f"/{bucket}", who=None).status, 403)
    answered(kit.raw("GET", f"/{bucket}/open/missing", who=None), 403, "AccessDenied")


@case(("not-json", "hello"), ("empty", ""), ("no-statement", '{"Version":"2012-10-17"}'), ("other-bucket", '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::other/*"}]}'),
      ("no-principal", '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::BUCKET/*"}]}'),
      ("effect", '{"Version":"2012-10-17","Statement":[{"Effect":"Maybe","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::BUCKET/*"}]}'),
      ("action", '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ec2:Run","Resource":"arn:aws:s3:::BUCKET/*"}]}'),
      ("operator", '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::BUCKET/*","Condition":{"Sounds":{"aws:Referer":"x"}}}]}'),
      ("unknown-member", '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::BUCKET/*","Colour":"red"}]}'))
def policies_refused(kit, _, text):
    bucket = kit.bucket()
    reply = kit.raw("PUT", f"/{bucket}", {"policy": ""}, body=text.replace("BUCKET", bucket).encode())
    equal(reply.status, 400)
    assert reply.code in ("MalformedPolicy", "MissingRequestBodyError"), reply
    refused(404, "NoSuchBucketPolicy", kit.s3.get_bucket_policy, Bucket=bucket)


@case(("none", None, None), ("public", {}, True), ("one-user", {"Principal": {"AWS": "arn:aws:iam:::user/alt"}}, False), ("conditioned", {"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}, False))
def policy_status(kit, _, how, public):
    bucket = kit.bucket()
    if how is None:
        equal(kit.s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"], False)
        kit.s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
        equal(kit.s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"], True)
        return
    kit.s3.put_bucket_policy(Bucket=bucket, Policy=statement(bucket, **how))
    equal(kit.s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"], public)


@case("GET", "PUT", "DELETE")
def policies_are_for_admins(kit, method):
    bucket = kit.bucket()
    kit.s3.put_bucket_policy(Bucket=bucket, Policy=statement(bucket))
    answered(kit.raw(method, f"/{bucket}", {"policy": ""}, body=statement(bucket).encode() if method == "PUT" else b"", who="writer"), 403, "AccessDenied")


@case(("existing-tag", "GET", {"Action": "s3:GetObject", "Condition": {"StringEquals": {"s3:ExistingObjectTag/security": "public"}}}, {}, 200, 403),
      ("requested-tag", "PUT", {"Action": "s3:PutObject", "Condition": {"StringEquals": {"s3:RequestObjectTag/security": "public"}}}, {"x-amz-tagging": "security=public"}, 200, None),
      ("requested-other-tag", "PUT", {"Action": "s3:PutObject", "Condition": {"StringEquals": {"s3:RequestObjectTag/security": "public"}}}, {"x-amz-tagging": "security=none"}, 403, None),
      ("acl", "PUT", {"Action": "s3:PutObject", "Condition": {"StringEquals": {"s3:x-amz-acl": "private"}}}, {"x-amz-acl": "private"}, 200, None),
      ("acl-missing", "PUT", {"Action": "s3:PutObject", "Condition": {"StringEquals": {"s3:x-amz-acl": "private"}}}, {}, 403, None),
      ("type", "GET", {"Action": "s3:GetObject", "Condition": {"StringEquals": {"aws:PrincipalType": "User"}}}, {}, 200, 200),
      ("scheme", "GET", {"Action": "s3:GetObject", "Condition": {"StringEquals": {"s3:authType": "REST-QUERY-STRING"}}}, {}, 403, 403),
      ("young", "GET", {"Action": "s3:GetObject", "Condition": {"NumericLessThan": {"s3:signatureAge": "600000"}}}, {}, 200, 200),
      ("if-exists", "GET", {"Action": "s3:GetObject", "Condition": {"StringLikeIfExists": {"aws:Referer": "http://good/*"}}}, {}, 200, 200),
      ("if-none-match", "PUT", {"Action": "s3:PutObject", "Condition": {"Null": {"s3:if-none-match": "false"}}}, {"if-none-match": "*"}, 200, None))
def policy_conditions(kit, _, method, how, headers, status, other):
    """`status`: for the key that has the tag; `other`: for one that has not."""
    bucket = kit.bucket()
    kit.put(bucket, "tagged", Tagging="security=public")
    kit.put(bucket, "plain", Tagging="security=private")
    kit.s3.put_bucket_policy(Bucket=bucket, Policy=statement(bucket, **how))
    key = "tagged" if method == "GET" else "new"
    equal(kit.raw(method, f"/{bucket}/{key}", headers=headers, body=b"x" if method == "PUT" else b"", who="alt").status, status)
    if other:
        equal(kit.raw(method, f"/{bucket}/plain", headers=headers, who="alt").status, other)


@case("s3:TlsVersion", "s3:Colour", "aws:SourceVpc", "s3:ExistingObjectTag/")
def conditions_that_cannot_be_told_are_refused(kit, key):
    bucket = kit.bucket()
    refused(400, "MalformedPolicy", kit.s3.put_bucket_policy, Bucket=bucket, Policy=statement(bucket, Condition={"StringEquals": {key: "x"}}))


@case
def grants_to_nobody_are_refused(kit):
    bucket = kit.bucket(keys=["a"])
    answered(kit.raw("PUT", f"/{bucket}", {"acl": ""}, {"x-amz-grant-read": 'id="_nobody"'}), 400, "InvalidArgument")
    answered(kit.raw("PUT", f"/{bucket}/a", {"acl": ""}, {"x-amz-grant-read": 'id="_nobody"'}), 400, "InvalidArgument")
    answered(kit.raw("PUT", f"/{bucket}/a", {"acl": ""}), 400, "MissingSecurityHeader")


@case
def the_acl_of_another_s_object_names_its_owner(kit):
    bucket = kit.bucket(ACL="public-read-write")
    kit.alt.put_object(Bucket=bucket, Key="a", Body=b"x")
    kit.s3.put_object_acl(Bucket=bucket, Key="a", ACL="public-read")
    equal(kit.s3.get_object_acl(Bucket=bucket, Key="a")["Owner"]["ID"], "alt")
    kit.alt.put_object_acl(Bucket=bucket, Key="a", ACL="bucket-owner-read")
    owner = kit.s3.get_bucket_acl(Bucket=bucket)["Owner"]["ID"]
    equal(grants_of(kit.alt.get_object_acl(Bucket=bucket, Key="a")), sorted([("alt", "FULL_CONTROL"), (owner, "READ")]))


@case
def ignored_public_acls_are_ignored_for_everybody(kit):
    bucket = kit.bucket(ACL="public-read")
    kit.put(bucket, "a", ACL="public-read")
    equal(kit.raw("GET", f"/{bucket}", who="alt").status, 200)
    kit.s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={**BLOCK, "IgnorePublicAcls": True})
    for who in ("alt", None):
        equal((kit.raw("GET", f"/{bucket}", who=who).status, kit.raw("GET", f"/{bucket}/a", who=who).status), (403, 403))
