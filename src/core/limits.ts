/**
 * Every bound of the system, declared together; `limits-agree.ts` checks them against each other, so that no two of them can drift apart.
 * Units stand last in a name; `KIB` and the like are bytes.
 */

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const TIB = 1024 * GIB;

/** The unit of verification: one leaf digest covers this many bytes (the last leaf of a blob may be shorter). */
export const LEAF_BYTES = 64 * KIB;
/** BLAKE3 of a leaf, truncated. */
export const LEAF_DIGEST_BYTES = 16;

export const CHUNK_BYTES_DEFAULT = 8 * MIB;
export const CHUNK_BYTES_MIN = 64 * KIB;
export const CHUNK_BYTES_MAX = 64 * MIB;
export const CHUNK_COUNT_MAX = 1_000_000;
/** A file larger than this many bytes cannot be uploaded, whatever `--max-file` says. */
export const FILE_BYTES_LIMIT = CHUNK_BYTES_MAX * CHUNK_COUNT_MAX;
/** `--max-file` unless set. */
export const FILE_BYTES_MAX_DEFAULT = 5 * TIB;
/** The block in which a chunk's body is gathered before it is written; a body holds one, or two while few bodies arrive. */
export const WRITE_BLOCK_BYTES = 256 * KIB;
/** A chunk larger than this is synced while it arrives, every so many bytes. */
export const EARLY_SYNC_BYTES = 2 * MIB;
/** How many bytes a range response holds in memory while a slow reader takes them. A multiple of a leaf. */
export const READ_BLOCK_BYTES = 256 * KIB;

export const NAME_BYTES_MAX = 255;
/** Labels `app` and `user`, in bytes of UTF-8: what the streaming server document allows on the wire. */
export const APP_BYTES_MAX = 16;
export const USER_BYTES_MAX = 256;
export const CONTENT_TYPE_BYTES_MAX = 255;
export const IDEMPOTENCY_KEY_BYTES_MAX = 128;

/** Range requests: more ranges than this, or ranges adding up to more than this multiple of the file, get the whole file. */
export const RANGE_COUNT_MAX = 16;
export const RANGE_SUM_MULTIPLE_MAX = 2;

/** Possession of content is proven over this many random leaves of it, or all there are. */
export const CHALLENGE_RANGES_MAX = 20;
/** A proof that does not hold is answered so long after it was asked for, whatever was found: what is not found by then is not proven. */
export const PROOF_ANSWER_MS = 1_000;
/** Proofs of one owner that a gateway passes on within the window. */
export const PROOFS_PER_WINDOW_MAX = 60;
export const PROOF_WINDOW_MS = 60_000;

/** At most this many `[first, last]` pairs in one answer about missing chunks. */
export const MISSING_RANGES_MAX = 1000;
export const PAGE_ITEMS_DEFAULT = 100;
export const PAGE_ITEMS_MAX = 1000;
/** Names read from the index at a time while a folder is listed, and how many such statements one page of it may take. */
export const FOLDER_SCAN_ROWS = 128;
export const FOLDER_STATEMENTS_MAX = 256;
/** Uploads that a page of a search looks through. */
export const UPLOAD_SEARCH_ROWS = 10_000;
/** Entries of one listing or playlist as a whole; beyond them it says that there are more. */
export const LISTING_ENTRIES_MAX = 100_000;
export const PLAYLIST_ENTRIES_MAX = 10_000;

/** Requests on the bus are small; long answers are paged. Screened before a byte is decoded. */
export const REQUEST_BYTES_MAX = 64 * KIB;
export const REQUEST_ITEMS_MAX = 4096;
export const REPLY_BYTES_MAX = 1 * MIB;
export const REPLY_ITEMS_MAX = 64 * KIB;
export const MESSAGE_DEPTH_MAX = 16;
/** The largest body any bus adapter has to carry; NATS's own default. */
export const BUS_PAYLOAD_BYTES_MAX = 1 * MIB;
export const BUS_PENDING_MESSAGES_MAX = 4096;
export const SUBJECT_BYTES_MAX = 255;
/** What the headers of an answer may add to its body; an error's sentence is cut to fit. */
export const ANSWER_HEADER_BYTES_MAX = 2 * KIB;
export const ERROR_SENTENCE_CHARACTERS_MAX = 256;
export const ERROR_DETAIL_CHARACTERS_MAX = 4 * KIB;
/** A bus inside one process lets input and output have their turn when a burst of at least this many messages lasts longer than this. */
export const BUS_BURST_MESSAGES = 64;
export const BUS_BURST_MS_MAX = 5;

