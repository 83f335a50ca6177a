/** The question whether the server has some content, over a connection that fails where a test says so. */
import { afterEach, expect, it, vi } from "vitest";
import { forgetAll } from "../../src/page/fingerprints.ts";
import { cancelOldQuestions, contentAtServer } from "../../src/page/possession.ts";

afterEach(() => vi.unstubAllGlobals());

const CREATION = { name: "film.mp4", user: "ann", size: 3, idempotencyKey: "key-1", digest: { algorithm: "blake3", value: "00" } } as const;

/** A server that knows uploads by their keys, and a browser's memory. */
function world() {
  const stored = new Map<string, string>();
  const uploads = new Map<string, string>();
  const connection = { losesAnswers: false, refusesWith: undefined as number | undefined };
  vi.stubGlobal("localStorage", {
    getItem: (key: string) => stored.get(key) ?? null,
    setItem: (key: string, text: string) => stored.set(key, text),
  });
  vi.stubGlobal("fetch", async (path: string, { method, body }: RequestInit) => {
    if (method === "DELETE") {
      for (const [key, uploadId] of uploads) if (path.endsWith(`/${uploadId}`)) uploads.delete(key);
      return new Response(null, { status: 204 });
    }
    if (connection.refusesWith !== undefined) return new Response("{}", { status: connection.refusesWith });
    const { idempotencyKey } = JSON.parse(body as string) as { idempotencyKey: string };
    const uploadId = uploads.get(idempotencyKey) ?? `upload-${uploads.size}`;
    uploads.set(idempotencyKey, uploadId);
    if (connection.losesAnswers) throw new TypeError("the connection is gone");
    return new Response(JSON.stringify({ uploadId }), { status: 201, headers: { "content-type": "application/json" } });
  });
  return { connection, uploads, remembered: () => [...stored.values()].join("") };
}

const asked = () => contentAtServer(CREATION, new Blob(["abc"]), new AbortController().signal);

it("a question leaves nothing when the content is not there", async () => {
  const { uploads, remembered } = world();
  expect(await asked()).toBeUndefined();
  expect([uploads.size, remembered()]).toEqual([0, "[]"]);
});

it("a question whose answer never came, because the page was left or the connection broke, is cancelled when the page is opened next", async () => {
  const { uploads, connection, remembered } = world();
  connection.losesAnswers = true;
  expect(await asked()).toBeUndefined();
  expect(uploads.size).toBe(1);
  connection.losesAnswers = false;
  await cancelOldQuestions();
  expect([uploads.size, remembered()]).toEqual([0, "[]"]);
});

it.each([401, 429, 503])("a server that will not hear it now (%i) hears it the next time: nothing is forgotten by that", async (status) => {
  const { uploads, connection, remembered } = world();
  connection.losesAnswers = true;
  await asked();
  Object.assign(connection, { losesAnswers: false, refusesWith: status });
  await expect(cancelOldQuestions()).rejects.toMatchObject({ status });
  connection.refusesWith = undefined;
  await cancelOldQuestions();
  expect([uploads.size, remembered()]).toEqual([0, "[]"]);
});

it("whoever signs out leaves no names of files at the device", async () => {
  const { connection, remembered } = world();
  connection.losesAnswers = true;
  await asked();
  expect(remembered()).toContain(CREATION.name);
  forgetAll();
  expect(remembered()).not.toContain(CREATION.name);
});
