package commands

import (
	"strings"
	"unicode/utf8"
)

// nearest is the candidate a person most likely meant by typed, or empty when nothing is near.
func nearest(typed string, candidates []string) string {
	typed = strings.ToLower(typed)
	best, shortest := "", 1+allowed(typed)
	for _, candidate := range candidates {
		switch away := distance(typed, candidate); {
		case away < shortest:
			best, shortest = candidate, away
		case best == "" && utf8.RuneCountInString(typed) >= 3 && strings.HasPrefix(candidate, typed):
			best = candidate
		}
	}
	return best
}

// allowed is how many slips of the finger a word of this length may hold.
func allowed(typed string) int {
	return min(3, max(1, utf8.RuneCountInString(typed)/3))
}

// distance counts the single edits between two words; swapping two neighbours is one edit (Damerau and Levenshtein, restricted).
func distance(from, to string) int {
	a, b := []rune(from), []rune(to)
	if len(a) > 64 || len(b) > 64 {
		return max(len(a), len(b))
	}
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}