/** A server whose messages are smaller than this cannot carry a request with its headers; nobody starts on it. */
export const BUS_PAYLOAD_BYTES_MIN = REQUEST_BYTES_MAX + ANSWER_HEADER_BYTES_MAX;
/** The first connection to a bus server, all addresses together; and one attempt at one address, also later. */
export const BUS_CONNECT_MS_MAX = 10_000;
export const BUS_DIAL_MS_MAX = 4_000;
export const BUS_RECONNECT_PAUSE_MIN_MS = 50;
export const BUS_RECONNECT_PAUSE_MAX_MS = 1_000;
/** A server is asked this often whether it lives; with more than so many questions unanswered its connection counts as broken. */
export const BUS_PING_MS = 3_000;
export const BUS_PINGS_UNANSWERED_MAX = 2;
/** Bytes handed to a connection that the server has not confirmed, or that wait for a server to come back. */
export const BUS_UNCONFIRMED_BYTES_MAX = 32 * MIB;
/** After this many unconfirmed bytes the server is asked to confirm them. */
export const BUS_CONFIRM_BYTES = 256 * KIB;
/** Requests that wait for a server to come back. */
export const BUS_WAITING_REQUESTS_MAX = 4096;
/** For this long after a server came back, nobody listening means that they are not back yet: asked again after a pause. */
export const BUS_GATHER_MS = 3_000;
export const BUS_GATHER_PAUSE_MS = 100;
/** A closing connection waits this long for what is on its way. */
export const BUS_GOODBYE_MS = 1_500;
/** Subjects whose refusal a connection remembers to have told; then it tells them again. */
export const BUS_REFUSALS_KEPT = 256;

export const MAILBOX_MESSAGES_MAX = 1024;
/** The lane for status and cancellation, which must work while the other is full. */
export const MAILBOX_PRIORITY_MESSAGES_MAX = 256;
/** Results of effects that wait to be brought back into their actor; more mean that the actor is broken. */
export const MAILBOX_POSTED_MAX = 64 * KIB;
/** After this many turns in a row from the priority lane, a waiting message of the normal one has its turn. */
export const MAILBOX_PRIORITY_RUN_MAX = 16;
/** Replies a host holds open for effects that have not ended. */
export const DEFERRED_REPLIES_MAX = 4096;
export const DEAD_LETTERS_KEPT = 256;

/** Spans a process keeps: of so many uploads, so many of each name; of everything else; and of what failed. */
export const SPAN_UPLOADS_KEPT = 512;
export const SPANS_PER_NAME_KEPT = 8;
export const SPANS_KEPT = 2048;
export const SPANS_FAILED_KEPT = 512;
/** In one answer of a process. */
export const SPANS_TOLD_MAX = 512;
/** Of a trace's members, whose traces are looked for as well. */
export const TRACES_FOLLOWED_MAX = 64;
/** Steps, or runs of them, that a session's log has; of one that has ended; and how long a run is at least before another begins. */
export const STEPS_KEPT = 256;
export const ENDED_STEPS_KEPT = 64;
export const STEP_RUN_MS = 1_000;
/** Of sessions that have ended: how many logs a node keeps, and for how long unless set. */
export const ENDED_LOGS_KEPT = 2_000;
export const ENDED_LOG_MS_DEFAULT = 24 * 3_600_000;
/** How often the steps of a session that somebody watches are published, and how often it is found out whether anybody does. */
export const FEED_MS = 100;
export const FEED_QUIET_MS = 5_000;
/** In one answer of a process. */
export const ACTORS_TOLD_MAX = 200;
/** How long the answers of all processes are waited for, where nobody knows how many there are. */
export const INSPECT_ANSWERS_MS = 400;
/** And how long at most, of as many as have just answered. */
export const INSPECT_KNOWN_ANSWERS_MS = 2_000;
/** Traces that one owner may look for at a gateway within the window. */
export const LOOKUPS_PER_WINDOW_MAX = 40;
export const LOOKUP_WINDOW_MS = 10_000;
/** For the host of an upload that is looked into: that it does not answer is what somebody wants to know then. */
export const INSPECT_HOST_MS = 2_000;

