/** A page of somebody else's, on another origin, that includes what a server of ours has. */
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { run } from "../support/program.ts";
import { startServer } from "../support/server-process.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { makeFilm, startBrowser } from "./rig.ts";

const stack = new AsyncDisposableStack();
let browser: Browser;
let folder: string;
let foreignUrl: string;

beforeAll(async () => {
  folder = stack.use(await temporaryDirectory()).path;
  browser = stack.adopt(await startBrowser(), (opened) => opened.close());
  const foreign = createServer((_, response) => response.setHeader("content-type", "text/html").end("<!doctype html><p>elsewhere</p>"));
  await new Promise<void>((resolve) => foreign.listen(0, "127.0.0.1", resolve));
  stack.defer(() => {
    foreign.closeAllConnections();
    foreign.close();
  });
  foreignUrl = `http://127.0.0.1:${(foreign.address() as AddressInfo).port}/`;
  await run("ffmpeg", ["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x200", "-frames:v", "1", join(folder, "still.png")]);
  await makeFilm(folder, "film.webm");
});
afterAll(() => stack.disposeAsync());

async function stored(url: string, name: string, headers: Record<string, string> = {}): Promise<{ fileId: string; url: string }> {
  const body = await readFile(join(folder, name));
  const answer = await fetch(`${url}/put/${name}`, { method: "PUT", body, headers });
  expect(answer.status).toBe(201);
  const fileUrl = (await answer.text()).trim();
  return { url: fileUrl, fileId: /[0-9a-f]{36}/.exec(fileUrl)?.[0] as string };
}

/** Whether a page elsewhere sees each as a picture or a film. */
async function includes(page: Page, urls: readonly string[]): Promise<boolean[]> {
  return await page.evaluate(
    (wanted) =>
      Promise.all(
        wanted.map(
          (url) =>
            new Promise<boolean>((resolve) => {
              const element = document.createElement(url.includes(".webm") ? "video" : "img");
              for (const event of ["load", "loadeddata"]) element.addEventListener(event, () => resolve(true));
              element.addEventListener("error", () => resolve(false));
              document.body.append(element);
              element.src = url;
            }),
        ),
      ),
    urls,
  );
}

it("includes neither pictures nor films of an open server", async () => {
  await using server = await startServer(join(folder, "open"));
  const still = await stored(server.url, "still.png");
  const film = await stored(server.url, "film.webm");
  const urls = [still.url, film.url, `${server.url}/browse/default/still.png`];
  const page = await browser.newPage();
  await page.goto(foreignUrl);
  expect(await includes(page, urls)).toEqual([false, false, false]);
  // A page of its own does.
  await page.goto(server.url);
  expect(await includes(page, urls)).toEqual([true, true, true]);
  await page.close();
});

it("includes what a signed link opens, and nothing without one", async () => {
  await using server = await startServer(join(folder, "closed"), ["--token", "ann:first-secret"]);
  const headers = { authorization: "Bearer first-secret" };
  const still = await stored(server.url, "still.png", headers);
  const film = await stored(server.url, "film.webm", headers);
  const links = await Promise.all(
    [still, film].map(async ({ fileId }) => {
      const answer = await fetch(`${server.url}/api/v1/files/${fileId}/link`, { method: "POST", headers });
      return ((await answer.json()) as { url: string }).url;
    }),
  );
  const page = await browser.newPage();
  await page.goto(foreignUrl);
  expect(await includes(page, [...links, still.url])).toEqual([true, true, false]);
  await page.close();
});
