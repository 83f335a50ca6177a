/**
 * The one table of metrics: what each is called, what it counts, and by which labels. The port is typed by it; the adapter, `docs/METRICS.md`
 * and the test of dashboard and alerts follow from it.
 *
 * M1: names and units are Prometheus's: base units (seconds, bytes), `_total` for what only grows, `process_` for what every program has.
 * M2: a label has a closed set of values, or a sentence that says what bounds them. Nobody's file, upload, owner, address or path is one.
 * M3: a series that can never move is not in the table.
 */
import assert from "node:assert/strict";
import { ENDED_STATES, UPLOAD_STATES } from "./shapes.ts";

export type MetricKind = "counter" | "gauge" | "histogram";
/** Headings of the document, and of the dashboard. */
export type MetricPart = "gateway" | "uploads" | "storage" | "actors" | "engines" | "process";

export interface MetricDefinition {
  readonly kind: MetricKind;
  readonly part: MetricPart;
  /** One sentence, no full stop. */
  readonly help: string;
  /** All values there can be, or what bounds them (M2). */
  readonly labels: Readonly<Record<string, readonly string[] | string>>;
  /** Of a histogram: upper bounds, growing. */
  readonly buckets?: readonly number[];
}

const NONE = {};
/** What one machine does in one go. */
const QUICK_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
/** What a client waits for. */
const ANSWER_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
/** What may take as long as a body does. */
const LONG_SECONDS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
/** What may last as long as an upload does. */
const STATE_SECONDS = [0.01, 0.1, 1, 10, 60, 600, 3_600, 6 * 3_600, 24 * 3_600];

export const HTTP_SERVERS = ["gateway", "data", "metrics"] as const;
export type HttpServerName = (typeof HTTP_SERVERS)[number];
/** What is not a method of any route counts together. */
export const METHOD_LABELS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"] as const;
export type MethodLabel = (typeof METHOD_LABELS)[number];
/** Where no route was found. */
export const UNROUTED = "none";

const SERVER = { server: HTTP_SERVERS } as const;
const ACTOR = { actor: "the contract's name" } as const;
const REQUEST = { actor: "the contract's name", verb: "the contract's request" } as const;
const DATABASE = { database: ["tracker", "ids", "storage"], access: ["transaction", "read"] } as const;

