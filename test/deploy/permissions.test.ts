/** The users of `deploy/nats.conf`, on a real nats-server: what each may say and hear, and that everything else is refused. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  APP_USERS,
  type AppUser,
  ASKED,
  HOSTED,
  inboxPrefix,
  NATS_USERS,
  type NatsUser,
  passwordVariable,
  permissionsOf,
} from "../../src/bin/cluster/nats-users.ts";
import type { Contract } from "../../src/bus/contract.ts";
import { subjectMatches } from "../../src/bus/subject.ts";
import { ROLES, type Role } from "../../src/config/setting-table.ts";
import { startTestNats, type TestNats } from "../support/nats-server.ts";
import { RawNats } from "./raw-nats.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const passwordOf = (user: NatsUser): string => `secretOf${user}`;

let server: TestNats;
beforeAll(async () => {
  const variables = NATS_USERS.map((user) => `${passwordVariable(user)}: ${passwordOf(user)}\n`);
  server = await startTestNats({ configuration: variables.join("") + readFileSync(`${ROOT}/deploy/nats.conf`, "utf8") });
});
afterAll(async () => await server?.[Symbol.asyncDispose]());

const login = (user: NatsUser, password = passwordOf(user)): RawNats => new RawNats(server.port, user, password);

/** Which of these the server lets a user publish. */
async function publishable(user: NatsUser, subjects: readonly string[]): Promise<string[]> {
  await using connection = login(user);
  for (const subject of subjects) connection.publish(subject);
  await connection.settled();
  return subjects.filter((subject) => !connection.errors.includes(`Permissions Violation for Publish to "${subject}"`));
}

/** Which of these the server lets a user subscribe. */
async function audible(user: NatsUser, subjects: readonly string[]): Promise<string[]> {
  await using connection = login(user);
  for (const subject of subjects) connection.subscribe(subject);
  await connection.settled();
  return subjects.filter((subject) => !connection.errors.includes(`Permissions Violation for Subscription to "${subject}"`));
}

/** A subject of one actor: `troupe.v1.upload.one.merge`. */
const exact = (contract: Contract, verb: string): string => `${contract.subject.replaceAll(/\{\w+\}/g, "one")}.${verb}`;
const CONTRACTS = Object.values(HOSTED).flat();
const REQUESTS = CONTRACTS.flatMap((contract) =>
  Object.entries(contract.requests).map(([verb, definition]) => ({ verb, definition, subject: exact(contract, verb) })),
);
const everyRequest = REQUESTS.map(({ subject }) => subject);
const changing = REQUESTS.filter(({ definition }) => !definition.readOnly).map(({ subject }) => subject);
const rolesOf = (user: AppUser): readonly Role[] => {
  if (user === "all") return ROLES;
  if (user === "client") return ["gateway"];
  return user === "observer" ? [] : [user];
};
/** An API of the bus, a subject of another program, an inbox of nobody. */
const NOBODYS = ["$JS.API.INFO", "$SYS.REQ.SERVER.PING", "other.program", "_INBOX_nobody.x"];

describe.each(APP_USERS)("the user %s", (user) => {
  it("asks what its roles ask, and nothing else", async () => {
    const asked = rolesOf(user).flatMap((role) => ASKED[role].flatMap(({ contract, verbs }) => verbs.map((verb) => exact(contract, verb))));
    const readable = everyRequest.filter((subject) => !changing.includes(subject));
    expect(await publishable(user, everyRequest)).toEqual(
      everyRequest.filter((subject) => (user === "observer" ? readable : asked).includes(subject)),
    );
    expect(await publishable(user, [...NOBODYS, "troupe.v1.evt.tracker.one.forged"])).toEqual([]);
  });

  it("hears the requests of its own contracts, and nobody else's", async () => {
    const own = user === "client" ? [] : rolesOf(user).flatMap((role) => HOSTED[role]);
    const ownSubjects = new Set(own.flatMap((contract) => Object.keys(contract.requests).map((verb) => exact(contract, verb))));
    expect(await audible(user, everyRequest)).toEqual(everyRequest.filter((subject) => ownSubjects.has(subject)));
    expect(await audible(user, [">", "troupe.>", "troupe.v1.>", "*.>", "$SYS.>", "$SRV.>", "$JS.>", ...NOBODYS])).toEqual([]);
  });

  it("hears no inbox but its own", async () => {
    const inboxes = [...APP_USERS.map(inboxPrefix), "_INBOX_nobody"].flatMap((prefix) => [`${prefix}.>`, `${prefix}.x.*`]);
    expect(await audible(user, inboxes)).toEqual(
      inboxes.filter((inbox) => inbox.startsWith(user === "observer" ? "_INBOX." : `_INBOX_${user}.`)),
    );
    // A wildcard stands for a whole token, and the first one of an inbox names its user.
    expect(await audible(user, ["*.x", "*.x.*"])).toEqual([]);
  });

  it("answers the micro service of its own roles, and nobody else's", async () => {
    const subjects = ROLES.flatMap((role) => [`$SRV.PING.${role}`, `$SRV.STATS.${role}.one`]);
    const own = user === "client" ? [] : rolesOf(user);
    expect(await audible(user, subjects)).toEqual(own.flatMap((role) => [`$SRV.PING.${role}`, `$SRV.STATS.${role}.one`]));
    expect(await audible(user, ["$SRV.PING", "$SRV.INFO", "$SRV.STATS"])).toHaveLength(own.length > 0 ? 3 : 0);
  });
});

