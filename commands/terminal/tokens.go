package terminal

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// ListTokens prints every bearer token, newest first.
func ListTokens(ctx context.Context, options Options) error {
	table := tabwriter.NewWriter(options.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "TOKEN\tIDENTITY\tSCOPES\tCREATED\tENDS\tLAST USED")
	for before := ""; ; {
		page, err := options.API.Tokens(ctx, register.By{}, before, 200)
		if err != nil {
			return err
		}
		for _, token := range page.Tokens {
			scopes := make([]string, len(token.Scopes))
			for i, scope := range token.Scopes {
				scopes[i] = string(scope)
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", token.ID, token.Identity, strings.Join(scopes, ","),
				minute(token.CreatedAt, options.Zone), ending(token, options.Zone), lastUse(token, options.Zone))
		}
		if before = page.Next; before == "" {
			return table.Flush()
		}
	}
}

// RevokeToken ends a token now.
func RevokeToken(ctx context.Context, options Options, id string) error {
	var token register.Token
	if err := options.API.Send(ctx, register.By{Key: rand.Text()}, register.RevokeToken(id), &token); err != nil {
		return err
	}
	fmt.Fprintf(options.Out, "%s of %s is revoked.\n", token.ID, token.Identity)
	return nil
}

// RotateToken replaces a token and prints the new secret alone on Out, this once; what there is to know goes to Err.
func RotateToken(ctx context.Context, options Options, id string, overlap time.Duration) error {
	seconds := int(overlap / time.Second)
	var issued register.IssuedToken
	if err := options.API.Send(ctx, register.By{Key: rand.Text()}, register.RotateToken(id, register.TokenRotation{OverlapSeconds: &seconds}), &issued); err != nil {
		return err
	}
	fmt.Fprintln(options.Out, issued.Secret)
	fmt.Fprintf(options.Err, "%s replaces %s, which works for another %s at most.\n", issued.Token.ID, issued.Token.Replaces, overlap.Truncate(time.Second))
	return nil
}

func minute(at time.Time, zone *time.Location) string {
	return at.In(zone).Format("2006-01-02 15:04 MST")
}

func ending(token register.Token, zone *time.Location) string {
	switch {
	case !token.RevokedAt.IsZero():
		return "revoked " + minute(token.RevokedAt, zone)
	case token.ExpiresAt.IsZero():
		return "never"
	}
	return minute(token.ExpiresAt, zone)
}

func lastUse(token register.Token, zone *time.Location) string {
	if token.LastUsedAt.IsZero() {
		return "never"
	}
	return minute(token.LastUsedAt, zone)
}
