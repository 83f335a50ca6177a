/**
 * Who may say what on NATS: one user a role, and two for people. `deploy/nats.conf` gets its lists from here (`npm run docs`), so that what
 * the server lets through is what the contracts and this table say, and no more.
 *
 * N1: whoever hosts a contract hears its subjects, and publishes answers to the inboxes of those who may ask it, and of nobody else.
 * N2: a user hears no inbox but its own. An inbox's first token has the user's name: a wildcard stands for a whole token only.
 * N3: facts are published by the role that commits what they speak of.
 */
import { bytesOnBus } from "../../actors/bytes/contract.ts";
import { catalog } from "../../actors/catalog/contract.ts";
import { gateway } from "../../actors/gateway/contract.ts";
import { ids } from "../../actors/ids/contract.ts";
import { inspector } from "../../actors/inspector/contract.ts";
import { storage } from "../../actors/storage/contract.ts";
import { tracker } from "../../actors/tracker/contract.ts";
import { upload } from "../../actors/upload/contract.ts";
import type { Contract, Verb } from "../../bus/contract.ts";
import { ROLES, type Role } from "../../config/setting-table.ts";
import { feedSubject } from "../../core/inspection.ts";

/** `all` plays several roles in one process; `client` is the `troupe` command on the bus; `observer` a person with the NATS CLI. */
export const APP_USERS = [...ROLES, "all", "client", "observer"] as const;
export type AppUser = (typeof APP_USERS)[number];
/** `sys` watches the server itself, in an account of its own. */
export const NATS_USERS = [...APP_USERS, "sys"] as const;
export type NatsUser = (typeof NATS_USERS)[number];

export interface Permissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

interface Asking {
  readonly contract: Contract;
  readonly verbs: readonly string[];
}

/** The contracts each role hosts. */
export const HOSTED: Readonly<Record<Role, readonly Contract[]>> = {
  tracker: [tracker, inspector],
  ids: [ids, inspector],
  catalog: [catalog, inspector],
  storage: [storage, upload, bytesOnBus, inspector],
  gateway: [gateway, inspector],
};

/** Which role asks whom for what. */
export const ASKED: Readonly<Record<Role, readonly Asking[]>> = {
  // One that starts copies the table of another.
  tracker: [asking(tracker, "table")],
  ids: [],
  catalog: [asking(storage, "retireBlob", "recordFile")],
  storage: [
    asking(tracker, "join", "heartbeat", "leave"),
    asking(ids, "next", "raise"),
    asking(catalog, "registerUpload", "createdUpload", "claimUpload", "endUpload", "commitFile", "upload", "hostedUploads", "blobState"),
    // What a client proves to have may lie on another node.
    asking(catalog, "provableContent", "commitKnown"),
    asking(storage, "proveBlob"),
    // An upload whose creation is repeated may be hosted by another node, and so may the parts of one that is put together.
    asking(upload, "status", "access", "cancel"),
    asking(bytesOnBus, "readUpload"),
  ],
  gateway: [
    asking(tracker, "place", "groups", "nodes", "ready"),
    asking(ids, "ready"),
    asking(catalog, "ready", "upload", "uploads", "file", "files", "renameFile", "deleteFile", "ownContent", "instantUpload"),
    asking(catalog, "folder", "fileByName", "users", "createdUpload"),
    asking(storage, "createUpload", "grantRead", "holdBlob", "status", "inspectUpload"),
    asking(inspector, "spans", "actors"),
    asking(upload, "status", "access", "settle", "declareSize", "merge", "cancel", "prove"),
    asking(bytesOnBus, "read", "write"),
  ],
};

const UPLOAD_FACTS = "troupe.v1.evt.upload.*.*";
const FILE_FACTS = "troupe.v1.evt.file.*.*";
/** Of those that somebody watches. */
const UPLOAD_STEPS = feedSubject("upload", "*");
/** Frames of a transfer over the bus, towards the node; those from it go to an inbox of whoever asked. */
const FRAMES = "troupe.v1.bytes.*.frames.*";

const SAID: Readonly<Record<Role, readonly string[]>> = {
  tracker: [],
  ids: [],
  catalog: [FILE_FACTS],
  storage: [UPLOAD_FACTS, UPLOAD_STEPS, FRAMES],
  gateway: [FRAMES],
};

const HEARD: Readonly<Record<Role, readonly string[]>> = {
  tracker: [],
  ids: [],
  catalog: [],
  storage: [FRAMES],
  gateway: [UPLOAD_FACTS, UPLOAD_STEPS],
};

