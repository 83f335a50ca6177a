/**
 * Where a user's new uploads go.
 *
 * P1: the first choice for a user is made once, weighted by free space, and recorded; of two trackers that choose at the same time
 *     the database lets one insert, and the other reads.
 * P2: the record is a preference: a group without a node that can take the upload yields to the roomiest that has one, and the
 *     record stays as it is. Reads do not come here: they go to the blob's group.
 */
import assert from "node:assert/strict";
import { TroupeError } from "../../core/errors.ts";
import { LOCATIONS_MAX } from "../../core/limits.ts";
import type { Clock } from "../../core/ports/clock.ts";
import type { Database } from "../../core/ports/database.ts";
import type { Random } from "../../core/ports/random.ts";
import type { NodeAnnouncement } from "./contract.ts";
import type { Membership } from "./membership.ts";
import type { TrackerTables } from "./tables.ts";

export interface Placing {
  readonly app: string;
  readonly user: string;
  readonly bytes: number;
}

export interface Location {
  readonly nodeId: string;
  readonly dataUrl?: string;
}

/** A group and those of its live nodes that can take an upload. */
export interface Room {
  readonly group: string;
  readonly nodes: readonly NodeAnnouncement[];
  readonly freeBytes: number;
}

export interface PlacementPorts {
  readonly database: Database<TrackerTables>;
  readonly membership: Membership;
  readonly clock: Clock;
  readonly random: Random;
}

export class Placement {
  readonly #ports: PlacementPorts;

  constructor(ports: PlacementPorts) {
    this.#ports = ports;
  }

  /** @throws {TroupeError} `DISK_FULL` when live nodes have not this much free, `NO_NODES` when there is none or none takes uploads */
  async place(placing: Placing): Promise<{ group: string; nodes: Location[] }> {
    const room = await this.#roomFor(placing);
    return { group: room.group, nodes: fromRandomStart(room.nodes, this.#ports.random) };
  }

  async #roomFor(placing: Placing): Promise<Room> {
    const { membership, random } = this.#ports;
    const recorded = await this.#recorded(placing);
    const preferred = recorded ?? (await this.#record(placing, chooseByFreeSpace(this.#rooms(placing.bytes), random).group));
    // The table may have changed while the database was asked.
    const room = roomOf(membership, preferred, placing.bytes);
    return room ?? roomiest(this.#rooms(placing.bytes));
  }

  /** Every group that can take the upload. @throws {TroupeError} when there is none */
  #rooms(bytes: number): Room[] {
    const { membership } = this.#ports;
    const rooms = membership.groups().flatMap((group) => roomOf(membership, group, bytes) ?? []);
    if (rooms.length > 0) return rooms;
    throw refusalOf(
      membership.groups().flatMap((group) => membership.live(group)),
      bytes,
    );
  }

  async #recorded(placing: Placing): Promise<string | undefined> {
    const { app, user } = keyOf(placing);
    const row = await this.#ports.database.read((query) =>
      query.selectFrom("t_router").select("group_name").where("app", "=", app).where("user", "=", user).executeTakeFirst(),
    );
    return row === undefined ? undefined : Buffer.from(row.group_name).toString();
  }

  /** @returns the group that stands in the database afterwards (P1) */
  #record(placing: Placing, group: string): Promise<string> {
    const { database, clock } = this.#ports;
    const { app, user } = keyOf(placing);
    const nowMs = clock.wallMs();
    return database.transact(async (transaction) => {
      const row = { app, user, group_name: Buffer.from(group), create_time: nowMs, update_time: nowMs };
      if (await transaction.insertIfAbsent("t_router", row)) return group;
      const query = transaction.query.selectFrom("t_router").select("group_name").where("app", "=", app).where("user", "=", user);
      const standing = await transaction.lock(query).executeTakeFirstOrThrow();
      return Buffer.from(standing.group_name).toString();
    });
  }
}

/** What a group can take of an upload of this size; `undefined` when none of its nodes can. */
export function roomOf(membership: Membership, group: string, bytes: number): Room | undefined {
  const nodes = membership.live(group).filter((node) => !node.closedToUploads && node.freeBytes >= bytes);
  if (nodes.length === 0) return undefined;
  return { group, nodes, freeBytes: nodes.reduce((sum, node) => sum + node.freeBytes, 0) };
}

/** A group at random, each as likely as its share of the free space. */
export function chooseByFreeSpace(rooms: readonly Room[], random: Random): Room {
  // One more byte each: a group that is full to the last byte may still get an empty file.
  const total = rooms.reduce((sum, room) => sum + room.freeBytes + 1, 0);
  let mark = (random.integer(RANDOM_LIMIT) / RANDOM_LIMIT) * total;
  for (const room of rooms) {
    mark -= room.freeBytes + 1;
    if (mark < 0) return room;
  }
  const last = rooms.at(-1);
  assert(last, "a choice is made among at least one group");
  return last;
}

/** At most three, beginning anywhere, so that no node is always the first to be asked. */
export function fromRandomStart(nodes: readonly NodeAnnouncement[], random: Random): Location[] {
  if (nodes.length === 0) return [];
  const start = random.integer(nodes.length);
  return [...nodes.slice(start), ...nodes.slice(0, start)]
    .slice(0, LOCATIONS_MAX)
    .map(({ nodeId, dataUrl }) => (dataUrl === undefined ? { nodeId } : { nodeId, dataUrl }));
}

const RANDOM_LIMIT = 2 ** 31;

/** Why none of the live nodes can take an upload of this size. */
function refusalOf(nodes: readonly NodeAnnouncement[], bytes: number): TroupeError {
  // A full node is closed to uploads, too; what has any room and is closed all the same is another matter.
  const isFull = nodes.some(({ freeBytes, closedToUploads }) => freeBytes === 0 || (!closedToUploads && freeBytes < bytes));
  if (isFull) return new TroupeError("DISK_FULL", `No storage node that takes uploads has room for a new one of ${bytes} bytes.`);
  if (nodes.length === 0) return new TroupeError("NO_NODES");
  return new TroupeError(
    "NO_NODES",
    `Storage nodes that are up: ${nodes.length}. None takes new uploads: they are stopping, or their disks have failed; see 'troupe nodes'.`,
  );
}

function roomiest(rooms: readonly Room[]): Room {
  return rooms.reduce((best, room) => (room.freeBytes > best.freeBytes ? room : best));
}

function keyOf(placing: Placing): { app: Buffer; user: Buffer } {
  return { app: Buffer.from(placing.app), user: Buffer.from(placing.user) };
}
