/* SPDX-License-Identifier: Apache-2.0 */
/* config_keys.c - the table of all keys, in the order of the template. */
#include "core/config.h"

#define UP .flags = CONFIG_UPSTREAM
#define DAY_MS (24 * 3600 * 1000ll)

/* clang-format off */
const struct config_key config_keys[] = {
{ "offline", NULL, CONFIG_BOOL, "false",
  .doc = "serve only what the store holds; never ask a server" },

/* -- server -- */
{ "server.http_addr", NULL, CONFIG_STRING, "127.0.0.1:2725", .env = "SCORPIO_HTTP_ADDR *",
  .doc = "IP:PORT of the HTTP API; anything but loopback wants a token" },
{ "server.socket", NULL, CONFIG_PATH, NULL,
  .doc = "unix socket of the API; unset: scorpio.sock in store_path" },
{ "server.token", NULL, CONFIG_SECRET, NULL,
  .doc = "bearer token asked of clients of the HTTP API" },
{ "server.token_file", NULL, CONFIG_PATH, NULL,
  .doc = "file that holds the token, instead of server.token" },
{ "server.allow_insecure", NULL, CONFIG_BOOL, "false",
  .doc = "let everyone in who can reach an address that is not loopback" },
{ "server.store_path", "store_path", CONFIG_PATH, "<cache>/store",
  .doc = "where everything fetched is kept; one daemon per store" },
{ "server.log_level", "log_level", CONFIG_STRING, "info", .env = "SCORPIO_LOG RUST_LOG *",
  .doc = "error, warn, info or debug" },
{ "server.log_format", NULL, CONFIG_ENUM, "text", .values = "text|json",
  .doc = "log lines as logfmt text or as JSON" },
{ "server.log_file", NULL, CONFIG_PATH, NULL,
  .doc = "also append the log to this file" },
{ "server.keeper", NULL, CONFIG_BOOL, "false",
  .doc = "a second process lets mounts outlive the daemon and starts it again" },
{ "server.hang_timeout", NULL, CONFIG_DURATION, "30s", .min = 0, .max = DAY_MS, .unit = "s",
  .doc = "the keeper replaces a daemon that is silent for this long; 0: never" },
{ "server.base_url", "base_url", CONFIG_URL, "http://localhost:8000",
  .doc = "the Mono server", UP },
{ "server.lfs_url", "lfs_url", CONFIG_URL, "http://localhost:8000/lfs",
  .doc = "the LFS server of Mono", UP },
{ "server.workspace", "workspace", CONFIG_PATH, "/tmp/megadir-<user>/mount",
  .doc = "mountpoint of the whole monorepo", UP },
{ "server.config_file", "config_file", CONFIG_PATH, "config.toml",
  .doc = "runtime state of classic mounts (not configuration)", UP },
{ "server.git_author", "git_author", CONFIG_STRING, "MEGA",
  .doc = "name in commits made through the API", UP },
{ "server.git_email", "git_email", CONFIG_STRING, "admin@mega.org",
  .doc = "address in commits made through the API", UP },

/* -- cache -- */
{ "cache.max_size", NULL, CONFIG_SIZE, "20GiB",
  .min = 16ll << 20, .max = INT64_MAX, .unit = "bytes",
  .doc = "the store is kept below this; least recently used goes first" },
{ "cache.zstd_level", NULL, CONFIG_INT, "3", .min = 1, .max = 19,
  .doc = "compression of the store: 1 fast, 19 small" },

/* -- fetch -- */
{ "fetch.threads", NULL, CONFIG_INT, "0", .min = 0, .max = 256,
  .doc = "requests to one source at once; 0: 4, or 32 where each is for one file" },
{ "fetch.batch", NULL, CONFIG_INT, "1000", .min = 1, .max = 100000,
  .doc = "most objects asked for in one request" },
{ "fetch.timeout", NULL, CONFIG_DURATION, "10m", .min = 100, .max = DAY_MS, .unit = "s",
  .doc = "longest time for one whole request or program run" },
{ "fetch.stall_timeout", NULL, CONFIG_DURATION, "30s", .min = 100, .max = DAY_MS, .unit = "s",
  .doc = "a transfer without a byte for this long has failed" },
{ "fetch.connect_timeout", NULL, CONFIG_DURATION, "10s", .min = 100, .max = DAY_MS, .unit = "s",
  .doc = "longest time to reach a server" },
{ "fetch.retries", NULL, CONFIG_INT, "3", .min = 0, .max = 20,
  .doc = "how often a failed request is sent again" },

/* -- http -- */
{ "http.proxy", NULL, CONFIG_STRING, NULL, .values = "none",
  .doc = "proxy URL, or none; unset: http_proxy, https_proxy, no_proxy" },
{ "http.ca_file", NULL, CONFIG_PATH, NULL,
  .doc = "PEM file of trusted authorities; unset: the system's" },
{ "http.netrc", NULL, CONFIG_PATH, "auto", .values = "auto|none",
  .doc = "file with logins; auto: ~/.netrc if it is there" },
{ "http.user_agent", NULL, CONFIG_STRING, NULL,
  .doc = "User-Agent of our requests; unset: scorpio/VERSION" },

/* -- fs -- */
{ "fs.workers", NULL, CONFIG_INT, "0", .min = 0, .max = 256,
  .doc = "threads that answer the kernel; 0: one per core" },
{ "fs.allow_other", NULL, CONFIG_ENUM, "auto", .values = "auto|true|false",
  .doc = "may other users look in; auto: when root or user_allow_other" },
{ "fs.request_timeout", NULL, CONFIG_DURATION, "60s", .min = 100, .max = DAY_MS, .unit = "s",
  .doc = "a read that waits longer than this for a server gets an error" },
{ "fs.read_ahead", NULL, CONFIG_SIZE, "1MiB", .min = 0, .max = 1ll << 30, .unit = "bytes",
  .doc = "fetched ahead of a sequential reader" },
{ "fs.metadata", NULL, CONFIG_ENUM, "auto", .values = "auto|full|ondemand",
  .doc = "bring all directories at mount, or each when looked at" },
{ "fs.uid", NULL, CONFIG_INT, NULL, .min = 0, .max = 4294967294ll,
  .doc = "owner of the files shown; unset: who mounts" },
{ "fs.gid", NULL, CONFIG_INT, NULL, .min = 0, .max = 4294967294ll,
  .doc = "group of the files shown; unset: who mounts" },

/* -- git -- */
{ "git.ssh_command", NULL, CONFIG_STRING, NULL, .flags = CONFIG_UNTRUSTED,
  .doc = "program for ssh URLs, as in GIT_SSH_COMMAND" },
{ "git.token_file", NULL, CONFIG_PATH, NULL,
  .doc = "file with a token for https; better inside [source.NAME]" },
{ "git.header", NULL, CONFIG_SECRET, NULL,
  .doc = "header for every request to the server, \"Name: value\"" },
{ "git.credential_helper", NULL, CONFIG_BOOL, "true", .flags = CONFIG_UNTRUSTED,
  .doc = "ask git's credential helpers when a server wants a login" },

/* -- mono -- */
{ "mono.token_file", NULL, CONFIG_PATH, NULL,
  .doc = "file with a token for the Mono server; better inside [source.NAME]" },
{ "mono.header", NULL, CONFIG_SECRET, NULL,
  .doc = "header for every request to the server, \"Name: value\"" },
{ "mono.import_dir", NULL, CONFIG_STRING, "third-party",
  .doc = "directory of the monorepo that holds imported repositories" },

/* -- monogate: a role -- */
{ "monogate.enabled", NULL, CONFIG_BOOL, "false", .flags = CONFIG_UNTRUSTED,
  .doc = "serve a source over the read API of a Mono server" },
{ "monogate.source", NULL, CONFIG_STRING, NULL,
  .doc = "URL or path of what to serve; its ids must be Git object ids" },
{ "monogate.listen", NULL, CONFIG_STRING, "127.0.0.1:8000",
  .doc = "address to serve on" },
{ "monogate.token", NULL, CONFIG_SECRET, NULL,
  .doc = "bearer token that clients from elsewhere than loopback need" },
{ "monogate.allow_insecure", NULL, CONFIG_BOOL, "false",
  .doc = "listen beyond loopback without a token" },
{ "monogate.cl_prefix", NULL, CONFIG_STRING, NULL,
  .doc = "put before a change list's link to make a ref, e.g. \"refs/heads/cl/\"" },
{ "monogate.cl_base", NULL, CONFIG_STRING, "parent",
  .doc = "a change list is its ref against \"parent\" (first) or \"main\"" },

/* -- nix -- */
{ "nix.substituters", NULL, CONFIG_STRING, NULL,
  .doc = "further binary caches, asked by their priority; separated by blanks" },
{ "nix.trusted_public_keys", NULL, CONFIG_STRING, NULL, .flags = CONFIG_UNTRUSTED,
  .doc = "NAME:BASE64 of keys to believe, by blanks; unset: cache.nixos.org's" },
{ "nix.require_signatures", NULL, CONFIG_BOOL, "true", .flags = CONFIG_UNTRUSTED,
  .doc = "refuse paths that nobody signed and whose name proves nothing" },
{ "nix.store_dir", NULL, CONFIG_STRING, "/nix/store",
  .doc = "where the paths of the cache belong" },
{ "nix.verify", NULL, CONFIG_ENUM, "content", .values = "content|full",
  .doc = "what waits for the archive's hash: contents, or names and sizes as well" },
{ "nix.listings", NULL, CONFIG_BOOL, "true",
  .doc = "take names and sizes from .ls files, if they fit the signed size" },
{ "nix.lookup_drv", NULL, CONFIG_BOOL, "true",
  .doc = "look for derivations (.drv), which few caches have" },
{ "nix.negative_ttl", NULL, CONFIG_INT, "30", 0, 86400, .unit = "s",
  .doc = "how long a path that no cache has is not asked for again" },
{ "nix.whole_below", NULL, CONFIG_INT, "65536", 0, INT64_MAX, .unit = "bytes",
  .doc = "archives up to this size are brought at the first look" },
{ "nix.nar_max", NULL, CONFIG_INT, "68719476736", 1, INT64_MAX, .unit = "bytes",
  .doc = "archives larger than this are refused" },

/* -- plugins -- */
{ "plugins.dir", NULL, CONFIG_PATH, NULL, .flags = CONFIG_UNTRUSTED,
  .doc = "where plugins are; unset: beside the program, then as installed" },
{ "plugins.load", NULL, CONFIG_LIST, NULL, .flags = CONFIG_UNTRUSTED,
  .doc = "names or paths of plugins to load" },

/* -- dicfuse: the tree of the monorepo -- */
{ "dicfuse.readable", "dicfuse_readable", CONFIG_BOOL, "true",
  .doc = "false: every read gives empty data", UP },
{ "dicfuse.load_dir_depth", "load_dir_depth", CONFIG_INT, "3", .min = 1, .max = 256,
  .doc = "levels of directories brought at start", UP },
{ "dicfuse.fetch_file_thread", "fetch_file_thread", CONFIG_INT, "10", .min = 1, .max = 1024,
  .doc = "workers for bringing them", UP },
{ "dicfuse.import_concurrency", "dicfuse_import_concurrency", CONFIG_INT, "4",
  .min = 1, .max = 1024,
  .doc = "trees brought at once", UP },
{ "dicfuse.dir_sync_ttl_secs", "dicfuse_dir_sync_ttl_secs", CONFIG_INT, "5",
  .min = 0, .max = INT32_MAX, .unit = "s",
  .doc = "a listing counts as fresh for this long; 0: never", UP },
{ "dicfuse.reply_ttl_secs", "dicfuse_reply_ttl_secs", CONFIG_INT, "2",
  .min = 0, .max = INT32_MAX, .unit = "s",
  .doc = "how long the kernel may keep names and attributes", UP },
{ "dicfuse.fetch_dir_timeout_secs", "dicfuse_fetch_dir_timeout_secs", CONFIG_INT, "10",
  .min = 1, .max = 86400, .unit = "s",
  .doc = "longest time for one listing", UP },
{ "dicfuse.connect_timeout_secs", "dicfuse_connect_timeout_secs", CONFIG_INT, "3",
  .min = 1, .max = 86400, .unit = "s",
  .doc = "longest time to reach the server", UP },
{ "dicfuse.fetch_dir_max_retries", "dicfuse_fetch_dir_max_retries", CONFIG_INT, "3",
  .min = 0, .max = 100,
  .doc = "how often a listing is asked for again", UP },
{ "dicfuse.stat_mode", "dicfuse_stat_mode", CONFIG_ENUM, "accurate", .values = "fast|accurate",
  .doc = "may stat ask the server for a size", UP },
{ "dicfuse.open_buff_max_bytes", "dicfuse_open_buff_max_bytes", CONFIG_SIZE, "268435456",
  .min = 0, .max = INT64_MAX, .unit = "bytes",
  .doc = "content kept in memory", UP },
{ "dicfuse.open_buff_max_files", "dicfuse_open_buff_max_files", CONFIG_INT, "4096",
  .min = 0, .max = INT64_MAX,
  .doc = "files kept in memory", UP },

/* -- antares: one mount per build job -- */
{ "antares.load_dir_depth", "antares_load_dir_depth", CONFIG_INT, "3",
  .min = 0, .max = 256, .env = "* ANTARES_LOAD_DIR_DEPTH",
  .doc = "levels of directories brought at mount; 0: none", UP },
{ "antares.dir_sync_ttl_secs", "antares_dicfuse_dir_sync_ttl_secs", CONFIG_INT, "120",
  .min = 0, .max = INT32_MAX, .unit = "s",
  .env = "* ANTARES_DICFUSE_DIR_SYNC_TTL_SECS",
  .doc = "a listing counts as fresh for this long; 0: never", UP },
{ "antares.reply_ttl_secs", "antares_dicfuse_reply_ttl_secs", CONFIG_INT, "60",
  .min = 0, .max = INT32_MAX, .unit = "s",
  .env = "* ANTARES_DICFUSE_REPLY_TTL_SECS",
  .doc = "how long the kernel may keep names and attributes", UP },
{ "antares.stat_mode", "antares_dicfuse_stat_mode", CONFIG_ENUM, "fast", .values = "fast|accurate",
  .env = "* ANTARES_DICFUSE_STAT_MODE", .doc = "may stat ask the server for a size", UP },
{ "antares.open_buff_max_bytes", "antares_dicfuse_open_buff_max_bytes", CONFIG_SIZE, "67108864",
  .min = 0, .max = INT64_MAX, .unit = "bytes",
  .env = "* ANTARES_DICFUSE_OPEN_BUFF_MAX_BYTES", .doc = "content kept in memory", UP },
{ "antares.open_buff_max_files", "antares_dicfuse_open_buff_max_files", CONFIG_INT, "1024",
  .min = 0, .max = INT64_MAX,
  .env = "* ANTARES_DICFUSE_OPEN_BUFF_MAX_FILES", .doc = "files kept in memory", UP },
{ "antares.upper_root", "antares_upper_root", CONFIG_PATH, "/tmp/megadir-<user>/antares/upper",
  .env = "* ANTARES_UPPER_ROOT",
  .doc = "private changes of each mount live below", UP },
{ "antares.cl_root", "antares_cl_root", CONFIG_PATH, "/tmp/megadir-<user>/antares/cl",
  .env = "* ANTARES_CL_ROOT",
  .doc = "change lists of each mount live below", UP },
{ "antares.mount_root", "antares_mount_root", CONFIG_PATH, "/tmp/megadir-<user>/antares/mnt",
  .env = "* ANTARES_MOUNT_ROOT",
  .doc = "mountpoints are made below", UP },
{ "antares.state_file", "antares_state_file", CONFIG_PATH, "/tmp/megadir-<user>/antares/state.toml",
  .env = "* ANTARES_STATE_FILE",
  .doc = "list of mounts, kept over restarts", UP },

{ "antares.preload_max_ms", "antares_preload_max_ms", CONFIG_INT, "8000",
  .min = 0, .max = 120000, .unit = "ms",
  .env = "* ANTARES_PRELOAD_MAX_MS ANTARES_DEEP_PRELOAD_MAX_MS",
  .doc = "a mount is ready after this time even if directories are still missing; 0: no limit" },
{ "antares.warm_slots", "antares_warm_slots", CONFIG_INT, "0",
  .min = 0, .max = 1000, .env = "* ANTARES_WARM_SLOTS",
  .doc = "mounts of finished jobs that are kept for the next job of the same path" },

/* -- mst2 -- */
{ "mst2.lower_enabled", "mst2_lower_enabled", CONFIG_BOOL, "false",
  .doc = "read through the snapshot protocol", UP },
{ "mst2.base_url", "mst2_base_url", CONFIG_URL, "http://127.0.0.1:19700",
  .doc = "the snapshot server", UP },
{ "mst2.scope", "mst2_scope", CONFIG_STRING, NULL,
  .doc = "scope asked for", UP },
{ "mst2.auth_token", "mst2_auth_token", CONFIG_SECRET, NULL,
  .doc = "token for the snapshot server", UP },
};
/* clang-format on */

const size_t config_keys_count = ARRAY_SIZE(config_keys);

int config_find(const char *key)
{
	size_t i;

	for (i = 0; i < config_keys_count; i++)
		if (!strcmp(config_keys[i].name, key) ||
		    (config_keys[i].flat && !strcmp(config_keys[i].flat, key)))
			return (int)i;
	return -1;
}
