/** The ID allocator: whole numbers that never repeat. Memory counts, the database steps. */
import { z } from "zod";
import { defineContract, request } from "../../bus/contract.ts";
import { BLOB_ID_LIMIT, ID_LEASE_COUNT_MAX } from "../../core/limits.ts";

/** What is counted, in printable ASCII; the streaming server document allows 64 characters. */
export const idKey = z.string().regex(/^[\x21-\x7e]{1,64}$/, "1 to 64 visible ASCII characters");
/** The key under which blob IDs are allocated. */
export const BLOB_KEY = "blob";
const idValue = z.int().nonnegative().max(BLOB_ID_LIMIT);

export const ids = defineContract({
  name: "ids",
  doc: "Allocates IDs. A gap is allowed, a repeat never, through any crash, given a database that keeps what it committed.",
  subject: "troupe.v1.ids",
  requests: {
    next: request({
      doc: "A lease of `count` consecutive IDs from `first`, the caller's alone.",
      input: z.object({ key: idKey, count: z.int().positive().max(ID_LEASE_COUNT_MAX).default(1) }),
      output: z.object({ key: idKey, first: idValue, count: z.int().positive() }),
      errors: ["ID_SPACE_EXHAUSTED"],
      // What was leased to nobody is a gap.
      repeatable: true,
    }),
    raise: request({
      doc: "No ID up to and including `highest` is given out from now on: what a node has seen on its disk, after the database was lost or rewound. For the system only; more than 2^30 above the counter is BAD_REQUEST, for somebody to look at that disk.",
      input: z.object({ key: idKey, highest: idValue }),
      output: z.object({}),
      errors: ["FORBIDDEN"],
      to: "all",
    }),
    ready: request({
      doc: "This allocator's database answers it. No ID is taken.",
      input: z.object({}),
      output: z.object({}),
      errors: [],
      readOnly: true,
    }),
    state: request({
      doc: "What this allocator holds in memory: for each key the next ID and the end of its block.",
      input: z.object({}),
      output: z.object({ step: z.int().positive(), blocks: z.array(z.object({ key: idKey, next: idValue, end: idValue })) }),
      errors: [],
      readOnly: true,
    }),
  },
});
