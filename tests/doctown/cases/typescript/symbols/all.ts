/** Adds two numbers. */
export function add(a: number, b: number): number {
  return a + b;
}
export const double = (n: number): number => n * 2;
const half = function (n: number) {
  return n / 2;
};
export async function* stream() {}
/**
 * A shape.
 *
 * It has sides.
 */
export abstract class Shape<T> extends Base<T> implements Named, Sized {
  static count = 0;
  onChange = (value: T) => value;
  #secret() {}
  constructor(private readonly name: string) {
    super();
    this.later = () => {};
  }
  abstract area(): number;
  get size(): number {
    return 1;
  }
  set size(value: number) {}
  static create() {}
  protected hidden() {}
  [Symbol.iterator]() {}
  "quoted name"() {}
}
export interface Named {
  name: string;
  greet(): string;
}
export type Id = string | number;
export enum Color {
  Red,
  Green,
}
export namespace tools {
  export const run = () => {};
  function inner() {}
  export const LIMIT = 1;
}
declare module "elsewhere" {
  export function ambient(): void;
}
declare global {
  interface Window {}
}
export const handlers = {
  open() {},
  close: () => {},
  deep: { inner() {} },
} satisfies Record<string, unknown>;
const SIZE = 10;
let counter = 0;
const maker = make();
const Anonymous = class {
  run() {}
};
export default class {
  go() {}
}
function outer() {
  function nested() {}
  const arrow = () => {};
  return { made() {} };
}
export { half };
declare const unused: string;
