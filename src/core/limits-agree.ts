/**
 * The bounds of the system checked against each other. A process that starts loads this, and so does the test of the limits: one that does
 * not fit beside its neighbours ends the start, and the sentence says what it broke.
 */
import assert from "node:assert/strict";
import {
  ANSWER_HEADER_BYTES_MAX,
  BEGUN_UPLOADS_KEPT_MS,
  BLOB_ID_LIMIT,
  BODY_BUFFER_BYTES_MAX,
  BUS_CONFIRM_BYTES,
  BUS_CONNECT_MS_MAX,
  BUS_DIAL_MS_MAX,
  BUS_GATHER_MS,
  BUS_GOODBYE_MS,
  BUS_PAYLOAD_BYTES_MAX,
  BUS_PAYLOAD_BYTES_MIN,
  BUS_PENDING_MESSAGES_MAX,
  BUS_PING_MS,
  BUS_PINGS_UNANSWERED_MAX,
  BUS_RECONNECT_PAUSE_MAX_MS,
  BUS_RECONNECT_PAUSE_MIN_MS,
  BUS_ROUTE_KEPT_MS,
  BUS_UNCONFIRMED_BYTES_MAX,
  CACHE_ANSWER_MS_MAX,
  CACHE_BYTES_MAX,
  CACHE_CLOCK_SLACK_MS,
  CACHE_CONNECT_MS_MAX,
  CACHE_ENTRIES_MAX,
  CACHE_LIFETIME_MS,
  CACHE_PAUSE_MAX_MS,
  CACHE_PAUSE_MIN_MS,
  CACHE_QUESTIONS_MAX,
  CACHE_TOMBSTONE_MS,
  CACHE_VALUE_BYTES_MAX,
  CHALLENGE_RANGES_MAX,
  CHECKED_CHUNKS_MAX,
  CHUNK_BYTES_DEFAULT,
  CHUNK_BYTES_MAX,
  CHUNK_BYTES_MIN,
  CHUNKS_IN_FLIGHT_PER_NODE_MAX,
  CHUNKS_IN_FLIGHT_PER_SESSION_MAX,
  CLIENT_ANSWER_BYTES_MAX,
  CLIENT_DIGEST_FIRST_BYTES_MAX,
  CLIENT_INSTANT_BYTES_MIN,
  CLIENT_LANE_BYTES_PER_SECOND_MIN,
  CLIENT_PARALLEL_DEFAULT,
  CLIENT_PARALLEL_MAX,
  CLIENT_RETRY_AFTER_MS_MAX,
  CLIENT_SILENCE_MS_MAX,
  CONNECT_TIMEOUT_MS,
  CREATE_WAIT_MS,
  DATA_SERVER_DRAIN_MS,
  DATA_SILENCE_MS_MAX,
  DATABASE_AWAY_MS_MAX,
  DATABASE_AWAY_PAUSE_MS_MAX,
  DATABASE_BUSY_MS_MAX,
  DATABASE_CONNECT_MS_MAX,
  DATABASE_IDLE_MS,
  DATABASE_LOCK_WAIT_MS_MAX,
  DATABASE_PAUSE_MS_MAX,
  DATABASE_SILENCE_MS_MAX,
  DATABASE_STATEMENT_MS_MAX,
  DATABASE_WAITING_MAX,
  DEFERRED_REPLIES_MAX,
  DELETE_VISIBLE_MS_MAX,
  DELETED_KEPT_MS,
  DESCRIPTORS_FREE_PERMILLE,
  DRAIN_MS_MAX,
  DURABLE_DIRECTORIES_KEPT,
  ERROR_DETAIL_CHARACTERS_MAX,
  ERROR_SENTENCE_CHARACTERS_MAX,
  EVENT_HEARTBEAT_MS,
  EXCHANGES_PER_NODE_MAX,
  FILE_BYTES_LIMIT,
  FILE_BYTES_MAX_DEFAULT,
  FOLDER_SCAN_ROWS,
  FOLDER_STATEMENTS_MAX,
  FRAME_BYTES_MAX,
  FRAME_CREDIT_MS_MAX,
  FRAME_WINDOW_MAX,
  GATEWAY_DRAIN_MS,
  GATEWAY_SILENCE_MS_MAX,
  GROUP_NODES_MAX,
  HEARTBEAT_ANSWERS_PERCENT,
  HEARTBEAT_MS_DEFAULT,
  HTTP_CONNECTIONS_MAX,
  ID_BLOCK_KEPT_MS,
  ID_KEYS_MAX,
  ID_LEASE_COUNT_MAX,
  ID_RAISE_MAX,
  ID_STEP_DEFAULT,
  ID_STEP_MIN,
  JSON_BODY_BYTES_MAX,
  KEEP_ALIVE_MS,
  LEAF_BYTES,
  LINGER_MS,
  LINK_SECONDS_DEFAULT,
  LINK_SECONDS_MAX,
  LISTING_ENTRIES_MAX,
  LOAD_CALM_MS,
  LOAD_CHECK_MS,
  LOCATIONS_MAX,
  LOOKUP_KEPT_MS,
  MAILBOX_MESSAGES_MAX,
  MAILBOX_POSTED_MAX,
  MAILBOX_PRIORITY_MESSAGES_MAX,
  MAILBOX_PRIORITY_RUN_MAX,
  MERGE_ASKED_AGAIN_MS,
  MERGE_TIMEOUT_MS,
  MERGE_WAIT_MS,
  MIGRATION_LOCK_WAIT_MS_MAX,
  MIGRATION_STATEMENT_MS_MAX,
  MISSING_RANGES_MAX,
  MULTIPART_HEADER_BYTES_MAX,
  MULTIPART_OVERHEAD_BYTES_MAX,
  MULTIPART_PARTS_MAX,
  NAME_BYTES_MAX,
  OFFLINE_AFTER_MS_DEFAULT,
  OUTBOX_BACKOFF_MAX_MS,
  OUTBOX_BACKOFF_MIN_MS,
  OUTBOX_BATCH_MAX,
  OUTBOX_BEGIN_MS_MAX,
  OUTBOX_CLAIM_MS,
  OUTBOX_PARALLEL_MAX,
  OUTBOX_SWEEP_MS,
  OUTCOME_KEPT_MS,
  OVERLOAD_STALL_MS_DEFAULT,
  OVERLOAD_STALL_MS_MIN,
  PAGE_ITEMS_MAX,
  PLAYLIST_ENTRIES_MAX,
  PROOF_ANSWER_MS,
  PROOF_WINDOW_MS,
  READ_BLOCK_BYTES,
  READ_GRANT_KEPT_MS,
  READ_TOKEN_MS,
  READINESS_GRACE_MS,
  READINESS_TIMEOUT_MS,
  REPLY_BYTES_MAX,
  REPLY_ITEMS_MAX,
  REQUEST_BYTES_MAX,
  REQUEST_FIRST_TRY_PERCENT,
  REQUEST_ITEMS_MAX,
  REQUEST_TIMEOUT_DEFAULT_MS,
  REQUEST_TIMEOUT_MS_MAX,
  RESTART_BACKOFF_MAX_MS,
  RESTART_BACKOFF_MIN_MS,
  RESTART_WINDOW_MS,
  RESTARTS_MAX_DEFAULT,
  SESSION_SECONDS,
  SHARE_OF_FREE_MAX,
  SIGN_OF_LIFE_MS,
  SLOW_BODY_BYTES_PER_SECOND_MIN,
  SLOW_BODY_WINDOW_MS,
  SLOW_READER_TIMEOUT_MS,
  STATE_CHANGES_KEPT,
  STOP_GRACE_MS,
  STOP_MS_MAX,
  TABLE_COPY_PAUSE_MS,
  TARGET_BYTES_MAX,
  TRACKER_LISTENING_PERCENT,
  TRANSFERS_PER_GATEWAY_MAX,
  TRANSFERS_PER_NODE_MAX,
  TRANSFERS_PER_OWNER_MAX,
  TUS_MERGE_WAIT_MS,
  TUS_METADATA_CHARACTERS_MAX,
  TUS_PARTS_MAX,
  WHOLE_FILE_CHUNKS_IN_FLIGHT_MAX,
  WRITE_BLOCK_BYTES,
} from "./limits.ts";

