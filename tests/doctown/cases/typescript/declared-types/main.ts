import { Engine, type Fleet, type Truck, type Vehicle } from "./types";
import type * as types from "./types";

class Garage {
  private spare: Engine | null = null;
  private parts: Map<string, types.Part> = new Map();
  constructor(
    private vehicle: Vehicle,
    readonly fleet: Fleet,
  ) {}
  open() {
    this.vehicle.engine.start().fit();
    this.spare?.stop();
    this.parts.get("x")!.fit();
    this.fleet[0].drive();
    for (const vehicle of this.fleet) vehicle.engine.stop();
  }
}

export async function run(truck: Truck, options: { engine: Engine; deep?: { part: types.Part } }, thing: unknown) {
  truck.load();
  truck.engine.stop();
  (await truck.drive()).start();
  options.engine.stop();
  options.deep!.part.fit();
  (thing as Engine).stop();
  const { engine } = truck;
  engine.stop();
  const made = new Engine();
  made.start().fit();
  let later: Vehicle["engine"] | undefined;
  later?.stop();
  const copy: Readonly<Engine> = made;
  copy.stop();
}

export function each({ engine }: Vehicle, [first]: Engine[], ...rest: Engine[]) {
  engine.start();
  first.start();
  rest[0].start();
  rest.forEach((one) => one.stop());
}

export const create = (): Garage => make();
create().open();
