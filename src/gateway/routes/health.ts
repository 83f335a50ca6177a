/**
 * `/healthz`: the process answers. `/readyz`: it can serve, and if not, which part is missing and why.
 *
 * A tracker that knows who is there may still be without its database, so it is asked to place an upload. There is none; all that stays is
 * which group these questions prefer.
 */
import { catalog } from "../../actors/catalog/contract.ts";
import { tracker } from "../../actors/tracker/contract.ts";
import { client } from "../../bus/client.ts";
import { TroupeError, toTroupeError } from "../../core/errors.ts";
import { PAGE_ITEMS_MAX, READINESS_TIMEOUT_MS } from "../../core/limits.ts";
import type { HttpResponse } from "../../core/ports/http-exchange.ts";
import { LOCAL_PRINCIPAL } from "../../core/principal.ts";
import { jsonResponse } from "../exchange.ts";
import type { Gateway } from "../gateway-parts.ts";
import type { Route } from "../router.ts";

const PLACING = { app: "troupe", user: "readyz", bytes: 0 };

type Check = { readonly ok: true } | { readonly ok: false; readonly code: string; readonly reason: string };

export function healthRoutes(gateway: Gateway): Route[] {
  // Anyone may ask, so however many do at once, the system is asked once.
  let underWay: Promise<HttpResponse> | undefined;
  const ready = (): Promise<HttpResponse> => {
    underWay ??= readiness(gateway).finally(() => {
      underWay = undefined;
    });
    return underWay;
  };
  return [
    {
      method: "GET",
      path: "/healthz",
      access: "anyone",
      endpoint: async () => ({ status: 200, headers: { "content-type": "text/plain", "cache-control": "no-store" }, body: "ok\n" }),
    },
    { method: "GET", path: "/readyz", access: "anyone", endpoint: ready },
  ];
}

async function readiness(gateway: Gateway): Promise<HttpResponse> {
  const { bus } = gateway.ports;
  const options = { timeoutMs: READINESS_TIMEOUT_MS };
  const nodes = client(bus, tracker).nodes({ limit: PAGE_ITEMS_MAX }, options);
  const [busCheck, trackerCheck, catalogCheck, storageCheck] = await Promise.all([
    check(gateway, bus.flush()),
    check(gateway, Promise.all([nodes, trackerCanPlace(gateway)])),
    // An empty listing asks the database all the same.
    check(gateway, client(bus, catalog).files({ limit: 1 }, { ...options, principal: LOCAL_PRINCIPAL })),
    check(
      gateway,
      nodes.then((page) => {
        if (!page.nodes.some((node) => node.state !== "offline")) throw new TroupeError("NO_NODES");
      }),
    ),
  ]);
  const checks = { bus: busCheck, tracker: trackerCheck, catalog: catalogCheck, storage: storageCheck };
  const isReady = Object.values(checks).every(({ ok }) => ok);
  return jsonResponse(isReady ? 200 : 503, { ready: isReady, checks }, isReady ? {} : { "retry-after": "1" });
}

/** Whether there is a node to place it on is a question of its own. */
async function trackerCanPlace({ ports }: Gateway): Promise<void> {
  try {
    await client(ports.bus, tracker).place(PLACING, { timeoutMs: READINESS_TIMEOUT_MS });
  } catch (error) {
    if (!(error instanceof TroupeError && (error.code === "NO_NODES" || error.code === "DISK_FULL"))) throw error;
  }
}

async function check(gateway: Gateway, probe: Promise<unknown>): Promise<Check> {
  const tooLate = Promise.withResolvers<never>();
  const timer = gateway.ports.clock.setTimer(READINESS_TIMEOUT_MS, () =>
    tooLate.reject(new TroupeError("DEADLINE_EXCEEDED", `There was no answer within ${READINESS_TIMEOUT_MS} ms.`)),
  );
  try {
    await Promise.race([probe, tooLate.promise]);
    return { ok: true };
  } catch (error) {
    const { code, detail } = toTroupeError(error);
    return { ok: false, code, reason: detail };
  } finally {
    timer.cancel();
  }
}
