import * as core from "./core";

export interface Shape {
  draw(): void;
  inner: Part;
}
export interface Part {
  turn(): void;
}
export const Shape: core.Constructor<Shape> = core.constructor("Shape", (inst, def) => {
  inst.draw();
  inst.inner.turn();
});
export type Name = Part;
export const Name = (text: string) => text;

export function use(name: Name) {
  Shape.init(new Shape("x"), "y");
  Name("z");
  name.turn();
}
