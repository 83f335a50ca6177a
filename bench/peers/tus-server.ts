/** The upload peer: `@tus/server` with its file store, as its documentation starts it. Prints its address. */
import { FileStore } from "@tus/file-store";
import { Server } from "@tus/server";

const directory = process.argv[2];
if (directory === undefined) throw new Error("give it a directory");
const server = new Server({ path: "/files", datastore: new FileStore({ directory }) });
const listener = server.listen({ host: "127.0.0.1", port: 0 }, () => {
  const address = listener.address();
  if (address === null || typeof address === "string") throw new Error("no address");
  process.stdout.write(`http://127.0.0.1:${address.port}/files\n`);
});
