#!/usr/bin/env node
/** A server process: `npm start` and `npm run node`. */
import process from "node:process";
import { launch } from "./launch.js";

// Disk work runs on this many threads; Node's own four would let one slow sync hold up every read.
process.env.UV_THREADPOOL_SIZE ??= "16";
launch(new URL("./serve.ts", import.meta.url));
