/**
 * The gateway: from a request value to a response value, by way of the actors. It owns nothing; any number of them serve.
 *
 * G1: every answer carries a request ID, which is also in its problem document and in the log.
 * G2: names and origins are checked before routes, and routes before tokens are: an unknown address tells nothing.
 * G3: the log has paths without their query, and no header: no secret stands in it.
 * G4: with too much to do nothing new is begun, and a connection that asked for it is closed; which is logged once, by whoever watches the load.
 * G5: what a request sets going, here and in other processes, is in one trace with it: its client's own, or one that begins here.
 */

import { gatewayActor } from "../actors/gateway/actor.ts";
import { type GatewayStatus, gateway as gatewayContract } from "../actors/gateway/contract.ts";
import { host } from "../bus/host.ts";
import { TroupeError } from "../core/errors.ts";
import { isIdentity } from "../core/identity.ts";
import { LOOKUP_WINDOW_MS, LOOKUPS_PER_WINDOW_MAX, PROOF_WINDOW_MS, PROOFS_PER_WINDOW_MAX } from "../core/limits.ts";
import type { HttpHandler, HttpListener, HttpRequest, HttpResponse, HttpServer, ListenAddress } from "../core/ports/http-exchange.ts";
import { SILENT_EXPOSITION, SILENT_METRICS } from "../core/ports/metrics.ts";
import { randomIdentity } from "../core/ports/random.ts";
import { readTrace } from "../core/trace.ts";
import { Admission } from "./admission.ts";
import { BlobDirectory } from "./blob-directory.ts";
import { FOR_EVERY_PAGE, isPreflight, preflightHeaders, withCors } from "./cors.ts";
import { EventStreams } from "./event-streams.ts";
import type { Exchange } from "./exchange.ts";
import { FileDirectory } from "./file-directory.ts";
import { baseUrlOf, clientSide } from "./forwarding.ts";
import type { Gateway } from "./gateway-parts.ts";
import { HostCheck } from "./host-check.ts";
import { InspectStreams } from "./inspecting/inspect-streams.ts";
import { InstantUploads } from "./instant-upload.ts";
import { assertBindAllowed } from "./listening.ts";
import type { GatewayOptions, GatewayPorts } from "./ports.ts";
import { problemAnswer, REQUEST_ID_LENGTH } from "./problem-answer.ts";
import { RateLimit } from "./rate-limit.ts";
import { RequestMeter } from "./request-meter.ts";
import { allowField, type Route, Router } from "./router.ts";
import { browseRoutes } from "./routes/browse.ts";
import { clusterRoutes } from "./routes/cluster.ts";
import { fileMetadataRoutes } from "./routes/file-metadata.ts";
import { fileRoutes } from "./routes/files.ts";
import { healthRoutes } from "./routes/health.ts";
import { indexRoutes } from "./routes/index.ts";
import { inspectRoutes } from "./routes/inspect.ts";
import { linkRoutes } from "./routes/link.ts";
import { metricsRoutes } from "./routes/metrics.ts";
import { pageRoutes } from "./routes/page.ts";
import { sessionRoutes } from "./routes/session.ts";
import { uploadRoutes } from "./routes/uploads.ts";
import { wholeFileRoutes } from "./routes/whole-file.ts";
import { parseTarget, splitTarget } from "./target.ts";
import { tusRoutes } from "./tus/routes.ts";
import { UploadDirectory } from "./upload-directory.ts";

const PROOF_RATE = {
  countMax: PROOFS_PER_WINDOW_MAX,
  windowMs: PROOF_WINDOW_MS,
  why: "Possession was to be proven too often; upload the bytes, or wait and prove it then.",
};

const LOOKUP_RATE = {
  countMax: LOOKUPS_PER_WINDOW_MAX,
  windowMs: LOOKUP_WINDOW_MS,
  why: "Traces were looked for too often, which every process has work with; ask again a little later.",
};

export interface RunningGateway {
  readonly handler: HttpHandler;
  /** Where it listens, so that this name is known as its own. */
  listening(at: { readonly url: string; readonly host: string }): void;
  status(): GatewayStatus;
  /** Every address it answers, who is let in there, and what is new work. */
  readonly routes: readonly Pick<Route, "method" | "path" | "access" | "beginsWork">[];
  /** New requests are told to try another server; event streams end. Requests under way go on: the listener's close waits for them. */
  stop(): Promise<void>;
}

