export function vat() {}
