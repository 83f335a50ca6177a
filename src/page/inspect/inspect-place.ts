/** What is looked at, as the address bar has it: `#/uploads/<id>` and `#/uploads?state=failed` can be sent to somebody else. */

export const MACHINE_NAMES = ["upload", "actor", "node"] as const;
export type MachineName = (typeof MACHINE_NAMES)[number];

/** States that the list can be narrowed to. */
export const LISTED_STATES = ["receiving", "merged", "failed", "cancelled", "expired"] as const;

export interface SessionFilter {
  /** Empty: all. */
  readonly state: (typeof LISTED_STATES)[number] | "";
  /** A part of the name, or an ID. */
  readonly search: string;
}

export const ALL_SESSIONS: SessionFilter = { state: "", search: "" };

export type InspectPlace =
  | { readonly view: "uploads"; readonly filter: SessionFilter }
  | { readonly view: "upload"; readonly uploadId: string }
  | { readonly view: "machine"; readonly name: MachineName }
  | { readonly view: "actors" };

const LIST = /^#\/?uploads\/?\?(.*)$/s;
const UPLOAD_ID = /^[\w-]{1,64}$/;

export function inspectPlaceOf(hash: string): InspectPlace {
  const list = LIST.exec(hash);
  if (list !== null) return { view: "uploads", filter: filterOf(new URLSearchParams(list[1])) };
  const [first, second] = hash
    .replace(/^#\/?/, "")
    .split("/")
    .filter((part) => part !== "");
  // Anything else would be an address of its own in what is asked of the server.
  if (first === "uploads" && second !== undefined && UPLOAD_ID.test(second)) return { view: "upload", uploadId: second };
  if (first === "actors") return { view: "actors" };
  if (first === "machines") return { view: "machine", name: MACHINE_NAMES.find((name) => name === second) ?? "upload" };
  return { view: "uploads", filter: ALL_SESSIONS };
}

function filterOf(query: URLSearchParams): SessionFilter {
  const state = LISTED_STATES.find((listed) => listed === query.get("state")) ?? "";
  return { state, search: (query.get("search") ?? "").trim() };
}

export function inspectHashOf(place: InspectPlace): string {
  if (place.view === "upload") return `#/uploads/${place.uploadId}`;
  if (place.view === "machine") return `#/machines/${place.name}`;
  if (place.view === "actors") return "#/actors";
  const chosen = Object.entries(place.filter).filter(([, value]) => value !== "");
  return chosen.length === 0 ? "#/uploads" : `#/uploads?${new URLSearchParams(chosen)}`;
}
