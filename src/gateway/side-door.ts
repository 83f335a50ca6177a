/**
 * A small HTTP server for whoever looks after a process: its metrics, and how it is. Any process may have one, with a gateway or without.
 *
 * D1: names, origins and tokens are looked at as by a gateway: beyond loopback there is no metric without a token.
 */
import { TroupeError } from "../core/errors.ts";
import type { Log } from "../core/log.ts";
import type { Clock } from "../core/ports/clock.ts";
import type { HttpHandler, HttpListener, HttpRequest, HttpResponse, HttpServer, ListenAddress } from "../core/ports/http-exchange.ts";
import { type Random, randomIdentity } from "../core/ports/random.ts";
import { Admission } from "./admission.ts";
import { clientSide } from "./forwarding.ts";
import { HostCheck } from "./host-check.ts";
import { assertBindAllowed } from "./listening.ts";
import type { Token } from "./owner-keys.ts";
import { problemAnswer, REQUEST_ID_LENGTH } from "./problem-answer.ts";
import { allowField, type Route, Router } from "./router.ts";
import { parseTarget } from "./target.ts";

export interface SideDoorPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly httpServer: HttpServer;
}

export interface SideDoorOptions {
  readonly tokens: readonly Token[];
  readonly routes: readonly Route[];
}

/** @throws {TroupeError} `SETTING_INVALID`: an address it may not or cannot listen on */
export async function openSideDoor(ports: SideDoorPorts, options: SideDoorOptions, address: ListenAddress): Promise<HttpListener> {
  assertBindAllowed(address.host, options.tokens);
  return await ports.httpServer.listen(address, sideDoorHandler(ports, options, address.host));
}

/** @param host that it listens on */
export function sideDoorHandler(
  { clock, random, log }: Omit<SideDoorPorts, "httpServer">,
  { tokens, routes }: SideDoorOptions,
  host: string,
): HttpHandler {
  const hostCheck = new HostCheck({ corsOrigins: [], hasTokens: tokens.length > 0, trustProxy: false, listenHost: () => host });
  const admission = new Admission({ tokens, publicRead: false }, hostCheck, clock);
  const router = new Router(routes);
  const answer = async (request: HttpRequest, requestId: string): Promise<HttpResponse> => {
    hostCheck.check(request);
    const { segments, query } = parseTarget(request.target);
    const found = router.find(request.method, segments);
    if (!("route" in found)) {
      if (found.length === 0) throw new TroupeError("NOT_FOUND");
      throw new TroupeError("METHOD_NOT_ALLOWED", undefined, { facts: { allow: allowField(found) } });
    }
    const principal = admission.admit(found, request, query);
    const { scheme, host: asked } = clientSide(request, false);
    const baseUrl = `${scheme}://${asked ?? host}`;
    return await found.route.endpoint({
      request,
      requestId,
      principal,
      params: found.params,
      query,
      baseUrl,
      isEncrypted: scheme === "https",
    });
  };
  return async (request) => {
    const requestId = randomIdentity(random, REQUEST_ID_LENGTH);
    try {
      return await answer(request, requestId);
    } catch (error) {
      return problemAnswer(log, error, request, requestId);
    }
  };
}
