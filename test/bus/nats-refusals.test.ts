/** What a NATS server may refuse: a connection, a user, a subject, a size. Each is told in words, and no secret is in them. */
import { createServer } from "node:net";
import { describe, expect, it, vi } from "vitest";
import { freePort } from "../../src/bin/engines/engine-process.ts";
import { TroupeError } from "../../src/core/errors.ts";
import { startTestNats } from "../support/nats-server.ts";
import { Connections, codeThrown, SEEN_WITHIN } from "./nats-rig.ts";
import { ending } from "./theatre.ts";

const EMPTY = new Uint8Array();
const SECRET = "s3cret-of-a-test";

const users = (subjects: string, password = SECRET): string => `
authorization {
  users = [
    { user: narrow, password: "${password}", permissions: { publish: { allow: ["test.free", "_INBOX.>"] }, subscribe: { allow: [${subjects}] } } }
    { user: wide, password: "${password}" }
  ]
}
`;
const NARROW = { user: "narrow", password: SECRET, inboxPrefix: "_INBOX_narrow" };
const WIDE = { user: "wide", password: SECRET };

/** Code and detail of a connection that does not come about. */
async function failure(
  connections: Connections,
  options: Parameters<Connections["connect"]>[0],
): Promise<{ code: string; detail: string }> {
  const error = await connections.connect(options).catch((thrown: unknown) => thrown);
  if (!(error instanceof TroupeError)) throw new Error(`not refused in words: ${String(error)}`);
  expect(JSON.stringify([error.message, error.detail, error.stack, error.facts])).not.toContain(SECRET);
  return { code: error.code, detail: error.detail };
}

describe("a connection that does not come about", () => {
  it("says where nobody listens, or where nothing is said that NATS would say", async () => {
    await using server = await startTestNats();
    await using connections = new Connections(server);
    const port = await freePort();
    const refused = await failure(connections, { servers: [`127.0.0.1:${port}`], ...WIDE });
    expect(refused.code).toBe("BUS_UNAVAILABLE");
    expect(refused.detail).toMatch(new RegExp(`^Nobody listens at 127\\.0\\.0\\.1:${port}\\.`));
    const mute = createServer(() => undefined);
    await new Promise<void>((resolve) => mute.listen(0, "127.0.0.1", resolve));
    const address = mute.address() as { port: number };
    const silent = await failure(connections, { servers: [`127.0.0.1:${address.port}`] });
    mute.close();
    expect(silent).toMatchObject({
      code: "BUS_UNAVAILABLE",
      detail: expect.stringMatching(/^No NATS server answered at .* within \d+ ms/),
    });
    const unknown = await failure(connections, { servers: ["nats://nowhere.invalid:4222"] });
    expect(unknown.detail).toMatch(/^The name of the NATS server at nats:\/\/nowhere\.invalid:4222 cannot be resolved/);
  });

  it("finds the server that is there among those that are not", async () => {
    await using server = await startTestNats();
    await using connections = new Connections(server);
    const bus = await connections.connect({ servers: [`127.0.0.1:${await freePort()}`, server.url] });
    await bus.flush();
  });

  it("says whose user, password or credentials were refused", async () => {
    await using server = await startTestNats({ configuration: users('">"') });
    await using connections = new Connections(server);
    const wrong = await failure(connections, { user: "wide", password: `${SECRET}x` });
    expect(wrong.code).toBe("BUS_UNAVAILABLE");
    expect(wrong.detail).toBe(`The NATS server at ${server.url} refused this user and password. Give those of its configuration.`);
    expect((await failure(connections, {})).detail).toContain("refused a connection without a user");
    const credentials = new TextEncoder().encode(`no credentials but ${SECRET}`);
    expect((await failure(connections, { credentials })).code).toBe("SETTING_INVALID");
  });

  it("says that the server does not speak TLS", async () => {
    await using server = await startTestNats();
    await using connections = new Connections(server);
    const { detail } = await failure(connections, { servers: [server.url.replace("nats:", "tls:")] });
    expect(detail).toMatch(/does not speak TLS/);
  });

  it("says that the server's messages are too small, and keeps to those of a small server", async () => {
    await using server = await startTestNats({ configuration: "max_payload: 32KB\n" });
    await using connections = new Connections(server);
    const { code, detail } = await failure(connections, {});
    expect(code).toBe("BUS_UNAVAILABLE");
    expect(detail).toMatch(/carries messages of 32768 bytes, .* raise its max_payload\.$/);
    await server.restart("max_payload: 128KB\n");
    const bus = await connections.connect();
    expect(bus.payloadBytesMax).toBe(131_072);
    expect(codeThrown(() => bus.publish("test.x", new Uint8Array(131_073)))).toBe("PAYLOAD_TOO_LARGE");
    bus.publish("test.x", new Uint8Array(131_072));
    await bus.flush();
    expect(connections.lines).toEqual([]);
  });

  it("says that a user may not hear its own inbox", async () => {
    await using server = await startTestNats({ configuration: users('"_INBOX_other.>"') });
    await using connections = new Connections(server);
    const { code, detail } = await failure(connections, NARROW);
    expect(code).toBe("FORBIDDEN");
    expect(detail).toBe(`NATS at ${server.url} let 'narrow' in, who may not hear answers to 'narrow': log in as the user 'narrow'.`);
    const other = await failure(connections, { ...NARROW, inboxPrefix: "_INBOX_client" });
    expect(other.detail).toBe(`NATS at ${server.url} let 'narrow' in, who may not hear answers to 'client': log in as the user 'client'.`);
    // Whoever asked for the connection has been told.
    expect(connections.lines).toEqual([]);
  });
});

