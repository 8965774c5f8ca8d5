/** Table `dim_products`: what is known of products beside the events that name them. */
import type { Sql } from "../sql.ts";

export interface ProductDimension {
  readonly productId: string;
  readonly name: string;
  readonly category: string;
  /** Money with two decimals. */
  readonly price: string;
  /** null: as it is stored, which is 0 at first; orders take from it. */
  readonly stock: number | null;
  /** null: as it is stored, which is none at first. */
  readonly reorderPoint: number | null;
}

/** Each as it stands after a write. */
export interface StoredProduct extends ProductDimension {
  readonly stock: number;
  readonly updatedMicros: number;
  /** Whether there was none before. */
  readonly isNew: boolean;
}

/**
 * Stores products, and returns them in the order given; no id twice. One that is already as it is given
 * is not written: its time stays, and nobody has to follow it.
 */
export async function putProducts(
  sql: Sql,
  products: readonly ProductDimension[],
): Promise<StoredProduct[]> {
  const { rows } = await sql.query<{
    product_id: string;
    name: string;
    category: string;
    price: string;
    stock: number;
    reorder_point: number | null;
    updated_at: number;
    is_new: boolean;
  }>({
    name: "put-products",
    // What is kept where nothing is given is read from the row under its lock, which an order may
    // have waited for.
    text: `with given as materialized (
             select *
             from unnest($1::text[], $2::text[], $3::text[], $4::numeric[], $5::integer[], $6::integer[])
               with ordinality as given (product_id, name, category, price, stock, reorder_point, place)
           ),
           written as (
             insert into dim_products as kept (product_id, name, category, price, stock, reorder_point)
             select product_id, name, category, price, coalesce(stock, 0), reorder_point
             from given
             order by product_id
             on conflict (product_id) do update
             set name = excluded.name,
                 category = excluded.category,
                 price = excluded.price,
                 stock = coalesce((select stock from given where product_id = kept.product_id), kept.stock),
                 reorder_point = coalesce(excluded.reorder_point, kept.reorder_point),
                 updated_at = default,
                 tx = default
             where (kept.name, kept.category, kept.price) is distinct from (excluded.name, excluded.category, excluded.price)
               or kept.stock <> (select stock from given where product_id = kept.product_id)
               or kept.reorder_point is distinct from coalesce(excluded.reorder_point, kept.reorder_point)
             returning *
           )
           select
             given.product_id,
             given.name,
             given.category,
             given.price::numeric(12, 2) as price,
             coalesce(written.stock, before.stock, given.stock, 0) as stock,
             coalesce(written.reorder_point, before.reorder_point, given.reorder_point) as reorder_point,
             coalesce(written.updated_at, before.updated_at, now()) as updated_at,
             before.product_id is null as is_new
           from given
           left join written using (product_id)
           left join dim_products as before using (product_id)
           order by place`,
    values: [
      products.map(({ productId }) => productId),
      products.map(({ name }) => name),
      products.map(({ category }) => category),
      products.map(({ price }) => price),
      products.map(({ stock }) => stock),
      products.map(({ reorderPoint }) => reorderPoint),
    ],
  });
  return rows.map((row) => ({
    productId: row.product_id,
    name: row.name,
    category: row.category,
    price: row.price,
    stock: row.stock,
    reorderPoint: row.reorder_point,
    updatedMicros: row.updated_at,
    isNew: row.is_new,
  }));
}
