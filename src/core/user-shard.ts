/** Which of the `t_file_NN` tables holds a user's files: the hash of the streaming server document, over UTF-8 bytes. */

/** The number of file tables, fixed when the database is made. */
export const FILE_SHARD_COUNT = 3;

/** @returns the table's number, from 1 to `shardCount` */
export function userShard(user: string, shardCount: number = FILE_SHARD_COUNT): number {
  let hash = 0;
  const bytes = new TextEncoder().encode(user);
  for (let index = 0; index < bytes.length; index += 1) {
    const byte = bytes[index] as number;
    hash = index % 2 === 1 ? (hash ^ ~((hash << 11) ^ byte ^ (hash >>> 5))) >>> 0 : (hash ^ ((hash << 7) ^ byte ^ (hash >>> 3))) >>> 0;
  }
  return ((hash & 0x7fffffff) % shardCount) + 1;
}

/** `t_file_01` … */
export function fileTable(shard: number): `t_file_${string}` {
  return `t_file_${String(shard).padStart(2, "0")}`;
}
