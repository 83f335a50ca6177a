/** `/metrics`: what this process counts, for Prometheus. Beyond loopback, and wherever there are tokens, it takes one. */
import type { Exposition } from "../../core/ports/metrics.ts";
import type { Route } from "../router.ts";

export function metricsRoutes(exposition: Exposition): Route[] {
  return [
    {
      method: "GET",
      path: "/metrics",
      access: "principal",
      endpoint: async () => ({
        status: 200,
        headers: { "content-type": exposition.contentType, "cache-control": "no-store" },
        body: await exposition.text(),
      }),
    },
  ];
}
