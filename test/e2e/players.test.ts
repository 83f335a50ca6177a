/** The tools people have: a film, its index at its end as cameras and ffmpeg write it, is sent, played, resumed and fetched with them. */
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { access, open, readFile, stat, truncate, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { createBLAKE3 } from "hash-wasm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startCountingProxy } from "../support/counting-proxy.ts";
import { endOf, run, runTroupe } from "../support/program.ts";
import { startServer } from "../support/server-process.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

const FILM_SECONDS = 720;
const SLOW_READERS = 50;
/** Three blocks of a response each: one that waits for its reader, and as much again and more that is not collected yet. */
const SLOW_READERS_BYTES_MAX = SLOW_READERS * 768 * 1024;

const stack = new AsyncDisposableStack();
let server: Awaited<ReturnType<typeof startServer>>;
let folder: string;
let film: string;
let sizeBytes: number;
let url: string;

const inFolder = (name: string): string => join(folder, name);
const cmp = (path: string): Promise<Buffer> => run("cmp", [film, path]);
const curl = (...argv: string[]): Promise<Buffer> => run("curl", ["--silent", "--show-error", "--fail", ...argv]);

/** The film's first bytes in a file of its own, as a download that was broken off leaves them. */
async function partOfFilm(name: string, lengthBytes: number): Promise<string> {
  await run("cp", [film, inFolder(name)]);
  await truncate(inFolder(name), lengthBytes);
  return inFolder(name);
}

async function filmBytes(first: number, last: number): Promise<Buffer> {
  await using handle = await open(film);
  const bytes = Buffer.alloc(last - first + 1);
  await handle.read(bytes, 0, bytes.length, first);
  return bytes;
}

/** The head of an answer, without what came before it (100 Continue). */
function headOf(text: string): { readonly status: number; readonly fields: Map<string, string> } {
  const [first = "", ...lines] = (text.trim().split("\r\n\r\n").at(-1) ?? "").split("\r\n");
  return {
    status: Number(first.split(" ")[1]),
    fields: new Map(lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()])),
  };
}

async function reported(): Promise<{ readonly size: number; readonly blake3: string }> {
  const { size, digest } = JSON.parse((await curl(`${server.url}/api/v1/files/${new URL(url).pathname.split("/")[2]}`)).toString());
  return { size, blake3: digest.blake3 };
}

async function statusOf(...argv: string[]): Promise<string> {
  return (await curl("--output", "/dev/null", "--write-out", "%{http_code} %{size_download}", ...argv)).toString();
}

