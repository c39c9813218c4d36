export const now = globalThis.performance ? () => 1 : () => 2;
const wrapped = debounce(now);
export { wrapped };
export const define = Object.defineProperty;
export default 5;
