/** What a storage node does with bytes, for those in its own process: its data server, and a gateway beside it. */
import type { ByteStream } from "../core/ports/byte-stream.ts";
import type { BlobRange, ChunkBody, ChunkStored, UploadRange } from "../core/ports/data-plane.ts";

export interface ByteService {
  readonly nodeId: string;
  /** @throws {TroupeError} `UPLOAD_NOT_FOUND` when this node does not host it; see the DataPlane port for the rest */
  storeChunk(chunk: ChunkBody): Promise<ChunkStored>;
  /** Exactly the range, verified; the first block has been read when this resolves. */
  readBlob(range: BlobRange): Promise<ByteStream>;
  /** The same of an upload it hosts. */
  readUpload(range: UploadRange): Promise<ByteStream>;
}
