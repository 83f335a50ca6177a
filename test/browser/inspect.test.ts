/** Looking into an upload in a real browser: its machine as it goes on, why it failed, its steps again, and what one may ask of it. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser, Page, Route } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ServerProcess, startServer } from "../support/server-process.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { someBytes } from "../support/troupe.ts";
import { ChunkGate } from "./chunk-gate.ts";
import { litState, litStates, makeUpload, watchLitStates } from "./inspect-rig.ts";
import { PHONE, sidewaysPixels, unnamed, worstContrast } from "./page-checks.ts";
import { choose, drawn, holdAnswer, soon, startBrowser, uploadRow, visit } from "./rig.ts";

const WRONG_DIGEST = "0".repeat(64);

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

const addressOf = (uploadId: string, url = server.url): string => `${url}/inspect#/uploads/${uploadId}`;
const why = (page: Page) => page.locator(".why");
const field = (page: Page, name: string) => page.locator(`.context [data-field="${name}"] dd`);
const countOn = (page: Page, edge: string) => page.locator(`.chart [data-edge="${edge}"] .count text`);

async function failedUpload(name: string): Promise<string> {
  const made = await makeUpload(server.url, { name, sha256: WRONG_DIGEST });
  await made.send(0, 1, 2);
  expect(await made.merge()).toBe(422);
  return made.uploadId;
}

describe("an upload that is looked into", () => {
  it("moves through the chart while it goes on: what it is in is lit, and what it took is counted", async () => {
    const made = await makeUpload(server.url, { name: "films/live.mov" });
    await using visitor = await visit(browser, addressOf(made.uploadId));
    const { page } = visitor;
    await page.getByText("live", { exact: true }).waitFor();
    await watchLitStates(page);
    await soon(() => litState(page)).toBe("chunks.receiving");
    expect(await why(page).textContent()).toContain("3 chunks are missing, and none is arriving");
    await made.send(1);
    await soon(() => countOn(page, "chunks.receiving:chunk.received").textContent()).toBe("1");
    await soon(() => field(page, "receivedCount").textContent()).toBe("1");
    await soon(() => why(page).textContent()).toContain("2 chunks are missing");
    await made.send(0, 2);
    await soon(() => field(page, "receivedCount").textContent()).toBe("3");
    expect(await made.merge()).toBe(200);
    await soon(() => litState(page)).toBe("merged");
    const lit = await litStates(page);
    expect([lit[0], lit.at(-1)]).toEqual(["chunks.receiving", "merged"]);
    // What was too quick to be seen has left its traces.
    const order = ["chunks.receiving", "merge.verifying", "merge.replicating", "merge.committing", "merged"];
    expect(lit).toEqual(order.filter((state) => lit.includes(state)));
    for (const path of order.slice(0, -1)) await page.locator(`.chart .state.visited[data-path="${path}"] .time`).waitFor();
    expect(await countOn(page, "merge.committing:file.committed").textContent()).toBe("1");
    await soon(() => why(page).textContent()).toContain("it has become a file");
    await page.getByText("ended", { exact: true }).waitFor();
  });

  it("that failed says why in words, and is the same under its address for whoever opens that later", async () => {
    const uploadId = await failedUpload("films/wrong digest.mov");
    await using visitor = await visit(browser, addressOf(uploadId));
    const { page } = visitor;
    await soon(() => why(page).textContent()).toMatch(/It has failed for good\. DIGEST_MISMATCH: .*claimed to have sha256 0000/);
    await soon(() => litState(page)).toBe("failed");
    expect(await page.locator(".chart .edge.last").first().getAttribute("data-edge")).toBe("merge.verifying:digest.mismatched");
    expect(await page.title()).toContain(uploadId);
    await page.reload();
    await soon(() => litState(page)).toBe("failed");
  });

  it("is replayed step by step: chart, context and log are as they were then", async () => {
    const uploadId = await failedUpload("films/again.mov");
    await using visitor = await visit(browser, addressOf(uploadId));
    const { page } = visitor;
    await soon(() => litState(page)).toBe("failed");
    expect(await field(page, "lastError").textContent()).toContain("DIGEST_MISMATCH");
    const scrubber = page.getByRole("slider", { name: "Step" });
    const steps = Number(await scrubber.getAttribute("max"));
    await page.keyboard.press("ArrowLeft");
    await soon(() => litState(page)).toBe("merge.verifying");
    expect(await field(page, "lastError").textContent()).toBe("—");
    expect(await countOn(page, "merge.verifying:digest.mismatched").count()).toBe(0);
    await page.keyboard.press("ArrowLeft");
    await soon(() => litState(page)).toBe("chunks.receiving");
    expect(await field(page, "receivedCount").textContent()).toBe("3");
    await scrubber.fill("1");
    await soon(() => field(page, "receivedCount").textContent()).toBe("0");
    expect(await litState(page)).toBe("chunks.receiving");
    expect(await page.locator(".log [aria-current]").textContent()).toContain("session.opened");
    await scrubber.fill("0");
    await soon(() => litState(page)).toBe("init");
    expect(await page.locator(".log [aria-current]").count()).toBe(0);
    await page.getByRole("button", { name: "One step on" }).click();
    await soon(() => litState(page)).toBe("chunks.receiving");
    await watchLitStates(page);
    await page.getByRole("button", { name: "Play the steps" }).click();
    await soon(() => scrubber.inputValue()).toBe(String(steps));
    expect(await litStates(page)).toEqual(["chunks.receiving", "merge.verifying", "failed"]);
    await page.locator(".log li button", { hasText: "merge.requested" }).click();
    await soon(() => litState(page)).toBe("merge.verifying");
    await page.getByRole("button", { name: "End", exact: true }).click();
    await soon(() => litState(page)).toBe("failed");
  });

  it("goes two steps back for two keys, also when the second is pressed as soon as the first is drawn", async () => {
    const uploadId = await failedUpload("films/quick keys.mov");
    await using visitor = await visit(browser, addressOf(uploadId));
    const { page } = visitor;
    await soon(() => litState(page)).toBe("failed");
    const scrubber = page.getByRole("slider", { name: "Step" });
    const steps = Number(await scrubber.getAttribute("max"));
    await page.evaluate(async () => {
      const press = (): boolean => window.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft" }));
      const first = new Promise<void>((resolve) => {
        const observer = new MutationObserver(() => resolve());
        observer.observe(document.querySelector(".scrubber") as Element, { subtree: true, attributes: true, characterData: true });
      });
      press();
      await first;
      press();
    });
    await soon(() => scrubber.inputValue()).not.toBe(String(steps));
    await drawn(page);
    expect(await scrubber.inputValue()).toBe(String(steps - 2));
  });

  it("is not taken back by an answer that news have overtaken: neither its machine nor why it waits", async () => {
    const made = await makeUpload(server.url, { name: "films/overtaken.mov" });
    await using visitor = await visit(browser, addressOf(made.uploadId));
    const { page } = visitor;
    await page.getByText("live", { exact: true }).waitFor();
    const answer = await holdAnswer(page, `**/api/v1/inspect/uploads/${made.uploadId}`);
    await made.send(0);
    await answer.isThere;
    await made.send(1, 2);
    expect(await made.merge()).toBe(200);
    await page.getByText("ended", { exact: true }).waitFor();
    const overtaken = page.waitForEvent("requestfinished", (request) => request.url().endsWith(`/inspect/uploads/${made.uploadId}`));
    await answer.letGo();
    await overtaken;
    await drawn(page);
    expect(await litState(page)).toBe("merged");
    expect(await why(page).textContent()).toContain("it has become a file");
    expect(await page.getByText("ended", { exact: true }).count()).toBe(1);
  });

  it("is watched until its machine has ended, too, when the catalog has known the end before", async () => {
    const made = await makeUpload(server.url, { name: "films/known before.mov" });
    await made.send(0, 1, 2);
    await using visitor = await visit(browser, `${server.url}/inspect`);
    const { page } = visitor;
    const early = async (route: Route): Promise<void> => {
      const response = await route.fetch();
      const told = (await response.json()) as { upload: object };
      await route.fulfill({ response, json: { ...told, upload: { ...told.upload, state: "merged" } } });
    };
    await page.route(`**/api/v1/inspect/uploads/${made.uploadId}`, early, { times: 1 });
    await page.locator(".session a", { hasText: "known before.mov" }).click();
    await soon(() => litState(page)).toBe("chunks.receiving");
    expect(await made.merge()).toBe(200);
    await soon(() => litState(page)).toBe("merged");
    await page.getByText("ended", { exact: true }).waitFor();
  });

  it("that goes on is replayed too, and goes on being lit when one comes back to now", async () => {
    const made = await makeUpload(server.url, { name: "films/both.mov" });
    await using visitor = await visit(browser, addressOf(made.uploadId));
    const { page } = visitor;
    await page.getByText("live", { exact: true }).waitFor();
    await page.getByRole("slider", { name: "Step" }).fill("0");
    await soon(() => litState(page)).toBe("init");
    await made.send(0, 1, 2);
    await soon(() => page.locator(".log li").count()).toBeGreaterThan(1);
    expect(await litState(page)).toBe("init");
    await page.getByRole("button", { name: "Live" }).click();
    await soon(() => field(page, "receivedCount").textContent()).toBe("3");
  });

  it("is cancelled only after a question that says what goes, and merged only when all of it is there", async () => {
    const made = await makeUpload(server.url, { name: "films/unwanted.mov" });
    await made.send(0);
    await using visitor = await visit(browser, addressOf(made.uploadId));
    const { page } = visitor;
    const cancel = page.getByRole("button", { name: "Cancel", exact: false }).first();
    const merge = page.getByRole("button", { name: /^Merge/ });
    await page.getByText("live", { exact: true }).waitFor();
    expect(await merge.getAttribute("aria-disabled")).toBe("true");
    expect(await merge.getAttribute("title")).toBe("2 of its chunks are missing.");
    await merge.click({ force: true });
    expect(await page.locator("dialog").count()).toBe(0);
    await cancel.click();
    await page.getByRole("dialog").getByText("1.0 MB of it are at the server already and will be thrown away").waitFor();
    await page.keyboard.press("Escape");
    await soon(() => page.locator("dialog").count()).toBe(0);
    await soon(() => litState(page)).toBe("chunks.receiving");

    await made.send(1, 2);
    await soon(() => merge.getAttribute("aria-disabled")).toBe("false");
    await cancel.click();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel the upload" }).click();
    await soon(() => litState(page)).toBe("cancelled");
    await soon(() => why(page).textContent()).toContain("It was cancelled");
    expect(await merge.getAttribute("aria-disabled")).toBe("true");
  });

  it("whose client forgot to ask for the merge is merged from here", async () => {
    const made = await makeUpload(server.url, { name: "films/forgotten.mov" });
    await made.send(0, 1, 2);
    await using visitor = await visit(browser, addressOf(made.uploadId));
    const { page } = visitor;
    await soon(() => why(page).textContent()).toContain("It waits for somebody to ask for the merge");
    await page.getByRole("button", { name: /^Merge/ }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Merge it" }).click();
    await soon(() => litState(page)).toBe("merged");
    await page.locator(".facts a[href^='/files/']").waitFor();
  });

  it("shows the messages between actors, with chunks as one block and what went wrong marked", async () => {
    const uploadId = await failedUpload("films/messages.mov");
    await using visitor = await visit(browser, addressOf(uploadId));
    const { page } = visitor;
    const sequence = page.locator(".sequence");
    await sequence.waitFor();
    const lanes = await sequence.locator(".lane").evaluateAll((found) => found.map((lane) => lane.getAttribute("data-lane")));
    expect(lanes.slice(0, 4)).toEqual(["client", "gateway", "tracker", "catalog"]);
    expect(lanes).toContain("upload");
    await soon(() => sequence.locator(".times").allTextContents()).toEqual(["× 3"]);
    await soon(() => sequence.locator(".faulty", { hasText: "DIGEST_MISMATCH" }).count()).toBeGreaterThan(1);
  });

  it("that never was, or is no longer known, is said to be so", async () => {
    await using visitor = await visit(browser, addressOf("nobodyknowsthis"), { expected: /status of 404/ });
    await visitor.page.getByText("There is no such upload, or it is somebody else’s.").waitFor();
  });
});

describe("the inspector", () => {
  it("draws every machine, and lights an actor and a node in theirs", async () => {
    await using visitor = await visit(browser, `${server.url}/inspect#/machines/actor`);
    const { page } = visitor;
    await page.locator('.chart [data-path="hosted.givenUp"]').waitFor();
    await page.getByRole("link", { name: "node", exact: true }).click();
    await page.locator('.chart [data-path="expected.offline"]').waitFor();
    expect(await page.locator(".chart .live").count()).toBe(0);
    await page.getByRole("link", { name: "Actors" }).click();
    await page.getByRole("button", { name: "catalog", exact: true }).click();
    await soon(() => litState(page)).toBe("hosted.live");
    await page.locator('.chart .taken[data-edge="hosted.starting:start.succeeded"]').first().waitFor();
    await page.getByRole("button", { name: server.nodeId, exact: true }).click();
    await soon(() => litState(page)).toBe("expected.active");
  });

  it.each(["light", "dark"] as const)("can be read in %s colours, and everything on it has a name", async (colorScheme) => {
    const uploadId = await failedUpload(`films/${colorScheme}.mov`);
    await using visitor = await visit(browser, `${server.url}/inspect`, { colorScheme, reducedMotion: "reduce" });
    const { page } = visitor;
    await page.locator(".session").first().waitFor();
    expect((await worstContrast(page)).ratio).toBeGreaterThanOrEqual(4.5);
    expect(await unnamed(page)).toEqual([]);
    await page.locator(".session a", { hasText: `${colorScheme}.mov` }).click();
    await page.locator(".sequence").waitFor();
    expect(new URL(page.url()).hash).toBe(`#/uploads/${uploadId}`);
    expect((await worstContrast(page)).ratio).toBeGreaterThanOrEqual(4.5);
    expect(await unnamed(page)).toEqual([]);
    expect(await page.evaluate(() => document.getAnimations().filter(({ playState }) => playState === "running").length)).toBe(0);
  });

  it("fits a phone held upright: the chart is moved within its place, and what is lit is in sight", async () => {
    const uploadId = await failedUpload("films/phone.mov");
    await using visitor = await visit(browser, addressOf(uploadId), PHONE);
    const { page } = visitor;
    await soon(() => litState(page)).toBe("failed");
    await page.locator(".sequence").waitFor();
    expect(await sidewaysPixels(page)).toBe(0);
    const isInSight = (): Promise<boolean> =>
      page.evaluate(() => {
        const box = document.querySelector(".chart-box")?.getBoundingClientRect() as DOMRect;
        const lit = [...document.querySelectorAll(".chart .state.live")].at(-1)?.getBoundingClientRect() as DOMRect;
        return lit.left >= box.left && lit.right <= box.right && lit.top >= box.top && lit.bottom <= box.bottom;
      });
    await soon(isInSight).toBe(true);
    for (const button of await page.locator(".events button, .scrubber .icon-button").all())
      expect((await button.boundingBox())?.height).toBeGreaterThanOrEqual(44);
    await page.goto(`${server.url}/inspect#/actors`);
    await page.locator(".process").first().waitFor();
    expect(await sidewaysPixels(page)).toBe(0);
    await page.goto(`${server.url}/inspect`);
    await page.locator(".session").first().waitFor();
    expect(await sidewaysPixels(page)).toBe(0);
  });

  it("is reached from an upload on the page of files, in a window of its own", async () => {
    await using gate = await ChunkGate.before(server.url);
    await writeFile(join(folder, "linked.bin"), someBytes(20 * 1024 * 1024, 91));
    await using visitor = await visit(browser, gate.url);
    const { page } = visitor;
    await page.getByRole("button", { name: "Choose files" }).waitFor();
    gate.allow(2);
    await choose(page, join(folder, "linked.bin"));
    await soon(() => gate.taken.length).toBe(2);
    const opened = page.waitForEvent("popup");
    await uploadRow(page, "linked.bin").getByRole("link", { name: "Inspect" }).click();
    const inspector = await opened;
    await inspector.locator('.chart .live[data-path="chunks.receiving"]').waitFor();
    expect(new URL(inspector.url()).hash).toBe(`#/uploads/${gate.taken[0]?.uploadId}`);
    gate.allow(Number.POSITIVE_INFINITY);
    await soon(() => litState(inspector)).toBe("merged");
  });
});

