/**
 * What is known of users and products beside their events: one by one, and in bulk.
 *
 * PUT /v1/users/{id} and PUT /v1/products/{id} store the whole row and answer with it (201 where it is
 * new); a field that is left out is null. Not so a product's `stock` and `reorder_point`: left out, they
 * stay as they are stored, because orders take from the stock in between; of a new product they are 0
 * and null. PUT /v1/users and PUT /v1/products take up to 500 in an array, each with its `user_id` or
 * `product_id`: the bad ones are refused one by one and keep no other from being stored (207), and of
 * two with one id the last is stored. Whatever is sent twice changes nothing the second time.
 */
import {
  type ProductDimension,
  putProducts,
  putUsers,
  type StoredProduct,
  type StoredUser,
  type UserDimension,
} from "@headrace/db";
import {
  answerWith,
  httpHandler,
  instantParam,
  readItem,
  route,
  textParam,
} from "@headrace/handler";
import { AppError, formatCents, parseCents } from "@headrace/kernel";
import { InstantText, instantOf, Money } from "@headrace/reports";
import * as z from "zod";

const MAX_TEXT = 128;
const MAX_NAME = 512;
const MAX_ITEMS = 500;
const MAX_BODY_BYTES = 1024 * 1024;
const MAX_INTEGER = 2_147_483_647;

const Text = textParam(MAX_TEXT);
const Id = z.strictObject({ id: Text });
const Name = textParam(MAX_NAME);
const WHOLE_RULE = `must be a whole number from 0 to ${MAX_INTEGER}`;
const Whole = z.int(WHOLE_RULE).min(0, WHOLE_RULE).max(MAX_INTEGER, WHOLE_RULE);

const Price = z.union([z.string(), z.number()]).transform((price, context) => {
  const cents = parseCents(String(price));
  if (cents !== undefined) return formatCents(cents);
  context.addIssue("must be money from 0 to 9999999999.99 with at most 2 decimals");
  return z.NEVER;
});

const UserFields = {
  name: Name,
  segment: Text.nullish(),
  region: Text.nullish(),
  registered_at: instantParam.nullish(),
};
const User = z.strictObject(UserFields);
const UserItem = z.strictObject({ user_id: Text, ...UserFields });

const ProductFields = {
  name: Name,
  category: Text,
  price: Price,
  stock: Whole.nullish(),
  reorder_point: Whole.nullish(),
};
const Product = z.strictObject(ProductFields);
const ProductItem = z.strictObject({ product_id: Text, ...ProductFields });

const UserAnswer = z.strictObject({
  user_id: z.string(),
  name: z.string(),
  segment: z.string().nullable(),
  region: z.string().nullable(),
  registered_at: InstantText.nullable(),
  updated_at: InstantText,
});
const ProductAnswer = z.strictObject({
  product_id: z.string(),
  name: z.string(),
  category: z.string(),
  price: Money,
  stock: z.int(),
  reorder_point: z.int().nullable(),
  updated_at: InstantText,
});

const Items = z.array(z.unknown()).min(1).max(MAX_ITEMS);
const Refused = z.strictObject({
  status: z.literal(400),
  code: z.string(),
  errors: z.array(z.strictObject({ path: z.string(), message: z.string() })),
});
const Stored = z.literal([200, 201]);
/** One verdict for each item, in the order sent. */
const UsersAnswer = z.strictObject({
  users: z.array(z.union([z.strictObject({ status: Stored, user_id: z.string() }), Refused])),
});
const ProductsAnswer = z.strictObject({
  products: z.array(z.union([z.strictObject({ status: Stored, product_id: z.string() }), Refused])),
});

