package commands

import (
	"context"
	"strings"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// pickWindows reads the windows that a word means: a provider, a subscription, a window's name or a scope; all of them without a word. None is
// a refusal that names those there are.
func (s *session) pickWindows(ctx context.Context, word string) ([]register.Window, *Reply, error) {
	status, err := s.api.Budgets(ctx, s.by, "")
	if err != nil {
		return nil, nil, err
	}
	var picked []register.Window
	var names []string
	for _, w := range status.Windows {
		names = append(names, escape(windowOf(w)))
		if word == "" || means(w, word) {
			picked = append(picked, w)
		}
	}
	switch {
	case len(status.Windows) == 0:
		return nil, &Reply{Data: status, Mood: MoodDone, Markdown: budgetText(status, "", s.zone)}, nil
	case len(picked) == 0:
		return nil, &Reply{Data: status, Mood: MoodRefused, Markdown: paragraph(
			"**No window is called "+escape(read(word))+".** There are "+listing(names, "and")+".",
			"Say a provider, a subscription or a window's name: "+say("budget forecast "+status.Windows[0].Provider))}, nil
	}
	return picked, nil, nil
}

// means says whether a word names a window, alone or as provider/subscription/window.
func means(w register.Window, word string) bool {
	for _, name := range []string{w.Provider, w.Subscription, w.Window, w.Scope, w.Provider + "/" + w.Window, w.Provider + "/" + w.Subscription + "/" + w.Window} {
		if strings.EqualFold(name, word) {
			return true
		}
	}
	return false
}
