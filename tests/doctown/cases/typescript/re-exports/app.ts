import * as shapes from "./shapes";
import { area, geometry, grow, default as main, if as condition } from "./shapes";

export function run() {
  area();
  geometry.volume();
  grow();
  main();
  condition();
  shapes.perimeter();
  shapes.geometry.volume();
}
