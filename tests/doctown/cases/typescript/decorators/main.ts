import { Injectable } from "framework";

function logged(target: unknown) {}
const route = (path: string) => (target: unknown) => {};

@Injectable()
@logged
export class Controller {
  @route("/")
  index() {}

  @logged
  show() {}
}
