/** A real Chromium, without a window. */
import { type Browser, chromium } from "playwright-core";
import { findProgram } from "../../src/bin/engines/engine-process.ts";

/** @param args besides those that it needs anywhere */
export async function launchChromium(args: readonly string[] = []): Promise<Browser> {
  const executablePath = findProgram(["chromium", "chromium-browser", "google-chrome"]);
  if (executablePath === undefined) throw new Error("Chromium is not installed: 'npm run setup' installs it.");
  return await chromium.launch({ executablePath, args: ["--no-sandbox", ...args] });
}
