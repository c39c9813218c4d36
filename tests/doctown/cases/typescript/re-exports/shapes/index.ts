export * from "./flat";
export * as geometry from "./solid";
export { enlarge as grow, default } from "./change";
export { when as if } from "./change";
