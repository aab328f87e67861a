package bot

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEachPointOfTheFieldNamesTestsThatThereAre(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	var tests strings.Builder
	for _, file := range files {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		tests.Write(source)
	}
	table, err := os.ReadFile("FIELD.md")
	require.NoError(t, err)
	rows := regexp.MustCompile(`(?m)^\| ([BC]?\d*) \| [^|]+ \| ([^|]+) \|$`).FindAllStringSubmatch(string(table), -1)
	require.Greater(t, len(rows), 35)
	for _, row := range rows {
		named := regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(row[2], -1)
		require.NotEmpty(t, named, row[0])
		for _, test := range named {
			require.Contains(t, tests.String(), "func "+test[1]+"(t *testing.T)", row[1])
		}
	}
}
