export function call() {}
