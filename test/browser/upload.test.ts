/** The page uploads: through a server that is killed, over a reload, paused, cancelled, whole folders, and nothing where nothing is new. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ServerProcess, startServer } from "../support/server-process.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { someBytes } from "../support/troupe.ts";
import { ChunkGate } from "./chunk-gate.ts";
import { choose, drop, FILM_CHUNKS, FILM_SECONDS, fileRow, makeFilm, soon, startBrowser, TEST_MS, uploadRow, visit } from "./rig.ts";

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

describe("an upload on the page", { timeout: TEST_MS }, () => {
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
      await soon(() => video.evaluate((element: HTMLVideoElement) => element.currentTime)).toBeGreaterThan(0.2);
      const sought = await video.evaluate(
        (element: HTMLVideoElement, seconds) =>
          new Promise<number>((resolve) => {
            element.addEventListener("seeked", () => resolve(element.currentTime), { once: true });
            element.currentTime = seconds;
          }),
        FILM_SECONDS - 4,
      );
      expect(sought).toBeCloseTo(FILM_SECONDS - 4, 1);
      await soon(() => video.evaluate((element: HTMLVideoElement) => element.currentTime)).toBeGreaterThan(FILM_SECONDS - 3.8);
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
    await row.getByText("paused", { exact: false }).last().waitFor();
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
