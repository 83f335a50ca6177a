/** The first connection to a NATS server: how it is asked for, within a bound, and in words what to do when it fails. */
import { AuthorizationError, type ConnectionOptions, connect, credsAuthenticator, NatsConnectionImpl } from "nats";
import { TroupeError } from "../core/errors.ts";
import { BUS_CONNECT_MS_MAX, BUS_DIAL_MS_MAX, BUS_PAYLOAD_BYTES_MIN, BUS_PING_MS, BUS_PINGS_UNANSWERED_MAX } from "../core/limits.ts";
import type { Log } from "../core/log.ts";
import type { Clock } from "../core/ports/clock.ts";
import type { NatsAddress } from "./nats-url.ts";

export interface NatsOptions extends NatsAddress {
  /** What a `.creds` file holds. */
  readonly credentials?: Uint8Array;
  /** `role/nodeId`: how the server's monitoring pages name the connection. */
  readonly name: string;
  /** `_INBOX`, or `_INBOX_storage` for a user who may hear no other. */
  readonly inboxPrefix: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Shared by the connections of one process. */
  readonly patience?: Patience;
}

/** Since when a server is not waited for any more when subscriptions and connections end. */
export interface Patience {
  /** By the monotonic clock, when one waited in vain. */
  ranOutMs: number;
}

/**
 * @param pauseMs how long to wait before another attempt, once the connection has been lost
 * @throws {TroupeError} `BUS_UNAVAILABLE`, `SETTING_INVALID` (credentials that cannot be read)
 */
export async function dialNats(options: NatsOptions, pauseMs: () => number): Promise<NatsConnectionImpl> {
  const where = options.servers.join(", ");
  const asked = connect(connectionOptions(options, pauseMs));
  const late = Promise.withResolvers<never>();
  const timer = options.clock.setTimer(BUS_CONNECT_MS_MAX, () => late.reject(new Error(`no answer within ${BUS_CONNECT_MS_MAX} ms`)));
  let connection: Awaited<typeof asked>;
  try {
    connection = await Promise.race([asked, late.promise]);
  } catch (error) {
    // One that comes about after all is nobody's.
    asked.then(
      (unwanted) => unwanted.close(),
      () => undefined,
    );
    throw new TroupeError("BUS_UNAVAILABLE", failureInWords(where, options, error), { cause: error });
  } finally {
    timer.cancel();
  }
  // The class behind the driver's interface: only it reaches a socket that has to be cut.
  if (!(connection instanceof NatsConnectionImpl)) throw new Error("The NATS driver connects with another class than it exports.");
  const bytes = connection.info?.max_payload ?? 0;
  if (bytes >= BUS_PAYLOAD_BYTES_MIN) return connection;
  await connection.close();
  throw new TroupeError(
    "BUS_UNAVAILABLE",
    `The NATS server at ${where} carries messages of ${bytes} bytes, and a request may have ${BUS_PAYLOAD_BYTES_MIN}: raise its max_payload.`,
  );
}

function connectionOptions(options: NatsOptions, pauseMs: () => number): ConnectionOptions {
  const { servers, user, password, credentials, name, inboxPrefix } = options;
  return {
    servers: [...servers],
    name,
    inboxPrefix,
    ...(user === undefined ? {} : password === undefined ? { token: user } : { user, pass: password }),
    ...(credentials === undefined ? {} : { authenticator: checkedCredentials(credentials) }),
    // One server that wants TLS: then nothing is said to any other without it.
    ...(servers.some((server) => server.startsWith("tls://")) ? { tls: {} } : {}),
    timeout: BUS_DIAL_MS_MAX,
    pingInterval: BUS_PING_MS,
    maxPingOut: BUS_PINGS_UNANSWERED_MAX,
    maxReconnectAttempts: -1,
    reconnectDelayHandler: pauseMs,
    // A password may be changed back: it goes on trying.
    ignoreAuthErrorAbort: true,
    noAsyncTraces: true,
  };
}

function checkedCredentials(credentials: Uint8Array): ReturnType<typeof credsAuthenticator> {
  const authenticator = credsAuthenticator(credentials);
  try {
    authenticator();
  } catch {
    // The cause could repeat a part of the secret.
    throw new TroupeError("SETTING_INVALID", "The NATS credentials file does not hold a user's token and seed, as 'nsc' writes them.");
  }
  return authenticator;
}

function failureInWords(where: string, { user, credentials }: NatsOptions, error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof AuthorizationError) {
    const who =
      credentials !== undefined ? "these credentials" : user !== undefined ? "this user and password" : "a connection without a user";
    return `The NATS server at ${where} refused ${who}. Give those of its configuration.`;
  }
  if (message === "connection refused") return `Nobody listens at ${where}. Is nats-server running there?`;
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return `The name of the NATS server at ${where} cannot be resolved.`;
  if (error instanceof Error && error.name === "TimeoutError")
    return `No NATS server answered at ${where} within ${BUS_DIAL_MS_MAX} ms. Does something else listen there, or a firewall drop the connection?`;
  if (message.includes("'tls'"))
    return `The NATS server at ${where} does not speak TLS. Give its address as nats://, or configure its tls.`;
  if (code.startsWith("ERR_TLS") || /CERT|SELF_SIGNED|ISSUER|SIGNATURE/.test(code))
    return `The NATS server at ${where} has a certificate that was refused: ${message}. An authority of your own is made known by NODE_EXTRA_CA_CERTS.`;
  return `There is no connection to a NATS server at ${where}: ${message}.`;
}
