"""Listings of objects, both versions, and of buckets."""
import urllib.parse

from .kit import answered, case, equal, keys_of, prefixes_of, refused


def listing(kit, bucket, version, **how):
    return (kit.s3.list_objects if version == 1 else kit.s3.list_objects_v2)(Bucket=bucket, **how)


def both(*rows):
    """Each row for version 1 and for version 2."""
    return case(*[(f"{row[0]}-v{v}", v, *row[1:]) for row in rows for v in (1, 2)])


TREE = ["asdf", "boo/bar", "boo/baz/xyzzy", "cquux/thud", "cquux/bla"]
ODD = ["b/a/c", "b/a/g", "b/a/r", "g"]


@both(("none", TREE, {}, sorted(TREE), []), ("delimiter", TREE, {"Delimiter": "/"}, ["asdf"], ["boo/", "cquux/"]),
      ("delimiter-prefix", TREE, {"Delimiter": "/", "Prefix": "boo/"}, ["boo/bar"], ["boo/baz/"]),
      ("prefix-not-ending-in-delimiter", TREE, {"Delimiter": "/", "Prefix": "boo"}, [], ["boo/"]),
      ("deep-prefix", TREE, {"Delimiter": "/", "Prefix": "boo/baz/"}, ["boo/baz/xyzzy"], []),
      ("prefix-of-one-key", TREE, {"Prefix": "asdf", "Delimiter": "/"}, ["asdf"], []),
      ("letter", ["bar", "baz", "cab", "foo"], {"Delimiter": "a"}, ["foo"], ["ba", "ca"]),
      ("percent", ["b%ar", "b%az", "c%ab", "foo"], {"Delimiter": "%"}, ["foo"], ["b%", "c%"]),
      ("space", ["b ar", "b az", "c ab", "foo"], {"Delimiter": " "}, ["foo"], ["b ", "c "]),
      ("dot", ["b.ar", "b.az", "c.ab", "foo"], {"Delimiter": "."}, ["foo"], ["b.", "c."]),
      ("unprintable", ["b\x0aar", "b\x0aaz", "foo"], {"Delimiter": "\x0a"}, ["foo"], ["b\x0a"]),
      ("long-delimiter", ["a--b", "a--c", "d"], {"Delimiter": "--"}, ["d"], ["a--"]),
      ("delimiter-not-there", TREE, {"Delimiter": "|"}, sorted(TREE), []), ("empty-delimiter", TREE, {"Delimiter": ""}, sorted(TREE), []),
      ("empty-prefix", TREE, {"Prefix": ""}, sorted(TREE), []), ("prefix-not-there", TREE, {"Prefix": "d"}, [], []),
      ("prefix-unprintable", TREE, {"Prefix": "\x0a"}, [], []), ("prefix-alone", TREE, {"Prefix": "boo/"}, ["boo/bar", "boo/baz/xyzzy"], []),
      ("prefix-of-all", TREE, {"Prefix": "c"}, ["cquux/bla", "cquux/thud"], []),
      ("leading-delimiter", ["/a", "//b", "c"], {"Delimiter": "/"}, ["c"], ["/"]), ("trailing-delimiter", ["a/", "a/b", "c"], {"Delimiter": "/"}, ["c"], ["a/"]),
      ("prefix-is-a-key", ["a/", "a/b"], {"Delimiter": "/", "Prefix": "a/"}, ["a/", "a/b"], []),
      ("underscore", ["_obj1_", "_under1/bar", "_under2"], {"Delimiter": "/"}, ["_obj1_", "_under2"], ["_under1/"]),
      ("byte-order", ["Z", "a", "ü", "\U0001f600", "\uffee", "~", "A"], {}, ["A", "Z", "a", "~", "ü", "\uffee", "\U0001f600"], []))
def shapes(kit, _, version, keys, how, expected, prefixes):
    bucket = kit.bucket(keys=keys)
    answer = listing(kit, bucket, version, **how)
    equal((keys_of(answer), prefixes_of(answer), answer["IsTruncated"]), (expected, prefixes, False))
    equal(urllib.parse.unquote(answer.get("Prefix", "")), how.get("Prefix", ""))  # boto3 leaves version 1's encoded
    if version == 2:
        equal(answer["KeyCount"], len(expected) + len(prefixes))


@both(("one", 1), ("two", 2), ("three", 3))
def pages(kit, _, version, size):
    """Every page but the last is full, and together they are the whole."""
    bucket = kit.bucket(keys=TREE + ["boo2", "zz/1", "zz/2"])
    expected = listing(kit, bucket, version, Delimiter="/")
    keys, prefixes, how = [], [], {}
    for _ in range(20):
        answer = listing(kit, bucket, version, Delimiter="/", MaxKeys=size, **how)
        keys += keys_of(answer)
        prefixes += prefixes_of(answer)
        if not answer["IsTruncated"]:
            break
        equal(len(keys_of(answer)) + len(prefixes_of(answer)), size)
        how = {"Marker": answer["NextMarker"]} if version == 1 else {"ContinuationToken": answer["NextContinuationToken"]}
    equal((keys, prefixes), (keys_of(expected), prefixes_of(expected)))


