/** The tracker: who is alive, which groups there are, and where new uploads of a user go. */
import { z } from "zod";
import { defineContract, request } from "../../bus/contract.ts";
import { standing } from "../../core/inspection.ts";
import { LOCATIONS_MAX } from "../../core/limits.ts";
import { app, blobId, bytes, count, cursor, durationMs, identity, limit, user, wallMs } from "../../core/shapes.ts";

export const NODE_STATES = ["joined", "active", "offline"] as const;

/** What a storage node says of itself. */
export const nodeAnnouncement = z.object({
  nodeId: identity,
  group: identity,
  /** The failure domain: copies in one zone count as one. */
  zone: identity,
  /** Where its data server is reached, when it is reached from outside its process. */
  dataUrl: z.string().max(256).optional(),
  version: z.string().max(32),
  /** When its process started, and later than all before it on the same data directory, which it takes the place of. */
  startedMs: wallMs,
  /** When its data directory was made: with the name, which directory it is. */
  directoryMadeMs: wallMs.optional(),
  totalBytes: bytes,
  /** What new uploads may still reserve. */
  freeBytes: bytes,
  /** It has left placement: nearly full, or stopping. */
  closedToUploads: z.boolean().default(false),
  highestBlobId: blobId.optional(),
});
export type NodeAnnouncement = z.output<typeof nodeAnnouncement>;

export const nodeReport = nodeAnnouncement.extend({
  state: z.enum(NODE_STATES),
  /** It said itself that it stops. */
  left: z.boolean().default(false),
  joinedMs: wallMs,
  /** How long ago the last heartbeat (or the join) was. */
  silentMs: durationMs,
});
export type NodeReport = z.output<typeof nodeReport>;

/** With how it came to be in its state, as this tracker has seen it; one that has `left` is in that state. An earlier version does not tell. */
export const nodeInspection = nodeReport.extend({ sinceMs: standing.shape.sinceMs.default(0), recent: standing.shape.recent.default([]) });

/** A node that may be asked. */
export const location = z.object({ nodeId: identity, dataUrl: z.string().optional() });
const locations = z.object({ group: identity, nodes: z.array(location).max(LOCATIONS_MAX) });

export const tracker = defineContract({
  name: "tracker",
  doc: "Keeps in memory who is alive, and in the database which groups exist and which group a user's new uploads go to.",
  subject: "troupe.v1.tracker",
  requests: {
    join: request({
      doc: "A storage node announces itself: a known one is updated, a new one added, a new group created. While a node is live, its name belongs to its data directory: another directory, or an earlier start, is refused.",
      input: nodeAnnouncement,
      output: z.object({ heartbeatMs: durationMs, offlineAfterMs: durationMs }),
      errors: ["TOO_MANY", "FORBIDDEN"],
      to: "all",
    }),
    heartbeat: request({
      doc: "A storage node is alive; a tracker that does not know it, or knows it by another start, says so, and the node joins.",
      input: z.object({ nodeId: identity, freeBytes: bytes, closedToUploads: z.boolean().default(false), startedMs: wallMs.optional() }),
      output: z.object({}),
      errors: ["NODE_NOT_FOUND", "FORBIDDEN"],
      to: "all",
    }),
    leave: request({
      doc: "A storage node stops on purpose and is offline from now on.",
      input: z.object({ nodeId: identity, startedMs: wallMs.optional() }),
      output: z.object({}),
      errors: ["FORBIDDEN"],
      to: "all",
    }),
    table: request({
      doc: "For a tracker that starts: all nodes, by group and name, as every other tracker knows them. One that does not know yet answers when it does.",
      input: z.object({ cursor: cursor.optional(), limit }),
      output: z.object({ nodes: z.array(nodeReport), cursor: cursor.optional() }),
      errors: ["BAD_CURSOR"],
      to: "all",
      readOnly: true,
    }),
    place: request({
      doc: "The group for a new upload of this user, and up to three live nodes of it from a random start. A full group yields to the next by free space.",
      input: z.object({ app, user, bytes }),
      output: locations,
      errors: ["NO_NODES", "DISK_FULL"],
      repeatable: true,
    }),
    locate: request({
      doc: "Up to three live nodes of a group, from a random start.",
      input: z.object({ group: identity }),
      output: locations,
      errors: ["GROUP_NOT_FOUND", "NO_NODES"],
      readOnly: true,
    }),
    groups: request({
      doc: "All groups, with how many of their nodes are active.",
      input: z.object({ cursor: cursor.optional(), limit }),
      output: z.object({
        groups: z.array(
          z.object({ group: identity, createdMs: wallMs, nodeCount: count, activeCount: count, freeBytes: bytes, totalBytes: bytes }),
        ),
        cursor: cursor.optional(),
      }),
      errors: ["BAD_CURSOR"],
      readOnly: true,
    }),
    ready: request({
      doc: "This tracker knows who is there, and its database answers it.",
      input: z.object({}),
      output: z.object({}),
      errors: [],
      readOnly: true,
    }),
    nodes: request({
      doc: "All storage nodes this tracker has heard of, by group and name.",
      input: z.object({ group: identity.optional(), cursor: cursor.optional(), limit }),
      output: z.object({ nodes: z.array(nodeInspection), cursor: cursor.optional() }),
      errors: ["BAD_CURSOR"],
      readOnly: true,
    }),
  },
});
