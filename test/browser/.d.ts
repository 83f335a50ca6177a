import { startBrowser, drop } from "./rig.ts";
import { startServer } from "../support/server-process.ts";
import { mkdtempSync, rmSync, mkdirSync, writeFileSync } from "node:fs";
import { randomBytes } from "node:crypto";
const dir = mkdtempSync("/tmp/pageshot-");
mkdirSync(`${dir}/many`); for (let i = 0; i < 1000; i++) { mkdirSync(`${dir}/many/d${i % 20}`, { recursive: true }); writeFileSync(`${dir}/many/d${i % 20}/f${i}.bin`, randomBytes(20000)); }
const server = await startServer(`${dir}/data`);
const browser = await startBrowser();
const page = await browser.newPage();
page.on("console", (m) => console.log(m.text()));
await page.goto(server.url); await page.waitForSelector(".drop");
const t = Date.now();
await drop(page, `${dir}/many`);
await page.waitForTimeout(4000); await page.screenshot({ path: "/tmp/shots/many.png" });
await page.getByText("files uploaded").waitFor({ timeout: 120000 });
console.log("1000 files in", Date.now() - t);
console.log(((await (await fetch(`${server.url}/browse/default/many/d3/?format=json&limit=1000`)).json()) as any).files.length, (await (await fetch(`${server.url}/api/v1/uploads?state=receiving`)).json() as any).uploads.length);
await page.waitForTimeout(1500); await page.screenshot({ path: "/tmp/shots/many-done.png" });
await browser.close(); await server.kill(); rmSync(dir, { recursive: true });
