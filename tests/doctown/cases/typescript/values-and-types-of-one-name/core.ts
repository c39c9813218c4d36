export interface Constructor<T> {
  new (def: string): T;
  init(inst: T, def: string): void;
}
export function constructor<T>(name: string, initializer: (inst: T, def: string) => void): Constructor<T> {
  return make(name, initializer);
}
