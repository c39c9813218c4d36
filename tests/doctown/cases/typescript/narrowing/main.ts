export class Cat {
  meow() {}
}
export class Dog {
  bark() {}
}
export function run(animal: Cat | Dog | string, other: unknown, third: unknown) {
  if (animal instanceof Cat) {
    animal.meow();
  }
  if (!(other instanceof Dog)) return;
  other.bark();
  if (third instanceof Cat && animal) {
    third.meow();
  }
}