export const METRICS = {
  troupe_http_requests_total: {
    kind: "counter",
    part: "gateway",
    help: "Requests the gateway answered",
    labels: { route: "the route's pattern, or none", method: METHOD_LABELS, code: "the status code of an answer" },
  },
  troupe_http_request_seconds: {
    kind: "histogram",
    part: "gateway",
    help: "From the arrival of a request's head until its answer was ready to be sent: with the body that came, without the body that follows",
    labels: { route: "the route's pattern, or none" },
    buckets: LONG_SECONDS,
  },
  troupe_http_requests_in_flight: {
    kind: "gauge",
    part: "gateway",
    help: "Requests the gateway is preparing an answer to",
    labels: NONE,
  },
  troupe_http_received_bytes_total: { kind: "counter", part: "gateway", help: "Bytes of bodies that were received", labels: SERVER },
  troupe_http_sent_bytes_total: {
    kind: "counter",
    part: "gateway",
    help: "Bytes of bodies that were handed to a connection",
    labels: SERVER,
  },
  troupe_http_connections: { kind: "gauge", part: "gateway", help: "Connections that are open", labels: SERVER },
  troupe_file_answers_total: {
    kind: "counter",
    part: "gateway",
    help: "Answers with bytes of a file: all of it, one range, or several",
    labels: { extent: ["whole", "range", "ranges"] },
  },
  troupe_event_streams: { kind: "gauge", part: "gateway", help: "Clients that follow an upload, its events or its steps", labels: NONE },
  troupe_lookups_total: {
    kind: "counter",
    part: "gateway",
    help: "Lookups that a memory or a cache answered, and those it could not",
    labels: { memory: ["gateway-files", "gateway-grants", "catalog-cache"], outcome: ["hit", "miss"] },
  },

  troupe_uploads: {
    kind: "gauge",
    part: "uploads",
    help: "Uploads the storage node hosts, by their state",
    labels: { state: UPLOAD_STATES },
  },
  troupe_uploads_opened_total: {
    kind: "counter",
    part: "uploads",
    help: "Uploads that were created here or went on here after a restart",
    labels: { how: ["created", "recovered"] },
  },
  troupe_uploads_ended_total: { kind: "counter", part: "uploads", help: "Uploads that ended, by how", labels: { state: ENDED_STATES } },
  troupe_upload_state_seconds: {
    kind: "histogram",
    part: "uploads",
    help: "How long an upload had been in a state when it left it; counted from the restart after one",
    labels: { state: ["receiving", "verifying", "replicating", "committing"] },
    buckets: STATE_SECONDS,
  },
  troupe_merge_seconds: {
    kind: "histogram",
    part: "uploads",
    help: "From the beginning of a merge until the upload was a file",
    labels: NONE,
    buckets: LONG_SECONDS,
  },
  troupe_chunks_total: {
    kind: "counter",
    part: "uploads",
    help: "Bodies of chunks: stored, the same as what was there, or failed",
    labels: { outcome: ["stored", "same", "failed"] },
  },
  troupe_chunk_bytes_total: {
    kind: "counter",
    part: "uploads",
    help: "Bytes of chunks' bodies that ended well and are durable",
    labels: NONE,
  },
  troupe_chunk_seconds: {
    kind: "histogram",
    part: "uploads",
    help: "From a chunk's arrival at the session until it was durable, the time its bytes took to come included",
    labels: NONE,
    buckets: LONG_SECONDS,
  },

  troupe_disk_sync_seconds: {
    kind: "histogram",
    part: "storage",
    help: "How long one sync of the device took; those who ask meanwhile share the next",
    labels: { target: ["file", "directory"] },
    buckets: QUICK_SECONDS,
  },
  troupe_disk_sync_requests_total: {
    kind: "counter",
    part: "storage",
    help: "Syncs that were asked for; fewer take place, for they form groups",
    labels: NONE,
  },
  troupe_disk_sync_failures_total: { kind: "counter", part: "storage", help: "Syncs that failed, a full disk among them", labels: NONE },
  troupe_disk_syncs_waiting: { kind: "gauge", part: "storage", help: "Files and directories whose sync has not begun", labels: NONE },
  troupe_disk_total_bytes: { kind: "gauge", part: "storage", help: "Size of the disk under the data directory", labels: NONE },
  troupe_disk_free_bytes: { kind: "gauge", part: "storage", help: "Bytes that new uploads can still have", labels: NONE },
  troupe_disk_reserved_bytes: { kind: "gauge", part: "storage", help: "Bytes that uploads under way have been promised", labels: NONE },
  troupe_disk_suspect: {
    kind: "gauge",
    part: "storage",
    help: "1 when the disk did not do what it promised: the node takes no uploads until it is restarted",
    labels: NONE,
  },
  troupe_blob_read_bytes_total: {
    kind: "counter",
    part: "storage",
    help: "Bytes of blobs that were read: checked against their digests, read again within the verify age, or handed to the operating system",
    labels: { way: ["checked", "trusted", "handed"] },
  },
  troupe_blobs_damaged_total: {
    kind: "counter",
    part: "storage",
    help: "Times that reading found a blob damaged or unreadable which was not known to be",
    labels: NONE,
  },
  troupe_blobs_mended_total: {
    kind: "counter",
    part: "storage",
    help: "Damaged blobs that got their bytes back from an upload of the same content",
    labels: NONE,
  },
  troupe_blobs_open: { kind: "gauge", part: "storage", help: "Blobs whose files are kept open for readers", labels: NONE },
  troupe_blobs_retired: { kind: "gauge", part: "storage", help: "Deleted blobs whose bytes stay for a grace", labels: NONE },
  troupe_heartbeat_failures_total: {
    kind: "counter",
    part: "storage",
    help: "Heartbeats of the storage node that no tracker answered well",
    labels: NONE,
  },
  troupe_nodes: {
    kind: "gauge",
    part: "storage",
    help: "Storage nodes as this tracker sees them; one that was stopped has left",
    labels: { state: ["joined", "active", "offline", "left"] },
  },

  troupe_actors: { kind: "gauge", part: "actors", help: "Actors that live here; each upload is one", labels: ACTOR },
  troupe_actor_requests_total: { kind: "counter", part: "actors", help: "Requests that were answered or given up here", labels: REQUEST },
  troupe_actor_request_errors_total: {
    kind: "counter",
    part: "actors",
    help: "Requests that were answered with an error",
    labels: REQUEST,
  },
  troupe_actor_request_seconds_total: {
    kind: "counter",
    part: "actors",
    help: "Time from arrival to answer, of all requests together",
    labels: REQUEST,
  },
  troupe_actor_turns_total: { kind: "counter", part: "actors", help: "Turns that were begun", labels: ACTOR },
  troupe_actor_crashes_total: {
    kind: "counter",
    part: "actors",
    help: "Crashes, after each of which an actor starts again from what it recorded",
    labels: ACTOR,
  },
  troupe_dead_letters_total: { kind: "counter", part: "actors", help: "Messages that nobody was answered for", labels: ACTOR },
  troupe_mailbox_waiting: { kind: "gauge", part: "actors", help: "Messages that wait for a turn, of all actors together", labels: ACTOR },
  troupe_mailbox_waiting_max: { kind: "gauge", part: "actors", help: "Messages that wait for a turn at the busiest actor", labels: ACTOR },
  troupe_actor_deferred_replies: { kind: "gauge", part: "actors", help: "Answers that wait for an effect", labels: ACTOR },
  troupe_bus_request_seconds: {
    kind: "histogram",
    part: "actors",
    help: "From a request that one actor was asked until its answer, as whoever asked sees it",
    labels: REQUEST,
    buckets: ANSWER_SECONDS,
  },
  troupe_bus_request_failures_total: {
    kind: "counter",
    part: "actors",
    help: "Requests that had no answer, by why; those that were cancelled are left out",
    labels: { actor: "the contract's name", code: "a code from the table of errors" },
  },

  troupe_database_seconds: {
    kind: "histogram",
    part: "engines",
    help: "From asking the database until it was done, its repetitions included",
    labels: DATABASE,
    buckets: QUICK_SECONDS,
  },
  troupe_database_retries_total: {
    kind: "counter",
    part: "engines",
    help: "Times that a transaction or a read was begun again: deadlocks, locks, lost connections",
    labels: DATABASE,
  },
  troupe_database_failures_total: {
    kind: "counter",
    part: "engines",
    help: "Times that the database could not be reached or did not answer in time",
    labels: DATABASE,
  },

  troupe_process_info: {
    kind: "gauge",
    part: "process",
    help: "1; its labels say what this process is",
    labels: { version: "the program's version", node: "the process's own node", roles: "the roles it plays" },
  },
  troupe_event_loop_delay_seconds: {
    kind: "gauge",
    part: "process",
    help: "How late the event loop was since the last scrape",
    labels: { quantile: ["0.5", "0.99", "1"] },
  },
  troupe_overloaded: {
    kind: "gauge",
    part: "process",
    help: "1 while nothing new is begun because there is too much to do, else 0",
    labels: NONE,
  },
  troupe_overload_refusals_total: {
    kind: "counter",
    part: "process",
    help: "New work that was refused because there was too much to do",
    labels: NONE,
  },
  troupe_heap_used_bytes: { kind: "gauge", part: "process", help: "Memory of the program's own objects", labels: NONE },
  troupe_external_memory_bytes: { kind: "gauge", part: "process", help: "Memory of buffers outside of the program's heap", labels: NONE },
  process_cpu_seconds_total: { kind: "counter", part: "process", help: "CPU time, of the program and in the system for it", labels: NONE },
  process_resident_memory_bytes: { kind: "gauge", part: "process", help: "Resident memory", labels: NONE },
  process_open_fds: { kind: "gauge", part: "process", help: "Open file descriptors (Linux)", labels: NONE },
  process_max_fds: { kind: "gauge", part: "process", help: "The most file descriptors that may be open (Linux)", labels: NONE },
  process_start_time_seconds: { kind: "gauge", part: "process", help: "When the process started, in seconds since 1970", labels: NONE },
} as const satisfies Readonly<Record<string, MetricDefinition>>;

