import { open } from "./store.js";
import { parse } from "./parse";
import { format } from "./format";
import fallback, { named } from "./defaults";
import * as store from "./store";
import "./effects";
import { missing } from "./not-here";
import { readFile } from "node:fs/promises";

export function run() {
  open();
  parse();
  format();
  fallback();
  named();
  store.close();
  missing();
  readFile("x");
}
