/**
 * The server's own settings for a mixed load (steady ingest, short orders, wide reports), in one
 * place for every server: the one that `npm start` runs and the ones in the cloud.
 *
 * Values as postgresql.conf has them. Durability is whole: nothing here may be switched off to go
 * faster.
 */
import { maxConnections, WORK_MEM_MEGABYTES } from "./role-limits.ts";
import type { Size } from "./size.ts";

export interface Machine {
  readonly size: Size;
  /** Of the machine, or of its container if that is less. */
  readonly memoryBytes: number;
  readonly cores: number;
}

const MB = 1024 * 1024;

export type ServerSettings = ReturnType<typeof serverSettings>;
export type LocalSettings = ReturnType<typeof localSettings>;

/** What is right on any server, whoever runs it. */
export function serverSettings({ size, memoryBytes, cores }: Machine) {
  const share = (part: number, least: number, most: number): string =>
    `${Math.round(Math.min(most, Math.max(least, (memoryBytes * part) / MB)))}MB`;
  // At home Kafka and the functions live beside the server, and a second copy may run.
  const isAlone = size !== "local";
  return {
    max_connections: String(maxConnections(size)),
    // One unpruned report over 400 weekly partitions of 5 relations each takes 2,000 locks; 200 x 256
    // slots hold twenty such reports.
    max_locks_per_transaction: "256",
    password_encryption: "scram-sha-256",

    shared_buffers: isAlone ? share(1 / 4, 128, 65_536) : share(1 / 8, 128, 1024),
    effective_cache_size: isAlone ? share(3 / 4, 512, 262_144) : share(1 / 2, 512, 65_536),
    maintenance_work_mem: share(1 / 32, 64, 512),
    work_mem: `${WORK_MEM_MEGABYTES}MB`,
    // A role cannot set it: without it one wrong report fills the disk.
    temp_file_limit: "2GB",

    // Far apart, so that pages are written whole once, not after every few seconds of ingest.
    checkpoint_timeout: "15min",
    max_wal_size: "4GB",
    min_wal_size: "256MB",

    // Solid state disks: the default of 4 makes the planner avoid indexes.
    random_page_cost: "1.1",
    max_worker_processes: "16",
    max_parallel_workers: String(parallelWorkers(cores)),
    max_parallel_workers_per_gather: "2",
    // Compiling costs more than the short statements here take.
    jit: "off",

    // Small and often: the maintained tables are updated in place all day.
    autovacuum_naptime: "15s",
    autovacuum_vacuum_scale_factor: "0.05",
    autovacuum_analyze_scale_factor: "0.05",
    autovacuum_vacuum_insert_scale_factor: "0.1",
    autovacuum_vacuum_cost_limit: "1000",

    // Writers lock in key order, so a deadlock is rare and should end soon.
    deadlock_timeout: "200ms",
    tcp_keepalives_idle: "10",
    tcp_keepalives_interval: "10",
    tcp_keepalives_count: "3",

    timezone: "UTC",
    // Statements are not logged: they may carry personal data.
    log_min_error_statement: "panic",
    log_error_verbosity: "terse",
    log_parameter_max_length_on_error: "0",
    log_checkpoints: "off",
    log_temp_files: "64MB",
    track_io_timing: "on",
  };
}

/** Besides: what a service decides for its servers, and a server of our own has to be told. */
export function localSettings(machine: Omit<Machine, "size">) {
  return {
    ...serverSettings({ ...machine, size: "local" }),
    // Loopback only, and no socket in a folder that other users share.
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    fsync: "on",
    full_page_writes: "on",
    synchronous_commit: "on",
    wal_level: "replica",
    wal_buffers: "16MB",
    // lz4 is not built into these binaries, and pglz costs more processor time than the bytes it saves.
    wal_compression: "off",
    log_timezone: "UTC",
    lc_messages: "C",
    log_line_prefix: "%m [%p] %q%u@%d ",
  };
}

/** Processes beside the sessions' own that statements may take, all together. */
export function parallelWorkers(cores: number): number {
  return Math.max(2, cores);
}
