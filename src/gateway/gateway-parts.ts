/** What the routes of one gateway share. */
import type { BlobReader } from "./blob-reader.ts";
import type { EventStreams } from "./event-streams.ts";
import type { FileDirectory } from "./file-directory.ts";
import type { GatewayOptions, GatewayPorts } from "./ports.ts";
import type { UploadDirectory } from "./upload-directory.ts";

export interface Gateway {
  readonly ports: GatewayPorts;
  readonly options: GatewayOptions;
  readonly uploads: UploadDirectory;
  readonly files: FileDirectory;
  readonly blobs: BlobReader;
  readonly events: EventStreams;
}
