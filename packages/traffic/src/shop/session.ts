/**
 * One visit to the simulated shop: what its customer does next depends on what was done last, on
 * habits and on the cart. Whoever buys has begun a checkout, and whoever begins one has a cart.
 */
import {
  type Random,
  randomChoice,
  randomIndex,
  randomMagnitude,
  type Weighted,
} from "../random.ts";
import { CATEGORIES, type Product, randomProduct } from "./catalogue.ts";
import { type Customer, randomCategory } from "./customer.ts";
import { randomHex, type ShopEvent, type ShopEventType, uuidAt } from "./shop-event.ts";

type Step = ShopEventType | "leave";

/** What follows what. Weights of `add_to_cart` and `purchase` grow with the customer's eagerness. */
const NEXT: Readonly<Record<ShopEventType | "arrive", Weighted<Step>>> = {
  arrive: [
    ["page_view", 70],
    ["product_view", 20],
    ["search", 10],
  ],
  page_view: [
    ["page_view", 32],
    ["search", 17],
    ["product_view", 36],
    ["leave", 15],
  ],
  login: [
    ["page_view", 45],
    ["search", 20],
    ["product_view", 35],
  ],
  search: [
    ["product_view", 62],
    ["search", 18],
    ["page_view", 10],
    ["leave", 10],
  ],
  product_view: [
    ["add_to_cart", 20],
    ["product_view", 34],
    ["page_view", 20],
    ["search", 12],
    ["leave", 14],
  ],
  add_to_cart: [
    ["checkout_start", 40],
    ["product_view", 32],
    ["page_view", 16],
    ["leave", 12],
  ],
  checkout_start: [
    ["purchase", 60],
    ["page_view", 18],
    ["leave", 22],
  ],
  purchase: [
    ["leave", 68],
    ["page_view", 32],
  ],
};

const PAYMENTS = ["card", "paypal", "invoice"] as const;
const PAGES = ["home", "sale", "new", "category", "account", "help"] as const;
const WORDS = ["red", "light", "gift", "large", "small", "best", "cheap", "green"] as const;
const MOST_MILLIS_ON_A_PAGE = 300_000;

export class Session {
  /** Whose it is, among all customers. */
  readonly customerNumber: number;
  readonly #customer: Customer;
  readonly #random: Random;
  readonly #id: string;
  #last: ShopEventType | "arrive" = "arrive";
  #lastMillis: number | undefined;
  #loggedIn = false;
  /** The login that is under way is the checkout's. */
  #isPaying = false;
  #product: Product | undefined;
  #cartCents = 0;
  #cartItems = 0;

  constructor(customerNumber: number, customer: Customer, random: Random) {
    this.customerNumber = customerNumber;
    this.#customer = customer;
    this.#random = random;
    this.#id = `s-${randomHex(random)}`;
  }

  /** What the customer does at this moment; undefined when the visit is over. */
  next(nowMillis: number): ShopEvent | undefined {
    const step = this.#chooseStep();
    if (step === "leave") return undefined;
    const event = {
      id: uuidAt(nowMillis, this.#random),
      timeMillis: nowMillis,
      type: step,
      userId: this.#customer.id,
      sessionId: this.#id,
      region: this.#customer.region,
      ...this.#take(step, nowMillis),
    };
    this.#last = step;
    this.#lastMillis = nowMillis;
    return event;
  }

  #chooseStep(): Step {
    const { eagerness, logsInFirst } = this.#customer;
    if (this.#last === "arrive" && logsInFirst) return "login";
    if (this.#last === "login" && this.#isPaying) return "purchase";
    const step = randomChoice(this.#random, NEXT[this.#last]);
    if (step === "add_to_cart" && this.#random.next() > eagerness) return "product_view";
    if (step !== "purchase") return step;
    if (this.#random.next() > eagerness) return "leave";
    this.#isPaying = true;
    return this.#loggedIn || this.#random.next() < 0.4 ? "purchase" : "login";
  }

  /** Changes the visit by the step; the fields of its event that only this kind has. */
  #take(step: ShopEventType, nowMillis: number): Partial<ShopEvent> {
    switch (step) {
      case "page_view":
        return this.#viewPage(nowMillis);
      case "login":
        this.#loggedIn = true;
        return { data: `{"device":"${this.#customer.device}"}` };
      case "search":
        return this.#search();
      case "product_view":
        this.#product = randomProduct(this.#random, randomCategory(this.#random, this.#customer));
        return this.#withProduct(this.#product);
      case "add_to_cart":
        return this.#addToCart();
      case "checkout_start":
        return { value: this.#cartCents / 100, data: `{"items":${this.#cartItems}}` };
      case "purchase":
        return this.#buy();
    }
  }

  /** Sent when the page is left, which is when its duration is known. `value`: ms until it was shown. */
  #viewPage(nowMillis: number): Partial<ShopEvent> {
    const stayed =
      nowMillis - (this.#lastMillis ?? nowMillis - 1_000 - 20_000 * this.#random.next());
    const duration = Math.round(Math.min(stayed, MOST_MILLIS_ON_A_PAGE)) / 1000;
    const value = Math.round(randomMagnitude(this.#random, 60, 4_000));
    const page = PAGES[randomIndex(this.#random, PAGES.length)];
    const { device, channel } = this.#customer;
    const data = `{"page":"${page}","device":"${device}","channel":"${channel}"}`;
    return { duration, value, data };
  }

  /** `value`: how much was found. */
  #search(): Partial<ShopEvent> {
    const category = CATEGORIES[randomCategory(this.#random, this.#customer)] as string;
    const word = WORDS[randomIndex(this.#random, WORDS.length)];
    const value = randomIndex(this.#random, 120);
    return { category, value, data: `{"query":"${word} ${category}"}` };
  }

  #addToCart(): Partial<ShopEvent> {
    const product = this.#product ?? randomProduct(this.#random, this.#customer.favourites[0]);
    const quantity = this.#random.next() < 0.8 ? 1 : 2 + randomIndex(this.#random, 3);
    this.#cartCents += quantity * product.priceCents;
    this.#cartItems += quantity;
    return { ...this.#withProduct(product), data: `{"quantity":${quantity}}` };
  }

  #buy(): Partial<ShopEvent> {
    const payment = PAYMENTS[randomIndex(this.#random, PAYMENTS.length)];
    const amountCents = this.#cartCents;
    const data = `{"items":${this.#cartItems},"payment":"${payment}"}`;
    this.#cartCents = 0;
    this.#cartItems = 0;
    this.#isPaying = false;
    return { amountCents, value: amountCents / 100, data };
  }

  /** `value`: the price. */
  #withProduct({ id, category, priceCents }: Product): Partial<ShopEvent> {
    return { productId: id, category, value: priceCents / 100 };
  }
}
