package simulate

import (
	"runtime"
	"sync"
)

// Compare plays every plan against the governor and the baselines, as many at once as there are processors, and sums the
// reports up, one a policy, the governor's first.
func Compare(plans ...*Plan) ([]*Report, error) {
	played := make([][]*Report, len(plans))
	failed := make([]error, len(plans))
	var group sync.WaitGroup
	turn := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, plan := range plans {
		group.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			for _, policy := range append([]Policy{&Governor{}}, Baselines()...) {
				report, err := Play(plan, policy)
				if err != nil {
					failed[i] = err
					return
				}
				played[i] = append(played[i], report)
			}
		})
	}
	group.Wait()
	for _, err := range failed {
		if err != nil {
			return nil, err
		}
	}
	var sums []*Report
	for i := range played[0] {
		sum := played[0][i]
		for _, reports := range played[1:] {
			sum.Add(reports[i])
		}
		sums = append(sums, sum)
	}
	return sums, nil
}
