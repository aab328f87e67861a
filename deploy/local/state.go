package local

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// StateFolder is where a checkout keeps what it makes: programs, the cluster, the homeserver's data, secrets, logs.
const StateFolder = ".mosaic"

// RemoveState removes a state folder with everything in it: clusters that lie elsewhere on its behalf, and database
// servers a killed run left on them. Nothing of it may be in use.
func RemoveState(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("finding the state folder: %w", err)
	}
	places, err := clustersBelow(dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, place := range places {
		cluster := Postgres{cluster: filepath.Join(place, "data")}
		if err := cluster.stopOrphan(ctx); err != nil {
			return err
		}
		if err := os.RemoveAll(place); err != nil {
			return fmt.Errorf("removing the cluster in %s: %w", place, err)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("removing the state folder: %w", err)
	}
	return nil
}

// clustersBelow finds the clusters of a state folder, whether they lie in it or elsewhere.
func clustersBelow(dir string) ([]string, error) {
	var places []string
	for _, depth := range []string{"*", "*/*", "*/*/*"} {
		inside, err := filepath.Glob(filepath.Join(dir, depth, "cluster"))
		if err != nil {
			return nil, fmt.Errorf("looking for clusters: %w", err)
		}
		places = append(places, inside...)
		notes, err := filepath.Glob(filepath.Join(dir, depth, "cluster-lies-in"))
		if err != nil {
			return nil, fmt.Errorf("looking for clusters: %w", err)
		}
		for _, note := range notes {
			said, err := os.ReadFile(note)
			if err != nil {
				return nil, fmt.Errorf("reading where a cluster lies: %w", err)
			}
			if place := strings.TrimSpace(string(said)); filepath.Dir(place) == clustersAway {
				places = append(places, place)
			}
		}
	}
	return places, nil
}
