export function pick(value: string): string;
export function pick(value: number): number;
export function pick(value: unknown) {
  return value;
}
export class Picker {
  take(value: string): void;
  take(value: number): void;
  take(value: unknown) {}
}
export function run(picker: Picker) {
  pick("x");
  picker.take(1);
}
