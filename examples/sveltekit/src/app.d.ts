declare global {
  namespace App {
    interface Locals {
      /** Who asks: what jobs are counted by. */
      visitor: string
    }
  }
}

export {}
