export class Box {
  open() {}
}
export class Crate extends Box {
  nail() {}
}
export function same<T>(value: T): T {
  return value;
}
export function boxes<T extends Box>(value: T, visit: (each: T) => void) {
  value.open();
  visit(value);
}
export function made<T>(maker: (into: T) => void): T {
  return maker as never;
}
export function run(crate: Crate) {
  boxes(crate, (each) => each.nail());
  made<Crate>((into) => into.nail());
}
type Visit = <B extends Box>(box: B, done: () => void) => void;
export const visit: Visit = (box, done) => {
  box.open();
  done();
};
