/** The page shows what is stored: finding, opening, renaming, deleting, on a phone, in the dark, by keyboard only, and with tokens. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser, Route } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort } from "../../src/bin/engines/engine-process.ts";
import { run } from "../support/program.ts";
import { type ServerProcess, startServer } from "../support/server-process.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { someBytes } from "../support/troupe.ts";
import { ChunkGate } from "./chunk-gate.ts";
import { PHONE, sidewaysPixels, unnamed, worstContrast } from "./page-checks.ts";
import { choose, EMPTY_FOLDER, fileRow, holdAnswer, soon, startBrowser, uploadRow, visit } from "./rig.ts";

/** One grey pixel. */
const STILL = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mNoaGgAAAMEAYF1LgG8AAAAAElFTkSuQmCC", "base64");
const NO_TOKEN = { status: 401, json: { code: "UNAUTHORIZED" } };
const TOKENS = ["--token", "ann:first-secret", "--token", "ben:second-secret"];

const stack = new AsyncDisposableStack();
let browser: Browser;
let server: ServerProcess;
let folder: string;

beforeAll(async () => {
  const directory = stack.use(await temporaryDirectory());
  folder = directory.path;
  browser = stack.adopt(await startBrowser(), (opened) => opened.close());
  server = stack.use(await startServer(join(folder, "data")));
});
afterAll(() => stack.disposeAsync());

async function store(
  name: string,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = {},
): Promise<{ fileId: string; url: string }> {
  const query = new URLSearchParams({ name });
  const answer = await fetch(`${server.url}/api/v1/files?${query}`, { method: "POST", body, headers });
  expect(answer.status).toBe(201);
  return (await answer.json()) as { fileId: string; url: string };
}

