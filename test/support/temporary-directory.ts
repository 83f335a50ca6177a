/** A directory of a test's own, removed with all it holds when the test's scope ends: `await using directory = await temporaryDirectory()`. */
import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface TemporaryDirectory extends AsyncDisposable {
  readonly path: string;
}

export async function temporaryDirectory(): Promise<TemporaryDirectory> {
  // On macOS the temporary folder is a symbolic link; tests compare paths.
  const path = await mkdtemp(join(await realpath(tmpdir()), "troupe-test-"));
  return {
    path,
    async [Symbol.asyncDispose]() {
      await rm(path, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}
