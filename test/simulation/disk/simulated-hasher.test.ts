import { describeHasher } from "../../contract/hasher.ts";
import { Machine } from "./machine.ts";
import { SimulatedHasher } from "./simulated-hasher.ts";

describeHasher("a simulated hasher", () => {
  const machine = new Machine();
  const hasher = new SimulatedHasher(machine.process, machine.simulated.mount(machine.process), machine.simulated.faults);
  return {
    disk: machine.disk,
    hasher: {
      leafDigest: (leaf) => hasher.leafDigest(leaf),
      stream: (algorithm) => hasher.stream(algorithm),
      follow: (path, algorithms) => machine.time.around(hasher.follow(path, algorithms)),
      close: () => machine.time.until(hasher.close()),
    },
  };
});
