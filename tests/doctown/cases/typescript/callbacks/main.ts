export class Item {
  show() {}
  static all(): Item[] {
    return [];
  }
}
export type Visitor = (item: Item, depth: number) => void;
export interface Visitors {
  enter: Visitor;
  leave(item: Item): void;
}
export function walk(items: Item[], visitors: Visitors, done: (last: Item) => void) {}

export function run(items: Item[], pending: Promise<Item>) {
  items.map((item) => item.show());
  items.filter(Boolean).forEach((item) => item.show());
  Item.all().find((item) => true)?.show();
  pending.then((item) => item.show());
  walk(items, { enter: (item) => item.show(), leave(item) { item.show(); } }, (last) => last.show());
}
export const visitor: Visitor = (item) => item.show();
