package conformance

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func pages() []promise {
	return []promise{
		{"pages", "short pages follow each other as one long page has it", shortPages},
		{"pages", "a cursor that the list did not give: 400 invalid", badCursors},
	}
}

// lists are all that is read page by page, with what names an entry.
var lists = []struct{ name, id string }{
	{"dispatches", "id"}, {"proposals", "id"}, {"seats", "seat"}, {"rooms", "room"}, {"identities", "name"}, {"agents", "name"}, {"tokens", "id"},
}

// page reads the names of a page's entries.
func (t *trial) page(ctx context.Context, name, id, query string) (entries []string, next string, err error) {
	var page map[string]json.RawMessage
	if err := t.read(ctx, "", "/api/fleet/"+name+"?"+query, &page); err != nil {
		return nil, "", err
	}
	var raw []map[string]any
	if err := json.Unmarshal(page[name], &raw); err != nil {
		return nil, "", seen("/api/fleet/%s has no list %s: %w", name, name, err)
	}
	_ = json.Unmarshal(page["next"], &next)
	for _, entry := range raw {
		text, _ := entry[id].(string)
		entries = append(entries, text)
	}
	return entries, next, nil
}

func shortPages(ctx context.Context, t *trial) error {
	const together, turns = 2, 4
	for _, list := range lists {
		long, _, err := t.page(ctx, list.name, list.id, "limit=200")
		if err != nil {
			return err
		}
		var short []string
		for cursor, turn := "", 0; turn < turns; turn++ {
			page, next, err := t.page(ctx, list.name, list.id, "limit=2&cursor="+url.QueryEscape(cursor))
			if err != nil {
				return err
			}
			if short = append(short, page...); len(page) > together || next == cursor && next != "" {
				return seen("/api/fleet/%s?limit=2 has %v and next %q", list.name, page, next)
			}
			if cursor = next; cursor == "" {
				break
			}
		}
		if want := long[:min(len(long), turns*together)]; !slices.Equal(short, want) {
			return seen("/api/fleet/%s gives %v in pages of 2, and %v in one", list.name, short, want)
		}
	}
	return nil
}

func badCursors(ctx context.Context, t *trial) error {
	var mistakes []mistake
	for _, list := range lists {
		for _, cursor := range []string{"conformance", "====", "D-1"} {
			a := asking{method: http.MethodGet, path: "/api/fleet/" + list.name + "?cursor=" + url.QueryEscape(cursor)}
			mistakes = append(mistakes, mistake{a, http.StatusBadRequest, register.ProblemCodeInvalid})
		}
	}
	return t.failing(ctx, mistakes)
}