@both(("zero", "0", 0), ("one", "1", 1), ("many", "5000", 3), ("empty", "", 3))
def max_keys(kit, _, version, size, count):
    bucket = kit.bucket(keys=["a", "b", "c"])
    query = {"max-keys": size, **({"list-type": "2"} if version == 2 else {})}
    reply = answered(kit.raw("GET", f"/{bucket}", query), 200)
    equal(len(reply.xml.findall("Contents")), count)
    equal(reply.text("IsTruncated"), "true" if size == "1" else "false")
    equal(reply.text("MaxKeys"), {"0": "0", "1": "1"}.get(size, "1000"))


@both(("negative", "-1"), ("words", "blah"), ("beyond", "99999999999999999999"))
def max_keys_refused(kit, _, version, size):
    reply = kit.raw("GET", f"/{kit.bucket()}", {"max-keys": size, **({"list-type": "2"} if version == 2 else {})})
    answered(reply, 400, "InvalidArgument")
    equal((reply.text("ArgumentName"), reply.text("ArgumentValue")), ("max-keys", size))


@case(("a", ["b", "c"]), ("", ["a", "b", "c"]), ("aa", ["b", "c"]), ("c", []), ("zzz", []), ("\x0a", ["a", "b", "c"]), ("b", ["c"]))
def markers(kit, marker, expected):
    bucket = kit.bucket(keys=["a", "b", "c"])
    answer = kit.s3.list_objects(Bucket=bucket, Marker=marker)
    equal((keys_of(answer), answer["Marker"]), (expected, marker))
    answer = kit.s3.list_objects_v2(Bucket=bucket, StartAfter=marker)
    equal((keys_of(answer), answer.get("StartAfter", "")), (expected, marker))


@case
def marker_within_a_common_prefix(kit):
    bucket = kit.bucket(keys=["boo/bar", "boo/baz", "c"])
    answer = kit.s3.list_objects(Bucket=bucket, Delimiter="/", Marker="boo/")
    equal((keys_of(answer), prefixes_of(answer)), (["c"], []))
    answer = kit.s3.list_objects_v2(Bucket=bucket, Delimiter="/", StartAfter="boo/bar")
    equal((keys_of(answer), prefixes_of(answer)), (["c"], []))


@case
def next_marker_only_with_a_delimiter(kit):
    bucket = kit.bucket(keys=["a", "b"])
    assert "NextMarker" not in kit.s3.list_objects(Bucket=bucket, MaxKeys=1)
    equal(kit.s3.list_objects(Bucket=bucket, MaxKeys=1, Delimiter="/")["NextMarker"], "a")


@case
def start_after_gives_way_to_the_token(kit):
    bucket = kit.bucket(keys=["a", "b", "c", "d"])
    first = kit.s3.list_objects_v2(Bucket=bucket, StartAfter="a", MaxKeys=1)
    then = kit.s3.list_objects_v2(Bucket=bucket, StartAfter="a", ContinuationToken=first["NextContinuationToken"])
    equal((keys_of(then), then["ContinuationToken"]), (["c", "d"], first["NextContinuationToken"]))


@case("nonsense", "AAAA", "====", "AQAAAA==")
def tokens_of_others(kit, token):
    reply = kit.raw("GET", f"/{kit.bucket(keys=['a'])}", {"list-type": "2", "continuation-token": token})
    answered(reply, 400, "InvalidArgument")


@case
def an_empty_token_is_none(kit):
    reply = answered(kit.raw("GET", f"/{kit.bucket(keys=['a', 'b'])}", {"list-type": "2", "continuation-token": ""}), 200)
    equal((reply.text("ContinuationToken"), len(reply.xml.findall("Contents"))), ("", 2))


@case("3", "", "x", "1")
def list_types(kit, value):
    answered(kit.raw("GET", f"/{kit.bucket()}", {"list-type": value}), 400, "InvalidArgument")