export function createGateway(ports: GatewayPorts, options: GatewayOptions): RunningGateway {
  return new HttpGateway(ports, options);
}

export interface StartedGateway {
  readonly url: string;
  readonly port: number;
  /** Stops accepting, lets requests under way end, at most `withinMs`. */
  stop(withinMs: number): Promise<void>;
}

/**
 * A gateway that listens, and answers on the bus for itself.
 * @throws {TroupeError} `SETTING_INVALID`: an address it may not or cannot listen on
 */
export async function startGateway(
  ports: GatewayPorts & { readonly httpServer: HttpServer },
  options: GatewayOptions,
  address: ListenAddress,
): Promise<StartedGateway> {
  assertBindAllowed(address.host, options.tokens);
  const gateway = createGateway(ports, options);
  const actor = await host(
    ports.bus,
    gatewayContract,
    { nodeId: options.nodeId },
    ports,
    gatewayActor(() => gateway.status()),
  );
  let listener: HttpListener;
  try {
    listener = await ports.httpServer.listen(address, gateway.handler);
  } catch (error) {
    await actor.stop();
    throw error;
  }
  gateway.listening({ url: listener.url, host: address.host });
  const { url, port } = listener;
  return {
    url,
    port,
    stop: async (withinMs) => {
      await gateway.stop();
      await listener.close(withinMs);
      await actor.stop();
    },
  };
}

/** What is known of a request when it is answered. */
interface Met {
  route: Route | undefined;
}

class HttpGateway implements RunningGateway {
  readonly routes: readonly Route[];
  readonly #ports: GatewayPorts;
  readonly #options: GatewayOptions;
  readonly #parts: Gateway;
  readonly #router: Router;
  readonly #admission: Admission;
  readonly #hostCheck: HostCheck;
  readonly #startedMs: number;
  readonly #meter: RequestMeter;
  /** Ends what is read of this gateway at a scrape. */
  readonly #endReading: readonly (() => void)[];
  #listening: { readonly url: string; readonly host: string } | undefined;
  #isStopping = false;
  #requestCount = 0;
  #inFlightCount = 0;
  #errorCount = 0;

