export function enlarge() {}
function when() {}
function change() {}
export { when };
export default change;
