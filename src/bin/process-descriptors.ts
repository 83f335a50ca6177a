/**
 * The Descriptors port over Linux's `/proc`. Newer kernels tell the number of open descriptors as the size of their folder, which costs some
 * microseconds however many there are; older ones say 0, and the folder is read, which costs about one for each.
 */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import type { Descriptors } from "../core/ports/descriptors.ts";

const FOLDER = "/proc/self/fd";
const LIMITS = "/proc/self/limits";

/** Elsewhere than on Linux it tells nothing. */
export function processDescriptors(): Descriptors {
  const openMax = process.platform === "linux" && existsSync(LIMITS) ? readOpenMax(readFileSync(LIMITS, "utf8")) : undefined;
  if (openMax === undefined) return { counts: () => undefined };
  return {
    counts: () => {
      const openCount = countOpen(openMax);
      return openCount === undefined ? undefined : { openCount, openMax };
    },
  };
}

function countOpen(openMax: number): number | undefined {
  try {
    const { size } = statSync(FOLDER);
    // Of those in the list one is the folder's own.
    return size > 0 ? size : readdirSync(FOLDER).length - 1;
  } catch (error) {
    // To read the folder takes a descriptor: when there is none, all are open. Otherwise the folder has gone.
    return (error as NodeJS.ErrnoException).code === "EMFILE" ? openMax : undefined;
  }
}

/** The soft limit, in `/proc/self/limits`; `undefined` when there is none. */
export function readOpenMax(limits: string): number | undefined {
  const soft = /^Max open files +(\d+) /m.exec(limits)?.[1];
  return soft === undefined ? undefined : Number(soft);
}
