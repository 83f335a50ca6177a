/** The Descriptors port: files, sockets and the like that this process has open, and how many it may have. */

export interface DescriptorCounts {
  readonly openCount: number;
  readonly openMax: number;
}

export interface Descriptors {
  /** At this moment, or a moment ago; `undefined` where the system does not tell. */
  counts(): DescriptorCounts | undefined;
}
