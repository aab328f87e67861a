package budget

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestAmountsReadAsPeopleTypeThem(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"0":                    0,
		"1":                    Micro,
		"007":                  7 * Micro,
		"12.50":                12_500_000,
		"0.000001":             1,
		"40k":                  40_000 * Micro,
		"40K":                  40_000 * Micro,
		"2M":                   2_000_000 * Micro,
		"1.5G":                 1_500_000_000 * Micro,
		"0.000001k":            1_000,
		" 12.5\u00a0":          12_500_000,
		"9223372036854.775807": math.MaxInt64,
		"9223372.036854M":      9_223_372_036_854_000_000,
	} {
		got, err := ParseAmount(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
}

func TestAMalformedAmountSaysWhatWasReadAndWhatIsAccepted(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", " ", "-5", "+5", ".5", "5.", ".", "k", "1.2.3", "1e6", "2m", "5 k", "12,5", "1,000", "1_000", "0x10", "٣", "5credits",
		"1.0000001", "9223372036854.775808", "9223372036855", "9300G", "99999999999999999999999999", "inf", "NaN",
	} {
		_, err := ParseAmount(text)
		require.Error(t, err, text)
		require.Contains(t, err.Error(), `"`+strings.TrimSpace(text)+`"`)
		require.Contains(t, err.Error(), "such as", "the error for %q gives an example", text)
	}
}

func TestAmountsAreWrittenExactly(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		micros int64
		unit   string
		want   string
	}{
		{4_200_000, "credits", "4.2 credits"},
		{Micro, "credits", "1 credit"},
		{0, "credits", "0 credits"},
		{2_000_000 * Micro, "tokens", "2M tokens"},
		{1_234_000 * Micro, "tokens", "1.234M tokens"},
		{1_234_500 * Micro, "tokens", "1234.5k tokens"},
		{1_234_567 * Micro, "tokens", "1234.567k tokens"},
		{1_234_567*Micro + 1, "tokens", "1234567.000001 tokens"},
		{9_999 * Micro, "messages", "9999 messages"},
		{12_500_000, "percent", "12.5%"},
		{1, "dollars", "0.000001 dollars"},
		{-4_200_000, "credits", "-4.2 credits"},
		{500 * Micro, "", "500"},
		{math.MaxInt64, "tokens", "9223372036854.775807 tokens"},
		{math.MinInt64, "tokens", "-9223372036854.775808 tokens"},
	} {
		require.Equal(t, c.want, Format(c.micros, c.unit))
	}
}

func TestAShortAmountNeverShowsMoreThanThereIs(t *testing.T) {
	t.Parallel()
	for micros, want := range map[int64]string{
		4_199_999:              "4.19 credits",
		4_999:                  "0 credits",
		1_234_567 * Micro:      "1.23M credits",
		99_999*Micro + 999_999: "99.99k credits",
		9_999*Micro + 999_999:  "9999.99 credits",
		-4_199_999:             "-4.19 credits",
	} {
		require.Equal(t, want, Short(micros, "credits"))
	}
}

func TestAWrittenAmountReadsBackAsItself(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		micros := rapid.Int64Min(0).Draw(t, "micros")
		back, err := ParseAmount(Format(micros, ""))
		if err != nil || back != micros {
			t.Fatalf("%d was written %q and read back as %d, %v", micros, Format(micros, ""), back, err)
		}
	})
}

func FuzzParseAmount(f *testing.F) {
	for _, seed := range []string{"40k", "2M", "12.50", "", "-1", "9223372036854.775807", "1,5", "٣k", "0.0000001"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		micros, err := ParseAmount(text)
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		require.GreaterOrEqual(t, micros, int64(0))
		back, err := ParseAmount(Format(micros, ""))
		require.NoError(t, err)
		require.Equal(t, micros, back)
	})
}
