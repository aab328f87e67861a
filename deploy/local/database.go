package local

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// The two roles of the system. Neither may touch the other's schema.
const (
	GatewayRole = "mosaic_gateway" // owns schema fleet
	BotRole     = "mosaic_bot"     // owns schema bot
)

// Passwords are those of the two roles.
type Passwords struct {
	Gateway, Bot string
}

// Database is how to connect to a prepared database, as Postgres URLs.
type Database struct {
	Name      string
	Superuser string
	Gateway   string
	Bot       string
}

// PrepareDatabase makes the database called name with the two roles and their schemas, or completes one that is there;
// it changes nothing that is right already. superuserURL connects to any database of the same cluster. Each role owns
// one schema, finds its tables there by search_path, and has no right on the other's; PUBLIC has no right on the database.
func PrepareDatabase(ctx context.Context, superuserURL, name string, passwords Passwords) (Database, error) {
	return CopyDatabase(ctx, superuserURL, "template0", name, passwords)
}

// CopyDatabase is PrepareDatabase of a copy of another database, which nobody may be connected to.
func CopyDatabase(ctx context.Context, superuserURL, from, name string, passwords Passwords) (Database, error) {
	db, err := databaseURLs(superuserURL, name, passwords)
	if err != nil {
		return Database{}, err
	}
	cluster, err := pgx.Connect(ctx, superuserURL)
	if err != nil {
		return Database{}, fmt.Errorf("connecting to Postgres: %w", err)
	}
	defer func() { _ = cluster.Close(context.WithoutCancel(ctx)) }()
	if err := ensureRoles(ctx, cluster, passwords); err != nil {
		return Database{}, err
	}
	if err := ensureDatabase(ctx, cluster, from, name); err != nil {
		return Database{}, err
	}
	if err := ensureSchemas(ctx, db); err != nil {
		return Database{}, err
	}
	return db, nil
}

func databaseURLs(superuserURL, name string, passwords Passwords) (Database, error) {
	as := func(role, password string) string {
		address, _ := url.Parse(superuserURL)
		address.Path = "/" + name
		if role != "" {
			address.User = url.UserPassword(role, password)
		}
		return address.String()
	}
	if _, err := url.Parse(superuserURL); err != nil {
		return Database{}, errors.New("the superuser's Postgres URL is not a URL")
	}
	return Database{
		Name: name, Superuser: as("", ""), Gateway: as(GatewayRole, passwords.Gateway), Bot: as(BotRole, passwords.Bot),
	}, nil
}

// ensureRoles takes turns on the table of roles: they belong to the whole cluster, while an advisory lock belongs to one
// database and would not keep out who comes from another.
func ensureRoles(ctx context.Context, cluster *pgx.Conn, passwords Passwords) error {
	return pgx.BeginFunc(ctx, cluster, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "LOCK TABLE pg_catalog.pg_authid IN SHARE ROW EXCLUSIVE MODE"); err != nil {
			return fmt.Errorf("waiting for the roles: %w", err)
		}
		for _, role := range [][2]string{{GatewayRole, passwords.Gateway}, {BotRole, passwords.Bot}} {
			var known bool
			if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role[0]).Scan(&known); err != nil {
				return fmt.Errorf("looking for role %s: %w", role[0], err)
			}
			verb := "CREATE"
			if known {
				verb = "ALTER"
			}
			statement := fmt.Sprintf("%s ROLE %s LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD %s", verb, identifier(role[0]), literal(role[1]))
			if _, err := tx.Exec(ctx, statement); err != nil {
				return fmt.Errorf("preparing role %s: %w", role[0], err)
			}
		}
		return nil
	})
}

func ensureDatabase(ctx context.Context, cluster *pgx.Conn, from, name string) error {
	var known bool
	if err := cluster.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&known); err != nil {
		return fmt.Errorf("looking for database %s: %w", name, err)
	}
	if known {
		return nil
	}
	_, err := cluster.Exec(ctx, "CREATE DATABASE "+identifier(name)+" TEMPLATE "+identifier(from)+" ENCODING 'UTF8'")
	var refused *pgconn.PgError
	if errors.As(err, &refused) && (refused.Code == "42P04" || refused.Code == "23505") {
		return nil // another process was faster
	}
	if err != nil {
		return fmt.Errorf("making database %s: %w", name, err)
	}
	return nil
}

func ensureSchemas(ctx context.Context, db Database) error {
	connection, err := pgx.Connect(ctx, db.Superuser)
	if err != nil {
		return fmt.Errorf("connecting to database %s: %w", db.Name, err)
	}
	defer func() { _ = connection.Close(context.WithoutCancel(ctx)) }()
	database := identifier(db.Name)
	statements := []string{ // sent as one, they are one transaction; who prepares the same database at once waits at the first
		"SELECT pg_advisory_xact_lock(hashtextextended('mosaic-prepare', 0))",
		"REVOKE ALL ON DATABASE " + database + " FROM PUBLIC",
		"REVOKE ALL ON SCHEMA public FROM PUBLIC",
		"GRANT CONNECT ON DATABASE " + database + " TO " + GatewayRole + ", " + BotRole,
		"CREATE SCHEMA IF NOT EXISTS fleet AUTHORIZATION " + GatewayRole,
		"CREATE SCHEMA IF NOT EXISTS bot AUTHORIZATION " + BotRole,
		"ALTER ROLE " + GatewayRole + " IN DATABASE " + database + " SET search_path = fleet",
		"ALTER ROLE " + BotRole + " IN DATABASE " + database + " SET search_path = bot",
	}
	if _, err := connection.Exec(ctx, strings.Join(statements, "; ")); err != nil {
		return fmt.Errorf("preparing database %s: %w", db.Name, err)
	}
	return nil
}

// DropDatabase removes the database called name and ends who is still connected to it.
func DropDatabase(ctx context.Context, superuserURL, name string) error {
	cluster, err := pgx.Connect(ctx, superuserURL)
	if err != nil {
		return fmt.Errorf("connecting to Postgres: %w", err)
	}
	defer func() { _ = cluster.Close(context.WithoutCancel(ctx)) }()
	if _, err := cluster.Exec(ctx, "DROP DATABASE IF EXISTS "+identifier(name)+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("dropping database %s: %w", name, err)
	}
	return nil
}

func identifier(name string) string { return pgx.Identifier{name}.Sanitize() }

// literal quotes a string for DDL, which takes no parameters. standard_conforming_strings is on by default since 9.1; a
// backslash would need more than this, and generated passwords have none.
func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
