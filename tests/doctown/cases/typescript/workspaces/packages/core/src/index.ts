export function order() {}
