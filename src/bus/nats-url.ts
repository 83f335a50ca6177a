/** Addresses of NATS servers as people write them: `nats://user:password@host:4222`, several with commas between. */
import { TroupeError } from "../core/errors.ts";

export interface NatsAddress {
  /** `nats://host:port` or `tls://host:port`, never with user and password. */
  readonly servers: readonly string[];
  readonly user?: string;
  /** Absent beside a user: what stands for the user is a token, as everywhere in NATS. */
  readonly password?: string;
}

const PORT_DEFAULT = 4222;
const SCHEME = /^[a-z]+:\/\//i;

/**
 * @param text one address or several; user and password may stand in one of them, or be the same in all
 * @throws {TroupeError} `SETTING_INVALID`, which never repeats what was given: it may hold a password
 */
export function parseNatsUrl(text: string): NatsAddress {
  const parsed = text.split(",").map((part, index) => parseOne(part.trim(), index + 1));
  const users = parsed.filter(({ user }) => user !== undefined);
  const [first] = users;
  if (users.some(({ user, password }) => user !== first?.user || password !== first?.password)) {
    throw new TroupeError("SETTING_INVALID", "The addresses of NATS servers name different users; they are one cluster and have the same.");
  }
  return {
    servers: parsed.map(({ server }) => server),
    ...(first?.user === undefined ? {} : { user: first.user }),
    ...(first?.password === undefined ? {} : { password: first.password }),
  };
}

function parseOne(text: string, position: number): { server: string; user: string | undefined; password: string | undefined } {
  const wrong = (why: string): TroupeError =>
    new TroupeError(
      "SETTING_INVALID",
      `A NATS server's address looks like nats://host:${PORT_DEFAULT} or tls://user:password@host; number ${position} ${why}.`,
    );
  const url = URL.parse(SCHEME.test(text) ? text : `nats://${text}`);
  if (url === null || url.hostname === "") throw wrong("does not");
  if (url.protocol !== "nats:" && url.protocol !== "tls:") throw wrong("begins otherwise");
  if (!["", "/"].includes(url.pathname) || url.search !== "" || url.hash !== "") throw wrong("has more after the port");
  try {
    return {
      server: `${url.protocol}//${url.hostname}:${url.port === "" ? PORT_DEFAULT : url.port}`,
      user: url.username === "" ? undefined : decodeURIComponent(url.username),
      password: url.password === "" ? undefined : decodeURIComponent(url.password),
    };
  } catch {
    // The cause would repeat the text.
    throw wrong("has a percent sign that encodes nothing");
  }
}
