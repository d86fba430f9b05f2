// @aws-sdk/client-s3 at work: node aws_sdk.mjs URL BUCKET BIG_MIB. Keys in the environment. Prints what it did, or throws.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import path from "node:path";
import { Readable } from "node:stream";
import { pathToFileURL } from "node:url";

// The modules are installed beside the build, not beside this file.
const require = createRequire(pathToFileURL(path.join(process.cwd(), "package.json")));
const s3 = require("@aws-sdk/client-s3");
const { Upload } = require("@aws-sdk/lib-storage");

const [url, bucket, bigMib] = process.argv.slice(2);
const client = new s3.S3Client({ endpoint: url, region: "us-east-1", forcePathStyle: true, maxAttempts: 1 });
const send = (name, input) => client.send(new s3[name + "Command"]({ Bucket: bucket, ...input }));
const text = async (answer) => Buffer.from(await answer.Body.transformToByteArray());
const refused = async (promise, code) => {
  const error = await promise.then(() => null, (e) => e);
  assert.equal(error?.name, code, `expected ${code}, got ${error?.name}: ${error?.message}`);
};

await send("CreateBucket", {});

// Buffers carry a checksum header, streams an aws-chunked body with the checksum in its trailer.
const body = randomBytes(300_000);
for (const ChecksumAlgorithm of ["CRC32", "CRC32C", "SHA1", "SHA256"]) {
  await send("PutObject", { Key: `buffer ${ChecksumAlgorithm}`, Body: body, ChecksumAlgorithm });
  await send("PutObject", { Key: `stream ${ChecksumAlgorithm}`, Body: Readable.from([body]), ContentLength: body.length, ChecksumAlgorithm });
  for (const Key of [`buffer ${ChecksumAlgorithm}`, `stream ${ChecksumAlgorithm}`]) {
    const got = await send("GetObject", { Key, ChecksumMode: "ENABLED" });
    assert(got[`Checksum${ChecksumAlgorithm}`], `${Key}: no checksum in the answer`);
    assert((await text(got)).equals(body), Key);
  }
}
const ranged = await send("GetObject", { Key: "buffer CRC32", Range: "bytes=1000-1999" });
assert((await text(ranged)).equals(body.subarray(1000, 2000)));
assert.equal(ranged.ContentRange, "bytes 1000-1999/300000");

// Metadata, tags, copies.
await send("PutObject", { Key: "ü/+ %20&?#", Body: "named", Metadata: { colour: "green" }, Tagging: "a=1&b=2", ContentType: "text/x-demo" });
await send("CopyObject", { Key: "copy", CopySource: `${bucket}/${encodeURIComponent("ü/+ %20&?#")}` });
const copied = await send("HeadObject", { Key: "copy" });
assert.equal(copied.Metadata.colour, "green");
assert.equal(copied.ContentType, "text/x-demo");
assert.equal((await send("GetObjectTagging", { Key: "copy" })).TagSet.length, 2);

// Listings of more than a page, and bulk deletes.
const keys = Array.from({ length: 1100 }, (_, i) => `page/${String(i).padStart(5, "0")}`);
for (let at = 0; at < keys.length; at += 50)
  await Promise.all(keys.slice(at, at + 50).map((Key) => send("PutObject", { Key, Body: Key })));
const listed = [];
for await (const page of s3.paginateListObjectsV2({ client, pageSize: 400 }, { Bucket: bucket, Prefix: "page/" }))
  listed.push(...page.Contents.map((o) => o.Key));
assert.deepEqual(listed, keys);
assert.deepEqual((await send("ListObjectsV2", { Delimiter: "/" })).CommonPrefixes.map((p) => p.Prefix), ["page/", "ü/"]);
for (let at = 0; at < keys.length; at += 1000) {
  const gone = await send("DeleteObjects", { Delete: { Objects: keys.slice(at, at + 1000).map((Key) => ({ Key })) } });
  assert.equal(gone.Errors?.length ?? 0, 0);
}
assert.equal((await send("ListObjectsV2", { Prefix: "page/" })).KeyCount, 0);

// A stream of unknown length in parallel parts.
let sent = createHash("sha256");
const piece = randomBytes(1 << 20);
async function* pieces() {
  for (let i = 0; i < Number(bigMib); ++i) {
    const one = Buffer.from(piece);
    one.writeUInt32LE(i);
    sent.update(one);
    yield one;
  }
}
await new Upload({ client, queueSize: 4, partSize: 16 << 20, params: { Bucket: bucket, Key: "big", Body: Readable.from(pieces()) } }).done();
const received = createHash("sha256");
const big = await send("GetObject", { Key: "big" });
assert.equal(big.ContentLength, Number(bigMib) << 20);
for await (const one of big.Body) received.update(one);
assert.equal(received.digest("hex"), sent.digest("hex"));
assert.equal((await send("HeadObject", { Key: "big", PartNumber: 1 })).PartsCount, Math.ceil(Number(bigMib) / 16));

// An abort leaves nothing.
sent = createHash("sha256");
const upload = new Upload({ client, params: { Bucket: bucket, Key: "aborted", Body: Readable.from(pieces()) } });
upload.on("httpUploadProgress", () => upload.abort());
await refused(upload.done(), "AbortError");
// The promise is refused first, the upload aborted then.
for (let tries = 100; (await send("ListMultipartUploads", {})).Uploads?.length; --tries) {
  assert(tries > 0, "an aborted upload is still listed");
  await new Promise((resolve) => setTimeout(resolve, 100));
}

// Conditions.
await send("PutObject", { Key: "once", Body: "1", IfNoneMatch: "*" });
await refused(send("PutObject", { Key: "once", Body: "2", IfNoneMatch: "*" }), "PreconditionFailed");
const { ETag } = await send("HeadObject", { Key: "once" });
await send("PutObject", { Key: "once", Body: "3", IfMatch: ETag });
await refused(send("PutObject", { Key: "once", Body: "4", IfMatch: ETag }), "PreconditionFailed");
await refused(send("GetObject", { Key: "nothing" }), "NoSuchKey");

// Versions.
await send("PutBucketVersioning", { VersioningConfiguration: { Status: "Enabled" } });
const first = await send("PutObject", { Key: "versioned", Body: "first" });
await send("PutObject", { Key: "versioned", Body: "second" });
const marker = await send("DeleteObject", { Key: "versioned" });
assert(marker.DeleteMarker);
await refused(send("GetObject", { Key: "versioned" }), "NoSuchKey");
await send("DeleteObject", { Key: "versioned", VersionId: marker.VersionId });
assert.equal((await text(await send("GetObject", { Key: "versioned" }))).toString(), "second");
assert.equal((await text(await send("GetObject", { Key: "versioned", VersionId: first.VersionId }))).toString(), "first");
console.log("ok");
