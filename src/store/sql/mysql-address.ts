/** Where a MySQL or MariaDB server is and who we are there: a URL, taken apart. What is shown of it never holds the password. */
import { TroupeError } from "../../core/errors.ts";

export interface MysqlAddress {
  readonly host: string;
  readonly port: number;
  /** A socket of this machine, instead of host and port. */
  readonly socketPath?: string;
  readonly user?: string;
  readonly password?: string;
  /** Absent: the connection is not encrypted. */
  readonly ssl?: { readonly rejectUnauthorized: boolean; readonly verifyIdentity: boolean };
  /** `host:port`, or the socket. */
  readonly shown: string;
}

const PORT_DEFAULT = 3306;
const EXAMPLE = "mysql://user:password@host:3306";

/**
 * `mysql://user:password@host:port`, or `mariadb://…`; with `?ssl=true` encrypted, with a certificate of that host's from an authority this
 * system trusts (`NODE_EXTRA_CA_CERTS` names others), with `?ssl=unverified` encrypted and anybody's certificate accepted; with
 * `?socket=/path` through a socket of this machine.
 * @throws {TroupeError} `SETTING_INVALID`, which repeats nothing of the text
 */
export function parseMysqlUrl(text: string): MysqlAddress {
  const url = URL.parse(text);
  if (url === null || !["mysql:", "mariadb:"].includes(url.protocol) || url.hostname === "")
    throw new TroupeError("SETTING_INVALID", `--mysql is an address such as ${EXAMPLE}.`);
  if (url.pathname !== "" && url.pathname !== "/")
    throw new TroupeError(
      "SETTING_INVALID",
      "--mysql names no database: there are three of them, and --database-prefix says how they begin.",
    );
  const { ssl, socket, ...others } = Object.fromEntries(url.searchParams);
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw new TroupeError("SETTING_INVALID", `--mysql knows the options ssl and socket, not ${unknown}.`);
  if (ssl !== undefined && !["true", "false", "unverified"].includes(ssl))
    throw new TroupeError("SETTING_INVALID", "--mysql: ssl is true, false or unverified.");
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const port = url.port === "" ? PORT_DEFAULT : Number(url.port);
  return {
    host,
    port,
    ...(socket === undefined ? {} : { socketPath: socket }),
    ...(url.username === "" ? {} : { user: decoded(url.username) }),
    ...(url.password === "" ? {} : { password: decoded(url.password) }),
    ...(ssl === undefined || ssl === "false" ? {} : { ssl: { rejectUnauthorized: ssl === "true", verifyIdentity: ssl === "true" } }),
    shown: socket ?? `${url.hostname}:${port}`,
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new TroupeError("SETTING_INVALID", "--mysql: a '%' in its user or password is written %25.");
  }
}