  constructor(ports: GatewayPorts, options: GatewayOptions) {
    this.#ports = ports;
    this.#options = options;
    this.#startedMs = ports.clock.wallMs();
    this.#hostCheck = new HostCheck({ ...options, hasTokens: options.tokens.length > 0, listenHost: () => this.#listening?.host });
    this.#admission = new Admission({ tokens: options.tokens, publicRead: options.publicRead === true }, this.#hostCheck, ports.clock);
    const uploads = new UploadDirectory(ports);
    this.#parts = {
      ports,
      options,
      uploads,
      files: new FileDirectory(ports),
      blobs: new BlobDirectory(ports),
      events: new EventStreams(ports, uploads),
      inspecting: new InspectStreams(ports),
      instant: new InstantUploads(ports, options),
      proofs: new RateLimit(ports.clock, PROOF_RATE),
      lookups: new RateLimit(ports.clock, LOOKUP_RATE),
      admission: this.#admission,
    };
    this.routes = [
      indexRoutes,
      pageRoutes,
      healthRoutes,
      inspectRoutes,
      uploadRoutes,
      wholeFileRoutes,
      fileMetadataRoutes,
      fileRoutes,
      browseRoutes,
      clusterRoutes,
      linkRoutes,
      sessionRoutes,
      tusRoutes,
      () => metricsRoutes(ports.exposition ?? SILENT_EXPOSITION),
    ].flatMap((routes) => routes(this.#parts));
    this.#router = new Router(this.routes);
    const { metrics = SILENT_METRICS } = ports;
    this.#meter = new RequestMeter(metrics);
    this.#endReading = [
      metrics.read("troupe_http_requests_in_flight", () => [{ labels: {}, value: this.#inFlightCount }]),
      metrics.read("troupe_event_streams", () => [{ labels: {}, value: this.#streamCount }]),
    ];
  }

  listening(at: { readonly url: string; readonly host: string }): void {
    this.#listening = at;
  }

  get #streamCount(): number {
    return this.#parts.events.count + this.#parts.inspecting.count;
  }

  status(): GatewayStatus {
    return {
      nodeId: this.#options.nodeId,
      startedMs: this.#startedMs,
      url: this.#listening?.url,
      requestCount: this.#requestCount,
      inFlightCount: this.#inFlightCount,
      errorCount: this.#errorCount,
      eventStreamCount: this.#streamCount,
    };
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#parts.events.endAll();
    this.#parts.inspecting.endAll();
    for (const end of this.#endReading) end();
  }

  readonly handler: HttpHandler = async (request) => {
    const { clock, random } = this.#ports;
    const requestId = randomIdentity(random, REQUEST_ID_LENGTH);
    const startMs = clock.nowMs();
    this.#requestCount += 1;
    this.#inFlightCount += 1;
    const met: Met = { route: undefined };
    let answer: HttpResponse;
    try {
      answer = await this.#answer(request, requestId, met);
    } catch (error) {
      answer = problemAnswer(this.#ports.log, error, request, requestId);
    } finally {
      this.#inFlightCount -= 1;
    }
    if (answer.status >= 500) this.#errorCount += 1;
    const tookMs = clock.nowMs() - startMs;
    this.#meter.count(met.route, request.method, answer.status, tookMs);
    this.#ports.log.debug(
      {
        requestId,
        method: request.method,
        path: splitTarget(request.target).path,
        status: answer.status,
        tookMs,
        from: clientSide(request, this.#options.trustProxy).address,
      },
      "Answered a request.",
    );
    return withCors(this.#hostCheck, request, { ...answer, headers: { ...answer.headers, "x-request-id": requestId } });
  };

  async #answer(request: HttpRequest, requestId: string, met: Met): Promise<HttpResponse> {
    if (this.#isStopping) throw new TroupeError("STOPPING");
    this.#hostCheck.check(request);
    const { segments, query } = parseTarget(request.target);
    const found = this.#router.find(request.method, segments);
    if (!("route" in found)) return this.#unrouted(request, found);
    const { route, params } = found;
    met.route = route;
    const side = clientSide(request, this.#options.trustProxy);
    const baseUrl = baseUrlOf(side, this.#options.publicUrl, this.#listening?.url);
    const isEncrypted = side.scheme === "https" || baseUrl === `https://${side.host}`;
    let answer: HttpResponse;
    try {
      // G4
      if (route.beginsWork === true) this.#ports.load?.mustTakeNew();
      const principal = this.#admission.admit(found, request, query);
      const exchange = { request, requestId, principal, params, query, baseUrl, isEncrypted };
      answer = await this.#inSpan(route, exchange, () => route.endpoint(exchange));
      if (this.#admission.isForEveryone(found, query)) answer = { ...answer, headers: { ...answer.headers, ...FOR_EVERY_PAGE } };
    } catch (error) {
      answer = problemAnswer(this.#ports.log, error, request, requestId);
    }
    return route.fields === undefined ? answer : { ...answer, headers: { ...answer.headers, ...route.fields } };
  }

  /** G5. What tells nothing of anybody, probes and the page's files, is asked so often that nothing else would be kept. */
  async #inSpan({ method, path, access, isLook }: Route, exchange: Exchange, work: () => Promise<HttpResponse>): Promise<HttpResponse> {
    const { request, requestId, principal, params } = exchange;
    const { spans } = this.#ports;
    if (spans === undefined || access === "anyone") return await work();
    const { uploadId } = params;
    const parent = readTrace(request.headers["traceparent"], undefined);
    return await spans.run(
      {
        kind: "http",
        actor: "gateway",
        name: `${method} ${path}`,
        parent,
        uploadId: uploadId !== undefined && isIdentity(uploadId) ? uploadId : undefined,
        owner: principal.owner,
        ...(isLook === undefined ? {} : { isLook }),
      },
      work,
      requestId,
    );
  }

  #unrouted(request: HttpRequest, methods: Parameters<typeof allowField>[0]): HttpResponse {
    if (methods.length === 0) throw new TroupeError("NOT_FOUND");
    const allow = allowField(methods);
    if (request.method !== "OPTIONS") throw new TroupeError("METHOD_NOT_ALLOWED", undefined, { facts: { allow } });
    return { status: 204, headers: { allow, ...(isPreflight(request) ? preflightHeaders(allow) : {}) } };
  }
}
