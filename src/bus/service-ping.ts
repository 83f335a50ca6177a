/** Asking which instances of a micro service are on the bus (ADR-32 of NATS): the other end of `micro-service.ts`. */
import { z } from "zod";
import type { Bus, RequestManyOptions } from "../core/ports/bus.ts";

const ping = z.object({ id: z.string(), metadata: z.record(z.string(), z.string()).default({}) });
export type ServicePing = z.output<typeof ping>;

/** Those that answered in time. What is no such answer comes from somebody else, and is left out. */
export async function pingServices(bus: Bus, name: string, options: RequestManyOptions): Promise<ServicePing[]> {
  const replies = await bus.requestMany(`$SRV.PING.${name}`, new Uint8Array(), options);
  return replies.flatMap(({ payload }) => readPing(payload) ?? []);
}

function readPing(payload: Uint8Array): ServicePing | undefined {
  try {
    return ping.safeParse(JSON.parse(new TextDecoder().decode(payload))).data;
  } catch {
    // Not JSON: not one.
    return undefined;
  }
}
