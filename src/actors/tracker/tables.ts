/** The tracker's tables, in the database `…tracker`. Byte columns hold UTF-8; times are milliseconds since 1970. */
import type { IntegerColumn } from "../../core/ports/database.ts";

/** A group that a storage node has announced. Key: group_name. */
export interface GroupInfoTable {
  group_name: Uint8Array;
  create_time: IntegerColumn;
  update_time: IntegerColumn;
}

/** Where new uploads of a user go: a preference. Key: app, user. */
export interface RouterTable {
  app: Uint8Array;
  user: Uint8Array;
  group_name: Uint8Array;
  create_time: IntegerColumn;
  update_time: IntegerColumn;
}

export interface TrackerTables {
  t_group_info: GroupInfoTable;
  t_router: RouterTable;
}
