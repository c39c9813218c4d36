export function start() {}
export const stop = () => {};
export default function main() {}