type Table = typeof METRICS;
export type MetricName = keyof Table;
type NameOf<Kind extends MetricKind> = { [Name in MetricName]: Table[Name]["kind"] extends Kind ? Name : never }[MetricName];
export type CounterName = NameOf<"counter">;
export type GaugeName = NameOf<"gauge">;
export type HistogramName = NameOf<"histogram">;
/** A value for each label of the metric. */
export type LabelsOf<Name extends MetricName> = {
  readonly [Label in keyof Table[Name]["labels"]]: Table[Name]["labels"][Label] extends readonly (infer Value extends string)[]
    ? Value
    : string;
};

export const METRIC_NAMES = Object.keys(METRICS) as MetricName[];

for (const name of METRIC_NAMES) {
  const { kind, labels, buckets = [] }: MetricDefinition = METRICS[name];
  assert(/^(troupe|process)_[a-z]+(_[a-z]+)*$/.test(name), `${name} is a metric's name`);
  assert(kind !== "counter" || name.endsWith("_total"), `${name} only grows and says so`);
  assert(
    (kind === "histogram") === buckets.length > 0 && buckets.every((bound, index) => index === 0 || bound > (buckets[index - 1] ?? 0)),
  );
  assert(
    Object.keys(labels).every((label) => /^[a-z]+$/.test(label) && label !== "le"),
    `${name} has labels that may be there`,
  );
}