describe("what changes something", () => {
  const byVerb = (...verbs: string[]): string[] => REQUESTS.filter(({ verb }) => verbs.includes(verb)).map(({ subject }) => subject);
  const allowed = async (subjects: readonly string[]): Promise<AppUser[]> => {
    const answers = await Promise.all(APP_USERS.map(async (user) => (await publishable(user, subjects)).length > 0));
    return APP_USERS.filter((_, index) => answers[index]);
  };

  it("membership, and how an upload ends, is a storage node's to say", async () => {
    const subjects = byVerb("join", "heartbeat", "leave", "registerUpload", "claimUpload", "endUpload", "commitFile", "next", "raise");
    expect(subjects).toHaveLength(9);
    expect(await allowed(subjects)).toEqual(["storage", "all"]);
  });

  it("a blob is retired, and gets another file, by a catalog only", async () => {
    expect(await allowed(byVerb("retireBlob", "recordFile"))).toEqual(["catalog", "all"]);
  });

  it("I22: whether a proof of possession holds is found out by storage nodes only", async () => {
    const subjects = byVerb("provableContent", "commitKnown", "proveBlob");
    expect(subjects).toHaveLength(3);
    expect(await allowed(subjects)).toEqual(["storage", "all"]);
  });

  it("what users wish goes through a gateway or the command-line client", async () => {
    expect(
      await allowed(byVerb("place", "createUpload", "merge", "declareSize", "settle", "renameFile", "deleteFile", "grantRead")),
    ).toEqual(["gateway", "all", "client"]);
  });

  it("an observer changes nothing, and gets no token", async () => {
    expect(changing.length).toBeGreaterThan(15);
    expect(await publishable("observer", changing)).toEqual([]);
    expect(await publishable("observer", ["troupe.v1.evt.file.one.created", "troupe.v1.bytes.one.frames.two"])).toEqual([]);
  });

  it("what has been uploaded is read back, and ended, by the node that puts it together", async () => {
    expect(await allowed(byVerb("readUpload"))).toEqual(["storage", "all"]);
    expect(await allowed(byVerb("cancel"))).toEqual(["storage", "gateway", "all", "client"]);
  });

  it("bytes go from gateways and clients towards nodes", async () => {
    expect(await allowed(["troupe.v1.bytes.one.read", "troupe.v1.bytes.one.write"])).toEqual(["gateway", "all", "client"]);
    const subjects = ["troupe.v1.bytes.one.read", "troupe.v1.bytes.one.frames.two"];
    expect(await allowed(subjects)).toEqual(["storage", "gateway", "all", "client"]);
    const listening = await Promise.all(APP_USERS.map(async (user) => (await audible(user, subjects)).length > 0));
    expect(APP_USERS.filter((_, index) => listening[index])).toEqual(["storage", "all"]);
  });
});

describe("facts", () => {
  it("are published by the role that commits them", async () => {
    const facts = ["troupe.v1.evt.file.one.created", "troupe.v1.evt.upload.one.merged"];
    const said = Object.fromEntries(await Promise.all(APP_USERS.map(async (user) => [user, await publishable(user, facts)] as const)));
    expect(said).toEqual({
      tracker: [],
      ids: [],
      catalog: [facts[0]],
      storage: [facts[1]],
      gateway: [],
      all: facts,
      client: [],
      observer: [],
    });
  });

  it("are heard by an observer, and those of uploads by whoever streams them", async () => {
    const patterns = ["troupe.v1.evt.>", "troupe.v1.evt.upload.one.*"];
    const heard = Object.fromEntries(await Promise.all(APP_USERS.map(async (user) => [user, await audible(user, patterns)] as const)));
    const stream = [patterns[1]];
    expect(heard).toEqual({
      tracker: [],
      ids: [],
      catalog: [],
      storage: [],
      gateway: stream,
      all: stream,
      client: stream,
      observer: patterns,
    });
  });
});

