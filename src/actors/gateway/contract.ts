/** A gateway, as the bus sees it: it owns nothing and only tells how it is doing. Its work comes over HTTP. */
import { z } from "zod";
import { defineContract, request } from "../../bus/contract.ts";
import { count, identity, wallMs } from "../../core/shapes.ts";

export const gatewayStatus = z.object({
  nodeId: identity,
  startedMs: wallMs,
  /** Where it listens; absent while it does not. */
  url: z.string().max(256).optional(),
  requestCount: count,
  /** Requests being answered at this moment. */
  inFlightCount: count,
  /** Answers with a status of 500 or more. */
  errorCount: count,
  eventStreamCount: count,
});
export type GatewayStatus = z.output<typeof gatewayStatus>;

export const gateway = defineContract({
  name: "gateway",
  doc: "Speaks HTTP with clients and players, and with the other actors on their behalf. Stateless.",
  subject: "troupe.v1.gateway.{nodeId}",
  requests: {
    status: request({
      doc: "Where it listens, and how many requests it has answered and is answering.",
      input: z.object({}),
      output: gatewayStatus,
      errors: [],
      lane: "priority",
      readOnly: true,
    }),
  },
});
