//! What runs in containers: the making of a data directory, and the start of a server on one. Text for `/bin/sh`.

use std::collections::BTreeMap;

use super::{ARCHIVES, BOOTSTRAP_ENV, MOUNT, PGDATA, SOCKET_DIR, SPARE_DATABASE, USER};

/// The exit code of [`init_script`] where the image's Postgres is of another version.
pub const NO_SUCH_VERSION: i64 = 64;

/// A script for `/bin/sh -c` in a container of the image, as root or [`USER`]: leaves a data directory at [`PGDATA`].
/// Wants the variable [`BOOTSTRAP_ENV`].
pub fn init_script(version: &str, initdb: &[String]) -> String {
    script(PGDATA, version, initdb, USER)
}

/// As `user` where it is run as root.
pub(in crate::database) fn script(
    data: &str,
    version: &str,
    initdb: &[String],
    user: &str,
) -> String {
    let extra: String = initdb
        .iter()
        .map(|arg| format!(" {}", quote(arg)))
        .collect();
    format!(
        r#"set -eu
umask 077
{path}
if ! command -v tar >/dev/null; then
  echo "the image has no tar, which is to unpack the prepared data directory" >&2
  exit 1
fi
if ! command -v initdb >/dev/null; then
  echo "no initdb on \$PATH or in {folder}" >&2
  for other in /usr/lib/postgresql/*/bin/initdb; do
    [ ! -x "$other" ] || echo "there is $("$other" --version)" >&2
  done
  exit {NO_SUCH_VERSION}
fi
found=$(initdb --version)
case "$found " in
  *" {version}"[!0-9]*) ;;
  *)
    echo "there is $found" >&2
    exit {NO_SUCH_VERSION}
    ;;
esac
data={data}
password=$(mktemp)
printf '%s\n' "${BOOTSTRAP_ENV}" >"$password"
as_postgres() {{ "$@"; }}
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$data"
  chown -R {user} "$data" "$password"
  chmod 755 "${{data%/*}}"
  as_postgres() {{ {drop_root} }}
fi
# The official image says which locale it was built for.
as_postgres initdb --pgdata="$data" --no-sync --wal-segsize=1 --username=postgres --pwfile="$password" \
  --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --locale="${{LANG:-C.UTF-8}}"{extra} </dev/null
rm -f "$password"
printf 'create database {SPARE_DATABASE}\n' | as_postgres postgres --single -D "$data" -c fsync=off postgres >/dev/null
printf 'host all all all scram-sha-256\n' >>"$data/pg_hba.conf"
"#,
        path = path(version),
        folder = folder(version),
        data = quote(data),
        drop_root = drop_root("", user),
    )
}

/// The command of the server's container: Postgres on [`PGDATA`], as process 1.
///
/// An empty volume gets the data directory of [`ARCHIVES`] first, by a rename: killed anywhere, the next start finds all of it or none.
pub fn server_command(version: &str, settings: &BTreeMap<String, String>) -> Vec<String> {
    let script = format!(
        r#"{path}
data={data}
new={mount}/.new
unpack() {{
  rm -rf "$new" && mkdir "$new" && tar -xf {ARCHIVES}/0.tar -C "$new" || return
  unpacking=
  for part in {ARCHIVES}/[1-9]*.tar; do
    tar -xf "$part" -C "$new" &
    unpacking="$unpacking $!"
  done
  for tar in $unpacking; do wait "$tar" || return; done
  chmod 755 {mount} && mv "$new/data" "$data" && rm -rf "$new"
}}
if [ -d {ARCHIVES} ]; then
  if [ ! -e "$data" ] || rmdir "$data" 2>/dev/null; then
    unpack || exit 1
  fi
  rm -rf {ARCHIVES}
fi
if [ ! -s "$data/PG_VERSION" ]; then
  echo "$data holds something that is no data directory of Postgres; \`devenv down --volumes\` removes it" >&2
  exit 1
fi
if [ "$(id -u)" = 0 ]; then
  # An engine mounts it with the wanted mode at the first start only.
  chmod 1777 {SOCKET_DIR}
  {drop_root}
fi
exec postgres "$@"
"#,
        path = path(version),
        mount = quote(MOUNT),
        data = quote(PGDATA),
        drop_root = drop_root("exec ", USER).replace("\"$@\"", "postgres \"$@\""),
    );
    let mut argv: Vec<String> = ["/bin/sh", "-c", &script, "postgres", "-D", PGDATA]
        .map(Into::into)
        .into();
    let own = [
        ("listen_addresses", "*"),
        ("unix_socket_directories", SOCKET_DIR),
    ];
    let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut all = BTreeMap::from(own);
    all.extend(settings.clone());
    for (name, value) in all {
        argv.extend(["-c".to_owned(), format!("{name}={value}")]);
    }
    argv
}

/// Postgres' programs are on PATH in the official image, in a folder of their version in Debian's packages.
pub(in crate::database) fn path(version: &str) -> String {
    format!("PATH=$PATH:{}", quote(&folder(version)))
}

fn folder(version: &str) -> String {
    format!("/usr/lib/postgresql/{version}/bin")
}

/// Runs `"$@"` as the user with what the image has: gosu or su-exec (official), setpriv (Debian).
fn drop_root(exec: &str, user: &str) -> String {
    format!(
        "if command -v gosu >/dev/null; then {exec}gosu {user} \"$@\"; \
         elif command -v su-exec >/dev/null; then {exec}su-exec {user} \"$@\"; \
         else {exec}setpriv --reuid={user} --regid=$(id -g {user}) --init-groups -- \"$@\"; fi;"
    )
}

/// One word for a POSIX shell.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
