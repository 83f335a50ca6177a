import { describeDisk } from "../contract/disk.ts";
import { MemoryDisk } from "./memory-disk.ts";

describeDisk("a disk in memory", async () => ({
  disk: new MemoryDisk("/memory/root"),
  root: "/memory/root",
  [Symbol.asyncDispose]: async () => undefined,
}));
