/** Uploads as a client makes them, by HTTP, for whoever looks into them in a browser. */
import type { Page } from "playwright-core";
import { someBytes } from "../support/troupe.ts";

export interface MadeUpload {
  readonly uploadId: string;
  readonly chunkCount: number;
  /** Sends one chunk, or several. */
  send(...indexes: readonly number[]): Promise<void>;
  merge(): Promise<number>;
}

const CHUNK_BYTES = 1024 * 1024;

export interface Wish {
  readonly name: string;
  readonly chunkCount?: number;
  /** Claimed for the file. */
  readonly sha256?: string;
  readonly token?: string;
}

export async function makeUpload(url: string, { name, chunkCount = 3, sha256, token }: Wish): Promise<MadeUpload> {
  const bytes = someBytes(chunkCount * CHUNK_BYTES, name.length + 7);
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const ask = async (method: string, path: string, body?: string | Uint8Array<ArrayBuffer>): Promise<Response> =>
    await fetch(`${url}/api/v1/uploads${path}`, {
      method,
      headers: { ...headers, ...(typeof body === "string" ? { "content-type": "application/json" } : {}) },
      ...(body === undefined ? {} : { body }),
    });
  const digest = sha256 === undefined ? {} : { digest: { algorithm: "sha256", value: sha256 } };
  const created = await ask("POST", "", JSON.stringify({ name, size: bytes.length, chunkBytes: CHUNK_BYTES, ...digest }));
  if (!created.ok) throw new Error(await created.text());
  const { uploadId } = (await created.json()) as { uploadId: string };
  return {
    uploadId,
    chunkCount,
    send: async (...indexes) => {
      for (const index of indexes) {
        const answer = await ask("PUT", `/${uploadId}/chunks/${index}`, bytes.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES));
        if (!answer.ok) throw new Error(await answer.text());
      }
    },
    merge: async () => (await ask("POST", `/${uploadId}/merge`)).status,
  };
}

/** The state of the chart that is lit: the innermost. */
export const litState = (page: Page): Promise<string | null> =>
  page.evaluate(() => [...document.querySelectorAll(".chart .state.live")].at(-1)?.getAttribute("data-path") ?? null);

/** Every state that is lit from now on, in order; asked for by {@link litStates}. */
export async function watchLitStates(page: Page): Promise<void> {
  await page.evaluate(() => {
    const seen: string[] = [];
    (window as unknown as { litStates: string[] }).litStates = seen;
    const look = (): void => {
      const path = [...document.querySelectorAll(".chart .state.live")].at(-1)?.getAttribute("data-path");
      if (path !== null && path !== undefined && seen.at(-1) !== path) seen.push(path);
    };
    look();
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true, attributeFilter: ["class"] });
  });
}

export const litStates = (page: Page): Promise<string[]> => page.evaluate(() => (window as unknown as { litStates: string[] }).litStates);
