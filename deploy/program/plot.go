package program

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/go-analyze/charts"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget/simulate"
)

// plotPoints is how many instants a plot shows.
const plotPoints = 240

// plot draws the use of the first subscription's binding window under each policy, in per cent of its capacity, against the
// even spread. All of them begin an epoch at begin and every length after it.
func plot(begin, end time.Time, reports []*simulate.Report) ([]byte, error) {
	length := reports[0].Traces[0].Length
	lines := [][]float64{make([]float64, plotPoints+1)}
	names := []string{"even spread"}
	labels := make([]string, plotPoints+1)
	instant := func(point int) time.Time { return begin.Add(end.Sub(begin) * time.Duration(point) / plotPoints) }
	for point := range labels {
		passed := instant(point).Sub(begin)
		labels[point] = fmt.Sprintf("%d:%02d", int(passed.Hours()), int(passed.Minutes())%60)
		lines[0][point] = 100 * math.Mod(passed.Seconds(), length.Seconds()) / length.Seconds()
	}
	for _, report := range reports {
		line := make([]float64, plotPoints+1)
		for point := range line {
			line[point] = 100 * usedAt(report.Traces[0].Points, instant(point))
		}
		lines, names = append(lines, line), append(names, report.Policy)
	}
	option := charts.NewLineChartOptionWithData(lines)
	option.Title.Text = "Use of one window, by hours"
	option.Legend.SeriesNames = names
	option.Legend.Offset = charts.OffsetStr{Left: charts.PositionRight}
	option.XAxis.Labels = labels
	option.XAxis.LabelCount = 9
	option.XAxis.BoundaryGap = charts.Ptr(false)
	option.YAxis = []charts.YAxisOption{{ValueFormatter: func(used float64) string { return fmt.Sprintf("%.0f %%", used) }}}
	option.Symbol.Shape = charts.SymbolNone
	option.LineStrokeWidth = 1.6
	painter := charts.NewPainter(charts.PainterOptions{OutputFormat: charts.ChartOutputPNG, Width: 1200, Height: 520})
	if err := painter.LineChart(option); err != nil {
		return nil, err
	}
	return painter.Bytes()
}

// usedAt is the use at an instant: each point says what it was up to then.
func usedAt(points []simulate.Point, at time.Time) float64 {
	i, _ := slices.BinarySearchFunc(points, at, func(point simulate.Point, at time.Time) int { return point.At.Compare(at) })
	if i == len(points) {
		return 0
	}
	return points[i].Used
}
