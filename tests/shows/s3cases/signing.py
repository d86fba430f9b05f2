"""Signs S3 requests by hand, so that tests can send what no SDK will: each step can be bent."""
import base64
import datetime
import hashlib
import hmac
import json
import urllib.parse
import zlib

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
REGION = "us-east-1"


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def amz_date(when):
    return when.strftime("%Y%m%dT%H%M%SZ")


def mac(key, text):
    return hmac.new(key, text.encode() if isinstance(text, str) else text, hashlib.sha256).digest()


def signing_key(secret, day, region=REGION, service="s3"):
    key = mac(b"AWS4" + secret.encode(), day)
    for word in (region, service, "aws4_request"):
        key = mac(key, word)
    return key


def quote(text, safe="-_.~"):
    return urllib.parse.quote(text, safe=safe)


def query_text(query):
    """Pairs -> the canonical query, which is also what is sent."""
    return "&".join(f"{quote(n)}={quote(v)}" for n, v in sorted((str(n), str(v)) for n, v in query))


def canonical(method, path, query, headers, names, payload):
    lines = [method, path, query] + [f"{n}:{' '.join(headers[n].split())}" for n in names]
    return "\n".join(lines + ["", ";".join(names), payload])


class Signer:
    """One key's signatures. `headers` are lower-case names; `path` is sent as it is."""

    def __init__(self, key, region=REGION, service="s3"):
        self.id, self.secret = key.split(":", 1)
        self.region, self.service = region, service

    def scope(self, when):
        return f"{when:%Y%m%d}/{self.region}/{self.service}/aws4_request"

    def signature(self, when, text):
        key = signing_key(self.secret, f"{when:%Y%m%d}", self.region, self.service)
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()

    def header(self, method, path, query, headers, payload, when=None, signed=None):
        """Adds x-amz-date, x-amz-content-sha256 and authorization; returns the signature, the seed of a chunked body."""
        when = when or now()
        headers.setdefault("x-amz-date", amz_date(when))
        headers.setdefault("x-amz-content-sha256", payload)
        names = sorted(signed if signed is not None else [n for n in headers if n not in ("expect", "user-agent")])
        text = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], self.scope(when),
                          hashlib.sha256(canonical(method, path, query, headers, names,
                                                   headers["x-amz-content-sha256"]).encode()).hexdigest()])
        signature = self.signature(when, text)
        headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={self.id}/{self.scope(when)}, "
                                    f"SignedHeaders={';'.join(names)}, Signature={signature}")
        return signature

    def presign(self, method, path, query, host, expires=300, when=None, headers=None, drop=(), change=None):
        """The whole query of a presigned URL."""
        when = when or now()
        headers = dict(headers or {}, host=host)
        names = sorted(headers)
        pairs = dict(query, **{"X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": f"{self.id}/{self.scope(when)}",
                               "X-Amz-Date": amz_date(when), "X-Amz-Expires": str(expires),
                               "X-Amz-SignedHeaders": ";".join(names)})
        pairs.update(change or {})
        pairs = {n: v for n, v in pairs.items() if n not in drop}
        text = query_text(pairs.items())
        request = canonical(method, path, text, headers, names, "UNSIGNED-PAYLOAD")
        to_sign = "\n".join(["AWS4-HMAC-SHA256", amz_date(when), self.scope(when),
                             hashlib.sha256(request.encode()).hexdigest()])
        signature = "" if "X-Amz-Signature" in drop else f"&X-Amz-Signature={self.signature(when, to_sign)}"
        return text + signature

    def chunked(self, data, seed, when, piece=65536, trailer=None, break_at=None):
        """STREAMING-AWS4-HMAC-SHA256-PAYLOAD[-TRAILER]: `break_at` spoils the signature of that chunk."""
        out, previous = [], seed
        pieces = [data[i:i + piece] for i in range(0, len(data), piece)] + [b""]
        for i, one in enumerate(pieces):
            text = "\n".join(["AWS4-HMAC-SHA256-PAYLOAD", amz_date(when), self.scope(when), previous, EMPTY_SHA256,
                              hashlib.sha256(one).hexdigest()])
            previous = self.signature(when, text)
            sent = "0" * 64 if i == break_at else previous
            out.append(f"{len(one):x};chunk-signature={sent}\r\n".encode() + one + (b"\r\n" if one else b""))
        if trailer is None:
            return b"".join(out) + b"\r\n"
        lines = "".join(f"{n}:{v}\n" for n, v in trailer)
        text = "\n".join(["AWS4-HMAC-SHA256-TRAILER", amz_date(when), self.scope(when), previous,
                          hashlib.sha256(lines.encode()).hexdigest()])
        out += [f"{n}:{v}\r\n".encode() for n, v in trailer]
        sent = "0" * 64 if break_at == "trailer" else self.signature(when, text)
        return b"".join(out) + f"x-amz-trailer-signature:{sent}\r\n\r\n".encode()

    def v2(self, method, path, subresources, headers):
        amz = "".join(f"{n}:{headers[n]}\n" for n in sorted(headers) if n.startswith("x-amz-"))
        date = "" if "x-amz-date" in headers else headers.get("date", "")
        text = (f"{method}\n{headers.get('content-md5', '')}\n{headers.get('content-type', '')}\n{date}\n{amz}{path}"
                + (f"?{subresources}" if subresources else ""))
        return base64.b64encode(hmac.new(self.secret.encode(), text.encode(), hashlib.sha1).digest()).decode()

    def form(self, conditions, fields, expires=600, when=None, expiration=None, bend=None):
        """Fields of a signed POST form."""
        when = when or now()
        fields = dict(fields, **{"x-amz-algorithm": "AWS4-HMAC-SHA256", "x-amz-credential": f"{self.id}/{self.scope(when)}",
                                 "x-amz-date": amz_date(when)})
        given = list(conditions) + [{n: fields[n]} for n in ("x-amz-algorithm", "x-amz-credential", "x-amz-date")]
        policy = {"conditions": given}
        end = expiration if expiration is not None else (when + datetime.timedelta(seconds=expires)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        if end:
            policy["expiration"] = end
        fields["policy"] = base64.b64encode(bend(policy) if bend else json.dumps(policy).encode()).decode()
        fields["x-amz-signature"] = self.signature(when, fields["policy"])
        return fields


def unsigned_chunked(data, trailer=(), piece=65536):
    """STREAMING-UNSIGNED-PAYLOAD-TRAILER."""
    out = [f"{len(data[i:i + piece]):x}\r\n".encode() + data[i:i + piece] + b"\r\n" for i in range(0, len(data), piece)]
    return b"".join(out) + b"0\r\n" + b"".join(f"{n}:{v}\r\n".encode() for n, v in trailer) + b"\r\n"


def multipart_form(fields, data=None, filename="file.txt", name="file", content_type="text/plain"):
    """multipart/form-data: its content type and bytes."""
    boundary = "----hailstone-form-boundary"
    out = b""
    for field, value in fields.items() if isinstance(fields, dict) else fields:
        out += f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n'.encode() + str(value).encode() + b"\r\n"
    if data is not None:
        out += (f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'
                f"Content-Type: {content_type}\r\n\r\n").encode() + data + b"\r\n"
    return f"multipart/form-data; boundary={boundary}", out + f"--{boundary}--\r\n".encode()


# -- checksums, by the definitions -----------------------------------------------------------------------------------------
def _table(polynomial, bits):
    out = []
    for n in range(256):
        for _ in range(8):
            n = (n >> 1) ^ (polynomial if n & 1 else 0)
        out.append(n)
    return out


_CRC32C, _CRC64 = _table(0x82F63B78, 32), _table(0x9A6C9329AC4BC9B5, 64)


def _crc(data, table, mask):
    value = mask
    for byte in data:
        value = table[(value ^ byte) & 255] ^ (value >> 8)
    return value ^ mask


def raw_checksum(name, data):
    name = name.upper()
    if name == "CRC32":
        return zlib.crc32(data).to_bytes(4, "big")
    if name == "CRC32C":
        return _crc(data, _CRC32C, 0xFFFFFFFF).to_bytes(4, "big")
    if name == "CRC64NVME":
        return _crc(data, _CRC64, 0xFFFFFFFFFFFFFFFF).to_bytes(8, "big")
    return hashlib.new({"SHA1": "sha1", "SHA256": "sha256", "MD5": "md5"}[name], data).digest()


def checksum(name, data):
    return base64.b64encode(raw_checksum(name, data)).decode()


CHECKSUMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")
