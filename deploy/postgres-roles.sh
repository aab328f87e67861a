#!/bin/sh
# Makes the two roles and their schemas, once, when the database is created. Run by the Postgres image's entry point; by hand:
#   POSTGRES_USER=postgres POSTGRES_DB=mosaic GATEWAY_DATABASE_PASSWORD=… BOT_DATABASE_PASSWORD=… sh deploy/postgres-roles.sh
set -eu
psql --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname "${POSTGRES_DB:-mosaic}" \
  --set gateway="$GATEWAY_DATABASE_PASSWORD" --set bot="$BOT_DATABASE_PASSWORD" --set database="${POSTGRES_DB:-mosaic}" <<'SQL'
CREATE ROLE mosaic_gateway LOGIN PASSWORD :'gateway';
CREATE ROLE mosaic_bot LOGIN PASSWORD :'bot';
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO mosaic_gateway, mosaic_bot;
CREATE SCHEMA fleet AUTHORIZATION mosaic_gateway;
CREATE SCHEMA bot AUTHORIZATION mosaic_bot;
ALTER ROLE mosaic_gateway IN DATABASE :"database" SET search_path = fleet;
ALTER ROLE mosaic_bot IN DATABASE :"database" SET search_path = bot;
SQL
