/** What a gateway does when the node it asked has died, hangs, or has lost the upload to another. */
import { describe, expect, test } from "vitest";
import { CREATE_WAIT_MS, MERGE_ASKED_AGAIN_MS, MERGE_WAIT_MS, REQUEST_TIMEOUT_DEFAULT_MS } from "../../src/core/limits.ts";
import { Rig } from "./rig.ts";

const BYTES = Buffer.from("hello");

async function uploaded(rig: Rig): Promise<string> {
  const { json } = await rig.createJson({ name: "a", size: BYTES.length });
  const id = String(json["uploadId"]);
  expect((await rig.ask("PUT", `/api/v1/uploads/${id}/chunks/0`, { body: BYTES })).status).toBe(200);
  return id;
}

/** The session hears, and does not answer: it is at work, or its process hangs. */
async function hang(rig: Rig, id: string) {
  await rig.loseSession(id);
  const heard: string[] = [];
  const subscription = rig.bus.subscribe(`troupe.v1.upload.${id}.*`, ({ subject }) => void heard.push(subject.split(".").at(-1) ?? ""));
  return { heard, die: () => subscription.unsubscribe() };
}

describe("creating an upload", () => {
  test("F1: a killed node that still counts as active yields to the next", async () => {
    await using rig = await Rig.start();
    rig.createFaults.set("node1", "UNAVAILABLE");
    expect((await rig.createJson({ name: "a", size: 1 })).status).toBe(201);
    expect(rig.calls).toEqual(["createUpload node1", "createUpload node2"]);
  });

  test("F8, F11: a node that hangs yields to the next, under a key that says that it is the same upload, the client's or one of the request's own", async () => {
    await using rig = await Rig.start();
    rig.createFaults.set("node1", "DEADLINE_EXCEEDED");
    for (const idempotencyKey of [undefined, undefined, "k"]) {
      expect((await rig.createJson({ name: "a", size: 1, idempotencyKey })).status).toBe(201);
      expect(rig.calls.splice(0)).toEqual(["createUpload node1", "createUpload node2"]);
    }
    const asked = rig.createKeys.splice(0);
    expect(asked.map((key, index) => key === asked[index - (index % 2)])).toEqual(asked.map(() => true));
    expect(new Set(asked).size).toBe(3);
    expect(asked.at(-1)).toBe("k");
  });

  test("F28: the last node to ask is waited for while it has much to do, and not for ever", async () => {
    await using rig = await Rig.start();
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const;
    rig.createGate = gates[0].promise;
    rig.createFaults.set("node1", "DISK_FULL");
    const late = rig.createJson({ name: "late", size: 1 });
    await rig.clock.advance(CREATE_WAIT_MS - 1);
    gates[0].resolve();
    expect((await late).status).toBe(201);
    rig.createGate = gates[1].promise;
    const refused = rig.createJson({ name: "refused", size: 1 });
    await rig.clock.advance(CREATE_WAIT_MS);
    expect([(await refused).status, (await refused).json["code"]]).toEqual([504, "DEADLINE_EXCEEDED"]);
    gates[1].resolve();
  });
});

describe("merging", () => {
  test("F1: a host that dies while it merges is noticed soon, and not when a merge's time is over", async () => {
    await using rig = await Rig.start();
    const id = await uploaded(rig);
    const session = await hang(rig, id);
    const merging = rig.ask("POST", `/api/v1/uploads/${id}/merge`);
    await rig.clock.advance(MERGE_ASKED_AGAIN_MS / 2);
    session.die();
    await rig.clock.advance(MERGE_ASKED_AGAIN_MS / 2);
    const answer = await merging;
    expect([answer.status, answer.json["code"]]).toEqual([503, "HOST_UNAVAILABLE"]);
  });

  test("one of which nothing is heard is asked for now and then, and its time has an end", async () => {
    await using rig = await Rig.start();
    const id = await uploaded(rig);
    const session = await hang(rig, id);
    const merging = rig.ask("POST", `/api/v1/uploads/${id}/merge`);
    await rig.clock.advance(MERGE_WAIT_MS + REQUEST_TIMEOUT_DEFAULT_MS);
    expect((await merging).json["code"]).toBe("DEADLINE_EXCEEDED");
    expect(session.heard).toEqual(Array.from({ length: MERGE_WAIT_MS / MERGE_ASKED_AGAIN_MS + 1 }, () => "merge"));
  });

  test("a session that answers DEADLINE_EXCEEDED itself is not asked again", async () => {
    await using rig = await Rig.start();
    const id = await uploaded(rig);
    rig.mergeFault = "DEADLINE_EXCEEDED";
    expect((await rig.ask("POST", `/api/v1/uploads/${id}/merge`)).json["code"]).toBe("DEADLINE_EXCEEDED");
  });

  test("F1: a host that came back with another epoch is asked with that one", async () => {
    await using rig = await Rig.start();
    const id = await uploaded(rig);
    const held = rig.uploads.get(id);
    if (held !== undefined) held.record = { ...held.record, epoch: 2 };
    expect((await rig.ask("POST", `/api/v1/uploads/${id}/merge`)).status).toBe(200);
  });

  test("F1, F3: a host that comes back twice while it is asked is asked with its epoch each time", async () => {
    await using rig = await Rig.start();
    const id = await uploaded(rig);
    const held = rig.uploads.get(id);
    if (held === undefined) throw new Error("the upload is held");
    const gate = Promise.withResolvers<void>();
    rig.mergeGate = gate.promise;
    held.record = { ...held.record, epoch: 2 };
    const merging = rig.ask("POST", `/api/v1/uploads/${id}/merge`);
    // It knows the new epoch by then, and hears nothing.
    await rig.clock.advance(MERGE_ASKED_AGAIN_MS);
    held.record = { ...held.record, epoch: 3 };
    gate.resolve();
    expect((await merging).status).toBe(200);
  });
});

test("F2: what a host still says of an upload that it has lost is not passed on", async () => {
  await using rig = await Rig.start();
  const id = await uploaded(rig);
  const old = rig.statusOf(id);
  const held = rig.uploads.get(id);
  if (held !== undefined) held.record = { ...held.record, epoch: 2 };
  const answer = await rig.send("GET", `/api/v1/uploads/${id}/events`);
  const stream = (answer.body as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
  const next = async () => Buffer.from((await stream.next()).value ?? []).toString();
  expect(await next()).toContain('"receivedCount":1');
  rig.publishFact(id, "state", { ...old, state: "failed" });
  rig.publishFact(id, "state", { ...rig.statusOf(id), state: "verifying" });
  expect(await next()).toContain('"state":"verifying"');
  await stream.return?.();
});
