package fleet

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAMatrixIDLooksLikeAnotherToAHurriedEye(t *testing.T) {
	t.Parallel()
	for _, like := range []string{
		"@Ada:example.org", "@ADA:example.org", "@аda:example.org", "@adа:example.org", "@ada:examp1e.org", "@ada:elsewhere.net", "@a\u200bda:example.org",
		"@áda:example.org"[:1] + "ɑda:example.org",
	} {
		require.Equal(t, looksOf("@ada:example.org"), looksOf(like), like)
	}
	for _, pair := range [][2]string{{"@bill:x", "@bi11:x"}, {"@modern:x", "@rnodern:x"}, {"@root:x", "@r00t:x"}} {
		require.Equal(t, looksOf(pair[0]), looksOf(pair[1]))
	}
	for _, other := range []string{"@adam:example.org", "@eda:example.org", "@ada2:example.org", "@ada.b:example.org"} {
		require.NotEqual(t, looksOf("@ada:example.org"), looksOf(other), other)
	}
}
