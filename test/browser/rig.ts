/** A real Chromium before a real server. Whatever the page complains of, or asks elsewhere than at its server, fails the test. */
import { join } from "node:path";
import type { Browser, BrowserContextOptions, Page, Route } from "playwright-core";
import { expect } from "vitest";
import { launchChromium } from "../support/chromium.ts";
import { run } from "../support/program.ts";

/** Long, for a machine that is busy; nothing waits once it has come. */
const PATIENCE_MS = 60_000;
export const FILM_SECONDS = 20;
/** Chunks of a film that {@link makeFilm} makes: the page cuts a file of this size into pieces of 1 MiB. */
export const FILM_CHUNKS = 20;

/** `store.example` is this machine too, by a name a browser does not trust as it trusts loopback. */
export async function startBrowser(): Promise<Browser> {
  return await launchChromium(["--host-resolver-rules=MAP store.example 127.0.0.1", "--autoplay-policy=no-user-gesture-required"]);
}

/** A film Chromium plays, small to make and large to send: its beginning has a hole that is kept for an index. */
export async function makeFilm(folder: string, name: string): Promise<string> {
  const path = join(folder, name);
  const picture = ["-f", "lavfi", "-i", `testsrc2=s=320x180:r=10:d=${FILM_SECONDS}`];
  const coding = ["-c:v", "libvpx", "-quality", "realtime", "-cpu-used", "8", "-b:v", "200k", "-g", "10"];
  await run("ffmpeg", ["-v", "error", "-y", ...picture, ...coding, "-reserve_index_space", "20000000", path]);
  return path;
}

export interface Visit extends AsyncDisposable {
  readonly page: Page;
  /** What the console and the network complained of; looked at when the visit ends. */
  readonly complaints: string[];
}

export interface VisitOptions extends BrowserContextOptions {
  /** Complaints that belong to the test: a server that was killed cannot be reached. */
  readonly expected?: RegExp;
}

/** Of a folder that has become empty the server knows nothing, and the browser's console says so. */
export const EMPTY_FOLDER = /status of 404 .*\/browse\//;

/** A new visitor, who remembers nothing, at `url`. */
export async function visit(browser: Browser, url: string, { expected, ...options }: VisitOptions = {}): Promise<Visit> {
  const context = await browser.newContext({ viewport: { width: 1100, height: 760 }, ...options });
  context.setDefaultTimeout(PATIENCE_MS);
  const complaints: string[] = [];
  context.on("weberror", (error) => complaints.push(String(error.error())));
  context.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.push(`${message.text()} ${message.location().url}`);
  });
  context.on("request", (request) => {
    const { protocol, origin } = new URL(request.url());
    if (protocol.startsWith("http") && origin !== new URL(url).origin) complaints.push(`asked ${request.url()}`);
  });
  const page = await context.newPage();
  await page.goto(url);
  return {
    page,
    complaints,
    async [Symbol.asyncDispose]() {
      await context.close();
      expect(complaints.filter((text) => expected?.test(text) !== true)).toEqual([]);
    },
  };
}

/** Chooses files by the page's button, as the browser hands them over. */
export async function choose(page: Page, ...paths: string[]): Promise<void> {
  await page.locator("input[type=file]:not([webkitdirectory])").setInputFiles(paths);
}

/** Drops files or folders of the disk onto the page, as a file manager does. */
export async function drop(page: Page, ...paths: string[]): Promise<void> {
  const session = await page.context().newCDPSession(page);
  const data = { items: [], files: paths, dragOperationsMask: 1 };
  for (const type of ["dragEnter", "dragOver", "drop"] as const)
    await session.send("Input.dispatchDragEvent", { type, x: 400, y: 300, data });
  await session.detach();
}

/** The row of an upload by its file's name. */
export const uploadRow = (page: Page, name: string) => page.locator(".uploads li.transfer", { hasText: name });
/** The row of a stored file or folder. */
export const fileRow = (page: Page, name: string) => page.locator("tbody tr", { has: page.locator("a.open", { hasText: name }) });

export interface HeldAnswer {
  /** There is an answer, and the page waits for it. */
  readonly isThere: Promise<void>;
  /** Resolves when the page has it. */
  letGo(): Promise<void>;
}

type Fulfilment = NonNullable<Parameters<Route["fulfill"]>[0]>;

/** The next answer of this address comes when it is let go: the server's of now, unless another one is given. */
export async function holdAnswer(page: Page, address: string, instead?: Fulfilment): Promise<HeldAnswer> {
  const there = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<void>();
  let isHeld = false;
  // Not by a route for one time: when the last of these is over, the browser sends on whatever others still hold.
  const hold = async (route: Route): Promise<void> => {
    if (isHeld) return await route.fallback();
    isHeld = true;
    const answer = instead ?? { response: await route.fetch() };
    there.resolve();
    await go.promise;
    await route.fulfill(answer);
    gone.resolve();
  };
  await page.route(address, hold);
  return {
    isThere: there.promise,
    letGo: () => {
      go.resolve();
      return gone.promise;
    },
  };
}

/** As seldom as a page draws what changes all the time: `upload-watch.ts` (W2). */
const DRAWN_MS = 60;

/** The page has drawn what it knows by now: of its timers those that were set for no longer are over, and so are two frames. */
export const drawn = (page: Page): Promise<void> =>
  page.evaluate(
    (ms) => new Promise((resolve) => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(() => resolve())), ms)),
    DRAWN_MS,
  );

/** What will be so before long. */
export const soon = <T>(look: () => T | Promise<T>) => expect.poll(look);