describe("the page's files", () => {
  it("are found by words, renamed into a folder, and deleted after a question that Escape declines", async () => {
    await store("Réports/2026 budget.txt", "sums");
    await store("reports/2025 budget.txt", "old sums");
    await store("other.txt", "else");
    await using visitor = await visit(browser, server.url, { expected: /status of 400|status of 404 .*\/browse\// });
    const { page } = visitor;
    await fileRow(page, "other.txt").waitFor();
    await page.getByRole("searchbox").fill("BUDGET reports 26");
    await fileRow(page, "Réports/2026 budget.txt").waitFor();
    await soon(() => page.locator("tbody tr").count()).toBe(1);
    await page.getByRole("searchbox").press("Escape");
    await fileRow(page, "other.txt").waitFor();

    await fileRow(page, "other.txt").getByRole("button", { name: "Rename" }).click();
    const name = page.getByLabel("New name");
    await soon(() =>
      name.evaluate((input: HTMLInputElement) => input.value.slice(input.selectionStart ?? 0, input.selectionEnd ?? 0)),
    ).toBe("other");
    await name.fill("../escape");
    await page.getByRole("button", { name: "Rename", exact: true }).click();
    await page.getByText("This name cannot be stored").waitFor();
    await name.fill("moved/here.txt");
    await name.press("Enter");
    await fileRow(page, "moved").locator("a.open").click();
    await fileRow(page, "here.txt").waitFor();

    const remove = fileRow(page, "here.txt").getByRole("button", { name: "Delete" });
    await remove.click();
    await page.getByText("cannot be undone").waitFor();
    await page.keyboard.press("Escape");
    await soon(() => page.locator("dialog").count()).toBe(0);
    await soon(() => remove.evaluate((button) => button === document.activeElement)).toBe(true);
    await remove.click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await page.getByText("This folder is empty.").waitFor();
  });

  it("keep their names when another file has the new one, and one that was deleted says that an older version is shown now", async () => {
    await store("names/first.txt", "first");
    await store("names/twice.txt", "older");
    const newer = await store("names/twice.txt", "newer one");
    await using visitor = await visit(browser, `${server.url}/#/default/names/`, { expected: /status of 409/ });
    const { page } = visitor;
    await fileRow(page, "first.txt").getByRole("button", { name: "Rename" }).click();
    await page.getByLabel("New name").fill("names/twice.txt");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").getByText("A file of this name is there already").waitFor();
    expect(await page.getByLabel("New name").inputValue()).toBe("names/twice.txt");
    await page.getByRole("button", { name: "Keep the old name" }).click();

    await fileRow(page, "twice.txt").getByText("9 bytes").waitFor();
    await fileRow(page, "twice.txt").getByRole("button", { name: "Delete" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await page.getByText("An older version of this name is shown now.").waitFor();
    await fileRow(page, "twice.txt").getByText("5 bytes").waitFor();
    expect((await fetch(newer.url)).status).toBe(404);
  });

  it("open in the page by what they are, and what it cannot show is offered for download", async () => {
    await run("ffmpeg", ["-v", "error", "-f", "lavfi", "-i", "sine=440:d=6", join(folder, "tone.wav")]);
    await run("ffmpeg", ["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x200", "-frames:v", "1", join(folder, "still.png")]);
    await writeFile(join(folder, "notes.md"), "# Nôtes\n<script>alert(1)</script>\n");
    await writeFile(join(folder, "archive.zip"), someBytes(5000));
    await using visitor = await visit(browser, `${server.url}/#/default/kinds/`, { expected: EMPTY_FOLDER });
    const { page } = visitor;
    await choose(page, ...["tone.wav", "still.png", "notes.md", "archive.zip"].map((name) => join(folder, name)));
    await page.getByText("4 files uploaded").waitFor();
    // Arrows go through what is listed, and the listing may be older than the last upload.
    await soon(() => page.locator("tbody tr").count()).toBe(4);
    await fileRow(page, "archive.zip").locator("a.open").click();
    await page.getByText("There is no preview").waitFor();
    await page.keyboard.press("ArrowRight");
    await page.locator("pre", { hasText: "<script>alert(1)</script>" }).waitFor();
    await page.locator("pre", { hasText: "Nôtes" }).waitFor();
    await page.keyboard.press("ArrowRight");
    await soon(() => page.locator(".content img").evaluate((image: HTMLImageElement) => image.naturalWidth)).toBe(320);
    await page.keyboard.press("ArrowRight");
    const audio = page.locator("audio");
    await soon(() => audio.evaluate((element: HTMLAudioElement) => element.currentTime)).toBeGreaterThan(0);
    await audio.evaluate((element: HTMLAudioElement) => {
      element.currentTime = 4;
    });
    await soon(() => audio.evaluate((element: HTMLAudioElement) => element.currentTime)).toBeGreaterThan(4);
    expect(await unnamed(page)).toEqual([]);
    await page.keyboard.press("Escape");
    await soon(() => page.locator("dialog").count()).toBe(0);
    expect(new URL(page.url()).hash).toBe("#/default/kinds/");
  });

  it("open once the server has time again, when it had too much to do at first", async () => {
    const text = await store("busy/notes.txt", "read later");
    const picture = await store("busy/still.png", STILL);
    await using visitor = await visit(browser, `${server.url}/#/default/busy/`, { expected: /status of 503 .*\/files\// });
    const { page } = visitor;
    await fileRow(page, "notes.txt").waitFor();
    const refused: string[] = [];
    for (const pattern of [`**/api/v1/files/${text.fileId}`, ...[text, picture].map(({ fileId }) => `**/files/${fileId}/*`)]) {
      const refuse = (route: Route): Promise<void> => {
        refused.push(pattern);
        return route.fulfill({ status: 503, json: { code: "OVERLOADED" } });
      };
      await page.route(pattern, refuse, { times: 1 });
    }
    await fileRow(page, "notes.txt").locator("a.open").click();
    await page.locator("pre", { hasText: "read later" }).waitFor();
    await page.keyboard.press("ArrowRight");
    await soon(() => page.locator("img[alt='busy/still.png']").evaluate((image: HTMLImageElement) => image.naturalWidth)).toBe(1);
    expect(refused.length).toBe(3);
  });

  it("of which a folder has ten thousand are listed, sorted and reached", async () => {
    const files = Array.from({ length: 10_000 }, (_, index) => ({
      name: `clip ${index}.mp4`,
      size: (index * 7919) % 1_000_003,
      contentType: "video/mp4",
      modified: new Date(1.7e12 + index * 1000).toISOString(),
      fileId: `id${index}`,
    }));
    await using visitor = await visit(browser, server.url);
    const { page } = visitor;
    await page.route("**/browse/default/many/?*", (route) => {
      const from = Number(new URL(route.request().url()).searchParams.get("cursor") ?? 0);
      const cursor = from + 1000 < files.length ? String(from + 1000) : undefined;
      return route.fulfill({ json: { folders: [], files: files.slice(from, from + 1000), cursor } });
    });
    await page.goto(`${server.url}/#/default/many/`);
    await page.getByText("10,000 files").waitFor();
    expect(await page.locator("tbody tr").count()).toBe(200);
    expect(await page.locator("a.open").nth(2).textContent()).toContain("clip 2.mp4");
    await page.getByRole("button", { name: "Size" }).click();
    await soon(() => page.locator("td.size").first().textContent()).toBe("1.0 MB");
    await page.locator("a.open").first().focus();
    await page.keyboard.press("End");
    await soon(() => page.evaluate(() => document.activeElement?.textContent?.trim())).toBe("clip 0.mp4");
    expect(await page.locator("tbody tr").count()).toBe(200);
    await page.getByRole("button", { name: "Before" }).click();
    await page.getByText("9,601–9,800").waitFor();
  });

  it("are uploaded, opened, renamed and deleted with the keyboard alone", async () => {
    await writeFile(join(folder, "keys.txt"), "typed");
    await using visitor = await visit(browser, `${server.url}/#/default/keyboard/`, { expected: EMPTY_FOLDER });
    const { page } = visitor;
    // The browser has to be told in time that somebody waits for its dialog.
    const chooser = page.waitForEvent("filechooser");
    await page.getByText("This folder is empty.").waitFor();
    await page.getByRole("button", { name: "Choose files" }).focus();
    await page.keyboard.press("Enter");
    await (await chooser).setFiles(join(folder, "keys.txt"));
    await fileRow(page, "keys.txt").waitFor();
    await page.keyboard.press("/");
    expect(await page.evaluate(() => document.activeElement?.id)).toBe("search");
    // From the search on, Tab comes to the titles of the columns and then to the current row.
    const isAt = (selector: string): Promise<boolean> =>
      page.evaluate((wanted) => document.activeElement?.matches(wanted) === true, selector);
    for (let presses = 0; presses < 6 && !(await isAt("a.open")); presses += 1) await page.keyboard.press("Tab");
    expect(await isAt("a.open")).toBe(true);
    expect(await page.evaluate(() => getComputedStyle(document.activeElement as Element).outlineStyle)).toBe("solid");
    await page.keyboard.press("Enter");
    await page.locator("pre", { hasText: "typed" }).waitFor();
    await page.keyboard.press("Escape");
    await soon(() => isAt("a.open")).toBe(true);
    await page.keyboard.press("F2");
    await page.getByLabel("New name").waitFor();
    await page.keyboard.type("renamed");
    await page.keyboard.press("Enter");
    await fileRow(page, "renamed.txt").waitFor();
    await page.locator("a.open").first().focus();
    await page.keyboard.press("Delete");
    await page.getByText("cannot be undone").waitFor();
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.getByText("This folder is empty.").waitFor();
  });

  it("fit a phone held upright, where a finger reaches everything", async () => {
    await store("phone/a rather long name of a film that somebody gave without thinking of small screens.mp4", someBytes(9000));
    await using visitor = await visit(browser, `${server.url}/#/default/phone/`, { ...PHONE, expected: EMPTY_FOLDER });
    const { page } = visitor;
    const row = page.locator("tbody tr").first();
    await row.waitFor();
    expect(await sidewaysPixels(page)).toBe(0);
    await row.getByRole("button", { name: "More for" }).tap();
    const sheet = page.getByRole("dialog");
    await sheet.getByRole("button", { name: "Copy link" }).waitFor();
    const actions = await sheet.locator("button, a").all();
    expect(actions.length).toBeGreaterThanOrEqual(5);
    for (const action of actions) expect((await action.boundingBox())?.height).toBeGreaterThanOrEqual(44);
    await sheet.getByRole("button", { name: "Copy link" }).tap();
    await page.getByText("Link copied.").waitFor();
    await row.locator("a.open").tap();
    await page.getByText("This browser cannot play this file").waitFor();
    expect(await sidewaysPixels(page)).toBe(0);
    expect(await unnamed(page)).toEqual([]);
    await page.getByRole("button", { name: "Close" }).first().tap();
    await row.getByRole("button", { name: "More for" }).tap();
    await sheet.getByRole("button", { name: "Delete" }).tap();
    await page.getByText("cannot be undone").waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).tap();
    await page.getByText("This folder is empty.").waitFor();
  });

  it.each(["light", "dark"] as const)("can be read in %s colours: every text stands out 4.5 to 1", async (colorScheme) => {
    await using gate = await ChunkGate.before(server.url);
    await writeFile(join(folder, "slow.bin"), someBytes(20 * 1024 * 1024, 11));
    await store("seen.txt", "seen");
    await using visitor = await visit(browser, gate.url, { colorScheme });
    const { page } = visitor;
    await fileRow(page, "seen.txt").waitFor();
    gate.allow(2);
    await choose(page, join(folder, "slow.bin"));
    await soon(() => gate.taken.length).toBe(2);
    expect((await worstContrast(page)).ratio).toBeGreaterThanOrEqual(4.5);
    expect(await unnamed(page)).toEqual([]);
    await uploadRow(page, "slow.bin").getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("button", { name: "Cancel the upload" }).waitFor();
    expect((await worstContrast(page)).ratio).toBeGreaterThanOrEqual(4.5);
    await page.getByRole("button", { name: "Cancel the upload" }).click();
    await soon(() => uploadRow(page, "slow.bin").count()).toBe(0);
  });
});

describe("the page over plain HTTP", () => {
  it("in a network of one's own has no secure context and lacks nothing: it uploads, knows content again, and copies links", async () => {
    await using directory = await temporaryDirectory();
    const port = String(await freePort());
    const known = await startServer(directory.path, ["--public-url", "http://store.example", "--port", port]);
    try {
      await using gate = await ChunkGate.before(`http://127.0.0.1:${port}`);
      await using visitor = await visit(browser, gate.url.replace("127.0.0.1", "store.example"), { permissions: [] });
      const { page } = visitor;
      await page.getByText("Nothing here yet").waitFor();
      expect(await page.evaluate(() => [isSecureContext, "subtle" in crypto, "clipboard" in navigator])).toEqual([false, false, false]);
      const path = join(folder, "plain.bin");
      await writeFile(path, someBytes(18 * 1024 * 1024, 41));
      await choose(page, path);
      await uploadRow(page, "plain.bin").getByText("stored and checked").waitFor();
      await page.getByRole("button", { name: "Clear finished" }).click();
      gate.allow(0);
      await choose(page, path);
      await uploadRow(page, "plain.bin").getByText("was there already").waitFor();
      await page.getByRole("button", { name: "Copy link to plain.bin" }).click();
      await page.getByText("Link copied.").waitFor();
      await page.getByRole("searchbox").focus();
      await page.keyboard.press("Control+V");
      expect(await page.getByRole("searchbox").inputValue()).toMatch(/^http:\/\/store\.example\/files\/[0-9a-f]+\/plain\.bin/);
    } finally {
      await known.kill();
    }
  });
});

describe("the page where tokens are wanted", () => {
  it("asks for one, keeps it from scripts, shows only one's own, and forgets it at once", async () => {
    await using directory = await temporaryDirectory();
    const guarded = await startServer(directory.path, TOKENS);
    try {
      await using gate = await ChunkGate.before(guarded.url);
      await using visitor = await visit(browser, gate.url, { expected: /401/ });
      const { page } = visitor;
      await page.getByLabel("Token").fill("ann:wrong");
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.getByText("This token is not one of this server’s").waitFor();
      await page.getByLabel("Token").fill("ann:first-secret");
      await page.keyboard.press("Enter");
      await page.getByText("Nothing here yet").waitFor();
      expect(
        await page.evaluate(() => [document.cookie, JSON.stringify({ ...localStorage }), JSON.stringify({ ...sessionStorage })].join()),
      ).not.toContain("secret");
      const path = join(folder, "shared.bin");
      await writeFile(path, someBytes(17 * 1024 * 1024, 21));
      await choose(page, path);
      await uploadRow(page, "shared.bin").getByText("stored and checked").waitFor();
      await page.getByRole("button", { name: "Copy link to shared.bin" }).click();
      await page.getByText("Whoever has it can open the file until").waitFor();
      await page.getByRole("button", { name: "Sign out" }).click();
      await page.getByLabel("Token").fill("second-secret");
      await page.keyboard.press("Enter");
      await page.getByText("Nothing here yet").waitFor();
      expect(await page.locator("tbody tr").count()).toBe(0);
      // Somebody else's content is had at once by whoever can prove to have its bytes.
      gate.allow(0);
      const row = uploadRow(page, "shared.bin");
      await soon(async () => {
        const proof = page.waitForResponse((answer) => answer.url().endsWith("/proof"));
        proof.catch(() => undefined);
        await choose(page, path);
        if ((await proof).status() === 200) return true;
        // The server looks into a proof for one second, which may be too short on a machine that is busy.
        await row.getByRole("button", { name: "Cancel shared.bin" }).click();
        const confirm = page.getByRole("button", { name: "Cancel the upload" });
        // Of what nothing has been sent yet, nobody is asked.
        const gone = row.waitFor({ state: "detached" });
        await Promise.race([gone, confirm.click()]);
        await gone;
        return false;
      }).toBe(true);
      await row.getByText("was there already").waitFor();
    } finally {
      await guarded.kill();
    }
  });

  it("goes on with an upload whose owner was signed out, once signed in again", async () => {
    await using directory = await temporaryDirectory();
    const guarded = await startServer(directory.path, TOKENS);
    try {
      await using gate = await ChunkGate.before(guarded.url);
      await using visitor = await visit(browser, gate.url, { expected: /401/ });
      const { page } = visitor;
      await page.getByLabel("Token").fill("ben:second-secret");
      await page.keyboard.press("Enter");
      await page.getByText("Nothing here yet").waitFor();
      const path = join(folder, "patient.bin");
      await writeFile(path, someBytes(10 * 1024 * 1024, 31));
      gate.allow(3);
      await choose(page, path);
      await soon(() => gate.taken.length).toBe(3);
      await page.context().clearCookies();
      gate.allow(Number.POSITIVE_INFINITY);
      await uploadRow(page, "patient.bin").getByText("Sign in to go on").waitFor();
      await page.getByLabel("Token").fill("ben:second-secret");
      await page.keyboard.press("Enter");
      await uploadRow(page, "patient.bin").getByText("stored and checked").waitFor();
    } finally {
      await guarded.kill();
    }
  });

  it("does not sign out whoever has just signed in, for what was asked before", async () => {
    await using directory = await temporaryDirectory();
    const guarded = await startServer(directory.path, TOKENS);
    try {
      await using visitor = await visit(browser, guarded.url, { expected: /401/ });
      const { page } = visitor;
      const signIn = async (): Promise<void> => {
        await page.getByLabel("Token").fill("ben:second-secret");
        await page.keyboard.press("Enter");
      };
      await signIn();
      await page.getByText("Nothing here yet").waitFor();
      const late = await holdAnswer(page, "**/chunks/1", NO_TOKEN);
      const first = await holdAnswer(page, "**/chunks/2", NO_TOKEN);
      const path = join(folder, "late.bin");
      await writeFile(path, someBytes(6 * 1024 * 1024, 33));
      await choose(page, path);
      await late.isThere;
      await first.isThere;
      await page.context().clearCookies();
      await first.letGo();
      await page.getByLabel("Token").waitFor();
      await signIn();
      await page.getByLabel("Token").waitFor({ state: "detached" });
      await late.letGo();
      await uploadRow(page, "late.bin").getByText("stored and checked").waitFor();
      expect(await page.getByLabel("Token").count()).toBe(0);
    } finally {
      await guarded.kill();
    }
  });
});