export const RESTART_BACKOFF_MIN_MS = 50;
export const RESTART_BACKOFF_MAX_MS = 10_000;
/** More crashes than this within the window, and the actor is given up. */
export const RESTARTS_MAX_DEFAULT = 5;
export const RESTART_WINDOW_MS = 60_000;
/** Changes of state that an actor or a node is remembered by. */
export const STATE_CHANGES_KEPT = 32;
/** Of those, what a tracker tells of each node, of which a page of answers has many. */
export const NODE_CHANGES_TOLD_MAX = 4;
/** How long a stopping actor lets its effects end by themselves before it tells them to. */
export const STOP_GRACE_MS = 4_000;

export const REQUEST_TIMEOUT_DEFAULT_MS = 5_000;
/** Of a request that may be asked twice: how much of its time the first member of the queue group has. */
export const REQUEST_FIRST_TRY_PERCENT = 33;
/** For a new upload, from the question where to place it on: where there is no other node to ask, a busy one is waited for. */
export const CREATE_WAIT_MS = 20_000;
/** A merge verifies and syncs the whole file before it answers. */
export const MERGE_TIMEOUT_MS = 10 * 60_000;
/** Whoever does not say otherwise waits so long for a merge, and is then told where to ask: common proxies give up after a minute. */
export const MERGE_WAIT_MS = 50_000;
/** A gateway asks for a merge that goes on again after this, and so finds out that its host has gone. */
export const MERGE_ASKED_AGAIN_MS = 10_000;
/** No caller is waited for longer than this, whatever it says. */
export const REQUEST_TIMEOUT_MS_MAX = 15 * 60_000;

export const HEARTBEAT_MS_DEFAULT = 3_000;
export const OFFLINE_AFTER_MS_DEFAULT = 10_000;
/** How much of a heartbeat's time a node waits for the trackers' answers: it does not know how many there are. */
export const HEARTBEAT_ANSWERS_PERCENT = 25;
/** How long a tracker that starts listens before it answers, when no other tells it who is there, in parts of a heartbeat's time. */
export const TRACKER_LISTENING_PERCENT = 150;
/** A starting tracker that was refused the others' table asks again after this. */
export const TABLE_COPY_PAUSE_MS = 100;
export const IDLE_EXPIRY_MS_DEFAULT = 24 * 3_600_000;
export const OUTCOME_KEPT_MS = 7 * 24 * 3_600_000;
export const VERIFY_AGE_MS_DEFAULT = 3_600_000;
export const DELETE_GRACE_MS_DEFAULT = 60_000;
/** Another gateway answers 404 within 2 s of a delete, so it may remember a lookup for less than that. */
export const LOOKUP_KEPT_MS = 1_000;
export const DELETE_VISIBLE_MS_MAX = 2_000;
/** A gateway remembers what was deleted through it for longer than any lookup lasts that began before. */
export const DELETED_KEPT_MS = 60_000;
/** What a catalog looked up is not older than this when it comes from the cache. */
export const CACHE_LIFETIME_MS = 800;
/** As long as the longest lifetime: what was looked up before the tombstone is too old when it ends. */
export const CACHE_TOMBSTONE_MS = 1_000;
/** A cache outside the process that has not answered within this is done without, and so are the lookups after, until it answers again. */
export const CACHE_ANSWER_MS_MAX = 150;
export const CACHE_CONNECT_MS_MAX = 2_000;
/** It is tried again after these pauses; they begin small again when it has been of use for so long. */
export const CACHE_PAUSE_MIN_MS = 100;
export const CACHE_PAUSE_MAX_MS = 5_000;
export const CACHE_STEADY_MS = 10_000;
/** Questions to it under way at a time; more go without. */
export const CACHE_QUESTIONS_MAX = 1_024;
export const CACHE_VALUE_BYTES_MAX = 64 * KIB;
export const CACHE_PREFIX_BYTES_MAX = 64;
/** A server's clock that is set back by less than this goes unnoticed: so much older may a value get. */
export const CACHE_CLOCK_SLACK_MS = 50;
export const CACHE_ENTRIES_MAX = 100_000;
/** Keys and values of the cache in one process's memory. */
export const CACHE_BYTES_MAX = 64 * MIB;

/** How long a token of a node's data server is good, by the node's monotonic clock: for one blob, and for the chunks of one upload. */
export const READ_TOKEN_MS = 6 * 3_600_000;
export const WRITE_TOKEN_MS = 24 * 3_600_000;