describe("the inspector where tokens are wanted", () => {
  it("asks for one and then shows what the address names, and to nobody else", async () => {
    await using directory = await temporaryDirectory();
    await using guarded = await startServer(directory.path, ["--token", "ann:first-secret", "--token", "ben:second-secret"]);
    const made = await makeUpload(guarded.url, { name: "secret plans.mov", token: "first-secret" });
    await using visitor = await visit(browser, addressOf(made.uploadId, guarded.url), { expected: /status of 40[14]/ });
    const { page } = visitor;
    await page.getByLabel("Token").fill("ann:first-secret");
    await page.keyboard.press("Enter");
    await soon(() => litState(page)).toBe("chunks.receiving");
    await page.getByText("live", { exact: true }).waitFor();
    // Whatever else asks meanwhile has no token any more, and the form is drawn once, in the page that stays.
    const leave = await holdAnswer(page, "**/api/v1/session");
    const refused = page.waitForResponse((answer) => answer.status() === 401);
    await page.getByRole("button", { name: "Sign out" }).click();
    await leave.isThere;
    await (await refused).finished();
    await drawn(page);
    expect(await page.getByLabel("Token").count()).toBe(0);
    await leave.letGo();
    await page.getByLabel("Token").fill("ben:second-secret");
    await page.keyboard.press("Enter");
    await page.getByText("There is no such upload, or it is somebody else’s.").waitFor();
    await page.getByRole("link", { name: "List of uploads" }).click();
    await page.getByText("There are no uploads yet.").waitFor();
    expect(await page.content()).not.toContain("secret plans");
  });
});
