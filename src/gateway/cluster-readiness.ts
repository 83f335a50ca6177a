/** What a gateway asks to find out whether the parts of the system behind it are there. Nothing is changed by it, and no ID is taken. */
import { catalog } from "../actors/catalog/contract.ts";
import { ids } from "../actors/ids/contract.ts";
import { storage } from "../actors/storage/contract.ts";
import { type NodeReport, tracker } from "../actors/tracker/contract.ts";
import { type CallOptions, client } from "../bus/client.ts";
import { ERRORS, TroupeError } from "../core/errors.ts";
import { LOCATIONS_MAX, PAGE_ITEMS_MAX, READINESS_TIMEOUT_MS } from "../core/limits.ts";
import type { Bus } from "../core/ports/bus.ts";
import type { GatewayPorts } from "./ports.ts";
import { type Fault, isThere, loadFault, type Questions } from "./readiness.ts";

const OPTIONS: CallOptions = { timeoutMs: READINESS_TIMEOUT_MS };
/** A node that is up says within this what keeps it from taking uploads. */
const STATUS_MS = 1_000;
const SUSPECT = "with a suspect disk";
const FULL = "full";

export function clusterQuestions({ bus, load }: Pick<GatewayPorts, "bus" | "load">): Questions {
  return () => {
    const nodes = nodesOf(bus);
    const withDatabase = {
      tracker: client(bus, tracker).ready({}, OPTIONS),
      ids: client(bus, ids).ready({}, OPTIONS),
      catalog: client(bus, catalog).ready({}, OPTIONS),
    };
    return {
      bus: isThere(bus.flush()),
      tracker: isThere(Promise.all([nodes, withDatabase.tracker])),
      ids: isThere(withDatabase.ids),
      catalog: isThere(withDatabase.catalog),
      database: databaseFault(withDatabase),
      storage: nodes.then((all) => (all.some(({ state }) => state !== "offline") ? undefined : noNodes())),
      disk: nodes.then((all) => diskFault(bus, all)),
      ...(load === undefined ? {} : { load: loadFault(load) }),
    };
  };
}

async function nodesOf(bus: Bus): Promise<readonly NodeReport[]> {
  return (await client(bus, tracker).nodes({ limit: PAGE_ITEMS_MAX }, OPTIONS)).nodes;
}

/** Whose database is away, as far as anybody answers. */
async function databaseFault(asked: Readonly<Record<string, Promise<unknown>>>): Promise<Fault | undefined> {
  const roles = Object.keys(asked);
  const answers = await Promise.allSettled(Object.values(asked));
  const away = roles.filter((_, index) => {
    const answer = answers[index];
    return answer?.status === "rejected" && answer.reason instanceof TroupeError && answer.reason.code === "DATABASE_UNAVAILABLE";
  });
  if (away.length > 0) return { code: "DATABASE_UNAVAILABLE", reason: `The database does not answer: ${away.join(", ")}.` };
  if (answers.some(({ status }) => status === "fulfilled")) return undefined;
  return { code: "UNAVAILABLE", reason: `Nobody answers who would know: ${roles.join(", ")}.` };
}

/** Why no new upload finds a disk. */
async function diskFault(bus: Bus, nodes: readonly NodeReport[]): Promise<Fault | undefined> {
  const live = nodes.filter(({ state }) => state === "active");
  if (live.length === 0) return noNodes();
  if (live.some(({ closedToUploads }) => !closedToUploads)) return undefined;
  // Only the node itself knows why; of many, some are asked.
  const some = live.slice(0, LOCATIONS_MAX);
  const asked = some.map(({ nodeId }) => client(bus, storage, { nodeId }).status({}, { timeoutMs: STATUS_MS }));
  const told = await Promise.allSettled(asked);
  const reasons = told.map((answer) => {
    if (answer.status === "rejected") return "that does not say why";
    if (answer.value.suspect !== undefined) return SUSPECT;
    return answer.value.freeBytes === 0 ? FULL : "stopping or starting";
  });
  const counted = [...new Set(reasons)].map((reason) => `${reasons.filter((other) => other === reason).length} ${reason}`);
  const code = reasons.includes(SUSPECT) ? "DISK_FAILED" : reasons.includes(FULL) ? "DISK_FULL" : "NO_NODES";
  const unasked = live.length > some.length ? ` (of ${some.length} that were asked)` : "";
  return { code, reason: `No storage node of the ${live.length} that are up takes uploads: ${counted.join(", ")}${unasked}. Reads go on.` };
}

function noNodes(): Fault {
  return { code: "NO_NODES", reason: ERRORS.NO_NODES.sentence };
}
