/** What the tus protocol asks of a server, rule by rule, in its order: core, then the extensions. */
import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sendChunk, someBytes } from "../../support/troupe.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import { BODY_TYPE, brokenOff, inBlocks, metadata, type TusAsk, TusRig } from "./rig.ts";

const LENGTH = { "upload-length": "10" };
const PARTIAL = { "upload-concat": "partial" };
const checksumOf = (algorithm: string, bytes: Uint8Array): string => {
  const crc = Buffer.alloc(4);
  crc.writeUInt32BE(crc32(bytes));
  const value = algorithm === "crc32" ? crc : createHash(algorithm).update(bytes).digest();
  return `${algorithm} ${value.toString("base64")}`;
};

describe("the tus protocol", () => {
  let rig: TusRig;

  beforeAll(async () => {
    rig = await TusRig.start({ corsOrigins: ["https://app.example"] });
    return () => rig[Symbol.asyncDispose]();
  });

  describe("of every request", () => {
    it.each(["POST /tus/", "POST /tus", "HEAD /tus/x", "PATCH /tus/x", "DELETE /tus/x", "POST /tus/x"])(
      "I15: %s in another version, or in none, is answered 412 with the one that is spoken",
      async (line) => {
        const [method = "", target = ""] = line.split(" ");
        for (const version of ["0.2.2", "1.0", undefined]) {
          const answer = await rig.ask(method, target, { headers: { ...LENGTH, "tus-resumable": version } });
          expect(answer).toMatchObject({ status: 412, fields: { "tus-version": "1.0.0", "tus-resumable": "1.0.0" } });
        }
      },
    );

    it("every answer names the version, refusals included", async () => {
      for (const [method, target, status] of [
        ["HEAD", "/tus/nobodys", 404],
        ["PATCH", "/tus/nobodys", 415],
        ["POST", "/tus/", 400],
        ["DELETE", "/tus/a%20b", 404],
      ] as const)
        expect(await rig.ask(method, target)).toMatchObject({ status, fields: { "tus-resumable": "1.0.0" } });
    });

    it("OPTIONS names versions, extensions, the largest length and the checksums, to whoever asks and in no version", async () => {
      for (const target of ["/tus", "/tus/", "/tus/x"]) {
        const { status, fields } = await rig.ask("OPTIONS", target, { headers: { "tus-resumable": undefined } });
        expect(status).toBe(204);
        expect(fields).toMatchObject({
          "tus-resumable": "1.0.0",
          "tus-version": "1.0.0",
          "tus-extension": "creation,creation-with-upload,creation-defer-length,expiration,checksum,termination,concatenation",
          "tus-max-size": String(1024 ** 4),
          "tus-checksum-algorithm": "sha1,md5,sha256,crc32",
        });
      }
    });

    it("a page of an allowed origin may send and read every field of the protocol", async () => {
      const headers = { origin: "https://app.example", "access-control-request-method": "PATCH", "tus-resumable": undefined };
      const { fields } = await rig.ask("OPTIONS", "/tus/x", { headers });
      for (const method of ["HEAD", "PATCH", "DELETE", "POST"]) expect(fields["access-control-allow-methods"]).toContain(method);
      for (const field of ["Tus-Resumable", "Upload-Offset", "Upload-Length", "Upload-Metadata", "Upload-Checksum", "Upload-Concat"])
        expect(fields["access-control-allow-headers"]).toContain(field);
      for (const field of ["Upload-Offset", "Upload-Length", "Upload-Expires", "Location", "Troupe-File", "Tus-Extension"])
        expect(fields["access-control-expose-headers"]).toContain(field);
    });

    it("a POST may stand for PATCH or DELETE, for whoever cannot send these, and for nothing else", async () => {
      const at = await rig.create(LENGTH);
      const override = (method: string, ask: TusAsk = {}) =>
        rig.ask("POST", at, { ...ask, headers: { ...ask.headers, "x-http-method-override": method } });
      expect(await override("PATCH", { headers: { "upload-offset": "0" }, body: "0123" })).toMatchObject({
        status: 204,
        fields: { "upload-offset": "4" },
      });
      for (const method of ["GET", "POST", "nonsense"]) expect((await override(method)).status).toBe(405);
      expect((await rig.ask("POST", at)).status).toBe(405);
      expect((await override("DELETE")).status).toBe(204);
      expect((await rig.ask("HEAD", at)).status).toBe(410);
    });
  });

  describe("HEAD", () => {
    it("tells offset and length, also at 0 and at the end, and no cache may keep it", async () => {
      const at = await rig.create(LENGTH);
      expect(await rig.ask("HEAD", at)).toMatchObject({
        status: 200,
        fields: { "upload-offset": "0", "upload-length": "10", "cache-control": "no-store" },
      });
      await rig.patch(at, 0, "0123456789");
      expect(await rig.ask("HEAD", at)).toMatchObject({ status: 200, fields: { "upload-offset": "10", "upload-length": "10" } });
    });

    it("F1: that finds every byte, and nobody who asked for the file, makes the file", async () => {
      const at = await rig.create(LENGTH);
      await sendChunk(rig.troupe, at.slice("/tus/".length), 0, Buffer.from("0123456789"));
      const { fields } = await rig.ask("HEAD", at);
      expect((await rig.read(fields["troupe-file"] as string)).toString()).toBe("0123456789");
    });

    it("of what is not there is 404, without an offset", async () => {
      for (const target of ["/tus/nobodys", "/tus/a.b", `/tus/${"x".repeat(65)}`]) {
        const { status, fields } = await rig.ask("HEAD", target);
        expect([status, fields["upload-offset"]]).toEqual([404, undefined]);
      }
    });
  });

  describe("PATCH", () => {
    it("takes bytes where those before them end, and says where they end now", async () => {
      const at = await rig.create(LENGTH);
      expect(await rig.patch(at, 0, "0123")).toMatchObject({ status: 204, fields: { "upload-offset": "4" } });
      expect(await rig.patch(at, 4)).toMatchObject({ status: 204, fields: { "upload-offset": "4" } });
      const last = await rig.patch(at, 4, "456789");
      expect(last).toMatchObject({ status: 204, fields: { "upload-offset": "10" } });
      expect((await rig.read(last.fields["troupe-file"] as string)).toString()).toBe("0123456789");
    });

    it("I15: at another offset than the upload's is 409, and nothing changes", async () => {
      const at = await rig.create(LENGTH);
      await rig.patch(at, 0, "0123");
      for (const offset of [0, 3, 5, 10, 2 ** 40])
        expect(await rig.patch(at, offset, "x")).toMatchObject({ status: 409, code: "OFFSET_MISMATCH" });
      expect(await rig.offset(at)).toBe(4);
    });

    it("I15: without an offset, or with one that is no number from 0 on, is 400", async () => {
      const at = await rig.create(LENGTH);
      for (const offset of [undefined, "", "-1", "1.5", "0x1", "1e3", "abc", "+1", "1,1"])
        expect([offset, (await rig.patch(at, 0, "x", { "upload-offset": offset })).status]).toEqual([offset, 400]);
      // A number past all files is one, and no upload's.
      expect((await rig.patch(at, 0, "x", { "upload-offset": "9223372036854775808" })).status).toBe(413);
    });

    it("I15: of any other type is 415", async () => {
      const at = await rig.create(LENGTH);
      for (const type of [undefined, "application/octet-stream", "application/offset+octet-stream2", "text/plain"])
        expect([type, (await rig.patch(at, 0, "x", { "content-type": type })).status]).toEqual([type, 415]);
      expect(await rig.offset(at)).toBe(0);
    });

    it("I15: past the length is 413, whether the body says its length or not, and completes nothing", async () => {
      const at = await rig.create(LENGTH);
      expect((await rig.patch(at, 0, "0123456789A")).status).toBe(413);
      expect(await rig.offset(at)).toBe(0);
      expect((await rig.patch(at, 0, inBlocks(Buffer.from("0123456789A"), 5))).status).toBe(413);
      const offset = await rig.offset(at);
      expect(offset).toBeLessThan(10);
      expect((await rig.patch(at, offset, "0123456789".slice(offset))).status).toBe(204);
      expect((await rig.patch(at, 10, "A")).status).toBe(413);
      expect((await rig.patch(at, 10, inBlocks(Buffer.from("A"), 1))).status).toBe(413);
      expect(await rig.patch(at, 10)).toMatchObject({ status: 204, fields: { "upload-offset": "10" } });
    });

    it("to what is not there is 404", async () => {
      expect((await rig.patch("/tus/nobodys", 0, "x")).status).toBe(404);
    });

    it("F18: whose client goes away counts as far as it is synced, and goes on from there", async () => {
      const bytes = someBytes(300_000);
      const at = await rig.create({ "upload-length": "300000" });
      await rig.patch(at, 0, brokenOff(bytes.subarray(0, 70_000), bytes.subarray(70_000, 100_001)));
      expect(await rig.offset(at)).toBe(100_001);
      const last = await rig.patch(at, 100_001, inBlocks(bytes.subarray(100_001), 10_000));
      expect((await rig.read(last.fields["troupe-file"] as string)).equals(bytes)).toBe(true);
    });

    it("a second one ends the first, whose client has most likely gone, and goes on behind it", async () => {
      const at = await rig.create(LENGTH);
      const waited = Promise.withResolvers<void>();
      const blocks = [Buffer.from("0123")];
      // Whose client is silent for ever.
      const hanging = {
        [Symbol.asyncIterator]: () => ({
          next: async (): Promise<IteratorResult<Uint8Array>> => {
            const block = blocks.shift();
            if (block !== undefined) return { done: false, value: block };
            waited.resolve();
            return await new Promise(() => undefined);
          },
          return: async (): Promise<IteratorResult<Uint8Array>> => ({ done: true, value: undefined }),
        }),
      };
      const first = rig.patch(at, 0, hanging);
      await waited.promise;
      // Asking for the offset is what a client does that comes back.
      expect(await rig.offset(at)).toBe(4);
      expect(await first).toMatchObject({ status: 409, code: "UPLOAD_BUSY" });
      expect((await rig.patch(at, 4, "456789")).status).toBe(204);
    });

    it("two at once, and a DELETE among them, leave one outcome, of which nobody is told otherwise", async () => {
      const bytes = someBytes(400_000);
      const begin = (at: string) => rig.patch(at, 0, inBlocks(bytes, 50_000));
      const at = await rig.create({ "upload-length": String(bytes.length) });
      const both = await Promise.all([begin(at), begin(at)]);
      for (const { status } of both) expect([204, 409]).toContain(status);
      const offset = await rig.offset(at);
      const told = offset === bytes.length ? await rig.ask("HEAD", at) : await rig.patch(at, offset, bytes.subarray(offset));
      expect((await rig.read(told.fields["troupe-file"] as string)).equals(bytes)).toBe(true);
      const other = await rig.create({ "upload-length": String(bytes.length) });
      const [patched, gone] = await Promise.all([begin(other), rig.ask("DELETE", other)]);
      expect([204, 404, 409, 410]).toContain(patched.status);
      expect(gone.status).toBe(204);
      expect([404, 410]).toContain((await rig.ask("HEAD", other)).status);
    });

    it("coded bytes are refused: they would have to be stored as they come", async () => {
      const at = await rig.create(LENGTH);
      expect((await rig.patch(at, 0, "x", { "content-encoding": "gzip" })).status).toBe(415);
    });
  });

  describe("creation", () => {
    it("is 201 with the upload's address, a path here or the public URL's", async () => {
      const { status, fields } = await rig.ask("POST", "/tus/", { headers: LENGTH });
      expect(status).toBe(201);
      expect(fields["location"]).toMatch(/^\/tus\/[\w-]+$/);
      await using behind = await TusRig.start({ publicUrl: "https://files.example/store/" });
      expect(await behind.create(LENGTH)).toMatch(/^https:\/\/files\.example\/store\/tus\/[\w-]+$/);
    });

    it("has a length, or says that it comes later, and not both", async () => {
      const status = async (headers: Record<string, string>): Promise<number> => (await rig.ask("POST", "/tus/", { headers })).status;
      expect(await status({})).toBe(400);
      expect(await status({ ...LENGTH, "upload-defer-length": "1" })).toBe(400);
      for (const length of ["-1", "ten", "1.5", "", "0x10"])
        expect([length, await status({ "upload-length": length })]).toEqual([length, 400]);
      for (const deferred of ["0", "2", "true", ""])
        expect([deferred, await status({ "upload-defer-length": deferred })]).toEqual([deferred, 400]);
    });

    it("past the largest length is 413", async () => {
      for (const length of [String(1024 ** 4 + 1), "9223372036854775808", "99999999999999999999"])
        expect([length, (await rig.ask("POST", "/tus/", { headers: { "upload-length": length } })).status]).toEqual([length, 413]);
    });

    it("of length 0 is a file at once", async () => {
      const { status, fields } = await rig.ask("POST", "/tus/", {
        headers: { "upload-length": "0", "upload-metadata": metadata({ filename: "e" }) },
      });
      expect(status).toBe(201);
      expect((await rig.read(fields["troupe-file"] as string)).length).toBe(0);
      expect(await rig.ask("HEAD", fields["location"] as string)).toMatchObject({
        status: 200,
        fields: { "upload-offset": "0", "upload-length": "0", "troupe-file": fields["troupe-file"] },
      });
    });

    it("gives the metadata back as it came, also of what has become a file", async () => {
      const field = `${metadata({ filename: "a/b.mp4", mine: "ü" })},flag`;
      const at = await rig.create({ ...LENGTH, "upload-metadata": field });
      expect((await rig.ask("HEAD", at)).fields["upload-metadata"]).toBe(field);
      const { fields } = await rig.patch(at, 0, "0123456789");
      expect(fields["troupe-file"]).toMatch(/\/a\/b\.mp4$/);
      expect((await rig.ask("HEAD", at)).fields["upload-metadata"]).toBe(field);
    });

    it("with malformed metadata is 400", async () => {
      for (const field of ["a !", "a YQ==,a YQ==", ",", "a YQ==,,b YQ==", "a YQ", "ä YQ==", "a  YQ==x"])
        expect([field, (await rig.ask("POST", "/tus/", { headers: { ...LENGTH, "upload-metadata": field } })).status]).toEqual([
          field,
          400,
        ]);
    });

    it("repeated with one idempotency key is the same upload", async () => {
      const headers = { ...LENGTH, "idempotency-key": "once" };
      const at = await rig.create(headers);
      await rig.patch(at, 0, "0123");
      expect(await rig.create(headers)).toBe(at);
      expect((await rig.ask("POST", "/tus/", { headers: { ...headers, "upload-metadata": metadata({ filename: "x" }) } })).status).toBe(
        409,
      );
    });
  });

  describe("creation with upload", () => {
    it("takes the bytes that come along, and says how many it took", async () => {
      const first = await rig.ask("POST", "/tus/", { headers: LENGTH, body: "0123" });
      expect(first).toMatchObject({ status: 201, fields: { "upload-offset": "4" } });
      expect((await rig.patch(first.fields["location"] as string, 4, "456789")).status).toBe(204);
      const whole = await rig.ask("POST", "/tus/", { headers: LENGTH, body: "0123456789" });
      expect((await rig.read(whole.fields["troupe-file"] as string)).toString()).toBe("0123456789");
    });

    it("of any other type is 415, and past the length 413, and no upload is left", async () => {
      expect((await rig.ask("POST", "/tus/", { headers: { ...LENGTH, "content-type": "text/plain" }, body: "x" })).status).toBe(415);
      const count = (await rig.troupe.storage.uploads({ limit: 1000 })).uploads.length;
      expect((await rig.ask("POST", "/tus/", { headers: LENGTH, body: "0123456789A" })).status).toBe(413);
      expect((await rig.troupe.storage.uploads({ limit: 1000 })).uploads.length).toBe(count);
    });

    it("counts what arrived when it breaks off", async () => {
      const headers = { ...LENGTH, "idempotency-key": "broken-off" };
      await rig.ask("POST", "/tus/", { headers, body: brokenOff(Buffer.from("0123")) });
      const again = await rig.ask("POST", "/tus/", { headers, body: "0123456789" });
      expect(again).toMatchObject({ status: 201, fields: { "upload-offset": "4" } });
    });
  });

  describe("creation with deferred length", () => {
    it("says so until the length came, which it may once, with any PATCH", async () => {
      const at = await rig.create({ "upload-defer-length": "1" });
      await rig.patch(at, 0, "0123");
      const before = (await rig.ask("HEAD", at)).fields;
      expect([before["upload-defer-length"], before["upload-length"]]).toEqual(["1", undefined]);
      expect((await rig.patch(at, 4, "45", { "upload-length": "10" })).status).toBe(204);
      const after = (await rig.ask("HEAD", at)).fields;
      expect([after["upload-defer-length"], after["upload-length"], after["upload-offset"]]).toEqual([undefined, "10", "6"]);
      expect((await rig.patch(at, 6, "6", { "upload-length": "11" })).status).toBe(409);
      const last = await rig.patch(at, 6, "6789", { "upload-length": "10" });
      expect((await rig.read(last.fields["troupe-file"] as string)).toString()).toBe("0123456789");
    });

    it("a length without bytes may be what ends it; one below what is there, or no number, is refused", async () => {
      const at = await rig.create({ "upload-defer-length": "1" });
      await rig.patch(at, 0, "0123");
      expect((await rig.patch(at, 4, "", { "upload-length": "3" })).status).toBe(413);
      expect((await rig.patch(at, 4, "", { "upload-length": "-4" })).status).toBe(400);
      expect((await rig.patch(at, 4, "", { "upload-length": "4" })).fields["troupe-file"]).toBeDefined();
    });

    it("F22: is told with its length and offset, and takes the last bytes again, when it is a file whose session has gone", async () => {
      const at = await rig.create({ "upload-defer-length": "1" });
      const uploadId = at.slice("/tus/".length);
      const { fields } = await rig.patch(at, 0, "0123", { "upload-length": "4" });
      await expect
        .poll(async () => (await rig.troupe.storage.uploads({ limit: 1000 })).uploads.some((upload) => upload.uploadId === uploadId))
        .toBe(false);
      expect(await rig.ask("HEAD", at)).toMatchObject({
        status: 200,
        fields: { "upload-offset": "4", "upload-length": "4", "troupe-file": fields["troupe-file"] },
      });
      expect(await rig.patch(at, 4, "")).toMatchObject({ status: 204, fields: { "troupe-file": fields["troupe-file"] } });
      expect(await rig.troupe.catalog.upload({ uploadId })).toMatchObject({ state: "merged", sizeBytes: 4 });
    });
  });

  describe("checksum", () => {
    it.each(["sha1", "md5", "sha256", "crc32"])("F23: %s is checked before anything counts", async (algorithm) => {
      const at = await rig.create(LENGTH);
      const wrong = await rig.patch(at, 0, "0123", { "upload-checksum": checksumOf(algorithm, Buffer.from("0124")) });
      expect(wrong).toMatchObject({ status: 460, code: "CHECKSUM_MISMATCH" });
      expect(await rig.offset(at)).toBe(0);
      expect((await rig.patch(at, 0, "0123", { "upload-checksum": checksumOf(algorithm, Buffer.from("0123")) })).status).toBe(204);
      const rest = inBlocks(Buffer.from("456789"), 1);
      expect((await rig.patch(at, 4, rest, { "upload-checksum": checksumOf(algorithm, Buffer.from("456789")) })).status).toBe(204);
    });

    it("I15: a wrong one is 460, an unknown one or none at all 400", async () => {
      const at = await rig.create(LENGTH);
      expect((await rig.patch(at, 0, "x", { "upload-checksum": checksumOf("sha1", Buffer.from("y")) })).status).toBe(460);
      for (const field of [
        "sha512 AAAA",
        "sha1",
        "sha1 ",
        "sha1 AAAA",
        "sha1 !",
        "SHA1 2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
        "",
        "crc32 AAAAAAA=",
      ])
        expect([field, (await rig.patch(at, 0, "x", { "upload-checksum": field })).status]).toEqual([field, 400]);
      expect(await rig.offset(at)).toBe(0);
    });

    it("of a body over several chunks, and of one that breaks off, nothing counts unless all of it is right", async () => {
      const bytes = someBytes(20 * 1024 * 1024);
      const at = await rig.create({ "upload-length": String(bytes.length) });
      await rig.patch(at, 0, bytes.subarray(0, 1000));
      const rest = bytes.subarray(1000);
      const send = (checksum: string, body: AsyncIterable<Uint8Array>) => rig.patch(at, 1000, body, { "upload-checksum": checksum });
      expect((await send(checksumOf("sha1", Buffer.from("x")), inBlocks(rest, 65_536))).status).toBe(460);
      expect(await rig.offset(at)).toBe(1000);
      await send(checksumOf("sha1", rest), brokenOff(rest.subarray(0, 10_000_000)));
      expect(await rig.offset(at)).toBe(1000);
      const { fields } = await send(checksumOf("sha1", rest), inBlocks(rest, 65_536));
      expect((await rig.read(fields["troupe-file"] as string)).equals(bytes)).toBe(true);
    });

    it("is checked of what comes with a creation, and a wrong one leaves no upload", async () => {
      const field = checksumOf("md5", Buffer.from("0123"));
      expect((await rig.ask("POST", "/tus/", { headers: { ...LENGTH, "upload-checksum": field }, body: "0124" })).status).toBe(460);
      expect((await rig.ask("POST", "/tus/", { headers: { ...LENGTH, "upload-checksum": field }, body: "0123" })).fields).toMatchObject({
        "upload-offset": "4",
      });
    });
  });

  describe("expiration", () => {
    it("says until when, later with each body; what has expired is 410", async () => {
      const clock = new VirtualClock();
      await using slow = await TusRig.start({}, { clock, idleExpiryMs: 60_000 });
      const created = await slow.ask("POST", "/tus/", { headers: LENGTH });
      const at = created.fields["location"] as string;
      const until = (fields: Readonly<Record<string, string>>): number => Date.parse(fields["upload-expires"] as string);
      expect(created.fields["upload-expires"]).toMatch(/^\w{3}, \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} GMT$/);
      expect(Math.abs(until(created.fields) - clock.wallMs() - 60_000)).toBeLessThan(2_000);
      await clock.advance(30_000);
      const patched = await slow.patch(at, 0, "0123");
      expect(Math.abs(until(patched.fields) - until(created.fields) - 30_000)).toBeLessThan(2_000);
      await clock.advance(65_000);
      await expect.poll(async () => (await slow.ask("HEAD", at)).status).toBe(410);
      expect(await slow.patch(at, 4, "x")).toMatchObject({ status: 410, code: "UPLOAD_EXPIRED" });
      expect((await slow.ask("DELETE", at)).status).toBe(410);
    });
  });

  describe("termination", () => {
    it("is 204, and from then on the address is 410", async () => {
      const at = await rig.create(LENGTH);
      await rig.patch(at, 0, "0123");
      expect((await rig.ask("DELETE", at)).status).toBe(204);
      for (const method of ["HEAD", "DELETE"]) expect((await rig.ask(method, at)).status).toBe(410);
      expect((await rig.patch(at, 4, "x")).status).toBe(410);
      expect((await rig.ask("DELETE", "/tus/nobodys")).status).toBe(404);
    });

    it("tells a body that is on its way then, too, that the upload has ended", async () => {
      const at = await rig.create(LENGTH);
      async function* late(): AsyncGenerator<Uint8Array, void, void> {
        expect((await rig.ask("DELETE", at)).status).toBe(204);
        yield Buffer.from("0123");
      }
      expect(await rig.patch(at, 0, late())).toMatchObject({ status: 410, code: "UPLOAD_CANCELLED" });
    });

    it("of what has become a file meanwhile takes the file along", async () => {
      const at = await rig.create(LENGTH);
      const { fields } = await rig.patch(at, 0, "0123456789");
      const url = fields["troupe-file"] as string;
      expect((await rig.ask("DELETE", at)).status).toBe(204);
      await expect(rig.read(url)).rejects.toThrow("404");
      for (const method of ["HEAD", "DELETE"]) expect((await rig.ask(method, at)).status).toBe(404);
    });
  });

  describe("concatenation", () => {
    const part = (bytes: string): Promise<string> => rig.create({ ...PARTIAL, "upload-length": String(bytes.length) }, bytes);

    it("puts parts together in the order given, by paths and by whole addresses, and they are gone after", async () => {
      const parts = [await part("0123"), await part("45"), await part("6789")];
      const [first, second, third] = parts as [string, string, string];
      const field = `final;${first} http://localhost${second} ${third}`;
      const { status, fields } = await rig.ask("POST", "/tus/", {
        headers: { "upload-concat": field, "upload-metadata": metadata({ filename: "all" }) },
      });
      expect(status).toBe(201);
      expect((await rig.read(fields["troupe-file"] as string)).toString()).toBe("0123456789");
      expect((await rig.ask("HEAD", fields["location"] as string)).fields).toMatchObject({
        "upload-concat": `final;${first} ${second} ${third}`,
        "upload-length": "10",
        "upload-offset": "10",
      });
      for (const at of parts) await expect.poll(async () => (await rig.ask("HEAD", at)).status).toBe(410);
    });

    it("F22: repeated with one idempotency key is the same upload, also when the parts are gone", async () => {
      const parts = [await part("0123"), await part("45")];
      const headers = { "upload-concat": `final;${parts.join(" ")}`, "idempotency-key": "put-together" };
      const first = await rig.ask("POST", "/tus/", { headers });
      for (const at of parts) await expect.poll(async () => (await rig.ask("HEAD", at)).status).toBe(410);
      const again = await rig.ask("POST", "/tus/", { headers });
      const { location, "troupe-file": file } = first.fields;
      expect([first.status, again.status, file === undefined]).toEqual([201, 201, false]);
      expect(again.fields).toMatchObject({ location, "troupe-file": file });
      // Without the key it is another upload, of parts that are not there any more.
      expect((await rig.ask("POST", "/tus/", { headers: { "upload-concat": headers["upload-concat"] } })).status).toBe(410);
      const otherwise = { ...headers, "upload-concat": `final;${[...parts].reverse().join(" ")}` };
      expect(await rig.ask("POST", "/tus/", { headers: otherwise })).toMatchObject({ status: 409, code: "IDEMPOTENCY_CONFLICT" });
    });

    it("a part says that it is one, with or without a length, and never becomes a file by itself", async () => {
      const at = await rig.create({ ...PARTIAL, "upload-defer-length": "1" });
      expect((await rig.ask("HEAD", at)).fields["upload-concat"]).toBe("partial");
      const { fields } = await rig.patch(at, 0, "0123", { "upload-length": "4" });
      expect([fields["upload-offset"], fields["troupe-file"]]).toEqual(["4", undefined]);
      expect((await rig.ask("HEAD", at)).fields).toMatchObject({ "upload-offset": "4", "upload-length": "4", "upload-concat": "partial" });
    });

    it("I15: PATCH on what is put together is 403, and bytes that come with its creation are", async () => {
      const { fields } = await rig.ask("POST", "/tus/", { headers: { "upload-concat": `final;${await part("0123")}` } });
      const at = fields["location"] as string;
      for (const offset of [0, 4, 9]) expect(await rig.patch(at, offset, "x")).toMatchObject({ status: 403, code: "UPLOAD_FINAL" });
      expect((await rig.ask("POST", "/tus/", { headers: { "upload-concat": `final;${await part("01")}` }, body: "x" })).status).toBe(403);
    });

    it("parts that are not there, not complete, or no parts, are refused, and so are addresses of other servers", async () => {
      const whole = await part("0123");
      const final = async (field: string): Promise<number> =>
        (await rig.ask("POST", "/tus/", { headers: { "upload-concat": `final;${field}` } })).status;
      expect(await final("/tus/nobodys")).toBe(404);
      expect(await final(`${whole} /tus/nobodys`)).toBe(404);
      expect(await final(await rig.create({ ...PARTIAL, ...LENGTH }))).toBe(409);
      expect(await final(await rig.create(LENGTH))).toBe(400);
      for (const field of [
        "",
        " ",
        `http://other.example${whole}`,
        "/files/x",
        "/tus/a/b",
        "/tus/",
        "tus",
        `${whole}?x/y`,
        "/tus/../tus/%2e",
      ])
        expect([field, await final(field)]).toEqual([field, 400]);
      expect(await final(Array.from({ length: 1001 }, () => whole).join(" "))).toBe(400);
      for (const field of ["Partial", "final", "parts"])
        expect((await rig.ask("POST", "/tus/", { headers: { ...LENGTH, "upload-concat": field } })).status).toBe(400);
    });

    it("says no length of its own", async () => {
      const concat = { "upload-concat": `final;${await part("0123")}` };
      expect((await rig.ask("POST", "/tus/", { headers: { ...concat, "upload-length": "4" } })).status).toBe(400);
      expect((await rig.ask("POST", "/tus/", { headers: { ...concat, "upload-defer-length": "1" } })).status).toBe(400);
    });
  });

  describe("the file", () => {
    it("F23: that was to have a digest and has another is told of in words, and not taken for one", async () => {
      const digest = `sha256:${createHash("sha256").update("other").digest("hex")}`;
      const at = await rig.create({ ...LENGTH, "upload-metadata": metadata({ filename: "f", digest }) });
      const last = await rig.patch(at, 0, "0123456789");
      expect(last).toMatchObject({ status: 422, code: "DIGEST_MISMATCH" });
      expect(last.detail).toContain("sha256");
      expect((await rig.ask("HEAD", at)).status).toBe(410);
    });

    it("is at the same address when the client asks again, and 404 when it was deleted since", async () => {
      const at = await rig.create(LENGTH);
      const { fields } = await rig.patch(at, 0, "0123456789");
      const again = await rig.ask("HEAD", at);
      expect(again.fields["troupe-file"]).toBe(fields["troupe-file"]);
      const fileId = /files\/(\w{36})/.exec(fields["troupe-file"] as string)?.[1] as string;
      await rig.troupe.catalog.deleteFile({ fileId }, { principal: { owner: "local" } });
      await expect.poll(async () => (await rig.ask("HEAD", at)).status).toBe(404);
    });
  });
});

