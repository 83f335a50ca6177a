import { describeDisk } from "../../contract/disk.ts";
import { Machine, ROOT } from "./machine.ts";

describeDisk("a simulated disk", async () => {
  const machine = new Machine();
  return { disk: machine.disk, root: ROOT, [Symbol.asyncDispose]: async () => undefined };
});
