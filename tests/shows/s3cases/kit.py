"""What S3 cases are written with: a registry, clients, raw requests and expectations."""
import hashlib
import http.client
import itertools
import re
import threading
import urllib.parse
import xml.etree.ElementTree

import boto3
import botocore
import botocore.config
import botocore.exceptions

from . import signing

CASES = []  # (name, function of a Kit, slow)


def case(*rows, slow=False):
    """Registers a function as a case; with rows, as one case for each, which it gets as arguments. A row's first item is in
    the case's name."""

    def register(function):
        area = function.__module__.rsplit(".", 1)[-1]
        name = function.__name__.strip("_")
        if not rows:
            CASES.append((f"{area}.{name}", function, slow))
        for row in rows:
            row = row if isinstance(row, tuple) else (row,)
            CASES.append((f"{area}.{name}[{str(row[0])[:60]}]", lambda kit, row=row: function(kit, *row), slow))
        return function

    if len(rows) == 1 and callable(rows[0]):  # @case without arguments
        only, rows = rows[0], ()
        return register(only)
    return register


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.body = status, body
        self.headers = {n.lower(): v for n, v in headers}

    @property
    def xml(self):
        return xml.etree.ElementTree.fromstring(re.sub(rb'xmlns="[^"]*"', b"", self.body, count=1))

    def text(self, path):
        return self.xml.findtext(path)

    @property
    def code(self):
        """Code of the error document; None where there is none."""
        return self.text("Code") if self.body.startswith(b"<?xml") and b"<Error>" in self.body else None

    def __repr__(self):
        return f"{self.status} {self.headers} {self.body[:600]!r}"


class Kit:
    _counter = itertools.count(1)

    def __init__(self, node, keys):
        self.node, self.keys = node, keys
        self.port = node.s3_port
        self.host = f"127.0.0.1:{self.port}"
        self.s3 = self.client("main")
        self.alt = self.client("alt")
        self.anonymous = self.client(None)
        self._local = threading.local()

    def client(self, who, **config):
        config.setdefault("request_checksum_calculation", "when_required")
        config.setdefault("response_checksum_validation", "when_required")
        config.setdefault("s3", {"addressing_style": "path"})
        config.setdefault("signature_version", "s3v4" if who else botocore.UNSIGNED)
        identifier, secret = self.keys[who].split(":", 1) if who else (None, None)
        return boto3.client("s3", endpoint_url=f"http://{self.host}", aws_access_key_id=identifier,
                            aws_secret_access_key=secret, region_name=signing.REGION,
                            config=botocore.config.Config(retries={"max_attempts": 0}, max_pool_connections=32,
                                                          read_timeout=60, **config))

    def signer(self, who="main", **how):
        return signing.Signer(self.keys[who], **how)

    # -- things to work on --------------------------------------------------------------------------------------------
    def name(self, prefix="conf"):
        return f"{prefix}-{next(Kit._counter):05d}"

    def bucket(self, versioned=False, keys=(), **how):
        name = self.name()
        self.s3.create_bucket(Bucket=name, **how)
        if versioned:
            self.version(name)
        for key in keys:
            self.s3.put_object(Bucket=name, Key=key, Body=key.encode())
        return name

    def version(self, bucket, status="Enabled"):
        self.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})

    def put(self, bucket, key, body=b"bar", **how):
        return self.s3.put_object(Bucket=bucket, Key=key, Body=body, **how)

    def get(self, bucket, key, **how):
        return self.s3.get_object(Bucket=bucket, Key=key, **how)["Body"].read()

    # -- raw requests ---------------------------------------------------------------------------------------------------
    def send(self, method, target, headers=None, body=b"", host=None, chunks=None):
        """One request as it is given. `chunks`: sent with Transfer-Encoding: chunked instead of a body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            sent = {"host": host or self.host, **(headers or {})}
            if chunks is None and "content-length" not in sent and (body or method in ("PUT", "POST")):
                sent["content-length"] = str(len(body))
            for name, value in sent.items():
                if value is not None:
                    connection.putheader(name, value)
            if chunks is not None:
                connection.putheader("transfer-encoding", "chunked")
            connection.endheaders()
            if chunks is not None:
                for one in chunks:
                    connection.send(f"{len(one):x}\r\n".encode() + one + b"\r\n")
                connection.send(b"0\r\n\r\n")
            elif body:
                connection.send(body)
            answer = connection.getresponse()
            return Reply(answer.status, answer.getheaders(), answer.read())
        finally:
            connection.close()

    def raw(self, method, path, query=(), headers=None, body=b"", who="main", host=None, payload=None, **how):
        """A signed request (`who` None: not signed). `path` is encoded here unless it is bytes."""
        path = path.decode() if isinstance(path, bytes) else signing.quote(path, safe="/-_.~")
        query = signing.query_text(query.items() if isinstance(query, dict) else query)
        headers = {n.lower(): v for n, v in (headers or {}).items()}
        headers.setdefault("host", host or self.host)
        if who:
            self.signer(who).header(method, path, query, headers, payload or hashlib.sha256(body).hexdigest())
        return self.send(method, path + (f"?{query}" if query else ""), headers, body, host, **how)

    def post_form(self, bucket, fields, data=b"bar", **how):
        kind, body = signing.multipart_form(fields, data, **how)
        return self.send("POST", f"/{bucket}", {"content-type": kind}, body)


# -- expectations -----------------------------------------------------------------------------------------------------------
def equal(got, expected, what=""):
    assert got == expected, f"{what + ': ' if what else ''}{got!r}, expected {expected!r}"


def refused(status, code, function, *args, **how):
    """A call of boto3 that must fail so; its error's response."""
    try:
        answer = function(*args, **how)
    except botocore.exceptions.ClientError as error:
        got = (error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"])
        # HEAD has no document: botocore makes the code of the status.
        assert got[0] == status and got[1] in (code, str(status)), f"{got} {error.response['Error'].get('Message')!r}, expected {(status, code)}"
        return error.response
    raise AssertionError(f"succeeded with {str(answer)[:300]}, expected {(status, code)}")


def answered(reply, status, code=None):
    """A raw reply's status and error code, and that every error has its document."""
    assert (reply.status, reply.code) == (status, code), f"{reply}, expected {(status, code)}"
    assert reply.headers.get("x-amz-request-id"), "no x-amz-request-id"
    if code:
        equal(reply.headers.get("content-type"), "application/xml")
        for element in ("Message", "Resource", "RequestId"):
            assert reply.text(element) is not None, f"no {element} in {reply}"
        equal(reply.text("RequestId"), reply.headers["x-amz-request-id"])
    return reply


def etag(data):
    return f'"{hashlib.md5(data).hexdigest()}"'


def keys_of(answer):
    return [o["Key"] for o in answer.get("Contents", [])]


def prefixes_of(answer):
    return [p["Prefix"] for p in answer.get("CommonPrefixes", [])]


def status_of(answer):
    return answer["ResponseMetadata"]["HTTPStatusCode"]


def headers_of(answer):
    return answer["ResponseMetadata"]["HTTPHeaders"]


def encoded(text):
    return urllib.parse.quote(text, safe="")
