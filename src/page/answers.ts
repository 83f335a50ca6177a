/** What the server's routes answer, as far as the page uses it. */

export type MissingRange = readonly [first: number, last: number];

/** Possession may be proven: an HMAC-SHA-256 keyed by the nonce (hex) over these `[offset, bytes]` of the file, in order. */
export interface Challenge {
  readonly nonce: string;
  readonly ranges: readonly (readonly [offset: number, bytes: number])[];
}

export interface OpenUpload {
  readonly uploadId: string;
  readonly chunkBytes: number;
  readonly chunkCount: number;
  readonly state: string;
  readonly missing: readonly MissingRange[];
  readonly challenge?: Challenge;
}

export interface UploadStatus {
  readonly uploadId: string;
  readonly state: string;
  readonly size?: number;
  readonly chunkBytes: number;
  readonly receivedBytes: number;
  readonly missing: readonly MissingRange[];
  readonly lastError?: { readonly code: string; readonly detail: string };
  readonly fileId?: string;
}

/** One line of the listing of uploads. */
export interface ListedUpload {
  readonly uploadId: string;
  readonly name: string;
  readonly user: string;
  readonly state: string;
  readonly created: string;
  readonly size?: number;
}

/** What an upload became. */
export interface StoredFile {
  readonly fileId: string;
  readonly name: string;
  readonly size: number;
  readonly digest: { readonly blake3: string };
  readonly copies: number;
  readonly url: string;
  readonly instant?: true;
}

export interface ListedFile {
  readonly fileId: string;
  readonly name: string;
  readonly size: number;
  readonly contentType: string;
  /** ISO time. */
  readonly modified: string;
}

/** A file's name in it is its last part. */
export interface FolderPage {
  readonly folders: readonly { readonly name: string }[];
  readonly files: readonly ListedFile[];
  readonly cursor?: string;
}

export interface Session {
  /** The server wants a token. */
  readonly required: boolean;
  readonly owner: string | null;
}

export interface Cluster {
  readonly groups: readonly {
    readonly group: string;
    readonly activeCount: number;
    readonly freeBytes: number;
    readonly totalBytes: number;
    /** Absent while there is one of everything. */
    readonly copies?: number;
  }[];
}
