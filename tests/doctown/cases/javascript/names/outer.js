export function outer() {}
