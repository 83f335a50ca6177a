/** The ID allocators' table, in the database `…ids`. */
import type { IntegerColumn } from "../../core/ports/database.ts";

/** One counter. Key: id_key (bytes of ASCII). Every ID below `next_value` has been handed to some allocator. */
export interface IdGenTable {
  id_key: Uint8Array;
  next_value: IntegerColumn;
  create_time: IntegerColumn;
  update_time: IntegerColumn;
}

export interface IdsTables {
  t_id_gen: IdGenTable;
}
