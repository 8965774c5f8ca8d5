/**
 * The database as text, read from its catalogues: what `schema.sql` holds.
 *
 * Sorted, without owners, addresses or partitions, and equal on PostgreSQL 17 and 18, so that a
 * difference is a difference. For people and for comparing; a database is made by migrations.
 */
import type { Sql } from "./sql.ts";

/** Ends with a line break. */
export async function dumpSchema(sql: Sql): Promise<string> {
  const parts = [
    ...(await tables(sql)),
    (await lines(sql, INDEXES)).join("\n"),
    ...(await lines(sql, VIEWS)),
    ...(await lines(sql, FUNCTIONS)),
    (await lines(sql, COMMENTS)).join("\n"),
    (await lines(sql, GRANTS)).join("\n"),
  ];
  const head = "-- Made by `npm run schema:dump` from a migrated database; not to be edited.";
  return `${[head, ...parts].join("\n\n")}\n`;
}

async function lines(sql: Sql, text: string): Promise<string[]> {
  const { rows } = await sql.query<{ line: string }>(text);
  return rows.map(({ line }) => line);
}

interface TableRow extends Record<string, unknown> {
  name: string;
  columns: string[];
  constraints: string[];
  partitioned: string | null;
  options: string | null;
}

async function tables(sql: Sql): Promise<string[]> {
  const { rows } = await sql.query<TableRow>(TABLES);
  return rows.map(({ name, columns, constraints, partitioned, options }) => {
    const body = [...columns, ...constraints].map((line) => `  ${line}`).join(",\n");
    const tail = [
      partitioned === null ? "" : ` partition by ${partitioned}`,
      options === null ? "" : ` with (${options})`,
    ];
    return `create table ${name} (\n${body}\n)${tail.join("")};`;
  });
}

/** Tables and views of ours: no partitions, nothing that an extension brought. */
const OURS = `
  relnamespace = 'public'::regnamespace
  and not relispartition
  and not exists (
    select
    from pg_depend
    where classid = 'pg_class'::regclass
      and objid = pg_class.oid
      and deptype = 'e'
  )`;

const TABLES = `
  select
    relname as name,
    (
      select array_agg(
        attname || ' ' || format_type(atttypid, atttypmod)
          || case
               when attstorage = typstorage then ''
               else ' storage ' || case attstorage when 'p' then 'plain' when 'e' then 'external' when 'm' then 'main' else 'extended' end
             end
          || case attidentity when 'a' then ' generated always as identity' else '' end
          || case when attnotnull then ' not null' else '' end
          || coalesce(' default ' || pg_get_expr(adbin, adrelid), '')
        order by attnum
      )
      from pg_attribute
      join pg_type on pg_type.oid = atttypid
      left join pg_attrdef on adrelid = attrelid and adnum = attnum
      where attrelid = pg_class.oid
        and attnum > 0
        and not attisdropped
    ) as columns,
    (
      select coalesce(array_agg('constraint ' || conname || ' ' || pg_get_constraintdef(oid) order by contype desc, conname), '{}')
      from pg_constraint
      where conrelid = pg_class.oid
        and contype in ('p', 'u', 'c', 'f')
    ) as constraints,
    pg_get_partkeydef(pg_class.oid) as partitioned,
    array_to_string(reloptions, ', ') as options
  from pg_class
  where relkind in ('r', 'p')
    and ${OURS}
  order by relname`;

const INDEXES = `
  select pg_get_indexdef(indexrelid) || ';' as line
  from pg_index
  join pg_class on pg_class.oid = indrelid
  where relkind in ('r', 'p')
    and not exists (select from pg_constraint where conindid = indexrelid)
    and ${OURS}
  order by indexrelid::regclass::text collate "C"`;

const VIEWS = `
  select
    'create view ' || relname || coalesce(' with (' || array_to_string(reloptions, ', ') || ')', '')
      || ' as' || E'\\n' || pg_get_viewdef(oid) as line
  from pg_class
  where relkind = 'v'
    and ${OURS}
  order by relname`;

const FUNCTIONS = `
  select rtrim(pg_get_functiondef(oid), E'\\n') || ';' as line
  from pg_proc
  where pronamespace = 'public'::regnamespace
    and prokind = 'f'
    and not exists (
      select
      from pg_depend
      where classid = 'pg_proc'::regclass
        and objid = pg_proc.oid
        and deptype = 'e'
    )
  order by proname collate "C", pg_get_function_identity_arguments(oid) collate "C"`;

const COMMENTS = `
  select
    case when objsubid = 0
      then 'comment on ' || case relkind when 'v' then 'view ' else 'table ' end || relname
      else 'comment on column ' || relname || '.' || attname
    end || ' is ' || quote_literal(description) || ';' as line
  from pg_description
  join pg_class on pg_class.oid = objoid and classoid = 'pg_class'::regclass
  left join pg_attribute on attrelid = objoid and attnum = objsubid
  where relkind in ('r', 'p', 'v')
    and ${OURS}
  order by relname collate "C", objsubid`;

const GRANTS = `
  select
    'grant ' || what || ' to ' || string_agg(grantee, ', ' order by grantee collate "C") || ';' as line
  from (
    select
      string_agg(lower(privilege_type), ', ' order by privilege_type) || ' on ' || relname as what,
      grantee::regrole::text as grantee
    from pg_class
    cross join lateral aclexplode(relacl)
    where relkind in ('r', 'p', 'v')
      and grantee <> relowner
      and ${OURS}
    group by relname, grantee
    union all
    select
      'execute on function ' || pg_proc.oid::regprocedure,
      case when grantee = 0 then 'public' else grantee::regrole::text end
    from pg_proc
    cross join lateral aclexplode(coalesce(proacl, acldefault('f', proowner)))
    where pronamespace = 'public'::regnamespace
      and grantee <> proowner
  ) as grants
  group by what
  order by split_part(what, ' on ', 2) collate "C", what collate "C"`;
