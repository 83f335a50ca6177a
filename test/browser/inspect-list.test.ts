/** The list of uploads with ten thousand of them: what is in the document is bounded, and filters and search are the server's. */
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { addEndedUploads } from "../support/ended-uploads.ts";
import { type ServerProcess, startServer } from "../support/server-process.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { makeUpload } from "./inspect-rig.ts";
import { soon, startBrowser, visit } from "./rig.ts";

const COUNT = 10_000;
/** Rows of a window of 760 pixels, and a few beyond. */
const ROWS_MAX = 40;

const stack = new AsyncDisposableStack();
let browser: Browser;
let server: ServerProcess;

beforeAll(async () => {
  const directory = stack.use(await temporaryDirectory());
  const data = join(directory.path, "data");
  const first = await startServer(data);
  await first.terminate();
  addEndedUploads(data, COUNT);
  browser = stack.adopt(await startBrowser(), (opened) => opened.close());
  server = stack.use(await startServer(data));
});
afterAll(() => stack.disposeAsync());

const names = (page: Page): Promise<string[]> => page.locator(".session .name").allTextContents();
const rows = (page: Page) => page.locator(".session");

describe("a list of ten thousand uploads", () => {
  it("comes in pages as one scrolls, with a few rows in the document wherever one is", async () => {
    await using visitor = await visit(browser, `${server.url}/inspect`);
    const { page } = visitor;
    const asked: string[] = [];
    page.on("request", (request) => request.url().includes("limit=500") && asked.push(request.url()));
    await rows(page).first().waitFor();
    await page.evaluate(() => {
      const found = { rowsMax: 0 };
      (window as unknown as { found: typeof found }).found = found;
      new MutationObserver(() => {
        found.rowsMax = Math.max(found.rowsMax, document.querySelectorAll(".session").length);
      }).observe(document.body, { subtree: true, childList: true });
    });
    const box = page.locator(".rows");
    const end = page.getByText("10,000 uploads", { exact: true });
    const toTheEnd = () => box.evaluate((element) => element.scrollTo(0, element.scrollHeight));
    await soon(async () => {
      await toTheEnd();
      return await end.count();
    }).toBe(1);
    // The last page came after the last look.
    await toTheEnd();
    expect(new Set(asked).size).toBeLessThanOrEqual(COUNT / 500 + 1);
    await soon(() => names(page)).toContain("camera 9999.mov");
    await box.evaluate((element) => element.scrollTo(0, element.scrollHeight / 2));
    await soon(() => names(page)).toContain("camera 5000.mov");
    expect(await page.evaluate(() => (window as unknown as { found: { rowsMax: number } }).found.rowsMax)).toBeLessThanOrEqual(ROWS_MAX);
    const last = rows(page).last();
    expect(await last.getAttribute("aria-setsize")).toBe(String(COUNT));
  });

  it("is walked by keyboard from end to end, and a row opens what it is", async () => {
    await using visitor = await visit(browser, `${server.url}/inspect`, { expected: /status of 404 .*\/traces\// });
    const { page } = visitor;
    await rows(page).first().waitFor();
    await page.locator(".session a").first().focus();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowDown");
    const focused = (): Promise<string | undefined> =>
      page.evaluate(() => document.activeElement?.querySelector(".name")?.textContent ?? undefined);
    await soon(focused).toBe("camera 2.mov");
    await page.keyboard.press("End");
    await soon(focused).toMatch(/^camera \d{3,4}\.mov$/);
    await page.keyboard.press("Home");
    await soon(focused).toBe("camera 0.mov");
    await page.keyboard.press("Enter");
    await page.getByText("It waits for nothing: it has become a file.").waitFor();
    // Of one that ended before the process started, only the catalog knows.
    await page.locator(".missing").waitFor();
    await page.getByText("No process remembers a message about it").waitFor();
    await page.goBack();
    await rows(page).first().waitFor();
  });

  it("is filtered by state and searched by name and by ID, by the server", async () => {
    await using visitor = await visit(browser, `${server.url}/inspect`);
    const { page } = visitor;
    await rows(page).first().waitFor();
    await page.getByRole("radio", { name: "Failed" }).check();
    await soon(async () => new Set(await page.locator(".session .state-mark").allTextContents())).toEqual(new Set(["failed"]));
    expect(await names(page)).toContain("camera 3.mov");
    const search = page.getByRole("searchbox");
    await search.fill("NEEDLE 1");
    await soon(() => names(page)).toEqual(["needle 1143.mov", "needle 1443.mov", "needle 1743.mov"]);
    await page.getByRole("radio", { name: "All" }).check();
    await search.fill("needle");
    await page.getByText("100 uploads", { exact: true }).waitFor();
    await search.fill("ended-007777");
    await soon(() => names(page)).toEqual(["camera 7777.mov"]);
    await search.fill("no such name");
    await page.getByText("No upload is like this.").waitFor();
    await search.press("Escape");
    await soon(() => rows(page).count()).toBeGreaterThan(5);
  });

  it("is narrowed as its address says: after a reload, for somebody else, on the way back, and when the address is changed", async () => {
    await using visitor = await visit(browser, `${server.url}/inspect`, { expected: /status of 404 .*\/traces\// });
    const { page } = visitor;
    const search = page.getByRole("searchbox");
    await page.getByRole("radio", { name: "Merged" }).check();
    await search.fill("needle 1");
    const found = ["needle 1243.mov", "needle 1543.mov", "needle 1843.mov"];
    await soon(() => names(page)).toEqual(found);
    expect(new URL(page.url()).hash).toBe("#/uploads?state=merged&search=needle+1");
    await page.reload();
    await soon(() => names(page)).toEqual(found);
    expect([await search.inputValue(), await page.getByRole("radio", { name: "Merged" }).isChecked()]).toEqual(["needle 1", true]);
    await rows(page).first().click();
    await page.getByRole("link", { name: "List of uploads" }).click();
    await soon(() => names(page)).toEqual(found);
    await page.goto(`${server.url}/inspect#/uploads?search=needle+1143`);
    await soon(() => names(page)).toEqual(["needle 1143.mov"]);
    expect([await search.inputValue(), await page.getByRole("radio", { name: "All" }).isChecked()]).toEqual(["needle 1143", true]);
  });

  it("shows what is new by itself, and what each in sight is in at this moment", async () => {
    await using visitor = await visit(browser, `${server.url}/inspect`);
    const { page } = visitor;
    await rows(page).first().waitFor();
    const made = await makeUpload(server.url, { name: "brand new.mov", chunkCount: 2 });
    const row = page.locator(".session", { hasText: "brand new.mov" });
    await row.waitFor();
    await made.send(0);
    await soon(() => row.locator(".said").textContent()).toBe("50 %");
    await made.send(1);
    await made.merge();
    await soon(() => row.locator(".state-mark").textContent()).toBe("merged");
  });
});
