export class Engine {
  start(): Part {
    return new Part();
  }
  stop() {}
}
export class Part {
  fit() {}
}
export interface Vehicle {
  engine: Engine;
  drive(): Promise<Engine>;
}
export type Fleet = Vehicle[];
export interface Truck extends Vehicle {
  load(): void;
}
