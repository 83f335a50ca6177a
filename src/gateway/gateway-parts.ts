/** What the routes of one gateway share. */
import type { Admission } from "./admission.ts";
import type { BlobDirectory } from "./blob-directory.ts";
import type { EventStreams } from "./event-streams.ts";
import type { FileDirectory } from "./file-directory.ts";
import type { InspectStreams } from "./inspecting/inspect-streams.ts";
import type { InstantUploads } from "./instant-upload.ts";
import type { GatewayOptions, GatewayPorts } from "./ports.ts";
import type { RateLimit } from "./rate-limit.ts";
import type { UploadDirectory } from "./upload-directory.ts";

export interface Gateway {
  readonly ports: GatewayPorts;
  readonly options: GatewayOptions;
  readonly uploads: UploadDirectory;
  readonly files: FileDirectory;
  readonly blobs: BlobDirectory;
  readonly events: EventStreams;
  readonly inspecting: InspectStreams;
  readonly instant: InstantUploads;
  /** Proofs of possession, by owner. */
  readonly proofs: RateLimit;
  /** Of traces, by owner. */
  readonly lookups: RateLimit;
  readonly admission: Admission;
}
