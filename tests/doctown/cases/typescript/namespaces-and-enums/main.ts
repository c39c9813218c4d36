export namespace util {
  export function trim() {}
  export namespace deep {
    export const cut = () => trim();
  }
}
export namespace util {
  export function pad() {}
}
import cut = util.deep.cut;
export class Level {
  static parse() {
    return new this();
  }
  up() {}
}
export function run() {
  util.trim();
  util.deep.cut();
  util.pad();
  cut();
  Level.parse().up();
}