@both(("url", "url", None), ("other", "base64", "InvalidArgument"))
def encodings(kit, _, version, encoding, code):
    bucket = kit.bucket(keys=["asdf+b", "foo+1/bar", "foo/bar/xyzzy", "quux ab/thud", "a\x01b"])
    query = {"encoding-type": encoding, "delimiter": "/", **({"list-type": "2"} if version == 2 else {})}
    reply = answered(kit.raw("GET", f"/{bucket}", query), 400 if code else 200, code)
    if code:
        return
    equal(reply.text("EncodingType"), "url")
    equal([c.findtext("Key") for c in reply.xml.findall("Contents")], ["a%01b", "asdf%2Bb"])
    equal([urllib.parse.unquote_plus(c.findtext("Prefix")) for c in reply.xml.findall("CommonPrefixes")], ["foo+1/", "foo/", "quux ab/"])
    assert all(" " not in c.findtext("Prefix") and "+" not in c.findtext("Prefix").replace("%2B", "") or "+ab" in c.findtext("Prefix")
               for c in reply.xml.findall("CommonPrefixes")), reply


@case
def letters_that_xml_cannot_hold(kit):
    """boto3 asks for url encoding of its own accord; without it they come as references, as S3 sends them."""
    bucket = kit.bucket(keys=["a\x01b", "a<&>b"])
    equal(keys_of(kit.s3.list_objects_v2(Bucket=bucket)), ["a\x01b", "a<&>b"])
    reply = answered(kit.raw("GET", f"/{bucket}"), 200)
    assert b"<Key>a&#x1;b</Key>" in reply.body and b"<Key>a&lt;&amp;&gt;b</Key>" in reply.body, reply


@case
def owners(kit):
    bucket = kit.bucket(keys=["a"])
    assert "Owner" in kit.s3.list_objects(Bucket=bucket)["Contents"][0]
    assert "Owner" not in kit.s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    owner = kit.s3.list_objects_v2(Bucket=bucket, FetchOwner=True)["Contents"][0]["Owner"]
    equal(owner["ID"], kit.s3.get_bucket_acl(Bucket=bucket)["Owner"]["ID"])


@case
def what_a_row_says(kit):
    bucket = kit.bucket(keys=["a"])
    row, head = kit.s3.list_objects_v2(Bucket=bucket)["Contents"][0], kit.s3.head_object(Bucket=bucket, Key="a")
    equal((row["ETag"], row["Size"], row["StorageClass"], row["LastModified"].replace(microsecond=0)), (head["ETag"], 1, "STANDARD", head["LastModified"]))


@case
def right_after_every_write(kit):
    bucket = kit.bucket()
    for i in range(20):
        kit.put(bucket, f"k{i:02}")
        equal(len(keys_of(kit.s3.list_objects_v2(Bucket=bucket))), i + 1)
    for i in range(20):
        kit.s3.delete_object(Bucket=bucket, Key=f"k{i:02}")
        equal(len(keys_of(kit.s3.list_objects_v2(Bucket=bucket))), 19 - i)


@case(slow=True)
def more_than_a_page(kit):
    bucket = kit.bucket()
    names = [f"k{i:04}" for i in range(1100)]
    import concurrent.futures
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda k: kit.put(bucket, k, b""), names))
    for version in (1, 2):
        first = listing(kit, bucket, version)
        equal((len(keys_of(first)), first["IsTruncated"]), (1000, True))
    pages = kit.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    equal([k for page in pages for k in keys_of(page)], names)


# -- buckets ----------------------------------------------------------------------------------------------------------------------------
@case
def buckets(kit):
    names = sorted(kit.bucket() for _ in range(3))
    answer = kit.s3.list_buckets()
    listed = [b["Name"] for b in answer["Buckets"]]
    assert all(n in listed for n in names) and listed == sorted(listed), listed
    assert answer["Owner"]["ID"] and all(b["CreationDate"] for b in answer["Buckets"])


@case
def buckets_by_pages(kit):
    prefix = kit.name("paged")
    names = [f"{prefix}-{i}" for i in range(5)]
    for name in names:
        kit.s3.create_bucket(Bucket=name)
    found, how = [], {}
    while True:
        answer = kit.s3.list_buckets(Prefix=prefix, MaxBuckets=2, **how)
        assert len(answer["Buckets"]) <= 2 and answer["Prefix"] == prefix, answer
        found += [b["Name"] for b in answer["Buckets"]]
        if "ContinuationToken" not in answer:
            break
        how = {"ContinuationToken": answer["ContinuationToken"]}
    equal(found, names)


@case(("max-buckets", "0"), ("max-buckets-words", "x"), ("max-buckets-many", "10001"))
def buckets_asked_wrongly(kit, _, value):
    answered(kit.raw("GET", "/", {"max-buckets": value}), 400, "InvalidArgument")


@case
def buckets_of_strangers(kit):
    bucket = kit.bucket()
    assert bucket not in [b["Name"] for b in kit.alt.list_buckets()["Buckets"]]
    answered(kit.raw("GET", "/", who=None), 403, "AccessDenied")
    answered(kit.send("GET", "/", {"authorization": "AWS4-HMAC-SHA256 Credential=x"}), 400, "AuthorizationHeaderMalformed")
