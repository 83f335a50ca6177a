// A process of its own, in plain JavaScript: takes the directory it is given, says so, and holds it until killed. It keeps no
// reference to the lock and collects garbage before it speaks, so that a lock that lives only by chance would be gone.
import { lockDirectory } from "../../src/store/directory-lock.ts";

await lockDirectory(process.argv[2]);
await new Promise((resolve) => setImmediate(resolve));
globalThis.gc?.();
process.stdout.write("owned\n");
setInterval(() => undefined, 60_000);
