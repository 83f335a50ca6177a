/** The data plane inside one process: bytes are passed as they are, to the storage nodes that play here. */
import type { ByteStream } from "../core/ports/byte-stream.ts";
import type { BlobRange, ChunkBody, ChunkStored, DataAccess, DataPlane, UploadRange } from "../core/ports/data-plane.ts";
import type { ByteService } from "./byte-service.ts";
import { hostUnavailable } from "./host-unavailable.ts";

export class LocalDataPlane implements DataPlane {
  readonly #nodes: ReadonlyMap<string, ByteService>;

  constructor(nodes: readonly ByteService[]) {
    this.#nodes = new Map(nodes.map((node) => [node.nodeId, node]));
  }

  has(nodeId: string): boolean {
    return this.#nodes.has(nodeId);
  }

  async storeChunk(access: DataAccess, chunk: ChunkBody): Promise<ChunkStored> {
    return await this.#node(access).storeChunk(chunk);
  }

  async readBlob(access: DataAccess, range: BlobRange): Promise<ByteStream> {
    return await this.#node(access).readBlob(range);
  }

  async readUpload(access: DataAccess, range: UploadRange): Promise<ByteStream> {
    return await this.#node(access).readUpload(range);
  }

  #node(access: DataAccess): ByteService {
    const node = this.#nodes.get(access.nodeId);
    if (node === undefined) throw hostUnavailable(access, "it does not play in this process.", { unconnected: true });
    return node;
  }
}
