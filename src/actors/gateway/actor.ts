/** The gateway as an actor: it reads out what the HTTP side counts. */
import type { Activation } from "../../bus/actor.ts";
import type { GatewayStatus, gateway } from "./contract.ts";

export function gatewayActor(readStatus: () => GatewayStatus): () => Promise<Activation<typeof gateway>> {
  return async () => ({ handlers: { status: () => readStatus() } });
}