export const routes = {
  "PUT /v1/users/{id}": route(
    { scope: "admin", pool: "worker", params: Id, body: User, answer: UserAnswer },
    async ({ params, body, sql }) => {
      const [stored] = await putUsers(sql, [userOf({ user_id: params.id, ...body })]);
      return answerWith(stored?.isNew ? 201 : 200, userAnswer(stored as StoredUser));
    },
  ),

  "PUT /v1/products/{id}": route(
    { scope: "admin", pool: "worker", params: Id, body: Product, answer: ProductAnswer },
    async ({ params, body, sql }) => {
      const [stored] = await putProducts(sql, [productOf({ product_id: params.id, ...body })]);
      return answerWith(stored?.isNew ? 201 : 200, productAnswer(stored as StoredProduct));
    },
  ),

  "PUT /v1/users": route(
    {
      scope: "admin",
      pool: "worker",
      body: Items,
      maxBodyBytes: MAX_BODY_BYTES,
      answer: UsersAnswer,
    },
    async ({ body, sql }) => {
      const items = body.map((item) => checked(UserItem, item));
      const users = lastOfEach(
        items.flatMap((item) => (isRefused(item) ? [] : [userOf(item)])),
        ({ userId }) => userId,
      );
      const stored = new Map((await putUsers(sql, users)).map((user) => [user.userId, user]));
      const verdicts = items.map((item) =>
        isRefused(item)
          ? item
          : { status: statusOf(stored.get(item.user_id)), user_id: item.user_id },
      );
      return answerWith(items.some(isRefused) ? 207 : 200, { users: verdicts });
    },
  ),

  "PUT /v1/products": route(
    {
      scope: "admin",
      pool: "worker",
      body: Items,
      maxBodyBytes: MAX_BODY_BYTES,
      answer: ProductsAnswer,
    },
    async ({ body, sql }) => {
      const items = body.map((item) => checked(ProductItem, item));
      const products = lastOfEach(
        items.flatMap((item) => (isRefused(item) ? [] : [productOf(item)])),
        ({ productId }) => productId,
      );
      const written = await putProducts(sql, products);
      const stored = new Map(written.map((product) => [product.productId, product]));
      const verdicts = items.map((item) =>
        isRefused(item)
          ? item
          : { status: statusOf(stored.get(item.product_id)), product_id: item.product_id },
      );
      return answerWith(items.some(isRefused) ? 207 : 200, { products: verdicts });
    },
  ),
};

export const handler = httpHandler(routes);

type Refusal = z.output<typeof Refused>;

const isRefused = <Item extends object>(item: Item | Refusal): item is Refusal => "errors" in item;

function checked<Schema extends z.ZodType<object>>(
  schema: Schema,
  item: unknown,
): z.output<Schema> | Refusal {
  try {
    return readItem(schema, item);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return { status: 400, code: error.code, errors: [...error.faults] };
  }
}

const statusOf = (stored: { readonly isNew: boolean } | undefined): 200 | 201 =>
  stored?.isNew ? 201 : 200;

const lastOfEach = <Item>(items: readonly Item[], idOf: (item: Item) => string): Item[] => [
  ...new Map(items.map((item) => [idOf(item), item])).values(),
];

function userOf(item: z.output<typeof UserItem>): UserDimension {
  const { user_id: userId, name, segment = null, region = null, registered_at = null } = item;
  return { userId, name, segment, region, registeredMicros: registered_at };
}

function productOf(item: z.output<typeof ProductItem>): ProductDimension {
  const { product_id: productId, name, category, price } = item;
  const { stock = null, reorder_point: reorderPoint = null } = item;
  return { productId, name, category, price, stock, reorderPoint };
}

function userAnswer(user: StoredUser): z.input<typeof UserAnswer> {
  const { userId: user_id, name, segment, region, registeredMicros, updatedMicros } = user;
  return {
    user_id,
    name,
    segment,
    region,
    registered_at: registeredMicros === null ? null : instantOf(registeredMicros),
    updated_at: instantOf(updatedMicros),
  };
}

function productAnswer(product: StoredProduct): z.input<typeof ProductAnswer> {
  const { productId: product_id, name, category, price, stock } = product;
  return {
    product_id,
    name,
    category,
    price,
    stock,
    reorder_point: product.reorderPoint,
    updated_at: instantOf(product.updatedMicros),
  };
}
