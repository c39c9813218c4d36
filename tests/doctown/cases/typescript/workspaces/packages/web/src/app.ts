import { order } from "@shop/core";
import { price } from "@shop/core/price";
import { vat } from "@shop/core/tax/vat";
import { plain } from "plain";
import { extra } from "plain/src/extra";
import { fill, type Cart } from "#cart";
import { show } from "#views/list";
import { outside } from "outside";

export function run(cart: Cart) {
  order();
  price();
  vat();
  plain();
  extra();
  fill();
  show();
  outside();
  cart.empty();
}