/** A node that cannot be connected to within this is reached over the bus, and connected to again only after a while. */
export const CONNECT_TIMEOUT_MS = 2_000;
export const BUS_ROUTE_KEPT_MS = 30_000;
export const BUS_ROUTES_KEPT = 4_096;
/** A node that says and takes nothing for this long in the middle of an exchange of bytes is given up. */
export const DATA_SILENCE_MS_MAX = 40_000;
/**
 * While a gateway has nothing of a body to send, it says this often that it is still there; a node gives a body up of which it heard nothing
 * for longer than the other.
 */
export const SIGN_OF_LIFE_MS = 15_000;
export const GATEWAY_SILENCE_MS_MAX = 75_000;
/** Exchanges of bytes one gateway has with one node at a time. */
export const EXCHANGES_PER_NODE_MAX = 1_024;
/**
 * Bytes over the bus, in frames: a receiver lets its sender be so many of them ahead. What a node and a gateway hold in memory for it is
 * at most their transfers times the window.
 */
export const FRAME_BYTES_MAX = 64 * KIB;
export const FRAME_WINDOW_MAX = 8;
export const TRANSFERS_PER_NODE_MAX = 32;
/** Of those, how many one connection to the bus may have: a gateway that hangs leaves room for others. */
export const TRANSFERS_PER_OWNER_MAX = 16;
export const TRANSFERS_PER_GATEWAY_MAX = 48;
/** A receiver that lets its sender send nothing for this long is given up. */
export const FRAME_CREDIT_MS_MAX = 130_000;

export const LOCATIONS_MAX = 3;
export const GROUP_NODES_MAX = 64;
export const GROUPS_MAX = 10_000;
export const SESSIONS_PER_NODE_MAX = 20_000;
/** Chunk bodies one session receives at a time; more wait their turn at the client. */
export const CHUNKS_IN_FLIGHT_PER_SESSION_MAX = 64;
export const CHUNKS_IN_FLIGHT_PER_NODE_MAX = 1_024;
/** Of what owners share, one has at most so many times what is free: alone seven of eight places. */
export const SHARE_OF_FREE_MAX = 7;

/** What the tus protocol's clients may have remembered, and of how many parts an upload may be put together. */
export const TUS_METADATA_CHARACTERS_MAX = 4 * KIB;
export const TUS_PARTS_MAX = 1_000;

export const ID_STEP_MIN = 10;
export const ID_STEP_DEFAULT = 100;
export const ID_LEASE_COUNT_MAX = 10_000;
/** Counters one allocator keeps a block of in memory; the rest of a forgotten block is a gap. */
export const ID_KEYS_MAX = 1_000;
/** How long an allocator counts on a block: a raise that it did not hear, it finds in the database by then. */
export const ID_BLOCK_KEPT_MS = 60_000;
/** An allocator is raised by no more than this at once: one wrong message shall not use up the IDs of a system for ever. */
export const ID_RAISE_MAX = 2 ** 30;
/** Four base-512 digits: the largest ID a blob path can hold is one less. */
export const BLOB_ID_LIMIT = 512 ** 4;

/** A storage node leaves placement while it still has this much free, so that uploads under way can end. */
export const DISK_RESERVE_BYTES = 256 * MIB;
export const OPEN_BLOBS_MAX = 1024;
/** Directories a process remembers to have synced into their parents. */
export const DURABLE_DIRECTORIES_KEPT = 10_000;

export const TRANSACTION_ATTEMPTS_MAX = 8;
/** Transactions and reads that wait for one database. */
export const DATABASE_WAITING_MAX = 8192;
/** Connections of one process to one database of a server: those of transactions, which may wait for a lock; those of reads, which never do. */
export const DATABASE_WRITERS_MAX = 8;
export const DATABASE_READERS_MAX = 4;
/** Long enough for one lost packet of a connection's beginning. */
export const DATABASE_CONNECT_MS_MAX = 1_300;
/** Of a process that starts: nobody waits for its answer. */
export const DATABASE_OPENING_MS_MAX = 5_000;
/** How long a statement waits for a lock that another transaction holds: whole seconds, for the server counts and looks in those. */
export const DATABASE_LOCK_WAIT_MS_MAX = 1_000;
/** A transaction that the server rolled back does not begin again when it was asked for longer ago than this. */
export const DATABASE_BUSY_MS_MAX = 2_000;
/** The longest pause between two attempts at a transaction. */
export const DATABASE_PAUSE_MS_MAX = 500;
/** A statement that is not answered by then is given up, and its connection with it; a migration may take longer. */
export const DATABASE_STATEMENT_MS_MAX = 10_000;
export const MIGRATION_STATEMENT_MS_MAX = 3_600_000;
/** A migration waits this long for another process's, and for a row that one holds. */
export const MIGRATION_LOCK_WAIT_MS_MAX = 60_000;
/**
 * Whoever asked a database that is lost hears so by then; one that is back before costs time and no error. It is over in good time before
 * the first of two tries at a request ends, of which nobody would hear why.
 */
