/** `/healthz`: the process answers. `/readyz`: it can serve, and if not, which part is missing and why. */
import { clusterQuestions } from "../cluster-readiness.ts";
import { jsonResponse } from "../exchange.ts";
import type { Gateway } from "../gateway-parts.ts";
import { Readiness } from "../readiness.ts";
import type { Route } from "../router.ts";

export function healthRoutes({ ports }: Gateway): Route[] {
  const { clock, readiness = new Readiness(clock) } = ports;
  readiness.add(clusterQuestions(ports));
  return healthRoutesOf(readiness);
}

/** Of any process. */
export function healthRoutesOf(readiness: Readiness): Route[] {
  return [
    {
      method: "GET",
      path: "/healthz",
      access: "anyone",
      endpoint: async () => ({ status: 200, headers: { "content-type": "text/plain", "cache-control": "no-store" }, body: "ok\n" }),
    },
    {
      method: "GET",
      path: "/readyz",
      access: "anyone",
      endpoint: async () => {
        const report = await readiness.report();
        return jsonResponse(report.ready ? 200 : 503, report, report.ready ? {} : { "retry-after": "1" });
      },
    },
  ];
}
