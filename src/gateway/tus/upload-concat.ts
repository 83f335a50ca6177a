/**
 * `Upload-Concat`: uploads that are parts of another (`partial`), and what is put together from them (`final;` and their addresses, one space
 * between two).
 */
import { TroupeError } from "../../core/errors.ts";
import { TUS_PARTS_MAX } from "../../core/limits.ts";
import type { TusPlan } from "../../core/shapes.ts";
import type { Exchange } from "../exchange.ts";
import type { Gateway } from "../gateway-parts.ts";
import { locationOf, uploadIdAt } from "./upload-address.ts";

type Concat = Pick<TusPlan, "isPartial" | "parts">;

/** @throws {TroupeError} `BAD_REQUEST` */
export function readConcat(gateway: Gateway, exchange: Exchange): Concat {
  const field = exchange.request.headers["upload-concat"];
  if (field === undefined) return {};
  if (field === "partial") return { isPartial: true };
  const list = /^final;(.+)$/.exec(field)?.[1];
  if (list === undefined)
    throw new TroupeError(
      "BAD_REQUEST",
      "Upload-Concat is 'partial', or 'final;' and the addresses of the parts with spaces between them.",
    );
  const addresses = list.trim().split(/ +/);
  if (addresses.length > TUS_PARTS_MAX) throw new TroupeError("BAD_REQUEST", `An upload has at most ${TUS_PARTS_MAX} parts.`);
  return { parts: addresses.map((address) => uploadIdAt(gateway, exchange, address)) };
}

/** The field as a HEAD tells it, `undefined` for an upload that is neither. */
export function concatField(gateway: Gateway, exchange: Exchange, { isPartial, parts }: Concat): string | undefined {
  if (isPartial === true) return "partial";
  return parts === undefined ? undefined : `final;${parts.map((part) => locationOf(gateway, exchange, part)).join(" ")}`;
}