describe("tus with tokens", () => {
  let rig: TusRig;
  const as = (secret: string) => ({ authorization: `Bearer ${secret}` });

  beforeAll(async () => {
    rig = await TusRig.start({
      tokens: [
        { owner: "ann", secret: "anns" },
        { owner: "bob", secret: "bobs" },
      ],
    });
  });
  afterAll(() => rig[Symbol.asyncDispose]());

  it("another's upload is not there, also as a part", async () => {
    const mine = await rig.create({ ...PARTIAL, "upload-length": "4", ...as("anns") }, "0123");
    for (const [method, headers] of [
      ["HEAD", {}],
      ["PATCH", { ...BODY_TYPE, "upload-offset": "4" }],
      ["DELETE", {}],
    ] as const)
      expect([method, (await rig.ask(method, mine, { headers: { ...headers, ...as("bobs") } })).status]).toEqual([method, 404]);
    const concat = { "upload-concat": `final;${mine}` };
    expect((await rig.ask("POST", "/tus/", { headers: { ...concat, ...as("bobs") } })).status).toBe(404);
    expect((await rig.ask("POST", "/tus/", { headers: { ...concat, ...as("anns") } })).status).toBe(201);
  });

  it("without a token only OPTIONS is answered", async () => {
    for (const [method, target] of [
      ["POST", "/tus/"],
      ["HEAD", "/tus/x"],
      ["PATCH", "/tus/x"],
      ["DELETE", "/tus/x"],
    ] as const)
      expect(await rig.ask(method, target)).toMatchObject({ status: 401, fields: { "tus-resumable": "1.0.0" } });
    expect((await rig.ask("OPTIONS", "/tus/")).status).toBe(204);
  });
});
