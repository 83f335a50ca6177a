/** `/api/v1/session`: signing in at the page and out again, and who one is. A token becomes a cookie that no script reads. */
import { z } from "zod";
import type { HttpResponse } from "../../core/ports/http-exchange.ts";
import { LOCAL_PRINCIPAL } from "../../core/principal.ts";
import { type Exchange, jsonResponse } from "../exchange.ts";
import type { Gateway } from "../gateway-parts.ts";
import { readJson } from "../json-body.ts";
import type { Route } from "../router.ts";
import { endedCookieField } from "../session-cookie.ts";

const signingIn = z.object({ token: z.string().min(1).max(1024) });

export function sessionRoutes({ admission }: Gateway): Route[] {
  const path = "/api/v1/session";
  const access = "anyone";
  /** Nobody has to sign in, and nobody can. */
  const open = jsonResponse(200, { required: false, owner: LOCAL_PRINCIPAL.owner });

  /** Always an answer: a page asks before it knows whether it has to ask for a token. */
  async function show({ request }: Exchange): Promise<HttpResponse> {
    if (admission.isOpen) return open;
    const { owner = null, expiresMs } = admission.whoIs(request) ?? {};
    return jsonResponse(200, { required: true, owner, ...(expiresMs === undefined ? {} : { expires: isoTime(expiresMs) }) });
  }

  async function signIn({ request, isEncrypted }: Exchange): Promise<HttpResponse> {
    if (admission.isOpen) return open;
    const text = request.headers["authorization"] === undefined ? (await readJson(request, signingIn)).token : undefined;
    const { owner, expiresMs, field } = admission.signIn(request, text, isEncrypted);
    return jsonResponse(200, { required: true, owner, expires: isoTime(expiresMs) }, { "set-cookie": field });
  }

  async function signOut({ isEncrypted }: Exchange): Promise<HttpResponse> {
    return { status: 204, headers: { "set-cookie": endedCookieField(isEncrypted), "cache-control": "no-store" } };
  }

  return [
    { method: "GET", path, access, endpoint: show },
    { method: "POST", path, access, endpoint: signIn },
    { method: "DELETE", path, access, endpoint: signOut },
  ];
}

const isoTime = (wallMs: number): string => new Date(wallMs).toISOString();
