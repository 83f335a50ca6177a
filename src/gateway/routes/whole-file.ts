/** A whole file as one request's body: `POST /api/v1/files?name=…` for programs, `PUT /put/{name}` for `curl -T`. */
import { type DigestClaim, FILE_DIGEST_ALGORITHMS, type FileDigestAlgorithm, parseContentDigest } from "../../core/digest.ts";
import { TroupeError } from "../../core/errors.ts";
import { FILE_BYTES_LIMIT } from "../../core/limits.ts";
import type { HttpRequest, HttpResponse } from "../../core/ports/http-exchange.ts";
import { app, nameFault, user } from "../../core/shapes.ts";
import { idempotencyKeyOf, refuseEncodedBody } from "../body-fields.ts";
import { typeOfUpload } from "../content-type.ts";
import { declaredLength, type Exchange, jsonResponse, param } from "../exchange.ts";
import { filePath } from "../file-url.ts";
import type { Gateway } from "../gateway-parts.ts";
import type { Route } from "../router.ts";
import type { UploadWish } from "../upload-creation.ts";
import { mergedView } from "../views.ts";
import { storeWholeFile } from "../whole-file.ts";

export function wholeFileRoutes(gateway: Gateway): Route[] {
  return [
    { method: "POST", path: "/api/v1/files", access: "principal", endpoint: (exchange) => post(gateway, exchange) },
    { method: "PUT", path: "/put/*", access: "principal", endpoint: (exchange) => put(gateway, exchange) },
  ];
}

async function post(gateway: Gateway, exchange: Exchange): Promise<HttpResponse> {
  const type = exchange.request.headers["content-type"]?.trim().toLowerCase();
  if (type?.startsWith("multipart/") === true) {
    throw new TroupeError(
      "UNSUPPORTED_TYPE",
      "Send the file itself as the body, with its name in ?name=… (curl: --data-binary @FILE, or -T FILE to /put/).",
    );
  }
  const name = exchange.query.get("name");
  if (name === undefined) throw new TroupeError("BAD_NAME", "Give the file's name in the query: ?name=….");
  const file = await storeWholeFile(gateway, exchange, wishOf(gateway, exchange, name));
  return jsonResponse(201, mergedView(file, exchange.baseUrl), { location: filePath(file.fileId, file.name) });
}

async function put(gateway: Gateway, exchange: Exchange): Promise<HttpResponse> {
  // A server that does not do partial PUT must not take a part for the whole (RFC 9110, section 14.5).
  if (exchange.request.headers["content-range"] !== undefined)
    throw new TroupeError("BAD_REQUEST", "A file is put whole, without Content-Range.");
  const file = await storeWholeFile(gateway, exchange, wishOf(gateway, exchange, param(exchange, "*")));
  const { url } = mergedView(file, exchange.baseUrl);
  return {
    status: 201,
    headers: { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store", location: filePath(file.fileId, file.name) },
    body: `${String(url)}\n`,
  };
}

function wishOf(gateway: Gateway, exchange: Exchange, name: string): UploadWish {
  const { request, query } = exchange;
  const fault = nameFault(name);
  if (fault !== undefined) throw new TroupeError("BAD_NAME", `The name is not one: ${fault}.`);
  refuseEncodedBody(request);
  return {
    app: label(app, query, "app"),
    user: label(user, query, "user"),
    name,
    contentType: typeOfUpload(request.headers["content-type"], name),
    sizeBytes: declaredLength(request, Math.min(gateway.options.fileBytesMax, FILE_BYTES_LIMIT)),
    digest: digestClaimOf(request),
    idempotencyKey: idempotencyKeyOf(request),
  };
}

function label(shape: typeof app | typeof user, query: ReadonlyMap<string, string>, name: string): string {
  const value = shape.safeParse(query.get(name) ?? "default");
  if (!value.success) throw new TroupeError("BAD_REQUEST", `${name} is ${value.error.issues[0]?.message ?? "not a label"}.`);
  return value.data;
}

/** `Content-Digest` of the whole body is the file's: verified before the file exists. */
function digestClaimOf(request: HttpRequest): DigestClaim | undefined {
  const field = request.headers["content-digest"];
  if (field === undefined) return undefined;
  const claims = parseContentDigest(field).filter((claim): claim is DigestClaim =>
    (FILE_DIGEST_ALGORITHMS as readonly string[]).includes(claim.algorithm),
  );
  const strongest = (algorithm: FileDigestAlgorithm): number => FILE_DIGEST_ALGORITHMS.indexOf(algorithm);
  return claims.sort((a, b) => strongest(a.algorithm) - strongest(b.algorithm))[0];
}
