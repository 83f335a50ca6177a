/** The downloader before a gateway that breaks in many ways. */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseWantedRange, spanOf } from "../../src/client/byte-range.ts";
import { downloadBlocks, downloadToFile } from "../../src/client/downloader.ts";
import { TroupeError } from "../../src/core/errors.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { broken, fileIdNumber, problem } from "./memory-gateway.ts";
import { clientRig, failureOf } from "./rig.ts";

const ID = fileIdNumber(1);
const GET = `GET /files/${ID}`;

async function downloadRig(sizeBytes = 95_000) {
  const rig = await clientRig();
  const bytes = Buffer.from(new SeededRandom(3).bytes(sizeBytes));
  rig.gateway.add(ID, "a.bin", bytes);
  const file = await rig.client.file(ID);
  const target = rig.path("out.bin");
  rig.gateway.requests.length = 0;
  return {
    ...rig,
    bytes,
    file,
    target,
    names: () => readdir(dirname(target)),
    download: (more: { range?: string; overwrite?: boolean; signal?: AbortSignal } = {}) =>
      downloadToFile(
        rig.client,
        rig.ports,
        { file, range: more.range === undefined ? undefined : parseWantedRange(more.range), signal: more.signal },
        { path: target, overwrite: more.overwrite ?? false },
      ),
  };
}

describe("a download", () => {
  it.each([0, 1, 95_000])("of %i bytes is exact and leaves no part", async (sizeBytes) => {
    await using rig = await downloadRig(sizeBytes);
    expect(await rig.download()).toBe(sizeBytes);
    expect((await readFile(rig.target)).equals(rig.bytes)).toBe(true);
    expect(await rig.names()).toEqual(["out.bin"]);
  });

  it.each([
    ["0-99", 0, 100],
    ["90000-", 90_000, 95_000],
    ["-500", 94_500, 95_000],
    ["94999-200000", 94_999, 95_000],
  ])("of the range %s holds these bytes and no others", async (range, offset, end) => {
    await using rig = await downloadRig();
    await rig.download({ range });
    expect((await readFile(rig.target)).equals(rig.bytes.subarray(offset, end))).toBe(true);
  });

  it("goes on where the connection broke, if the file is still the same", async () => {
    await using rig = await downloadRig();
    const breaks = [25_000, 1, 30_000];
    rig.gateway.after = (seen, response) => {
      const sizeBytes = seen === GET ? breaks.shift() : undefined;
      return sizeBytes === undefined ? response : { ...response, body: broken(response.body, sizeBytes) };
    };
    await rig.download();
    expect((await readFile(rig.target)).equals(rig.bytes)).toBe(true);
    expect(rig.gateway.requests.map(({ headers }) => headers?.["range"])).toEqual([
      "bytes=0-94999",
      "bytes=25000-94999",
      "bytes=25001-94999",
      "bytes=55001-94999",
    ]);
    expect(rig.gateway.requests.slice(1).every(({ headers }) => headers?.["if-range"]?.startsWith('"'))).toBe(true);
  });

  it("goes on after an answer that ended early without an error", async () => {
    await using rig = await downloadRig();
    let isFirst = true;
    rig.gateway.after = (_, response) => {
      if (!isFirst) return response;
      isFirst = false;
      return { ...response, body: shortened(response.body) };
    };
    await rig.download();
    expect((await readFile(rig.target)).equals(rig.bytes)).toBe(true);
  });

  it("goes on however often it breaks, as long as something comes each time", async () => {
    await using rig = await downloadRig();
    rig.gateway.after = (_, response) => ({ ...response, body: broken(response.body, 3000) });
    await rig.download();
    expect((await readFile(rig.target)).equals(rig.bytes)).toBe(true);
  });

  it("gives up when nothing comes any more, and leaves no part", async () => {
    await using rig = await downloadRig();
    rig.gateway.before = () => problem(503, "UNAVAILABLE");
    expect((await failureOf(rig.download())).code).toBe("UNAVAILABLE");
    expect(rig.gateway.requests).toHaveLength(10);
    expect(await rig.names()).toEqual([]);
  });

  it("never joins bytes of two versions", async () => {
    await using rig = await downloadRig();
    let isFirst = true;
    rig.gateway.after = (_, response) => {
      if (!isFirst) return response;
      isFirst = false;
      rig.gateway.add(ID, "a.bin", Buffer.alloc(95_000, 7));
      return { ...response, body: broken(response.body, 20_000) };
    };
    expect((await failureOf(rig.download())).code).toBe("PRECONDITION_FAILED");
    expect(await rig.names()).toEqual([]);
  });

  it("F7: refuses bytes that do not have the file's digest", async () => {
    await using rig = await downloadRig();
    const damaged = Buffer.from(rig.bytes);
    damaged.writeUInt8((damaged.readUInt8(50_000) + 1) % 256, 50_000);
    rig.gateway.add(ID, "a.bin", damaged);
    expect((await failureOf(rig.download())).code).toBe("DIGEST_MISMATCH");
    expect(await rig.names()).toEqual([]);
  });

  it("takes what it wants from a server that ignores ranges, and no more", async () => {
    await using rig = await downloadRig();
    rig.gateway.before = (_, request) => {
      delete (request.headers as Record<string, string>)["range"];
      return undefined;
    };
    await rig.download({ range: "0-15" });
    expect((await readFile(rig.target)).equals(rig.bytes.subarray(0, 16))).toBe(true);
    expect((await failureOf(rig.download({ range: "16-20", overwrite: true }))).code).toBe("PRECONDITION_FAILED");
  });

  it("is stopped by the caller's signal", async () => {
    await using rig = await downloadRig();
    const controller = new AbortController();
    rig.gateway.after = (_, response) => {
      controller.abort();
      return response;
    };
    expect((await failureOf(rig.download({ signal: controller.signal }))).code).toBe("CANCELLED");
    expect(await rig.names()).toEqual([]);
  });
});

