/**
 * Many uploads at once: 200 sessions, each with four chunks of 1 MiB on their way. Nobody is refused (that the loop stood still is no reason
 * here), all are equal, and the server's memory stays bounded. TROUPE_TEST_SESSION_MIB sets the size of each file (default 4); what was seen
 * is printed.
 */
import { randomBytes } from "node:crypto";
import { Agent, type IncomingMessage, request } from "node:http";
import { buffer, text } from "node:stream/consumers";
import { expect, it } from "vitest";
import { startServer } from "../support/server-process.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

const MIB = 1024 * 1024;
const SESSIONS = 200;
const CHUNKS_AT_A_TIME = 4;
const CHUNKS = Math.max(CHUNKS_AT_A_TIME, Number(process.env["TROUPE_TEST_SESSION_MIB"] ?? "4"));
const RESIDENT_BYTES_MAX = 400_000_000;
/** Each chunk begins elsewhere in the same random bytes: all differ, and the test itself holds none of them. */
const STEP = 97;
const SOURCE = randomBytes(MIB + SESSIONS * CHUNKS * STEP);
const TIMEOUT_MS = 300_000 + SESSIONS * CHUNKS * 40;

const chunkOf = (session: number, index: number): Buffer => {
  const offset = (session * CHUNKS + index) * STEP;
  return SOURCE.subarray(offset, offset + MIB);
};

function ask(agent: Agent, method: string, url: string, body?: Buffer | string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method, agent, headers: typeof body === "string" ? { "content-type": "application/json" } : {} });
    outgoing.once("response", resolve).once("error", reject).end(body);
  });
}

async function asJson<T>(answer: Promise<IncomingMessage>): Promise<T> {
  const response = await answer;
  const said = await text(response);
  if ((response.statusCode ?? 0) >= 300) throw new Error(`${response.statusCode} ${said}`);
  return JSON.parse(said) as T;
}

/** Nobody is refused; on a slow machine the outcome of a creation may be unknown, and the same again says it. */
async function create(agent: Agent, url: string, wish: Readonly<Record<string, unknown>>): Promise<{ readonly uploadId: string }> {
  for (;;) {
    try {
      return await asJson(ask(agent, "POST", url, JSON.stringify(wish)));
    } catch (error) {
      if (!String(error).includes('504 {"type":"urn:troupe:error:DEADLINE_EXCEEDED"')) throw error;
    }
  }
}

async function read(agent: Agent, url: string): Promise<Buffer> {
  const stored = await ask(agent, "GET", url);
  expect(stored.statusCode).toBe(200);
  return await buffer(stored);
}

it(`F28: ${SESSIONS} uploads at once, ${CHUNKS_AT_A_TIME} chunks each on their way, all end well in bounded memory`, {
  timeout: TIMEOUT_MS,
}, async () => {
  await using directory = await temporaryDirectory();
  await using server = await startServer(directory.path);
  const agent = new Agent({ keepAlive: true });
  const base = `${server.url}/api/v1/uploads`;
  const beganMs = performance.now();
  const upload = async (session: number): Promise<string> => {
    const wish = { name: `${session}.bin`, size: CHUNKS * MIB, chunkBytes: MIB, idempotencyKey: `session-${session}` };
    const { uploadId } = await create(agent, base, wish);
    let next = 0;
    const send = async (): Promise<void> => {
      for (let index = next++; index < CHUNKS; index = next++)
        await asJson(ask(agent, "PUT", `${base}/${uploadId}/chunks/${index}`, chunkOf(session, index)));
    };
    await Promise.all(Array.from({ length: CHUNKS_AT_A_TIME }, send));
    return (await asJson<{ url: string }>(ask(agent, "POST", `${base}/${uploadId}/merge`))).url;
  };
  try {
    const urls = await Promise.all(Array.from({ length: SESSIONS }, (_, session) => upload(session)));
    const seconds = (performance.now() - beganMs) / 1000;
    const peakBytes = await server.residentPeakBytes();
    console.log(
      `${SESSIONS} uploads of ${CHUNKS} MiB at once: ${seconds.toFixed(1)} s, ${((SESSIONS * CHUNKS * MIB) / 1e6 / seconds).toFixed(0)} MB/s, resident at most ${(peakBytes / 1e6).toFixed(0)} MB`,
    );
    for (const [session, url] of urls.entries()) {
      const bytes = await read(agent, url);
      expect(bytes.length).toBe(CHUNKS * MIB);
      for (let index = 0; index < CHUNKS; index += 1)
        expect(bytes.subarray(index * MIB, (index + 1) * MIB).equals(chunkOf(session, index)), `chunk ${index} of file ${session}`).toBe(
          true,
        );
    }
    expect(peakBytes).toBeLessThan(RESIDENT_BYTES_MAX);
  } finally {
    agent.destroy();
  }
});
