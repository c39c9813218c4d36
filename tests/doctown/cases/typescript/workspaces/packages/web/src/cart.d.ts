export interface Cart {
  empty(): void;
}