describe("what is there already", () => {
  it("is not replaced unless that is wanted", async () => {
    await using rig = await downloadRig();
    await writeFile(rig.target, "old");
    expect(await failureOf(rig.download())).toMatchObject({ code: "PRECONDITION_FAILED", facts: { taken: rig.target } });
    expect(await readFile(rig.target, "utf8")).toBe("old");
    await rig.download({ overwrite: true });
    expect((await readFile(rig.target)).equals(rig.bytes)).toBe(true);
  });

  it("is not replaced by a download that fails", async () => {
    await using rig = await downloadRig();
    await writeFile(rig.target, "old");
    rig.gateway.before = () => problem(404, "FILE_NOT_FOUND");
    await failureOf(rig.download({ overwrite: true }));
    expect(await rig.names()).toEqual(["out.bin"]);
    expect(await readFile(rig.target, "utf8")).toBe("old");
  });

  it("a part of another download is not written into", async () => {
    await using rig = await downloadRig();
    await writeFile(`${rig.target}.part`, "theirs");
    expect((await failureOf(rig.download())).facts).toMatchObject({ taken: `${rig.target}.part` });
    expect(await readFile(`${rig.target}.part`, "utf8")).toBe("theirs");
  });
});

describe("blocks", () => {
  it("are pulled: a reader that stops ends the exchange", async () => {
    await using rig = await downloadRig();
    let isEnded = false;
    rig.gateway.after = (_, response) => ({
      ...response,
      body: (async function* () {
        try {
          yield* response.body;
        } finally {
          isEnded = true;
        }
      })(),
    });
    for await (const block of downloadBlocks(rig.client, rig.ports, { file: rig.file })) {
      expect(block.length).toBeGreaterThan(0);
      break;
    }
    expect(isEnded).toBe(true);
  });
});

describe("ranges as people write them", () => {
  it("become offsets within the file, as HTTP would have it", () => {
    fc.assert(
      fc.property(fc.nat(1000), fc.nat(1000), fc.integer({ min: 1, max: 1000 }), (one, other, sizeBytes) => {
        const [first, last] = [Math.min(one, other), Math.max(one, other)];
        const bytes = Array.from({ length: sizeBytes }, (_, index) => index);
        for (const [text, expected] of [
          [`${first}-${last}`, bytes.slice(first, last + 1)],
          [`${first}-`, bytes.slice(first)],
          [`-${last}`, last === 0 ? [] : bytes.slice(-last)],
        ] as const) {
          if (expected.length === 0) {
            expect(() => spanOf(parseWantedRange(text), sizeBytes)).toThrow(TroupeError);
          } else {
            const { offset, end } = spanOf(parseWantedRange(text), sizeBytes);
            expect(bytes.slice(offset, end)).toEqual(expected);
          }
        }
      }),
    );
  });

  it("are refused in any other form, with a typed error", () => {
    for (const text of ["", "-", "5", "5-2", "a-b", "1-2-3", " 1-2", "1-2,4-5", "-1.5", "99999999999999999-"])
      expect(() => parseWantedRange(text)).toThrow(TroupeError);
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          parseWantedRange(text);
        } catch (error) {
          expect(error).toMatchObject({ code: "BAD_REQUEST" });
        }
      }),
    );
  });
});

async function* shortened(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const block of body) {
    yield block;
    return;
  }
}