const MIB = 1024 * 1024;

assert(CHUNK_BYTES_MIN % LEAF_BYTES === 0 && CHUNK_BYTES_MAX % LEAF_BYTES === 0, "chunks are multiples of a leaf");
assert(CHUNK_BYTES_DEFAULT >= CHUNK_BYTES_MIN && CHUNK_BYTES_DEFAULT <= CHUNK_BYTES_MAX);
assert(FILE_BYTES_MAX_DEFAULT <= FILE_BYTES_LIMIT, "the largest file fits into the largest number of largest chunks");
assert(Number.isSafeInteger(FILE_BYTES_LIMIT) && Number.isSafeInteger(BLOB_ID_LIMIT));
assert(DURABLE_DIRECTORIES_KEPT >= 512, "the directories of one level are remembered together");
assert(READ_BLOCK_BYTES % LEAF_BYTES === 0 && WRITE_BLOCK_BYTES % LEAF_BYTES === 0);
assert(REQUEST_BYTES_MAX <= REPLY_BYTES_MAX && REPLY_BYTES_MAX <= BUS_PAYLOAD_BYTES_MAX);
assert(REQUEST_ITEMS_MAX <= REPLY_ITEMS_MAX);
assert(MISSING_RANGES_MAX * 3 < REPLY_ITEMS_MAX && PAGE_ITEMS_MAX * 40 < REPLY_ITEMS_MAX, "a page fits into one reply");
assert(
  FOLDER_SCAN_ROWS * FOLDER_STATEMENTS_MAX > 2 * PAGE_ITEMS_MAX && PLAYLIST_ENTRIES_MAX <= LISTING_ENTRIES_MAX,
  "a folder that holds files only fills its pages",
);
assert(OFFLINE_AFTER_MS_DEFAULT > 2 * HEARTBEAT_MS_DEFAULT, "one lost heartbeat makes nobody offline");
assert(
  TRACKER_LISTENING_PERCENT > 100 + HEARTBEAT_ANSWERS_PERCENT && TABLE_COPY_PAUSE_MS < HEARTBEAT_MS_DEFAULT,
  "every living node has spoken, and was told to join, before a tracker answers",
);
assert(
  LOOKUP_KEPT_MS + CACHE_LIFETIME_MS + CACHE_CLOCK_SLACK_MS < DELETE_VISIBLE_MS_MAX,
  "what a gateway remembers of what the cache remembered is still in time",
);
assert(DELETED_KEPT_MS > 2 * REQUEST_TIMEOUT_DEFAULT_MS, "a lookup that began before a delete ends before its tombstone at the gateway");
assert(CACHE_TOMBSTONE_MS >= CACHE_LIFETIME_MS, "no lease from before a tombstone is good after it");
assert(CACHE_CONNECT_MS_MAX + CACHE_ANSWER_MS_MAX < REQUEST_TIMEOUT_DEFAULT_MS && CACHE_PAUSE_MIN_MS < CACHE_PAUSE_MAX_MS);
assert(CACHE_VALUE_BYTES_MAX <= REPLY_BYTES_MAX && CACHE_QUESTIONS_MAX <= DEFERRED_REPLIES_MAX);
assert(CACHE_BYTES_MAX >= CACHE_ENTRIES_MAX * 512, "a full cache has room for its entries");
assert(
  OUTBOX_BEGIN_MS_MAX + REQUEST_TIMEOUT_DEFAULT_MS + DATABASE_LOCK_WAIT_MS_MAX < OUTBOX_CLAIM_MS,
  "a row that is begun has been told to nodes that hang, and has time to be settled, before its claim ends",
);
assert(OUTBOX_CLAIM_MS < OUTBOX_BACKOFF_MAX_MS, "a claim is not taken for a wall clock that was set back");
assert(OUTBOX_SWEEP_MS < DELETE_VISIBLE_MS_MAX && OUTBOX_BACKOFF_MIN_MS < OUTBOX_BACKOFF_MAX_MS && OUTBOX_PARALLEL_MAX <= OUTBOX_BATCH_MAX);
assert(ID_KEYS_MAX * 4 < REPLY_ITEMS_MAX, "an allocator's state fits into one reply");
assert(RESTART_BACKOFF_MIN_MS < RESTART_BACKOFF_MAX_MS);
assert(
  STATE_CHANGES_KEPT > 4 * (RESTARTS_MAX_DEFAULT + 1),
  "an actor that was given up shows each of its crashes, of which each is four changes",
);
assert(READ_GRANT_KEPT_MS < READ_TOKEN_MS, "a gateway forgets a grant before it ends");
assert(CONNECT_TIMEOUT_MS < REQUEST_TIMEOUT_DEFAULT_MS && CONNECT_TIMEOUT_MS < BUS_ROUTE_KEPT_MS);
assert(DATA_SILENCE_MS_MAX > SLOW_BODY_WINDOW_MS, "whoever sends a body too slowly is told so before its node is blamed");
assert(
  GATEWAY_SILENCE_MS_MAX > 2 * SLOW_BODY_WINDOW_MS && GATEWAY_SILENCE_MS_MAX >= 4 * SIGN_OF_LIFE_MS,
  "a node never gives a body up whose client its gateway still waits for",
);
assert(
  DATA_SILENCE_MS_MAX + CONNECT_TIMEOUT_MS < CLIENT_SILENCE_MS_MAX,
  "a gateway says that a node is silent before its client stops listening",
);
assert(FRAME_BYTES_MAX < BUS_PAYLOAD_BYTES_MAX && FRAME_WINDOW_MAX >= 2, "a window can be half empty");
assert(FRAME_CREDIT_MS_MAX > SLOW_READER_TIMEOUT_MS, "a gateway gives its own slow reader up before the node gives the gateway up");
assert(
  Math.max(TRANSFERS_PER_NODE_MAX, TRANSFERS_PER_GATEWAY_MAX) * FRAME_WINDOW_MAX * FRAME_BYTES_MAX < BUS_UNCONFIRMED_BYTES_MAX,
  "all windows at once leave room on a connection",
);
assert(TRANSFERS_PER_OWNER_MAX * 2 <= TRANSFERS_PER_NODE_MAX, "one connection takes no more than half of a node's transfers");
assert(TRANSFERS_PER_NODE_MAX <= CHUNKS_IN_FLIGHT_PER_NODE_MAX && TRANSFERS_PER_NODE_MAX * FRAME_WINDOW_MAX <= BUS_PENDING_MESSAGES_MAX);
assert(EXCHANGES_PER_NODE_MAX >= CHUNKS_IN_FLIGHT_PER_NODE_MAX && EXCHANGES_PER_NODE_MAX < HTTP_CONNECTIONS_MAX);
assert(GATEWAY_DRAIN_MS + DATA_SERVER_DRAIN_MS + STOP_GRACE_MS < STOP_MS_MAX, "the gateway, then one actor's grace, fit into a stop");
assert(ID_BLOCK_KEPT_MS > REQUEST_TIMEOUT_DEFAULT_MS, "who waited for a step is served from it");
assert(ID_STEP_MIN <= ID_STEP_DEFAULT && ID_LEASE_COUNT_MAX < BLOB_ID_LIMIT);
assert(
  ID_RAISE_MAX >= 1_000 * ID_LEASE_COUNT_MAX && ID_RAISE_MAX * 32 <= BLOB_ID_LIMIT,
  "far more than nodes have seen, far less than there is",
);
assert(
  CHUNKS_IN_FLIGHT_PER_SESSION_MAX * (SHARE_OF_FREE_MAX + 1) <= CHUNKS_IN_FLIGHT_PER_NODE_MAX,
  "when one owner has all that one may have, another's upload still has all that it may",
);
assert(
  TUS_METADATA_CHARACTERS_MAX + TUS_PARTS_MAX * 32 < REQUEST_BYTES_MAX,
  "an upload's plan fits into one request, and into its journal",
);
assert(TUS_PARTS_MAX * 2 < REQUEST_ITEMS_MAX);
assert(MAILBOX_PRIORITY_MESSAGES_MAX <= MAILBOX_MESSAGES_MAX && MAILBOX_MESSAGES_MAX <= BUS_PENDING_MESSAGES_MAX);
assert(DATABASE_WAITING_MAX >= DEFERRED_REPLIES_MAX, "every reply a host holds open may be waiting for the database");
assert(DATABASE_LOCK_WAIT_MS_MAX % 1_000 === 0 && MIGRATION_LOCK_WAIT_MS_MAX % 1_000 === 0, "a server waits whole seconds");
assert(
  2 * DATABASE_LOCK_WAIT_MS_MAX < DATABASE_STATEMENT_MS_MAX && 2 * MIGRATION_LOCK_WAIT_MS_MAX < MIGRATION_STATEMENT_MS_MAX,
  "the server says that a lock was not to be had before its silence does",
);
assert(
  DATABASE_BUSY_MS_MAX + DATABASE_PAUSE_MS_MAX + 2 * DATABASE_LOCK_WAIT_MS_MAX < REQUEST_TIMEOUT_DEFAULT_MS,
  "who waits for a locked row hears so, also from a server that looks only once a second",
);
assert(DATABASE_LOCK_WAIT_MS_MAX < DATABASE_BUSY_MS_MAX, "a lock that was not to be had is asked for again");
assert(DATABASE_CONNECT_MS_MAX < DATABASE_AWAY_MS_MAX && 4 * DATABASE_AWAY_PAUSE_MS_MAX < DATABASE_AWAY_MS_MAX);
assert(
  DATABASE_AWAY_MS_MAX < (Math.min(REQUEST_TIMEOUT_DEFAULT_MS, READINESS_TIMEOUT_MS) * REQUEST_FIRST_TRY_PERCENT) / 100,
  "who waits for a lost database hears so within a first try",
);
assert(DATABASE_IDLE_MS < DATABASE_SILENCE_MS_MAX && DATABASE_STATEMENT_MS_MAX < DATABASE_SILENCE_MS_MAX);
assert(CHALLENGE_RANGES_MAX * LEAF_BYTES <= 2 * MIB, "a proof reads no more than a few blocks");
assert(
  2 * PROOF_ANSWER_MS < REQUEST_TIMEOUT_DEFAULT_MS && PROOF_ANSWER_MS < PROOF_WINDOW_MS,
  "who asks for a proof hears that it does not hold",
);
assert(GROUP_NODES_MAX <= PAGE_ITEMS_MAX && LOCATIONS_MAX <= GROUP_NODES_MAX);
assert(BODY_BUFFER_BYTES_MAX <= WRITE_BLOCK_BYTES, "a waiting body costs no more than a block being written");
assert(
  MULTIPART_OVERHEAD_BYTES_MAX >
    JSON_BODY_BYTES_MAX + MULTIPART_PARTS_MAX * MULTIPART_HEADER_BYTES_MAX + 2 * (BODY_BUFFER_BYTES_MAX + WRITE_BLOCK_BYTES),
  "the largest metadata and the longest headers fit beside the blocks of a file that are on their way",
);
assert(TARGET_BYTES_MAX > 2 * 3 * NAME_BYTES_MAX, "a target holds the longest name, percent-encoded");
assert(EVENT_HEARTBEAT_MS < KEEP_ALIVE_MS && EVENT_HEARTBEAT_MS < SLOW_READER_TIMEOUT_MS);
assert(LINK_SECONDS_DEFAULT <= LINK_SECONDS_MAX && SESSION_SECONDS <= LINK_SECONDS_MAX);
assert(LINGER_MS < DRAIN_MS_MAX && READINESS_TIMEOUT_MS + READINESS_GRACE_MS < REQUEST_TIMEOUT_DEFAULT_MS);
assert(
  2 * LOAD_CHECK_MS <= OVERLOAD_STALL_MS_MIN && OVERLOAD_STALL_MS_MIN < OVERLOAD_STALL_MS_DEFAULT && LOAD_CALM_MS > 10 * LOAD_CHECK_MS,
  "a process looks often enough to see that it stood still, and many times before it counts as calm",
);
assert(LOAD_CALM_MS < CLIENT_RETRY_AFTER_MS_MAX && DESCRIPTORS_FREE_PERMILLE < 500, "a client waits as long as it is asked to");
assert(WHOLE_FILE_CHUNKS_IN_FLIGHT_MAX <= CHUNKS_IN_FLIGHT_PER_SESSION_MAX);
assert(
  2 * CHECKED_CHUNKS_MAX <= TRANSFERS_PER_OWNER_MAX && CHECKED_CHUNKS_MAX < CHUNKS_IN_FLIGHT_PER_SESSION_MAX,
  "bodies that hold their chunks back until they are checked do not keep others, and each other, from going on",
);
assert(TUS_MERGE_WAIT_MS <= MERGE_WAIT_MS, "no proxy gives up before a client is told that its file is on its way");
assert(
  ANSWER_HEADER_BYTES_MAX >= 4 * ERROR_SENTENCE_CHARACTERS_MAX + 512 && ANSWER_HEADER_BYTES_MAX < REPLY_BYTES_MAX,
  "an error's headers fit",
);
assert(3 * ERROR_DETAIL_CHARACTERS_MAX < REQUEST_BYTES_MAX, "an error without its facts fits into the smallest message");
assert(BUS_PAYLOAD_BYTES_MIN <= BUS_PAYLOAD_BYTES_MAX && BUS_PAYLOAD_BYTES_MAX < BUS_UNCONFIRMED_BYTES_MAX);
assert(BUS_CONFIRM_BYTES * 4 < BUS_UNCONFIRMED_BYTES_MAX, "a server that keeps up is asked long before the bound");
assert(
  BUS_PING_MS * (BUS_PINGS_UNANSWERED_MAX + 1) <= OFFLINE_AFTER_MS_DEFAULT,
  "a silent server is noticed before nodes count as offline",
);
assert(BUS_DIAL_MS_MAX < BUS_CONNECT_MS_MAX && BUS_RECONNECT_PAUSE_MIN_MS < BUS_RECONNECT_PAUSE_MAX_MS);
assert(
  BUS_RECONNECT_PAUSE_MAX_MS < BUS_GATHER_MS && BUS_GATHER_MS < REQUEST_TIMEOUT_DEFAULT_MS * (1 - REQUEST_FIRST_TRY_PERCENT / 100),
  "others are back before a request gives up, also one that is asked again",
);
assert(2 * BUS_GOODBYE_MS + STOP_GRACE_MS < STOP_MS_MAX, "an actor's grace and a goodbye fit into a stop");
assert(MERGE_TIMEOUT_MS / MERGE_ASKED_AGAIN_MS < DEFERRED_REPLIES_MAX, "one merge that is asked for again and again crowds nobody out");
assert(
  MERGE_ASKED_AGAIN_MS < MERGE_WAIT_MS && MERGE_WAIT_MS + REQUEST_TIMEOUT_DEFAULT_MS < CLIENT_SILENCE_MS_MAX,
  "who waits for a merge is told where to ask before a proxy or a client gives up",
);
// Before that it is found out whether the content is there: a catalog and each holder are asked, and a catalog again up to three times.
const INSTANT_WAIT_MS_MAX = (1 + LOCATIONS_MAX + 3) * REQUEST_TIMEOUT_DEFAULT_MS;
assert(
  INSTANT_WAIT_MS_MAX + CREATE_WAIT_MS < CLIENT_SILENCE_MS_MAX && (LOCATIONS_MAX + 1) * REQUEST_TIMEOUT_DEFAULT_MS <= CREATE_WAIT_MS,
  "who begins an upload hears of it before a proxy or a client gives up",
);
assert(REQUEST_TIMEOUT_DEFAULT_MS <= MERGE_TIMEOUT_MS && MERGE_TIMEOUT_MS <= REQUEST_TIMEOUT_MS_MAX);
assert(REQUEST_FIRST_TRY_PERCENT <= 50, "whoever is asked again has no less time");
assert(STOP_GRACE_MS < DRAIN_MS_MAX, "effects that are told to end have time to");
assert(DEFERRED_REPLIES_MAX < MAILBOX_POSTED_MAX && MAILBOX_PRIORITY_RUN_MAX < MAILBOX_PRIORITY_MESSAGES_MAX);
assert(RESTART_BACKOFF_MAX_MS < RESTART_WINDOW_MS);
assert(CLIENT_PARALLEL_DEFAULT <= CLIENT_PARALLEL_MAX && CLIENT_PARALLEL_MAX <= CHUNKS_IN_FLIGHT_PER_SESSION_MAX);
assert(CLIENT_LANE_BYTES_PER_SECOND_MIN >= 4 * SLOW_BODY_BYTES_PER_SECOND_MIN, "a lane that is held back is not given up");
assert(BEGUN_UPLOADS_KEPT_MS > OUTCOME_KEPT_MS, "a client remembers an upload at least as long as the server its end");
assert(CLIENT_DIGEST_FIRST_BYTES_MAX <= CLIENT_INSTANT_BYTES_MIN);
assert(CLIENT_SILENCE_MS_MAX > SLOW_BODY_WINDOW_MS, "a server that gives a body up says so before the client stops listening");
assert(CLIENT_ANSWER_BYTES_MAX > REPLY_BYTES_MAX, "a page from the bus, written as JSON, fits into one answer");