describe("a request that is allowed", () => {
  /** Every user, and what it may ask of which role. */
  const exchanges = APP_USERS.flatMap((user) =>
    ROLES.flatMap((role) =>
      HOSTED[role].flatMap((contract) =>
        Object.keys(contract.requests)
          .map((verb) => exact(contract, verb))
          .filter((subject) => permissionsOf(user).publish.some((pattern) => subjectMatches(pattern, subject)))
          .map((subject) => ({ user, role, subject })),
      ),
    ),
  );

  it.each(ROLES)("reaches the role %s and is answered, whichever of its users plays it", async (role) => {
    const wanted = exchanges.filter((exchange) => exchange.role === role);
    for (const player of [role, "all"] as const) {
      await using actor = login(player);
      for (const { subject } of new Map(wanted.map((exchange) => [exchange.subject, exchange])).values()) actor.subscribe(subject);
      await actor.settled();
      for (const asker of new Set(wanted.map(({ user }) => user))) {
        await using asking = login(asker);
        asking.subscribe(`${inboxPrefix(asker)}.mine.*`);
        const asked = wanted.filter(({ user }) => user === asker);
        for (const [index, { subject }] of asked.entries()) asking.publish(subject, `${inboxPrefix(asker)}.mine.${index}`, "{}");
        await asking.settled();
        await actor.settled();
        expect(actor.messages.map(({ subject }) => subject)).toEqual(asked.map(({ subject }) => subject));
        for (const { reply } of actor.messages.splice(0)) actor.publish(reply as string, "", "yes");
        await actor.settled();
        await asking.settled();
        expect(asking.messages.map(({ body }) => body)).toEqual(asked.map(() => "yes"));
        expect([...asking.errors, ...actor.errors]).toEqual([]);
      }
    }
  });

  it("I19: an answer cannot be made a command, nor reach the inbox of somebody who may not ask", async () => {
    const answered: Record<string, AppUser[]> = {};
    for (const role of ROLES) {
      const inboxes = APP_USERS.map((user) => `${inboxPrefix(user)}.x`);
      const reached = await publishable(role, inboxes);
      answered[role] = APP_USERS.filter((_, index) => reached.includes(inboxes[index] as string));
    }
    expect(answered).toEqual({
      tracker: ["tracker", "storage", "gateway", "all", "client", "observer"],
      ids: ["storage", "gateway", "all", "client", "observer"],
      catalog: ["catalog", "storage", "gateway", "all", "client", "observer"],
      storage: ["catalog", "storage", "gateway", "all", "client", "observer"],
      gateway: ["gateway", "all", "client", "observer"],
    });
  });

  it("micro services are asked by an observer, and looked for by a catalog and by the client", async () => {
    const subjects = ["$SRV.STATS", "$SRV.PING", "$SRV.INFO.catalog.one", "$SRV.PING.catalog", "$SRV.PING.gateway"];
    const asked = Object.fromEntries(await Promise.all(APP_USERS.map(async (user) => [user, await publishable(user, subjects)] as const)));
    const [, , , another, gateway] = subjects;
    expect(asked).toEqual({
      tracker: [],
      ids: [],
      catalog: [another],
      storage: [],
      gateway: [],
      all: [another],
      client: [gateway],
      observer: subjects,
    });
  });
});

describe("the system account", () => {
  it("sees the server, and nobody else does", async () => {
    expect(await audible("sys", ["$SYS.>"])).toEqual(["$SYS.>"]);
    for (const user of APP_USERS) expect(await audible(user, ["$SYS.>", "$SYS.SERVER.*.STATSZ"])).toEqual([]);
  });

  it("hears nothing of what the actors say", async () => {
    await using sys = login("sys");
    sys.subscribe("troupe.>");
    await sys.settled();
    await using storage = login("storage");
    storage.publish("troupe.v1.tracker.heartbeat");
    await storage.settled();
    await sys.settled();
    expect(sys.messages).toEqual([]);
  });
});

describe("logging in", () => {
  it("nobody comes in without a password, or with another's", async () => {
    for (const user of NATS_USERS) {
      await using wrong = login(user, passwordOf(user === "sys" ? "all" : "sys"));
      await wrong.settled();
      expect(wrong.errors).toEqual(["Authorization Violation"]);
    }
    await using nobody = new RawNats(server.port, "", "");
    await nobody.settled();
    expect(nobody.errors).toEqual(["Authorization Violation"]);
  });
});

describe("the table", () => {
  const sources: Readonly<Record<Role, readonly string[]>> = {
    tracker: ["src/actors/tracker"],
    ids: ["src/actors/ids"],
    catalog: ["src/actors/catalog"],
    storage: ["src/actors/storage", "src/actors/upload"],
    gateway: ["src/gateway", "src/gateway/routes", "src/gateway/inspecting", "src/gateway/tus", "src/actors/gateway", "src/data-plane"],
  };

  it("allows no request that no code of the role makes", () => {
    for (const role of ROLES) {
      const files = sources[role].flatMap((folder) => readdirSync(`${ROOT}/${folder}`).map((name) => `${ROOT}/${folder}/${name}`));
      const text = files
        .filter((path) => path.endsWith(".ts"))
        .map((path) => readFileSync(path, "utf8"))
        .join("\n");
      const unused = ASKED[role].flatMap(({ verbs }) => verbs.filter((verb) => !text.includes(`.${verb}(`)));
      expect({ role, unused }).toEqual({ role, unused: [] });
    }
  });

  it("leaves no user without a list: an empty one would allow everything", () => {
    for (const user of APP_USERS) {
      const { publish, subscribe } = permissionsOf(user);
      expect(Math.min(publish.length, subscribe.length)).toBeGreaterThan(0);
    }
  });
});
