import { helper } from "@app/helper";
import { log } from "@log";
import { trim } from "tools/text";
import { other } from "@elsewhere/x";

export function main() {
  helper();
  log();
  trim();
  other();
}