/** Whose micro service a user looks for: a catalog whether there is another, and the client a gateway's address. */
const SOUGHT: Readonly<Partial<Record<AppUser, readonly Role[]>>> = { catalog: ["catalog"], all: ["catalog"], client: ["gateway"] };

/** The roles a user plays, or asks like. */
function rolesOf(user: AppUser): readonly Role[] {
  if (user === "all") return ROLES;
  if (user === "client") return ["gateway"];
  return user === "observer" ? [] : [user];
}

/** Below this a user hears its answers. A person with the NATS CLI has what that uses. */
export function inboxPrefix(user: AppUser): string {
  return user === "observer" ? "_INBOX" : `_INBOX_${user}`;
}

export function permissionsOf(user: AppUser): Permissions {
  const roles = rolesOf(user);
  const hosting = user === "client" ? [] : roles;
  return {
    publish: sorted([
      ...asksOf(user),
      ...(SOUGHT[user] ?? []).map((role) => `$SRV.PING.${role}`),
      ...roles.flatMap((role) => SAID[role]),
      ...hosting.flatMap((role) => askersOf(role).map((asker) => `${inboxPrefix(asker)}.>`)),
    ]),
    subscribe: sorted([
      `${inboxPrefix(user)}.>`,
      ...hosting.flatMap((role) => [...HOSTED[role].map((contract) => `${pattern(contract)}.*`), ...serviceSubjects(role)]),
      ...roles.flatMap((role) => HEARD[role]),
      ...(user === "observer" ? ["troupe.v1.evt.>", "troupe.v1.inspect.>"] : []),
    ]),
  };
}

/** The subjects of a user's requests. */
function asksOf(user: AppUser): string[] {
  if (user !== "observer") return rolesOf(user).flatMap((role) => ASKED[role].flatMap(subjects));
  const readable = Object.values(HOSTED)
    .flat()
    .map((contract) => ({ contract, verbs: Object.keys(contract.requests).filter((verb) => contract.requests[verb]?.readOnly) }));
  return ["$SRV.>", ...readable.flatMap(subjects)];
}

/** N1. Everybody with the NATS CLI may ask any role's micro service. */
function askersOf(role: Role): AppUser[] {
  const own = new Set(HOSTED[role]);
  const asks = (asker: Role): boolean => ASKED[asker].some(({ contract }) => own.has(contract));
  return APP_USERS.filter((user) => user === "observer" || SOUGHT[user]?.includes(role) || rolesOf(user).some(asks));
}

/**
 * What a NATS micro service hears. Each verb is named: nats-server takes the last `*` of what is allowed for any token, also for the `>` of a
 * subscription, so that `$SRV.*` would let through `$SRV.>`, and with it what others are asked.
 */
function serviceSubjects(role: Role): string[] {
  return ["PING", "INFO", "STATS"].flatMap((verb) => [`$SRV.${verb}`, `$SRV.${verb}.${role}`, `$SRV.${verb}.${role}.*`]);
}

function asking<C extends Contract>(contract: C, ...verbs: readonly Verb<C>[]): Asking {
  return { contract, verbs };
}

function subjects({ contract, verbs }: Asking): string[] {
  return verbs.map((verb) => `${pattern(contract)}.${verb}`);
}

/** Any actor of a contract: `troupe.v1.upload.*`. */
function pattern(contract: Contract): string {
  return contract.subject.replaceAll(/\{\w+\}/g, "*");
}

function sorted(texts: readonly string[]): string[] {
  return [...new Set(texts)].sort();
}

/** The variable that holds a user's password: `TROUPE_NATS_TRACKER_PASSWORD`. */
export function passwordVariable(user: NatsUser): string {
  return `TROUPE_NATS_${user.toUpperCase()}_PASSWORD`;
}

/** The users of the account in which the actors meet, as `deploy/nats.conf` lists them. */
export function appUsersText(indent: string): string {
  return APP_USERS.map((user) => {
    const { publish, subscribe } = permissionsOf(user);
    const list = (name: string, patterns: readonly string[]): string[] => [
      `    ${name}: [`,
      ...patterns.map((text) => `      ${JSON.stringify(text)}`),
      "    ]",
    ];
    const lines = [
      "{",
      `  user: ${user}`,
      `  password: $${passwordVariable(user)}`,
      "  permissions: {",
      ...list("publish", publish),
      ...list("subscribe", subscribe),
      "  }",
      "}",
    ];
    return lines.map((line) => `${indent}${line}\n`).join("");
  }).join("");
}
