/** The page uploads: through a server that is killed, over a reload, paused, cancelled, whole folders, and nothing where nothing is new. */
import { mkdir, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import type { Browser, Route } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ServerProcess, startServer } from "../support/server-process.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { someBytes } from "../support/troupe.ts";
import { ChunkGate } from "./chunk-gate.ts";
import { makeUpload } from "./inspect-rig.ts";
import { choose, drop, FILM_CHUNKS, FILM_SECONDS, fileRow, makeFilm, soon, startBrowser, uploadRow, visit } from "./rig.ts";

const AWAY = /ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|ERR_CONNECTION_REFUSED|502|503/;

const stack = new AsyncDisposableStack();
let browser: Browser;
let server: ServerProcess;
let folder: string;
let film: string;

beforeAll(async () => {
  const directory = stack.use(await temporaryDirectory());
  folder = directory.path;
  browser = stack.adopt(await startBrowser(), (opened) => opened.close());
  server = stack.use(await startServer(join(folder, "data")));
  film = await makeFilm(folder, "film.webm");
});
afterAll(() => stack.disposeAsync());

const told = async (url: string): Promise<Record<string, unknown>> => (await (await fetch(url)).json()) as Record<string, unknown>;

describe("an upload on the page", () => {
  it("F1: goes on by itself when the server was killed with -9 and is back, and the film plays and seeks", async () => {
    await using directory = await temporaryDirectory();
    let mortal = await startServer(directory.path);
    try {
      await using gate = await ChunkGate.before(mortal.url);
      await using visitor = await visit(browser, gate.url, { expected: AWAY });
      const { page } = visitor;
      gate.allow(5);
      await choose(page, film);
      await soon(() => gate.taken.length).toBe(5);
      // Its port may be somebody else's before it is back on another.
      gate.target = undefined;
      await mortal.kill();
      gate.allow(Number.POSITIVE_INFINITY);
      const row = uploadRow(page, "film.webm");
      await row.getByText("Waiting for the server").waitFor();
      mortal = await startServer(directory.path);
      gate.target = mortal.url;
      await row.getByText("stored and checked").waitFor();
      const indexes = gate.taken.map(({ index }) => index).sort((left, right) => left - right);
      expect(indexes).toEqual(Array.from({ length: FILM_CHUNKS }, (_, index) => index));

      await row.getByRole("button", { name: "Open" }).click();
      const video = page.locator("video");
      const currentTime = () => video.evaluate((element: HTMLVideoElement) => element.currentTime);
      await soon(currentTime).toBeGreaterThan(0.2);
      const sought = await video.evaluate(
        (element: HTMLVideoElement, seconds) =>
          new Promise<number>((resolve) => {
            // What plays may be further on when the listener is called.
            element.pause();
            const onSeeked = (): void => {
              resolve(element.currentTime);
              void element.play();
            };
            element.addEventListener("seeked", onSeeked, { once: true });
            element.currentTime = seconds;
          }),
        FILM_SECONDS - 4,
      );
      expect(sought).toBeCloseTo(FILM_SECONDS - 4, 1);
      await soon(currentTime).toBeGreaterThan(FILM_SECONDS - 3.8);
    } finally {
      await mortal.kill();
    }
  });

  it("continues after a reload when the same file is dropped again, and only missing chunks are sent", async () => {
    await using gate = await ChunkGate.before(server.url);
    await using visitor = await visit(browser, gate.url);
    const { page } = visitor;
    const name = "reloaded.bin";
    const path = join(folder, name);
    await writeFile(path, someBytes(20 * 1024 * 1024, 3));
    gate.allow(7);
    await drop(page, path);
    await soon(() => gate.taken.length).toBe(7);
    const asked: string[] = [];
    page.on("dialog", (dialog) => {
      asked.push(dialog.type());
      void dialog.accept();
    });
    // A page that nobody has touched may not ask; this one was.
    await page.locator("h2", { hasText: "Uploading" }).click();
    await page.reload();
    expect(asked).toEqual(["beforeunload"]);
    const unfinished = page.locator(".unfinished");
    await unfinished.getByText(name).waitFor();
    await unfinished.getByText("drop the same file here again").waitFor();
    await unfinished.getByText("7.3 MB of 21.0 MB is there").waitFor();
    expect(await unfinished.locator("li").count()).toBe(1);
    gate.allow(Number.POSITIVE_INFINITY);
    await drop(page, path);
    await uploadRow(page, name).getByText("stored and checked").waitFor();
    expect(new Set(gate.taken.map(({ uploadId }) => uploadId)).size).toBe(1);
    expect(gate.taken.map(({ index }) => index).sort((left, right) => left - right)).toEqual(
      Array.from({ length: 20 }, (_, index) => index),
    );
    await soon(() => unfinished.count()).toBe(0);
  });

  it("that is unfinished is shown also when the server had too much to do as the page was opened", async () => {
    const name = "left behind.bin";
    await (await makeUpload(server.url, { name })).send(0);
    await using visitor = await visit(browser, server.url, { expected: /status of 503 .*\/uploads\?state=receiving/ });
    const { page } = visitor;
    const refuse = (route: Route): Promise<void> => route.fulfill({ status: 503, json: { code: "OVERLOADED" } });
    await page.route("**/api/v1/uploads?state=receiving*", refuse, { times: 1 });
    await page.reload();
    await page.locator(".unfinished").getByText(name).waitFor();
    await page.getByRole("button", { name: `Cancel ${name}` }).click();
    await page.getByRole("button", { name: "Cancel the upload" }).click();
    await soon(() => page.locator(".unfinished").count()).toBe(0);
  });

  it("can be paused, goes on with what is missing, and leaves nothing when it is cancelled", async () => {
    await using gate = await ChunkGate.before(server.url);
    await using visitor = await visit(browser, gate.url);
    const { page } = visitor;
    const path = join(folder, "paused.bin");
    await writeFile(path, someBytes(12 * 1024 * 1024, 5));
    gate.allow(3);
    await choose(page, path);
    await soon(() => gate.taken.length).toBe(3);
    const row = uploadRow(page, "paused.bin");
    await row.getByRole("button", { name: "Pause paused.bin" }).click();
    await row.getByText("· paused").waitFor();
    await soon(() => gate.heldCount).toBe(0);
    gate.allow(4);
    await row.getByRole("button", { name: "Go on with paused.bin" }).click();
    await soon(() => gate.taken.length).toBe(7);
    expect(new Set(gate.taken.map(({ index }) => index)).size).toBe(7);
    await row.getByRole("button", { name: "Cancel paused.bin" }).click();
    await page.getByRole("button", { name: "Cancel the upload" }).click();
    await soon(() => row.count()).toBe(0);
    const uploadId = gate.taken[0]?.uploadId as string;
    await soon(async () => (await told(`${server.url}/api/v1/uploads/${uploadId}`))["state"]).toBe("cancelled");
    expect(await page.evaluate(() => localStorage.getItem("troupe.unfinished"))).toBe("[]");
  });

  it("keeps the folders of a folder that is dropped", async () => {
    await using visitor = await visit(browser, server.url);
    const { page } = visitor;
    const holiday = join(folder, "Holiday 100%");
    await mkdir(join(holiday, "day #1", "raw"), { recursive: true });
    await writeFile(join(holiday, "notes.txt"), "packed?\n");
    await writeFile(join(holiday, "day #1", "beach é.txt"), "sand\n");
    await writeFile(join(holiday, "day #1", "raw", "empty.bin"), "");
    await drop(page, holiday);
    await page.getByText("3 files uploaded").waitFor();
    await fileRow(page, "Holiday 100%").locator("a.open").click();
    await fileRow(page, "notes.txt").waitFor();
    await fileRow(page, "day #1").locator("a.open").click();
    await fileRow(page, "beach é.txt").locator("a.open").click();
    await page.locator("pre", { hasText: "sand" }).waitFor();
    await page.goBack();
    await fileRow(page, "raw").locator("a.open").click();
    await fileRow(page, "empty.bin").getByText("0 bytes").waitFor();
    await page.getByRole("navigation").getByRole("link", { name: "Holiday 100%" }).click();
    await fileRow(page, "notes.txt").waitFor();
  });

  it("takes what is dropped before the server has said who one is", async () => {
    await using visitor = await visit(browser, server.url);
    const { page } = visitor;
    const answer = Promise.withResolvers<void>();
    await page.route("**/api/v1/session", async (route) => {
      await answer.promise;
      await route.continue();
    });
    await page.reload();
    const path = join(folder, "early.txt");
    await writeFile(path, "first\n");
    await drop(page, path);
    answer.resolve();
    await uploadRow(page, "early.txt").getByText("stored and checked").waitFor();
  });

  it("of a folder that is there already stores nothing again, and of what changed in it a new version", async () => {
    await using visitor = await visit(browser, server.url);
    const { page } = visitor;
    const trip = join(folder, "Trip");
    await mkdir(join(trip, "day 1"), { recursive: true });
    await writeFile(join(trip, "notes.txt"), "packed?\n");
    await writeFile(join(trip, "day 1", "same.txt"), "sand\n");
    await writeFile(join(trip, "day 1", "large.bin"), someBytes(17 * 1024 * 1024, 15));
    await drop(page, trip);
    await page.getByText("3 files uploaded").waitFor();
    await uploadRow(page, "same.txt").getByText("in Trip/day 1/").waitFor();
    await page.getByRole("button", { name: "Clear finished" }).click();
    await drop(page, trip);
    await page.getByText("3 files were there already").waitFor();
    expect(await uploadRow(page, "large.bin").locator(".said").textContent()).toContain("was there already, nothing was stored again");
    // As long as before: only its bytes tell.
    await writeFile(join(trip, "notes.txt"), "packed!\n");
    await page.getByRole("button", { name: "Clear finished" }).click();
    await drop(page, trip);
    await page.getByText("1 file uploaded, 2 files were there already").waitFor();
    const { files } = (await told(`${server.url}/api/v1/files?prefix=Trip/`)) as { files: { name: string }[] };
    expect(files.map(({ name }) => name).sort()).toEqual([
      "Trip/day 1/large.bin",
      "Trip/day 1/same.txt",
      "Trip/notes.txt",
      "Trip/notes.txt",
    ]);
    const left = (await told(`${server.url}/api/v1/uploads?state=receiving`)) as { uploads: { name: string }[] };
    expect(left.uploads.filter(({ name }) => name.startsWith("Trip/"))).toEqual([]);
  });

  it("of many files counts all, keeps the list below in sight, and shows more rows when asked", async () => {
    await using visitor = await visit(browser, server.url);
    const { page } = visitor;
    const many = join(folder, "many");
    await mkdir(many);
    await Promise.all(Array.from({ length: 60 }, (_, index) => writeFile(join(many, `${index}.txt`), `number ${index}`)));
    await drop(page, many);
    await page.getByText("60 files uploaded").waitFor();
    await page.getByText("57 more files finished").waitFor();
    const box = await fileRow(page, "many").boundingBox();
    expect(box?.y).toBeLessThan(760);
    await page.getByRole("button", { name: "Show more" }).click();
    expect(await page.locator(".uploads li.transfer").count()).toBe(50);
    await page.getByRole("button", { name: "Clear finished" }).click();
    await drop(page, many);
    await page.getByText("60 files were there already").waitFor();
  });

  it("of a small file is one request, and one file also when its answer is lost", async () => {
    await using gate = await ChunkGate.before(server.url);
    await using visitor = await visit(browser, gate.url, { expected: AWAY });
    const { page } = visitor;
    const asked: string[] = [];
    page.on("request", (request) => asked.push(request.method()));
    gate.loses = /^\/api\/v1\/files\?name=/;
    const path = join(folder, "small ü.txt");
    await writeFile(path, "small\n");
    await choose(page, path);
    await uploadRow(page, "small ü.txt").getByText("stored and checked").waitFor();
    expect(gate.loses).toBe(undefined);
    expect(new Set(asked)).toEqual(new Set(["GET", "POST"]));
    expect(gate.taken).toEqual([]);
    const { files } = (await told(`${server.url}/api/v1/files?prefix=small`)) as { files: { contentType: string }[] };
    expect(files.map(({ contentType }) => contentType)).toEqual(["text/plain; charset=utf-8"]);
  });

  it("of a small file that is cancelled before its answer leaves nothing", async () => {
    await using visitor = await visit(browser, server.url, { expected: /ERR_FAILED/ });
    const { page } = visitor;
    const open = async (): Promise<number> => {
      const { uploads } = (await told(`${server.url}/api/v1/uploads?state=receiving`)) as { uploads: { name: string }[] };
      return uploads.filter(({ name }) => name === "never.txt").length;
    };
    const held = Promise.withResolvers<Route>();
    await page.route("**/api/v1/files?name=*", (route) => held.resolve(route));
    const path = join(folder, "never.txt");
    await writeFile(path, "never\n");
    await choose(page, path);
    const route = await held.promise;
    // The server gets half of it, and then the connection breaks.
    const { "idempotency-key": key = "", "content-digest": digest = "" } = await route.request().allHeaders();
    const headers = { "idempotency-key": key, "content-digest": digest, "content-length": "6" };
    const half = request(route.request().url(), { method: "POST", headers }).on("error", () => undefined);
    half.write("nev");
    await soon(open).toBe(1);
    half.destroy();
    await page.getByRole("button", { name: "Cancel never.txt" }).click();
    await soon(() => uploadRow(page, "never.txt").count()).toBe(0);
    await soon(open).toBe(0);
    expect((await told(`${server.url}/api/v1/files?prefix=never`))["files"]).toEqual([]);
    await route.abort().catch(() => undefined);
  });

  it("of content the server has ends early: the digest says so while chunks are still waiting", async () => {
    await using gate = await ChunkGate.before(server.url);
    await using visitor = await visit(browser, gate.url);
    const { page } = visitor;
    const path = join(folder, "known.bin");
    await writeFile(path, someBytes(24 * 1024 * 1024, 9));
    await choose(page, path);
    await uploadRow(page, "known.bin").getByText("stored and checked").waitFor();
    await page.getByRole("button", { name: "Clear finished" }).click();
    gate.taken.length = 0;
    gate.allow(0);
    await choose(page, path);
    await uploadRow(page, "known.bin").getByText("was there already").waitFor();
    expect(gate.taken).toEqual([]);
    const left = async (): Promise<string[]> => {
      const { uploads } = (await told(`${server.url}/api/v1/uploads?state=receiving`)) as { uploads: { name: string }[] };
      return uploads.map(({ name }) => name);
    };
    await soon(left).not.toContain("known.bin");
  });
});
