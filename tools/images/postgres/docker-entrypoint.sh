#!/bin/sh
# Makes the database on the first start, then becomes the command. Variables as in the hub's image:
# POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE, POSTGRES_USER, POSTGRES_DB, PGDATA.
set -eu
user=${POSTGRES_USER:-postgres}
database=${POSTGRES_DB:-$user}
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    new=$PGDATA.part # A killed first start leaves nothing that looks complete.
    rm -rf "$new"
    mkdir -p "$(dirname "$PGDATA")"
    secret=$(mktemp)
    if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then cat "$POSTGRES_PASSWORD_FILE" >"$secret"; else printf %s "$POSTGRES_PASSWORD" >"$secret"; fi
    initdb --pgdata="$new" --username="$user" --pwfile="$secret" --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8
    rm "$secret"
    echo "host all all all scram-sha-256" >>"$new/pg_hba.conf"
    if [ "$database" != postgres ]; then
        echo "CREATE DATABASE \"$database\" OWNER \"$user\";" | postgres --single -D "$new" postgres >/dev/null
    fi
    if [ -d "$PGDATA" ]; then rmdir "$PGDATA"; fi
    mv "$new" "$PGDATA"
fi
exec "$@" -c "listen_addresses=*"
