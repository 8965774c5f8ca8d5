/**
 * Tells the running system of the simulated shop's products and customers, so that its events have
 * categories and segments. The same at each start, and then it changes nothing. A shop that cannot be
 * told of sells all the same: what fails is logged.
 */
import { formatCents, type Logger, silentLogger } from "@headrace/kernel";
import type { DimensionItem, DimensionName } from "./load/dimension.ts";
import { dimensionSender, MOST_ITEMS } from "./load/dimension-api.ts";
import type { Api } from "./replay/running-system.ts";
import { CATALOGUE } from "./shop/catalogue.ts";
import { customer } from "./shop/customer.ts";

export interface ShopLoad {
  /** Where the system answers; the token has scope admin. */
  readonly api: Api;
  /** How many customers there are (`customersFor`). */
  readonly customers: number;
  readonly signal: AbortSignal;
  readonly log?: Logger;
}

/** Never throws. */
export async function loadShop({
  api,
  customers,
  signal,
  log = silentLogger,
}: ShopLoad): Promise<void> {
  try {
    await sendAll(api, "products", CATALOGUE.length, productItem, signal);
    await sendAll(api, "users", customers, customerItem, signal);
  } catch (error) {
    if (signal.aborted) return;
    log.warn("the simulated shop's products and customers could not be stored", { error });
  }
}

async function sendAll(
  api: Api,
  name: DimensionName,
  count: number,
  itemAt: (number: number) => DimensionItem,
  signal: AbortSignal,
): Promise<void> {
  const send = dimensionSender(api, name, signal);
  for (let from = 0; from < count && !signal.aborted; from += MOST_ITEMS) {
    const length = Math.min(MOST_ITEMS, count - from);
    const items = Array.from({ length }, (_, n) => JSON.stringify(itemAt(from + n)));
    const refused = (await send(items)).find((reason) => reason !== undefined);
    if (refused !== undefined) throw new Error(`one of the shop's ${name} was refused: ${refused}`);
  }
}

function productItem(number: number): DimensionItem {
  const product = CATALOGUE[number];
  if (product === undefined) throw new RangeError(`the shop sells no product ${number}`);
  const { id, name, category, priceCents } = product;
  return { product_id: id, name, category, price: formatCents(priceCents) };
}

function customerItem(number: number): DimensionItem {
  const { id, region, segment } = customer(number);
  return { user_id: id, name: `Customer ${number}`, segment, region };
}
