/**
 * `node bench/uploads-list.ts`: how smooth the list of uploads at /inspect is with ten thousand of them. In Chromium it is scrolled to its end
 * and back, page by page and by leaps, filtered by each state and searched, and every task that held the page's thread for over 50 ms is told:
 * there should be none over 100 ms. What is not measured: a slow network, and a computer with less to give than this one.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { launchChromium } from "../test/support/chromium.ts";
import { addEndedUploads } from "../test/support/ended-uploads.ts";
import { startServer } from "../test/support/server-process.ts";

const { values: options } = parseArgs({ options: { uploads: { type: "string", default: "10000" } } });
const count = Number(options.uploads);
const directory = await mkdtemp(join(tmpdir(), "troupe-bench-"));
const data = join(directory, "data");
const first = await startServer(data);
await first.terminate();
addEndedUploads(data, count);
const server = await startServer(data);
const browser = await launchChromium();
try {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  await page.addInitScript(`
    window.long = [];
    new PerformanceObserver((list) => { for (const { duration } of list.getEntries()) window.long.push(Math.round(duration)); })
      .observe({ type: "longtask", buffered: true });
    window.frames = [];
    let before = performance.now();
    const frame = (now) => { window.frames.push(now - before); before = now; requestAnimationFrame(frame); };
    requestAnimationFrame(frame);
  `);
  const report = async (what: string): Promise<void> => {
    await pause(300);
    const { long, frames, rows } = (await page.evaluate(
      "({ long: window.long.splice(0), frames: window.frames.splice(0), rows: document.querySelectorAll('.session').length })",
    )) as { long: number[]; frames: number[]; rows: number };
    const sorted = frames.toSorted((a, b) => a - b);
    const at = (share: number): string => `${Math.round(sorted[Math.floor((sorted.length - 1) * share)] ?? 0)} ms`;
    const told = long.length === 0 ? "no long task" : `long tasks of ${long.sort((a, b) => b - a).join(", ")} ms`;
    process.stdout.write(`${what.padEnd(34)} ${told}; frames: median ${at(0.5)}, 99 % ${at(0.99)}; rows in the document: ${rows}\n`);
  };
  await page.goto(`${server.url}/inspect`);
  await page.locator(".session").first().waitFor();
  await report("opened");
  const box = page.locator(".rows");
  const hover = await box.boundingBox();
  if (hover !== null) await page.mouse.move(hover.x + 200, hover.y + 200);
  for (let turn = 0; turn < 100; turn += 1) {
    await page.mouse.wheel(0, 700);
    await pause(16);
  }
  await report("a hundred turns of the wheel");
  const whole = page.getByText(`${count.toLocaleString("en")} uploads`, { exact: true });
  while ((await whole.count()) === 0) {
    await page.evaluate("{ const rows = document.querySelector('.rows'); rows.scrollTop = rows.scrollHeight; }");
    await pause(50);
  }
  await report("to the end, page by page");
  for (let leap = 0; leap < 100; leap += 1) {
    await page.evaluate(
      `{ const rows = document.querySelector('.rows'); rows.scrollTop = rows.scrollHeight * ${(leap * 37) % 100} / 100; }`,
    );
    await pause(16);
  }
  await report("a hundred leaps");
  for (const name of ["Failed", "Merged", "Cancelled", "Expired", "Under way", "All"]) {
    await page.getByRole("radio", { name }).check();
    await pause(400);
  }
  await report("every filter");
  for (const text of ["needle", "camera 99", "ended-004242", "nothing like it", ""]) {
    await page.getByRole("searchbox").fill(text);
    await pause(600);
  }
  await report("five searches");
} finally {
  await browser.close();
  await server.kill();
  await rm(directory, { recursive: true, force: true });
}
