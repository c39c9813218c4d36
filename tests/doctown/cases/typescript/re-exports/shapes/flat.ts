export * from "./deep";
export function area() {}