export const DATABASE_AWAY_MS_MAX = 1_400;
/** The longest pause between two attempts at a lost database. */
export const DATABASE_AWAY_PAUSE_MS_MAX = 200;
/** A connection nobody uses is closed after this; the server ends one of which it hears nothing, and frees its locks, after the other. */
export const DATABASE_IDLE_MS = 30_000;
export const DATABASE_SILENCE_MS_MAX = 60_000;
/** Prepared statements one connection keeps. */
export const STATEMENTS_KEPT_MAX = 256;
export const OPERATION_KEPT_MS = OUTCOME_KEPT_MS;
/** What has expired is removed this often, at most so many rows at a time. */
export const PURGE_INTERVAL_MS = 60_000;
export const PURGE_ROWS_MAX = 200;

/** A node asks the catalog this often for uploads that it is said to host, and of which it has nothing. */
export const LOST_UPLOADS_INTERVAL_MS = 60_000;
/** Creations that failed, of which a node still knows when the catalog hears of them too late. */
export const FORGOTTEN_UPLOADS_KEPT = 10_000;
/** The outbox is looked through this often even when nobody was told of new work. */
export const OUTBOX_SWEEP_MS = 1_000;
export const OUTBOX_BATCH_MAX = 64;
export const OUTBOX_PARALLEL_MAX = 8;
/** Rows that one catalog is delivering are nobody else's for this long. */
export const OUTBOX_CLAIM_MS = 15_000;
/** No row of a claim is begun after this; what is left of the claim falls due by itself when it ends. */
export const OUTBOX_BEGIN_MS_MAX = 8_000;
export const OUTBOX_BACKOFF_MIN_MS = 1_000;
export const OUTBOX_BACKOFF_MAX_MS = 5 * 60_000;

