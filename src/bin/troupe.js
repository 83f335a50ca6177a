#!/usr/bin/env node
/** The `troupe` command. */
import { launch } from "./launch.js";

launch(new URL("./command-line.ts", import.meta.url));
