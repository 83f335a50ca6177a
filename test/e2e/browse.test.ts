/** What people have, against `/browse/` of a server that wants tokens: rclone, wget, curl, ffmpeg and mpv. */
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findProgram } from "../../src/bin/engines/engine-process.ts";
import { endOf, run } from "../support/program.ts";
import { startServer } from "../support/server-process.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

const SHOW_SECONDS = 30;
/** Names as people give them, and as nobody should. */
const TREE = [
  "a.txt",
  "with space/in folder & file.txt",
  "with space/100%41 sure?x=1#y.txt",
  "a:b.txt",
  // Not at the top: rclone asks for a folder there by "./a:b/", and then takes no link in it for one below it.
  "with space/colon: here/a:b.txt",
  "日本語/مرحبا é.txt",
  "quotes 'single' \"double\"/<b>.txt",
  "deep/er/and/deeper/~x;y+z.txt",
  "index.html",
  "deep/index.html",
];

const stack = new AsyncDisposableStack();
let server: Awaited<ReturnType<typeof startServer>>;
let folder: string;
/** With a token in it, as a player or a mirror without a place for headers has it. */
let url: string;

const inFolder = (...names: string[]): string => join(folder, ...names);
const curl = (...argv: string[]): Promise<Buffer> =>
  run("curl", ["--silent", "--show-error", "--fail-with-body", "--user", "ann:s3cret-of-ann", ...argv]);

async function upload(user: string, name: string, path: string): Promise<void> {
  await curl("--form-string", `metadata=${JSON.stringify({ name, user })}`, "--form", `file=@${path}`, `${server.url}/api/v1/files`);
}

/** Every file below a folder, by its path there. */
async function contents(root: string): Promise<Map<string, string>> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return new Map(await Promise.all(files.sort().map(async (path) => [relative(root, path), await readFile(path, "utf8")] as const)));
}

const hasMpv = findProgram(["mpv"]) !== undefined;
const mpv = async (...argv: string[]): Promise<string> =>
  (await run("mpv", ["--no-config", "--vo=null", "--ao=null", "--untimed", ...argv])).toString();

const textOf = (name: string): string => `what is in ${name}\n`.repeat(100);

