/** What the page and the worker that reads files say to each other. */
import type { Challenge } from "./answers.ts";

export type DigestRequest =
  | { readonly kind: "digest"; readonly job: number; readonly file: Blob }
  | ({ readonly kind: "proof"; readonly job: number; readonly file: Blob } & Challenge)
  | { readonly kind: "abandon"; readonly job: number };

export type DigestAnswer =
  | { readonly job: number; readonly hex: string; readonly fault?: undefined }
  | { readonly job: number; readonly hex?: undefined; readonly fault: string };
