/** A whole file as one request's body: `POST /api/v1/files?name=…` for programs, the same with a form, `PUT /put/{name}` for `curl -T`. */
import type { MergedFile } from "../../actors/upload/contract.ts";
import { type DigestClaim, FILE_DIGEST_ALGORITHMS, type FileDigestAlgorithm, parseContentDigest } from "../../core/digest.ts";
import { TroupeError } from "../../core/errors.ts";
import { FILE_BYTES_LIMIT, MULTIPART_OVERHEAD_BYTES_MAX } from "../../core/limits.ts";
import type { HttpRequest, HttpResponse } from "../../core/ports/http-exchange.ts";
import { app, nameFault, user } from "../../core/shapes.ts";
import { idempotencyKeyOf, refuseEncodedBody } from "../body-fields.ts";
import { typeOfPart, typeOfUpload } from "../content-type.ts";
import { declaredLength, type Exchange, jsonResponse, param } from "../exchange.ts";
import { filePath } from "../file-url.ts";
import type { Gateway } from "../gateway-parts.ts";
import { readMultipart } from "../multipart-body.ts";
import type { Route } from "../router.ts";
import type { UploadWish } from "../upload-creation.ts";
import { mergedView } from "../views.ts";
import { storeWholeFile } from "../whole-file.ts";

export function wholeFileRoutes(gateway: Gateway): Route[] {
  return [
    { method: "POST", path: "/api/v1/files", access: "principal", endpoint: (exchange) => post(gateway, exchange), beginsWork: true },
    { method: "PUT", path: "/put/*", access: "principal", endpoint: (exchange) => put(gateway, exchange), beginsWork: true },
  ];
}

async function post(gateway: Gateway, exchange: Exchange): Promise<HttpResponse> {
  const type = exchange.request.headers["content-type"]?.trim().toLowerCase();
  const isForm = type?.startsWith("multipart/form-data") === true;
  if (!isForm && type?.startsWith("multipart/") === true)
    throw new TroupeError("UNSUPPORTED_TYPE", "Send the file itself as the body, or a form as multipart/form-data.");
  const file = await (isForm ? storeForm(gateway, exchange) : storePlain(gateway, exchange));
  return jsonResponse(201, mergedView(file, exchange.baseUrl), { location: filePath(file.fileId, file.name) });
}

async function storePlain(gateway: Gateway, exchange: Exchange): Promise<MergedFile> {
  const name = exchange.query.get("name");
  if (name === undefined) throw new TroupeError("BAD_NAME", "Give the file's name in the query: ?name=….");
  return await storeWholeFile(gateway, exchange, wishOf(gateway, exchange, name));
}

/** A form says in its metadata what the query says otherwise; without a name there, the file's own is taken. */
async function storeForm(gateway: Gateway, exchange: Exchange): Promise<MergedFile> {
  const { request, query } = exchange;
  refuseEncodedBody(request);
  if (request.headers["content-digest"] !== undefined)
    throw new TroupeError("BAD_DIGEST", "A form's Content-Digest is not its file's: say that in 'digest' of the metadata.");
  declaredLength(request, fileBytesMax(gateway) + MULTIPART_OVERHEAD_BYTES_MAX);
  const form = await readMultipart(request);
  try {
    const { metadata } = form;
    const name = metadata.name ?? query.get("name") ?? form.fileName;
    if (name === undefined) throw new TroupeError("BAD_NAME", 'Give the file\'s name in the metadata: {"name": …}.');
    checkName(name);
    const wish = {
      app: metadata.app ?? label(app, query, "app"),
      user: metadata.user ?? label(user, query, "user"),
      name,
      contentType: metadata.contentType ?? typeOfPart(form.contentType, name),
      digest: metadata.digest,
      idempotencyKey: idempotencyKeyOf(request),
    };
    return await storeWholeFile(gateway, exchange, wish, form.bytes);
  } finally {
    form.close();
  }
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
  checkName(name);
  refuseEncodedBody(request);
  return {
    app: label(app, query, "app"),
    user: label(user, query, "user"),
    name,
    contentType: typeOfUpload(request.headers["content-type"], name),
    sizeBytes: declaredLength(request, fileBytesMax(gateway)),
    digest: digestClaimOf(request),
    idempotencyKey: idempotencyKeyOf(request),
  };
}

function checkName(name: string): void {
  const fault = nameFault(name);
  if (fault !== undefined) throw new TroupeError("BAD_NAME", `The name is not one: ${fault}.`);
}

const fileBytesMax = (gateway: Gateway): number => Math.min(gateway.options.fileBytesMax, FILE_BYTES_LIMIT);

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
