/** Contracts hosted and called over NATS, and what other programs on the same server can do. */
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { client } from "../../src/bus/client.ts";
import { host } from "../../src/bus/host.ts";
import type { NatsBus } from "../../src/bus/nats.ts";
import { SILENT_LOG } from "../../src/core/log.ts";
import { SystemClock } from "../../src/store/system-clock.ts";
import { startTestNats, type TestNats } from "../support/nats-server.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { Connections, SEEN_WITHIN, text } from "./nats-rig.ts";
import { actor, chorus, ending, whole } from "./theatre.ts";

let server: TestNats;
let connections: Connections;
let stage: NatsBus;
let caller: NatsBus;
beforeAll(async () => {
  server = await startTestNats({ monitored: true });
  connections = new Connections(server);
  stage = await connections.connect({ name: "storage/node-1", inboxPrefix: "_INBOX_storage" });
  caller = await connections.connect({ name: "gateway/node-2" });
});
afterAll(async () => {
  await connections[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const PORTS = { clock: new SystemClock(), random: new SeededRandom(1), log: SILENT_LOG };

describe("an actor on NATS", () => {
  it("answers its typed client, and a person in JSON", async () => {
    const hosted = await host(stage, actor, { playerId: "p1" }, PORTS, async () => whole);
    await stage.flush();
    const player = client(caller, actor, { playerId: "p1" });
    expect(await player.echo({ text: "väl" })).toEqual({ text: "väl" });
    expect(await ending(player.echo({ text: 7 as never }))).toBe("BAD_REQUEST");
    const reply = await caller.request("test.player.p1.echo", text("{}"), { timeoutMs: 5_000 });
    expect(reply.headers["Content-Type"]).toBe("application/json");
    expect(new TextDecoder().decode(reply.payload)).toBe('{"text":"nothing"}');
    await hosted.stop();
    await stage.flush();
    expect(await ending(player.status({}))).toBe("UNAVAILABLE");
  });

  it("asks all that hear, and one of a queue group", async () => {
    const other = await connections.connect();
    const singers = await Promise.all(
      [stage, other].map((bus, index) =>
        host(bus, chorus, {}, PORTS, async () => ({
          handlers: { roll: () => ({ name: `n${index}` }), one: () => ({ name: `n${index}` }) },
        })),
      ),
    );
    await stage.flush();
    await other.flush();
    const all = await client(caller, chorus).roll({}, { answersMax: 2, timeoutMs: 10_000 });
    expect(all.map((answer) => (answer.ok ? answer.output.name : answer.error.code)).sort()).toEqual(["n0", "n1"]);
    const names = await Promise.all(Array.from({ length: 40 }, () => client(caller, chorus).one({})));
    expect(new Set(names.map(({ name }) => name))).toEqual(new Set(["n0", "n1"]));
    await Promise.all(singers.map((singer) => singer.stop()));
  });

  it("I19: does not answer to a command, or to the server's own interface", async () => {
    const hosted = await host(stage, actor, { playerId: "p2" }, PORTS, async () => whole);
    const heard: string[] = [];
    for (const subject of ["$JS.API.>", "test.player.p2.status", "test.command"])
      caller.subscribe(subject, (message) => void heard.push(message.subject));
    await stage.flush();
    await caller.flush();
    for (const reply of ["$JS.API.STREAM.DELETE.all", "test.player.p2.status", "test.command"])
      caller.publish("test.player.p2.echo", text("{}"), { reply });
    // Answers come in the order of the turns: this one comes after those would have.
    await client(caller, actor, { playerId: "p2" }).echo({});
    await caller.flush();
    expect(heard).toEqual([]);
    expect(hosted.deadLetters().map(({ subject }) => subject)).toEqual(Array.from({ length: 3 }, () => "test.player.p2.echo"));
    await hosted.stop();
  });
});

describe("the server and other programs on it", () => {
  it("the server shows each connection's role and node", async () => {
    const { connections: shown } = (await (await fetch(`${server.monitorUrl}/connz`)).json()) as { connections: { name: string }[] };
    const names = shown.map(({ name }) => name);
    expect(names).toContain("storage/node-1");
    expect(names).toContain("gateway/node-2");
  });

  it("answers of a user with an inbox of its own go there", async () => {
    const replies: string[] = [];
    caller.subscribe("test.where", (message) => {
      replies.push(message.reply ?? "");
      caller.publish(message.reply ?? "", text("here"));
    });
    await caller.flush();
    await stage.request("test.where", text(""), { timeoutMs: 5_000 });
    expect(replies[0]).toMatch(/^_INBOX_storage\.[A-Za-z0-9]+\.\d+$/);
  });

  it("a message with malformed headers is thrown away, and the next is heard", async () => {
    const heard: string[] = [];
    caller.subscribe("test.raw", (message) => void heard.push(new TextDecoder().decode(message.payload)));
    await caller.flush();
    const socket = connect({ host: "127.0.0.1", port: server.port });
    const head = "NATS/1.0\r\nn\u0001me: x\r\n\r\n";
    socket.write('CONNECT {"verbose":false,"headers":true}\r\n');
    socket.write(`HPUB test.raw ${head.length} ${head.length + 3}\r\n${head}bad\r\nPUB test.raw 4\r\ngood\r\n`);
    await vi.waitFor(() => expect(heard).toEqual(["good"]), SEEN_WITHIN);
    socket.destroy();
  });
});
