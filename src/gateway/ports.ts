/** What a gateway is given, and how it is set. It reaches actors through the bus only, and bytes through the data plane only. */
import type { RequestBooks } from "../bus/request-book.ts";
import type { LoadWatch } from "../core/load-watch.ts";
import type { Log } from "../core/log.ts";
import type { Bus } from "../core/ports/bus.ts";
import type { Clock } from "../core/ports/clock.ts";
import type { DataPlane } from "../core/ports/data-plane.ts";
import type { Exposition, Metrics } from "../core/ports/metrics.ts";
import type { Random } from "../core/ports/random.ts";
import type { SpanBook } from "../core/span-book.ts";
import type { Token } from "./owner-keys.ts";
import type { Readiness } from "./readiness.ts";
import type { PageFile } from "./routes/page.ts";

export interface GatewayPorts {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly dataPlane: DataPlane;
  readonly requestBooks?: RequestBooks | undefined;
  /** Absent: nothing is measured. */
  readonly metrics?: Metrics | undefined;
  /** What `/metrics` answers; absent: nothing. */
  readonly exposition?: Exposition | undefined;
  readonly spans?: SpanBook | undefined;
  /** Absent: there is never too much to do. */
  readonly load?: LoadWatch | undefined;
  /** Of the process, which may have more to ask; absent: what is behind the gateway is all. */
  readonly readiness?: Readiness | undefined;
}

export interface GatewayOptions {
  readonly nodeId: string;
  /** None: everybody is `local`. */
  readonly tokens: readonly Token[];
  /** What URLs in answers begin with; absent: the Host of the request. */
  readonly publicUrl?: string | undefined;
  readonly corsOrigins: readonly string[];
  readonly fileBytesMax: number;
  /** Believe `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`. */
  readonly trustProxy: boolean;
  /** Files are read without a token. Default: they are not. */
  readonly publicRead?: boolean | undefined;
  /** What the page at `/` is made of; absent: a text is all there is. */
  readonly page?: readonly PageFile[] | undefined;
}