describe("a user who may not do everything", () => {
  it("a request to a subject it may not publish on ends at once, and the log tells it once", async () => {
    await using server = await startTestNats({ configuration: users('"_INBOX_narrow.>"') });
    await using connections = new Connections(server);
    const bus = await connections.connect(NARROW);
    const free = ending(bus.request("test.free", EMPTY, { timeoutMs: 60_000 }));
    expect(await ending(bus.request("test.closed", EMPTY, { timeoutMs: 60_000 }))).toBe("FORBIDDEN");
    expect(await ending(bus.requestMany("test.closed", EMPTY, { timeoutMs: 60_000 }))).toBe("FORBIDDEN");
    expect(await free).toBe("UNAVAILABLE");
    bus.publish("test.closed", EMPTY);
    await bus.flush();
    expect(connections.said("error")).toEqual([
      "This process's NATS user may not publish on test.closed; see the permissions in the server's configuration.",
    ]);
  });

  it("a subscription that was refused is told, and heard after a restart that allows it", async () => {
    await using server = await startTestNats({ configuration: users('"_INBOX_narrow.>"') });
    await using connections = new Connections(server);
    await using others = new Connections(server);
    const bus = await connections.connect(NARROW);
    const other = await others.connect(WIDE);
    const heard: string[] = [];
    bus.subscribe("test.closed", (message) => void heard.push(message.subject), { queue: "group" });
    await bus.flush();
    expect(connections.said("error")).toEqual([
      "This process's NATS user may not subscribe test.closed; see the permissions in the server's configuration.",
    ]);
    await server.restart(users('"_INBOX_narrow.>", "test.closed"'));
    await vi.waitFor(async () => {
      await bus.flush();
      other.publish("test.closed", EMPTY);
      expect(heard.length).toBeGreaterThan(0);
    }, SEEN_WITHIN);
    await bus.drain();
  });

  it("a server that refuses the user for a while has it back later", async () => {
    await using server = await startTestNats({ configuration: users('">"') });
    await using connections = new Connections(server);
    const bus = await connections.connect(WIDE);
    bus.subscribe("test.echo", (message) => bus.publish(message.reply ?? "", message.payload));
    await server.restart(users('">"', "another password"));
    await vi.waitFor(() => expect(connections.said("error")).toHaveLength(1), SEEN_WITHIN);
    await vi.waitFor(() => expect(server.output.split("authentication error").length).toBeGreaterThan(3), SEEN_WITHIN);
    expect(connections.said("error")).toEqual([
      "The NATS server refuses this process's user; it is tried again, in case it is let in later.",
    ]);
    await server.restart(users('">"'));
    expect(await ending(bus.request("test.echo", EMPTY, { timeoutMs: 15_000 }))).toBe("ok");
  });
});
