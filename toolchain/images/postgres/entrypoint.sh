#!/bin/bash
# First start: initdb, the database and the scripts of /docker-entrypoint-initdb.d. Every start: exec the server.
# POSTGRES_PASSWORD(_FILE), POSTGRES_USER, POSTGRES_DB and POSTGRES_INITDB_ARGS mean what they do in the official image.
set -euo pipefail

die() { echo "postgres: $1" >&2; exit 1; }

# NAME or NAME_FILE, never both.
value_of() {
  local name=$1 file_name="$1_FILE"
  [[ -z "${!name:-}" || -z "${!file_name:-}" ]] || die "$name and $file_name are both set: set one"
  if [[ -n "${!file_name:-}" ]]; then cat "${!file_name}"; else printf '%s' "${!name:-}"; fi
}

initialise() {
  local password user database sockets
  password=$(value_of POSTGRES_PASSWORD)
  user=$(value_of POSTGRES_USER); user=${user:-postgres}
  database=$(value_of POSTGRES_DB); database=${database:-$user}
  [[ -n "$password" ]] || die "POSTGRES_PASSWORD_FILE (or POSTGRES_PASSWORD) must be set and not empty"

  # A first start that was cut short leaves a part of a cluster, which initdb would refuse.
  find "$PGDATA" -mindepth 1 -delete
  # shellcheck disable=SC2086  # the arguments are meant to be split
  initdb --pgdata="$PGDATA" --username="$user" --pwfile=<(printf '%s\n' "$password") \
    --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 ${POSTGRES_INITDB_ARGS:-}
  printf '\nhost all all all scram-sha-256\nhost replication all all scram-sha-256\n' >> "$PGDATA/pg_hba.conf"

  sockets=$(mktemp -d)
  # Set-up runs on a private socket, so that no client meets a half made database.
  pg_ctl --pgdata="$PGDATA" --wait start -o "-c listen_addresses='' -c unix_socket_directories='$sockets'" >/dev/null
  export PGHOST=$sockets PGUSER=$user
  if [[ "$database" != postgres ]]; then
    psql --no-psqlrc --quiet -v ON_ERROR_STOP=1 -v name="$database" --dbname=postgres <<< 'CREATE DATABASE :"name";'
  fi
  for script in /docker-entrypoint-initdb.d/*; do
    case "$script" in
      *.sh) echo "postgres: running $script"; bash "$script" ;;
      *.sql) echo "postgres: running $script"; psql --no-psqlrc -v ON_ERROR_STOP=1 --dbname="$database" -f "$script" ;;
    esac
  done
  pg_ctl --pgdata="$PGDATA" --mode=fast --wait stop >/dev/null
  unset PGHOST PGUSER
  rm -rf "$sockets"
  # Written last: its absence marks a first start that did not finish.
  touch "$PGDATA/.initialised"
}

if [[ "${1:0:1}" == - ]]; then set -- postgres "$@"; fi
if [[ "$1" == postgres ]]; then
  mkdir -p "$PGDATA"
  chmod 0700 "$PGDATA" 2>/dev/null || true
  [[ -e "$PGDATA/.initialised" ]] || initialise
  unset POSTGRES_PASSWORD
  set -- "$@" -c listen_addresses="${POSTGRES_LISTEN:-*}"
  [[ -w /var/run/postgresql ]] || set -- "$@" -c unix_socket_directories=/tmp
fi
exec "$@"
