package app

import (
	"fmt"
	"slices"
	"strings"

	"nacre/internal/compute/scheduler"
)

// weighers reads which weighers go before the score of hosts.
func (c Config) weighers() ([]scheduler.Weigher, error) {
	var list []scheduler.Weigher
	for _, name := range strings.FieldsFunc(c.Weighers, separates) {
		w := scheduler.Weigher(name)
		if !slices.Contains(scheduler.Weighers, w) || slices.Contains(list, w) {
			return nil, fmt.Errorf("setting weighers: %q is not one of %v, or is named twice", name, scheduler.Weighers)
		}
		list = append(list, w)
	}
	return list, nil
}

func separates(r rune) bool { return r == ',' || r == ' ' }