describe("a film", () => {
  beforeAll(async () => {
    const directory = stack.use(await temporaryDirectory());
    folder = directory.path;
    film = inFolder("film.mp4");
    server = stack.use(await startServer(inFolder("store")));
    const picture = `testsrc2=size=960x540:rate=2:duration=${FILM_SECONDS}`;
    await run("ffmpeg", ["-v", "error", "-f", "lavfi", "-i", picture, "-c:v", "mjpeg", "-q:v", "2", film]);
    sizeBytes = (await stat(film)).size;
    const printed = await runTroupe(server.url, ["upload", film, "--chunk", "1MiB", "--parallel", "8"]);
    url = printed.trim();
    expect(printed).toBe(`${url}\n`);
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/files\/[^/]+\/film\.mp4$/);
  });

  afterAll(() => stack.disposeAsync());

  it("has its index at its end", async () => {
    const tail = await filmBytes(sizeBytes - 256 * 1024, sizeBytes - 1);
    expect(tail.includes("moov")).toBe(true);
    expect((await filmBytes(0, 256 * 1024)).includes("moov")).toBe(false);
  });

  it("is equal after curl has fetched it", async () => {
    await curl("--output", inFolder("curl.mp4"), url);
    await cmp(inFolder("curl.mp4"));
  });

  it("has the BLAKE3 that was reported", async () => {
    const hash = await createBLAKE3();
    for await (const block of createReadStream(film, { highWaterMark: 1024 * 1024 })) hash.update(block as Buffer);
    expect(await reported()).toEqual({ size: sizeBytes, blake3: hash.digest("hex") });
  });

  it("has the BLAKE3 that b3sum finds", async ({ skip }) => {
    const found = await endOf("b3sum", ["--no-names", film]).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    });
    if (found === undefined) return skip("b3sum is not installed");
    expect((await reported()).blake3).toBe(found.stdout.toString().trim());
  });

  it("is sought by ffmpeg in its tenth and in its last minute for less than a twentieth of its bytes", async () => {
    // What the sockets between hold, some megabytes, is sent and never read; a longer film makes it small beside what is not sent.
    const long = inFolder("long.mp4");
    await run("ffmpeg", ["-v", "error", "-stream_loop", "5", "-i", film, "-c", "copy", long]);
    const { pathname } = new URL((await curl("-T", long, `${server.url}/put/long.mp4`)).toString());
    const { size } = await stat(long);
    for (const at of ["00:10:00", "01:11:30"]) {
      await using proxy = await startCountingProxy(server.url);
      const frameOf = (input: string): Promise<Buffer> =>
        run("ffmpeg", ["-v", "error", "-ss", at, "-i", input, "-frames:v", "1", "-f", "framemd5", "-"]);
      const frame = await frameOf(`${proxy.url}${pathname}`);
      expect(frame.toString()).toMatch(/^0,.*[0-9a-f]{32}$/m);
      expect(frame.equals(await frameOf(long))).toBe(true);
      expect(proxy.passedBytes).toBeGreaterThan(0);
      expect(proxy.passedBytes / size).toBeLessThan(0.05);
    }
  });

  it("shows ffprobe its length", async () => {
    const said = await run("ffprobe", ["-v", "error", "-show_entries", "format=duration,size", "-of", "csv=p=0", url]);
    expect(said.toString().trim()).toBe(`${FILM_SECONDS}.000000,${sizeBytes}`);
  });

  it("is completed by curl -C - and by wget -c, which fetch what is missing only", async () => {
    const haveBytes = sizeBytes - 3_000_001;
    await using proxy = await startCountingProxy(server.url);
    const throughProxy = `${proxy.url}${new URL(url).pathname}`;
    const forCurl = await partOfFilm("resumed-curl.mp4", haveBytes);
    await curl("-C", "-", "--output", forCurl, throughProxy);
    await cmp(forCurl);
    const curlBytes = proxy.passedBytes;
    const forWget = await partOfFilm("resumed-wget.mp4", haveBytes);
    await run("wget", ["--quiet", "--continue", "--output-document", forWget, throughProxy]);
    await cmp(forWget);
    for (const passedBytes of [curlBytes, proxy.passedBytes - curlBytes]) {
      expect(passedBytes).toBeGreaterThan(3_000_001);
      expect(passedBytes).toBeLessThan(3_100_000);
    }
  });

  it("is fetched by wget, and a complete file is left alone by wget -c and curl -C -", async () => {
    await run("wget", ["--quiet", "--directory-prefix", inFolder("wget"), url]);
    await cmp(inFolder("wget/film.mp4"));
    await run("wget", ["--quiet", "--continue", "--directory-prefix", inFolder("wget"), url]);
    // Without --fail: with it, curl takes the 416 that says so for a failure.
    await run("curl", ["--silent", "--show-error", "-C", "-", "--output", inFolder("wget/film.mp4"), url]);
    await cmp(inFolder("wget/film.mp4"));
  });

  it.each([
    { range: "0-0", first: () => 0, last: () => 0 },
    { range: "65535-65536", first: () => 65_535, last: () => 65_536 },
    { range: "-1000", first: () => sizeBytes - 1000, last: () => sizeBytes - 1 },
    { range: "5000000-", first: () => 5_000_000, last: () => sizeBytes - 1 },
  ])("gives curl -r $range those bytes", async ({ range, first, last }) => {
    const head = inFolder("range.head");
    const bytes = await curl("-r", range, "--dump-header", head, url);
    expect(bytes.equals(await filmBytes(first(), last()))).toBe(true);
    const { status, fields } = headOf(await readFile(head, "utf8"));
    expect({ status, range: fields.get("content-range"), length: fields.get("content-length") }).toEqual({
      status: 206,
      range: `bytes ${first()}-${last()}/${sizeBytes}`,
      length: String(last() - first() + 1),
    });
  });

  it("gives several ranges as multipart/byteranges", async () => {
    const head = inFolder("ranges.head");
    const body = (await curl("-r", "0-9,100-109", "--dump-header", head, url)).toString("latin1");
    const { status, fields } = headOf(await readFile(head, "utf8"));
    expect(status).toBe(206);
    expect(fields.get("content-length")).toBe(String(body.length));
    const boundary = /^multipart\/byteranges; ?boundary="?([^"]+)"?$/.exec(fields.get("content-type") ?? "")?.[1];
    const [preamble, ...rest] = `\r\n${body}`.split(`\r\n--${boundary}`);
    const epilogue = rest.pop();
    expect({ preamble, epilogue }).toEqual({ preamble: "", epilogue: "--\r\n" });
    const parts = rest.map((part) => {
      const end = part.indexOf("\r\n\r\n");
      return { head: headOf(`PART 0${part.slice(0, end)}`).fields, body: part.slice(end + 4) };
    });
    expect(parts.map((part) => [part.head.get("content-type"), part.head.get("content-range"), part.body])).toEqual([
      ["video/mp4", `bytes 0-9/${sizeBytes}`, (await filmBytes(0, 9)).toString("latin1")],
      ["video/mp4", `bytes 100-109/${sizeBytes}`, (await filmBytes(100, 109)).toString("latin1")],
    ]);
  });

  it("has a head without a body, and If-Range gives a part only of the same film", async () => {
    const { status, fields } = headOf((await curl("--head", url)).toString());
    expect({
      status,
      length: fields.get("content-length"),
      type: fields.get("content-type"),
      ranges: fields.get("accept-ranges"),
    }).toEqual({ status: 200, length: String(sizeBytes), type: "video/mp4", ranges: "bytes" });
    const etag = fields.get("etag") ?? "";
    expect(etag).toMatch(/^".+"$/);
    expect(await statusOf("-r", "0-99", "-H", `If-Range: ${etag}`, url)).toBe("206 100");
    expect(await statusOf("-r", "0-99", "-H", 'If-Range: "another"', url)).toBe(`200 ${sizeBytes}`);
    expect(await statusOf("-H", `If-None-Match: ${etag}`, url)).toBe("304 0");
  });

  it("is downloaded by troupe, whole and a range of it", async () => {
    const whole = inFolder("troupe.mp4");
    expect(await runTroupe(server.url, ["download", url, "-o", whole])).toBe(`${whole}\n`);
    await cmp(whole);
    const part = inFolder("troupe.part");
    await runTroupe(server.url, ["download", url, "--range", "1000000-2999999", "-o", part]);
    expect((await readFile(part)).equals(await filmBytes(1_000_000, 2_999_999))).toBe(true);
  });

  it("is sent by curl -T, its length known or not", async () => {
    const known = await curl("-T", film, `${server.url}/put/known.mp4`);
    const fromPipe = await run("curl", ["--silent", "--show-error", "--fail", "-T", "-", `${server.url}/put/piped.mp4`], {
      input: createReadStream(film),
    });
    for (const [printed, name] of [
      [known, "known.mp4"],
      [fromPipe, "piped.mp4"],
    ] as const) {
      expect(printed.toString()).toMatch(new RegExp(`^http://\\S+/${name}\n$`));
      await curl("--output", inFolder(name), printed.toString().trim());
      await cmp(inFolder(name));
    }
  });

  it("is received from a pipe by troupe upload -", async () => {
    const printed = await runTroupe(server.url, ["upload", "-", "--name", "stdin.mp4"], { input: createReadStream(film) });
    await curl("--output", inFolder("stdin.mp4"), printed.trim());
    await cmp(inFolder("stdin.mp4"));
  });

  it.skipIf(process.platform !== "linux")(
    `I9: ${SLOW_READERS} more readers that stop after one byte cost little memory, hinder nobody, and one that goes on gets the rest`,
    async () => {
      await using readers = new AsyncDisposableStack();
      const stoppedReader = async (): Promise<{ socket: Socket; first: Buffer }> => {
        const { host, port, pathname } = new URL(url);
        const socket = connect(Number(port), "127.0.0.1");
        readers.defer(() => void socket.destroy());
        socket.write(`GET ${pathname} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
        await once(socket, "readable");
        return { socket, first: socket.read(1) as Buffer };
      };
      // Until others have read all of it several times, whatever the sockets take at first has been taken.
      const residentBeside = async (): Promise<number> => {
        for (let round = 0; round < 4; round += 1) {
          await curl("--output", inFolder("beside.mp4"), url);
          await cmp(inFolder("beside.mp4"));
        }
        return await server.residentBytes();
      };
      // The first ones fill the heap with garbage as well, which is not theirs alone: what counts is what more of them cost.
      for (let count = 0; count < SLOW_READERS; count += 1) await stoppedReader();
      const beforeBytes = await residentBeside();
      const { socket, first } = await stoppedReader();
      for (let count = 1; count < SLOW_READERS; count += 1) await stoppedReader();
      const grownBytes = (await residentBeside()) - beforeBytes;
      console.log(`${SLOW_READERS} more slow readers: ${(grownBytes / 1e6).toFixed(1)} MB on ${(beforeBytes / 1e6).toFixed(0)} MB`);
      expect(grownBytes).toBeLessThan(SLOW_READERS_BYTES_MAX);
      const answer: Buffer[] = [first];
      for await (const block of socket) answer.push(block as Buffer);
      const bytes = Buffer.concat(answer);
      await writeFile(inFolder("slow.mp4"), bytes.subarray(bytes.indexOf("\r\n\r\n") + 4));
      await cmp(inFolder("slow.mp4"));
    },
  );

  it("leaves nothing of its uploads behind", async () => {
    await expect(access(inFolder("store/uploads"))).resolves.toBeUndefined();
    expect(await run("find", [inFolder("store/uploads"), "-type", "f"])).toEqual(Buffer.alloc(0));
  });
});