describe("/browse/ with tokens on", () => {
  beforeAll(async () => {
    const directory = stack.use(await temporaryDirectory());
    folder = directory.path;
    server = stack.use(await startServer(inFolder("store"), ["--token", "ann:s3cret-of-ann", "--token", "bob:s3cret-of-bob"]));
    url = server.url.replace("http://", "http://ann:s3cret-of-ann@");
    await Promise.all(
      TREE.map(async (name, index) => {
        const path = inFolder(`part${index}`);
        await writeFile(path, "an older one");
        await upload("tree", name, path);
        await writeFile(path, textOf(name));
        await upload("tree", name, path);
      }),
    );
  });

  afterAll(() => stack.disposeAsync());

  it("is copied by rclone's http remote, names and bytes, and rclone check finds no difference", async () => {
    const remote = ["--config", inFolder("rclone.conf"), "--http-url", `${url}/browse/tree/`];
    await writeFile(inFolder("rclone.conf"), "");
    await run("rclone", ["copy", ":http:", inFolder("rclone"), ...remote]);
    expect(await contents(inFolder("rclone"))).toEqual(new Map([...TREE].sort().map((name) => [name, textOf(name)])));
    await run("rclone", ["check", "--download", ":http:", inFolder("rclone"), ...remote]);
    await writeFile(inFolder("rclone", "a.txt"), textOf("b.txt"));
    expect((await endOf("rclone", ["check", "--download", ":http:", inFolder("rclone"), ...remote])).code).toBe(1);
  });

  it("is listed by rclone with a token in a header, sizes and times as the files have them", async () => {
    const remote = ["--config", inFolder("rclone.conf"), "--http-url", `${server.url}/browse/tree/`];
    const listed = await run("rclone", [
      "lsf",
      "-R",
      "--files-only",
      "--format",
      "ps",
      "--separator",
      "\t",
      ":http:",
      ...remote,
      "--http-headers",
      "Authorization,Bearer s3cret-of-ann",
    ]);
    const sizes = new Map(
      listed
        .toString()
        .trim()
        .split("\n")
        .map((line) => line.split("\t") as [string, string]),
    );
    expect(sizes).toEqual(new Map(TREE.map((name) => [name, String(Buffer.byteLength(textOf(name)))])));
    const without = await endOf("rclone", ["lsf", ":http:", ...remote, "--retries", "1", "--low-level-retries", "1"]);
    expect([without.code === 0, without.stdout.toString()]).toEqual([false, ""]);
  });

  it("is walked by wget -r, which stays inside it", async () => {
    const wget = [
      "--no-verbose",
      "--recursive",
      "--level=inf",
      "--no-parent",
      "--no-host-directories",
      "--cut-dirs=2",
      "--reject-regex",
      "[?]",
    ];
    const who = ["--user", "ann", "--password", "s3cret-of-ann", "--auth-no-challenge"];
    await run("wget", [...wget, ...who, "--directory-prefix", inFolder("wget"), `${server.url}/browse/tree/`]);
    const found = await contents(inFolder("wget"));
    // It gives listings the name index.html, and undoes encodings twice: what it makes of other names is its own.
    const plain = TREE.filter((name) => !name.endsWith("index.html") && !name.includes("%"));
    for (const name of plain) expect([name, found.get(name)]).toEqual([name, textOf(name)]);
    expect([...found.keys()].filter((name) => !plain.includes(name) && !name.endsWith("index.html"))).toHaveLength(1);
  });

  it("shows one owner's files to nobody else", async () => {
    const bob = ["--silent", "--user", "bob:s3cret-of-bob", "--output", "/dev/null", "--write-out", "%{http_code}"];
    const status = async (path: string, who: readonly string[]): Promise<string> =>
      (await run("curl", [...who, `${server.url}${path}`])).toString();
    for (const path of ["/browse/tree/a.txt", "/browse/tree/deep/", "/browse/tree/deep"]) expect(await status(path, bob)).toBe("404");
    expect((await run("curl", ["--silent", "--user", "bob:s3cret-of-bob", `${server.url}/browse/?format=json`])).toString()).toBe(
      '{"path":"","folders":[],"files":[]}\n',
    );
    expect(
      await status(
        "/browse/tree/a.txt",
        bob.filter((word) => !word.includes("bob")).filter((word) => word !== "--user"),
      ),
    ).toBe("401");
  });

  describe("a show that ffmpeg cut into segments", () => {
    const show = (): string => `${url}/browse/default/show/index.m3u8`;
    const local = (): string => inFolder("show", "index.m3u8");
    const frameAt = (seconds: number, input: string): Promise<Buffer> =>
      run("ffmpeg", ["-v", "error", "-ss", String(seconds), "-i", input, "-map", "0:v", "-frames:v", "1", "-f", "framemd5", "-"]);

    beforeAll(async () => {
      await run("mkdir", [inFolder("show")]);
      const picture = ["-f", "lavfi", "-i", `testsrc2=size=160x90:rate=10:duration=${SHOW_SECONDS}`];
      const sound = ["-f", "lavfi", "-i", `sine=duration=${SHOW_SECONDS}`];
      const hls = ["-f", "hls", "-hls_time", "4", "-hls_list_size", "0", local()];
      await run("ffmpeg", ["-v", "error", ...picture, ...sound, "-c:v", "mpeg2video", "-g", "10", "-c:a", "mp2", ...hls]);
      const names = await readdir(inFolder("show"));
      expect(names.length).toBeGreaterThan(5);
      // As a person would: each with its path as its name.
      await Promise.all(names.map((name) => curl("-T", inFolder("show", name), `${server.url}/put/show/${name}`)));
    });

    it("has the types that players go by", async () => {
      const type = async (name: string): Promise<string> =>
        (
          await curl("--head", "--output", "/dev/null", "--write-out", "%{content_type}", `${server.url}/browse/default/show/${name}`)
        ).toString();
      expect([await type("index.m3u8"), await type("index0.ts")]).toEqual(["application/vnd.apple.mpegurl", "video/mp2t"]);
      await writeFile(inFolder("x.m4s"), "x");
      await curl("-T", inFolder("x.m4s"), `${server.url}/put/show/x.m4s`);
      expect(await type("x.m4s")).toBe("video/iso.segment");
    });

    it("plays and seeks in ffmpeg, which takes the token from the address to every segment", async () => {
      const length = await run("ffprobe", ["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", show()]);
      expect(Number(length.toString())).toBeCloseTo(SHOW_SECONDS, 0);
      for (const seconds of [3, 17, 26]) {
        const frame = await frameAt(seconds, show());
        expect(frame.toString()).toMatch(/^0,.*[0-9a-f]{32}$/m);
        expect(frame.equals(await frameAt(seconds, local()))).toBe(true);
      }
      expect((await endOf("ffprobe", ["-v", "error", show().replace("ann:s3cret-of-ann@", "")])).code).not.toBe(0);
    });

    it.skipIf(!hasMpv)("plays and seeks in mpv", async () => {
      const frames = async (name: string, input: string): Promise<Buffer[]> => {
        await mpv("--vo=image", `--vo-image-outdir=${inFolder(name)}`, "--start=20", "--frames=12", "--no-audio", input);
        const names = (await readdir(inFolder(name))).sort();
        return await Promise.all(names.map((each) => readFile(inFolder(name, each))));
      };
      const played = await frames("frames", show());
      expect(played.length).toBeGreaterThan(10);
      expect(played).toEqual(await frames("frames-local", local()));
    });

    it("is open to a browser by its cookie, segment by segment", async () => {
      const jar = inFolder("jar");
      await run("curl", [
        "--silent",
        "--show-error",
        "--fail",
        "--cookie-jar",
        jar,
        "--json",
        '{"token":"ann:s3cret-of-ann"}',
        `${server.url}/api/v1/session`,
      ]);
      const segment = await run("curl", ["--silent", "--fail", "--cookie", jar, `${server.url}/browse/default/show/index3.ts`]);
      expect(segment.equals(await readFile(inFolder("show", "index3.ts")))).toBe(true);
    });
  });

  describe("a playlist", () => {
    it.skipIf(!hasMpv)("plays in mpv without a token, in natural order, from the server or from a file", async () => {
      await run("ffmpeg", [
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=160x90:rate=5:duration=1",
        "-c:v",
        "mjpeg",
        inFolder("e.mp4"),
      ]);
      for (const name of ["e 10.mp4", "e 2.mp4", "e 1.mp4"]) await upload("default", `series/${name}`, inFolder("e.mp4"));
      const list = await curl(`${server.url}/browse/default/series/?m3u`);
      expect(list.toString()).not.toContain("s3cret");
      await writeFile(inFolder("series.m3u"), list);
      for (const input of [inFolder("series.m3u"), `${url}/browse/default/series/?m3u`]) {
        const said = await mpv("--msg-level=all=warn,cplayer=info", input);
        const played = [...said.matchAll(/^Playing: \S+\/series\/(\S+)\?/gm)].map((match) => decodeURIComponent(match[1] as string));
        expect(played).toEqual(["e 1.mp4", "e 2.mp4", "e 10.mp4"]);
      }
    });
  });

  describe("a form", () => {
    it("F23: whose file does not have the digest in its metadata is 422, and nothing of it is there", async () => {
      await writeFile(inFolder("claimed"), "these bytes");
      const metadata = JSON.stringify({ name: "claimed", digest: { algorithm: "md5", value: "0".repeat(32) } });
      const who = ["--silent", "--user", "ann:s3cret-of-ann"];
      const sent = ["--form-string", `metadata=${metadata}`, "--form", `file=@${inFolder("claimed")}`, `${server.url}/api/v1/files`];
      const answer = await run("curl", [...who, ...sent]);
      expect(JSON.parse(answer.toString())).toMatchObject({ status: 422, code: "DIGEST_MISMATCH" });
      const found = await run("curl", [
        ...who,
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_code}",
        `${server.url}/browse/default/claimed`,
      ]);
      expect(found.toString()).toBe("404");
    });

    it("from curl keeps every byte and the browser's type, and one that breaks off leaves nothing", async () => {
      const film = inFolder("film.mp4");
      await run("sh", ["-c", `head -c 20000000 /dev/urandom > '${film}'`]);
      const answer = JSON.parse((await curl("--form", `file=@${film}`, `${server.url}/api/v1/files`)).toString()) as {
        name: string;
        size: number;
      };
      expect(answer).toMatchObject({ name: "film.mp4", size: (await stat(film)).size });
      await curl("--output", inFolder("back.mp4"), `${server.url}/browse/default/film.mp4`);
      await run("cmp", [film, inFolder("back.mp4")]);
      const body = `--b\r\nContent-Disposition: form-data; name="file"; filename="cut.mp4"\r\n\r\n${"x".repeat(300_000)}`;
      await writeFile(inFolder("cut"), body);
      const cut = await endOf("curl", [
        "--silent",
        "--user",
        "ann:s3cret-of-ann",
        "--header",
        "content-type: multipart/form-data; boundary=b",
        "--data-binary",
        `@${inFolder("cut")}`,
        `${server.url}/api/v1/files`,
      ]);
      expect(JSON.parse(cut.stdout.toString())).toMatchObject({ status: 400, code: "BAD_REQUEST" });
      expect(
        (
          await endOf("curl", [
            "--silent",
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_code}",
            "--user",
            "ann:s3cret-of-ann",
            `${server.url}/browse/default/cut.mp4`,
          ])
        ).stdout.toString(),
      ).toBe("404");
      expect(await run("find", [inFolder("store/uploads"), "-type", "f"])).toEqual(Buffer.alloc(0));
    });
  });
});
