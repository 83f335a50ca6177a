#!/usr/bin/env node
/** A whole cluster on this machine: `npm run cluster`. */
import { launch } from "./launch.js";

launch(new URL("./cluster.ts", import.meta.url));
