/** What is looked at, as the address bar has it: `#/uploads/<id>` can be sent to somebody else. */

export const MACHINE_NAMES = ["upload", "actor", "node"] as const;
export type MachineName = (typeof MACHINE_NAMES)[number];

export type InspectPlace =
  | { readonly view: "uploads" }
  | { readonly view: "upload"; readonly uploadId: string }
  | { readonly view: "machine"; readonly name: MachineName }
  | { readonly view: "actors" };

const UPLOAD_ID = /^[\w-]{1,64}$/;

export function inspectPlaceOf(hash: string): InspectPlace {
  const [first, second] = hash
    .replace(/^#\/?/, "")
    .split("/")
    .filter((part) => part !== "");
  // Anything else would be an address of its own in what is asked of the server.
  if (first === "uploads" && second !== undefined && UPLOAD_ID.test(second)) return { view: "upload", uploadId: second };
  if (first === "actors") return { view: "actors" };
  if (first === "machines") return { view: "machine", name: MACHINE_NAMES.find((name) => name === second) ?? "upload" };
  return { view: "uploads" };
}

export function inspectHashOf(place: InspectPlace): string {
  if (place.view === "upload") return `#/uploads/${place.uploadId}`;
  if (place.view === "machine") return `#/machines/${place.name}`;
  return `#/${place.view}`;
}
