/** Hosts an upload session: its contract on the bus, its chunk bodies in this process. */
import { host } from "../../bus/host.ts";
import { TroupeError } from "../../core/errors.ts";
import { upload } from "./contract.ts";
import type { HostSession } from "./ports.ts";
import { Session } from "./session.ts";

export const hostSession: HostSession = async (ports, options) => {
  let session: Session | undefined;
  const actor = await host(ports.bus, upload, { uploadId: options.uploadId }, ports, async (self) => {
    session = await Session.open(ports, options, self);
    return session.activation;
  });
  const current = (): Session => {
    if (session === undefined) throw new TroupeError("UPLOAD_BUSY", "The upload is being opened.");
    return session;
  };
  return {
    get summary() {
      return current().summary;
    },
    get inspection() {
      return current().inspection;
    },
    get challenge() {
      return current().challenge;
    },
    storeChunk: async (chunk) => await current().storeChunk(chunk),
    read: async (offset, lengthBytes) => await current().read(offset, lengthBytes),
    stop: () => {
      // Its callers are not kept waiting for the grace that others' effects get.
      session?.refuseWaiters();
      return actor.stop();
    },
  };
};
