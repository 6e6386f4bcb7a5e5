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

// HostRules are what Nova's filters of hosts do beyond what servers, flavors and
// aggregates say, named as Nova's settings where it has one.
type HostRules struct {
	// UnscopedSpecs is whether extra specs without a scope must be in the metadata of
	// a host's aggregates.
	UnscopedSpecs bool `koanf:"unscoped_extra_specs"`
	// IsolatedHosts, by name, are for IsolatedImages, by id; either with commas
	// between them.
	IsolatedHosts  string `koanf:"isolated_hosts"`
	IsolatedImages string `koanf:"isolated_images"`
	// Restrict is whether isolated hosts are for nothing else; nil is true.
	Restrict *bool `koanf:"restrict_isolated_hosts_to_isolated_images"`
	// MaxServers and MaxBusy are the most servers of a host, and the most of them that
	// are being built, moved or saved, where its aggregates do not say; 0 is any number.
	MaxServers int `koanf:"max_instances_per_host"`
	MaxBusy    int `koanf:"max_io_ops_per_host"`
}

func (r HostRules) rules() scheduler.Rules {
	return scheduler.Rules{
		Unscoped: r.UnscopedSpecs, IsolatedHosts: list(r.IsolatedHosts), IsolatedImages: list(r.IsolatedImages),
		Shared: r.Restrict != nil && !*r.Restrict, MaxServers: r.MaxServers, MaxBusy: r.MaxBusy,
	}
}

func separates(r rune) bool { return r == ',' || r == ' ' }
