/** The address at which a storage node tells others to reach its data server. */
import { TroupeError } from "../core/errors.ts";

/** Nobody can reach it: bytes travel over the bus. */
export const ADVERTISE_NONE = "none";

/** `10.0.0.5`, `nas:9001`, `http://nas:9001`; the answer is a URL without a path, or `none`. @throws {TroupeError} `SETTING_INVALID` */
export function parseAdvertise(text: string): string {
  if (text === ADVERTISE_NONE) return text;
  const url = URL.parse(/^https?:\/\//.test(text) ? text : `http://${text}`);
  const isOrigin = url !== null && url.username === "" && `${url.origin}/` === url.href;
  if (!isOrigin) throw new TroupeError("SETTING_INVALID", "it is an address such as 10.0.0.5, nas:9001 or http://nas:9001, or none");
  return url.origin;
}

/** What is announced of a data server that listens at `listening`; `undefined` for a node that is reached over the bus only. */
export function advertisedUrl(
  advertise: string | undefined,
  listening: { readonly url: string; readonly port: number },
): string | undefined {
  if (advertise === ADVERTISE_NONE) return undefined;
  if (advertise === undefined) return listening.url;
  const url = new URL(advertise);
  if (url.port === "" && url.protocol === "http:") url.port = String(listening.port);
  return url.origin;
}
