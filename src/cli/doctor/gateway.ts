/** Checks of the gateway: whether it answers, is ready, and takes the token. */
import { z } from "zod";
import type { TroupeClient } from "../../client/troupe-client.ts";
import { TroupeError } from "../../core/errors.ts";
import { GATEWAY_DEFAULT, type Session } from "../session.ts";
import { type Finding, fail, ok, warn } from "./finding.ts";

/** What `/readyz` answers. */
const readiness = z.object({
  ready: z.boolean(),
  checks: z.record(z.string(), z.object({ ok: z.boolean(), reason: z.string().optional() })).default({}),
});

export interface GatewayFindings {
  readonly findings: readonly Finding[];
  /** The server's time, if it told. */
  readonly dateMs: number | undefined;
}

export async function checkGateway(session: Session): Promise<GatewayFindings> {
  const { client, context, gateway } = session;
  let answer: Awaited<ReturnType<TroupeClient["probe"]>>;
  try {
    answer = await client.probe("/readyz", context.signal);
  } catch (error) {
    if (!(error instanceof TroupeError)) throw error;
    // Somebody answered, and said no.
    if (error.code === "FORBIDDEN") return { findings: [fail("gateway", error.detail)], dateMs: undefined };
    const detail = error.detail.replace(/\.$/, "");
    // Nobody asked for a server here: it may just not be started yet.
    const isExpected = gateway === GATEWAY_DEFAULT;
    const finding = isExpected
      ? warn("gateway", `${detail}. Start the server with 'npm start', or name one with --gateway URL.`)
      : fail("gateway", `${detail}. Is the server started, and is a firewall between?`);
    return { findings: [finding], dateMs: undefined };
  }
  const dateMs = Date.parse(answer.headers["date"] ?? "");
  const report = readReadiness(answer.text);
  const findings =
    report === undefined
      ? [fail("gateway", `What answers at ${gateway} is not a Troupe gateway: check --gateway.`)]
      : [readyFinding(gateway, report), await checkAccess(session)];
  return { findings, dateMs: Number.isNaN(dateMs) ? undefined : dateMs };
}

export async function isOurGateway(client: TroupeClient, signal: AbortSignal): Promise<boolean> {
  try {
    return readReadiness((await client.probe("/readyz", signal)).text) !== undefined;
  } catch (error) {
    // Something listens that does not speak HTTP.
    if (error instanceof TroupeError) return false;
    throw error;
  }
}

function readReadiness(text: string): z.output<typeof readiness> | undefined {
  try {
    return readiness.safeParse(JSON.parse(text)).data;
  } catch {
    // Not JSON: not ours.
    return undefined;
  }
}

function readyFinding(gateway: string, { ready, checks }: z.output<typeof readiness>): Finding {
  const reasons = Object.entries(checks)
    .filter(([, check]) => !check.ok)
    .map(([part, { reason }]) => `${part}: ${reason ?? "not ready"}`);
  if (ready && reasons.length > 0) return warn("gateway", `${gateway} answers and is ready, but not for everything. ${reasons.join(" ")}`);
  if (ready) return ok("gateway", `${gateway} answers and is ready.`);
  return fail("gateway", `${gateway} answers and is not ready. ${reasons.join(" ")} See the server's log.`);
}

async function checkAccess({ client, context, token }: Session): Promise<Finding> {
  try {
    await client.files({}, context.signal);
    return ok("access", token === undefined ? "No token is needed." : "The token is accepted.");
  } catch (error) {
    if (!(error instanceof TroupeError)) throw error;
    if (error.status === 401)
      return fail(
        "access",
        token === undefined
          ? "The server wants a token: give --token owner:secret, or set TROUPE_TOKEN."
          : "The server does not know this token: check --token.",
      );
    return fail("access", error.detail);
  }
}