export const HEADERS_TIMEOUT_MS = 30_000;
export const SLOW_BODY_WINDOW_MS = 30_000;
export const SLOW_BODY_BYTES_PER_SECOND_MIN = KIB;
export const SLOW_READER_TIMEOUT_MS = 120_000;
export const JSON_BODY_BYTES_MAX = 64 * KIB;
/** Of a form with a file: its parts, the headers of one, and everything beside the file's bytes, what is being parsed included. */
export const MULTIPART_PARTS_MAX = 8;
export const MULTIPART_HEADER_BYTES_MAX = 16 * KIB;
export const MULTIPART_HEADERS_MAX = 32;
export const MULTIPART_OVERHEAD_BYTES_MAX = 2 * MIB;
/** Requests of one connection that wait for the one before; with one more it is closed. */
export const PIPELINED_REQUESTS_MAX = 64;
export const HTTP_CONNECTIONS_MAX = 10_000;
/** When descriptors run short, for a connection that has no request (yet). */
export const SILENT_CONNECTION_MS_MAX = 1_000;
export const EVENT_STREAMS_MAX = 1_000;
/** How often whoever looks into an upload is told the whole, also where nothing happens: that may be that its host is away. */
export const INSPECT_WHOLE_MS = 5_000;
/** Of those that look into an upload. */
export const INSPECT_STREAMS_MAX = 100;
/** Series of one metric in one process: combinations of its labels' values. */
export const METRIC_SERIES_MAX = 2_000;
/** What cannot tell its numbers by then is left out of a scrape. */
export const METRIC_READ_MS_MAX = 1_000;
export const DRAIN_MS_MAX = 8_000;
/** Requests under way when the process is told to stop. */
export const GATEWAY_DRAIN_MS = 4_000;
export const DATA_SERVER_DRAIN_MS = 500;
/** A process that was told to stop has ended by then. */
export const STOP_MS_MAX = 9_500;
/** A request target longer than this is refused: the longest name, percent-encoded, and a query of several such fit. */
export const TARGET_BYTES_MAX = 8 * KIB;
export const QUERY_PARAMETERS_MAX = 64;
/** An idle connection is kept this long for its next request. */
export const KEEP_ALIVE_MS = 65_000;
/** After an early answer the rest of a request's body is read and thrown away, so that the client sees the answer: this long, this much. */
export const LINGER_MS = 2_000;
export const LINGER_BYTES_MAX = 64 * MIB;
/** Bytes of one request's body that wait in memory for its reader. */
export const BODY_BUFFER_BYTES_MAX = 256 * KIB;
/** Chunks of a file sent as one body that are being synced while the next one streams. */
export const WHOLE_FILE_CHUNKS_IN_FLIGHT_MAX = 4;
/** Chunks over which a body may go of which nothing counts before all of it was checked. */
export const CHECKED_CHUNKS_MAX = 8;
/** How long a client of the tus protocol that has sent its last byte waits to be told where the file is. */
export const TUS_MERGE_WAIT_MS = 30_000;
export const EVENT_HEARTBEAT_MS = 15_000;
/** How long a reader of events waits before it comes back to a stream that broke off. */
export const EVENT_RETRY_MS = 1_000;
export const EVENTS_WAITING_MAX = 256;
/** What a gateway remembers of uploads, files and read grants; each entry is a hint. */
export const GATEWAY_ENTRIES_MAX = 10_000;
/** How long a signed link to a file is good: unless asked, and at most. */
export const LINK_SECONDS_DEFAULT = 7 * 24 * 3_600;
export const LINK_SECONDS_MAX = 366 * 24 * 3_600;
/** How long whoever signed in at the page stays so. */
export const SESSION_SECONDS = 30 * 24 * 3_600;
/** A certificate that was renewed on the disk is in use within this. */
export const CERTIFICATE_CHECK_MS = 60_000;
/** A storage node's read grant is good for longer than this; a refused one is asked for again. */
export const READ_GRANT_KEPT_MS = 3_600_000;
/** Each part of a server is asked for so long whether it is ready; whoever has not said anything so much later hangs. */
export const READINESS_TIMEOUT_MS = 4_500;
export const READINESS_GRACE_MS = 250;
/** A process looks this often whether it has too much to do. */
export const LOAD_CHECK_MS = 100;
/** It takes no new work after its event loop has let nobody have a turn for longer than is set; of that, up to one look is not seen. */
export const OVERLOAD_STALL_MS_DEFAULT = 1_000;
/** The least that may be set: with less, a process that is well might never count as calm. */
export const OVERLOAD_STALL_MS_MIN = 200;
/** Nor does it while it may open fewer descriptors than this, or than this part of all it may have. */
export const DESCRIPTORS_FREE_MIN = 256;
export const DESCRIPTORS_FREE_PERMILLE = 125;
/** It takes new work again when its event loop has stood still for no more than this part of what it may, with twice as many descriptors free, for so long. */
export const OVERLOAD_CALM_DIVISOR = 4;
export const LOAD_CALM_MS = 2_000;
/** Descriptors are counted this often, for that may mean to list them; connections that come between are added. */
export const DESCRIPTORS_COUNTED_MS = 1_000;

/** The client: chunks on their way at a time, silence after which a connection counts as lost, and the largest answer it reads into memory. */
export const CLIENT_PARALLEL_DEFAULT = 4;
export const CLIENT_PARALLEL_MAX = 64;
export const CLIENT_SILENCE_MS_MAX = 60_000;
export const CLIENT_ANSWER_BYTES_MAX = 8 * MIB;
/** However long a server asks a client to wait before it tries again, it waits no longer. */
export const CLIENT_RETRY_AFTER_MS_MAX = 60_000;
/** Files a client uploads at a time; they share the chunks in flight. */
export const CLIENT_FILES_MAX = 8;
/** A file up to this size is read for its digest before it is sent: the server may have it. */
export const CLIENT_DIGEST_FIRST_BYTES_MAX = 8 * MIB;
/** With at least so much to send, a client that has learned the digest meanwhile asks whether the rest is needed. */
export const CLIENT_INSTANT_BYTES_MIN = 16 * MIB;
/** Names of the server's files a client holds to find out which of a folder are there. */
export const CLIENT_NAMES_MAX = 200_000;
/** The slowest `--bwlimit`; one lane is not slower, so that no server gives its body up. */
export const CLIENT_LANE_BYTES_PER_SECOND_MIN = 4 * KIB;
/** A record of an upload that a client may go on with. */
export const BEGUN_UPLOAD_BYTES_MAX = 64 * KIB;
export const BEGUN_UPLOADS_MAX = 10_000;
export const BEGUN_UPLOADS_KEPT_MS = 30 * 24 * 3_600_000;
