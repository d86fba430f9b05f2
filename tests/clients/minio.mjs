// The minio client for JavaScript at work: node minio.mjs URL BUCKET BIG_FILE. Keys in the environment.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(pathToFileURL(path.join(process.cwd(), "package.json")));
const minio = require("minio");

const [url, bucket, bigFile] = process.argv.slice(2);
const place = new URL(url);
const client = new minio.Client({
  endPoint: place.hostname, port: Number(place.port), useSSL: false, region: "us-east-1", partSize: 16 << 20,
  accessKey: process.env.AWS_ACCESS_KEY_ID, secretKey: process.env.AWS_SECRET_ACCESS_KEY, retryOptions: { disableRetry: true },
});
const all = async (stream) => {
  const out = [];
  for await (const one of stream) out.push(one);
  return out;
};
const digest = async (stream) => {
  const hash = createHash("sha256");
  for await (const one of stream) hash.update(one);
  return hash.digest("hex");
};

await client.makeBucket(bucket, "us-east-1");
assert(await client.bucketExists(bucket));
assert(!(await client.bucketExists(bucket + "-none")));
assert((await client.listBuckets()).some((b) => b.name === bucket));

const body = randomBytes(100_000);
await client.putObject(bucket, "a/ü +.bin", body, body.length, { "Content-Type": "x/y", "x-amz-meta-colour": "red" });
assert(Buffer.concat(await all(await client.getObject(bucket, "a/ü +.bin"))).equals(body));
assert(Buffer.concat(await all(await client.getPartialObject(bucket, "a/ü +.bin", 10, 100))).equals(body.subarray(10, 110)));
const stat = await client.statObject(bucket, "a/ü +.bin");
assert.equal(stat.size, body.length);
assert.equal(stat.metaData.colour, "red");
await client.copyObject(bucket, "b/copy", `/${bucket}/a/ü +.bin`);
await client.setObjectTagging(bucket, "b/copy", { kind: "copy" });
assert.deepEqual(await client.getObjectTagging(bucket, "b/copy"), [{ Key: "kind", Value: "copy" }]);

await client.fPutObject(bucket, "big", bigFile);
assert.equal(await digest(await client.getObject(bucket, "big")), await digest(fs.createReadStream(bigFile)));
await client.fGetObject(bucket, "big", bigFile + ".minio");
assert.equal(await digest(fs.createReadStream(bigFile + ".minio")), await digest(fs.createReadStream(bigFile)));
fs.unlinkSync(bigFile + ".minio");

const id = await client.initiateNewMultipartUpload(bucket, "given-up", {});
assert((await all(client.listIncompleteUploads(bucket, "", true))).some((u) => u.key === "given-up" && u.uploadId === id));
await client.removeIncompleteUpload(bucket, "given-up");
assert.equal((await all(client.listIncompleteUploads(bucket, "", true))).length, 0);

// Signed URLs and a form, as a browser uses them.
const put = await fetch(await client.presignedPutObject(bucket, "signed", 60), { method: "PUT", body });
assert.equal(put.status, 200, await put.text());
const got = await fetch(await client.presignedGetObject(bucket, "signed", 60));
assert(Buffer.from(await got.arrayBuffer()).equals(body));
const policy = client.newPostPolicy();
policy.setBucket(bucket);
policy.setKey("form");
policy.setExpires(new Date(Date.now() + 60_000));
policy.setContentLengthRange(1, 1000);
const { postURL, formData } = await client.presignedPostPolicy(policy);
const post = async (bytes) => {
  const form = new FormData();
  for (const [name, value] of Object.entries(formData)) form.append(name, value);
  form.append("file", new Blob([bytes]), "name");
  return (await fetch(postURL, { method: "POST", body: form })).status;
};
assert.equal(await post(Buffer.alloc(500)), 204);
assert.equal(await post(Buffer.alloc(2000)), 400);
assert.equal((await client.statObject(bucket, "form")).size, 500);

await client.setBucketVersioning(bucket, { Status: "Enabled" });
await client.putObject(bucket, "v", "first");
await client.putObject(bucket, "v", "second");
await client.removeObject(bucket, "v");
const versions = (await all(client.listObjects(bucket, "v", true, { IncludeVersion: true }))).filter((o) => o.name === "v");
assert.equal(versions.length, 3);
const marker = versions.find((o) => o.isDeleteMarker);
await client.removeObject(bucket, "v", { versionId: marker.versionId });
assert.equal(Buffer.concat(await all(await client.getObject(bucket, "v"))).toString(), "second");

const left = (await all(client.listObjectsV2(bucket, "", true))).map((o) => o.name);
assert.deepEqual(left.sort(), ["a/ü +.bin", "b/copy", "big", "form", "signed", "v"].sort());
for (const one of await all(client.listObjects(bucket, "", true, { IncludeVersion: true })))
  await client.removeObject(bucket, one.name, { versionId: one.versionId });
await client.removeBucket(bucket);
console.log("ok");
