import { LocalDataPlane } from "../../src/data-plane/local-data-plane.ts";
import { describeDataPlane } from "../contract/data-plane.ts";

describeDataPlane(
  "local",
  async ({ node }) => ({
    plane: new LocalDataPlane([node]),
    access: (token) => ({ nodeId: node.nodeId, token }),
    killNode: async () => undefined,
    close: async () => undefined,
  }),
  { isLocal: true },
);
