/** tus-js-client as it is published, against a server process as a user starts it: every way it sends a file ends in an equal one. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { Readable } from "node:stream";
import { blake3 } from "hash-wasm";
import * as client from "tus-js-client";
import { Upload, type UploadOptions, type UrlStorage } from "tus-js-client";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { LastingDoor } from "../support/lasting-door.ts";
import { type ServerProcess, startServer } from "../support/server-process.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

const MIB = 1024 * 1024;
const SIZE = 10 * MIB + 4321;
/** Its types leave it out. */
const { FileUrlStorage } = client as unknown as { readonly FileUrlStorage: new (path: string) => UrlStorage };

interface Sent {
  /** Where the upload was. */
  readonly uploadUrl: string;
  /** What `Troupe-File` said with the last answer. */
  readonly fileUrl: string;
}

/** Resolves when the client says that it is done. `begin` may look for an upload of before first. */
function send(
  url: string,
  input: Buffer | Readable,
  options: Partial<UploadOptions> = {},
  begin: (upload: Upload) => Promise<void> = async () => undefined,
): Promise<Sent> {
  return new Promise((resolve, reject) => {
    const upload = new Upload(input, {
      endpoint: `${url}/tus/`,
      metadata: { filename: "films/film.mp4", filetype: "video/mp4" },
      retryDelays: null,
      ...options,
      onError: reject,
      onSuccess: ({ lastResponse }) => resolve({ uploadUrl: upload.url as string, fileUrl: lastResponse.getHeader("Troupe-File") ?? "" }),
    });
    begin(upload).then(() => upload.start(), reject);
  });
}

async function digestAt(url: string): Promise<string> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  return await blake3(Buffer.from(await response.arrayBuffer()));
}

describe("tus-js-client", () => {
  const bytes = randomBytes(SIZE);
  let digest = "";
  let server: ServerProcess;

  beforeAll(async () => {
    digest = await blake3(bytes);
    const directory = await temporaryDirectory();
    server = await startServer(directory.path);
    return async () => {
      await server.kill();
      await directory[Symbol.asyncDispose]();
    };
  });

  it.each<[string, Partial<UploadOptions>]>([
    ["in one endless PATCH", {}],
    ["in bodies smaller than our chunks", { chunkSize: 1_234_567 }],
    ["in bodies larger than our chunks", { chunkSize: 9 * MIB + 1 }],
    ["with its first bytes in the creation", { chunkSize: 3_000_000, uploadDataDuringCreation: true }],
    ["by POST for want of PATCH", { overridePatchMethod: true }],
    ["in four parts at once, put together", { parallelUploads: 4 }],
    ["in parts, each in several bodies", { parallelUploads: 3, chunkSize: 1_234_567 }],
  ])("sends a file %s, and it is equal", async (_, options) => {
    const { fileUrl } = await send(server.url, bytes, options);
    expect(fileUrl).toMatch(/\/files\/\w{36}\/films\/film\.mp4$/);
    expect(await digestAt(fileUrl)).toBe(digest);
  });

  it("sends a stream of which nobody knows how long it is", async () => {
    const input = Readable.from([bytes.subarray(0, 5_000_001), bytes.subarray(5_000_001)]);
    const { fileUrl } = await send(server.url, input, { uploadLengthDeferred: true, chunkSize: 3_000_000 });
    expect(await digestAt(fileUrl)).toBe(digest);
  });

  it("sends a file of no bytes", async () => {
    const { fileUrl } = await send(server.url, Buffer.alloc(0));
    expect((await (await fetch(fileUrl)).arrayBuffer()).byteLength).toBe(0);
  });

  it("stops, finds what it began, and goes on there", async () => {
    await using directory = await temporaryDirectory();
    const urlStorage = new FileUrlStorage(join(directory.path, "urls.json"));
    const options = { urlStorage, chunkSize: 2 * MIB };
    const stopped = await new Promise<string>((resolve, reject) => {
      const upload = new Upload(bytes, {
        ...options,
        endpoint: `${server.url}/tus/`,
        onError: reject,
        onChunkComplete: (_, acceptedBytes) => {
          if (acceptedBytes >= 4 * MIB) void upload.abort().then(() => resolve(upload.url as string), reject);
        },
      });
      upload.start();
    });
    const offsets: number[] = [];
    const { uploadUrl, fileUrl } = await send(
      server.url,
      bytes,
      { ...options, onChunkComplete: (chunkBytes, acceptedBytes) => offsets.push(acceptedBytes - chunkBytes) },
      async (upload) => {
        const [previous] = await upload.findPreviousUploads();
        upload.resumeFromPreviousUpload(previous as NonNullable<typeof previous>);
      },
    );
    expect(uploadUrl).toBe(stopped);
    expect(offsets[0]).toBeGreaterThanOrEqual(4 * MIB);
    expect(await digestAt(fileUrl)).toBe(digest);
  });

  it("stops in the middle of a PATCH and goes on: what the server has is not sent again", async () => {
    const url = await new Promise<string>((resolve, reject) => {
      const upload = new Upload(bytes, {
        endpoint: `${server.url}/tus/`,
        onError: reject,
        onProgress: (sentBytes) => {
          if (sentBytes > 3 * MIB) void upload.abort().then(() => resolve(upload.url as string), reject);
        },
      });
      upload.start();
    });
    const { uploadUrl, fileUrl } = await send(server.url, bytes, { uploadUrl: url });
    expect(uploadUrl).toBe(url);
    expect(await digestAt(fileUrl)).toBe(digest);
  });

  it("gives an upload up, and its address is gone", async () => {
    const url = await new Promise<string>((resolve, reject) => {
      const upload = new Upload(bytes, {
        endpoint: `${server.url}/tus/`,
        chunkSize: 2 * MIB,
        onError: reject,
        onChunkComplete: () => void upload.abort(true).then(() => resolve(upload.url as string), reject),
      });
      upload.start();
    });
    expect((await fetch(url, { method: "HEAD", headers: { "tus-resumable": "1.0.0" } })).status).toBe(410);
  });
});

describe("tus-js-client and a server that is killed with -9", () => {
  const bytes = randomBytes(SIZE);
  let digest = "";
  let server: ServerProcess;
  let door: LastingDoor;
  let end = async (): Promise<void> => {};
  let root = "";

  beforeAll(async () => {
    digest = await blake3(bytes);
    const directory = await temporaryDirectory();
    root = directory.path;
    end = async () => await directory[Symbol.asyncDispose]();
    server = await startServer(root);
    door = await LastingDoor.before(server.url);
  });
  afterAll(async () => {
    await door?.[Symbol.asyncDispose]();
    await server?.kill();
    await end();
  });

  it.each<[string, Partial<UploadOptions>, number]>([
    ["an endless PATCH", {}, 0.6],
    ["small bodies", { chunkSize: 700_001 }, 0.5],
    ["parts at once", { parallelUploads: 3, chunkSize: 2 * MIB }, 0.5],
  ])("F1: goes on by itself when it is back, in %s, and the file is equal", async (_, options, share) => {
    let restart: Promise<void> | undefined;
    const { fileUrl } = await send(door.url, bytes, {
      ...options,
      // Longer than a server needs to come up on a slow machine.
      retryDelays: Array.from({ length: 400 }, () => 100),
      onProgress: (sentBytes) => {
        if (sentBytes < share * SIZE || restart !== undefined) return;
        restart = server.kill().then(async () => {
          server = await startServer(root);
          door.target = server.url;
        });
      },
    });
    expect(restart).toBeDefined();
    await restart;
    expect(await digestAt(fileUrl)).toBe(digest);
  });
});
