package compute

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"nacre/internal/compute/numa"
	"nacre/internal/compute/scheduler"
	"nacre/internal/db"
)

// What a server takes of placement. Its flavor's numbers of VCPUs, memory and disk
// are all, unless extra specs say more, as Nova reads them: resources:CLASS=N
// replaces a number or adds a class, resources1:CLASS=N and trait1:TRAIT=required
// ask for a provider of their own, which may be below the host, group_policy and
// same_subtree say how the providers of groups go together. An image may require
// traits, too.

// demandKey is an extra spec with a part of the request; the second part of the key
// is the group's suffix.
var demandKey = regexp.MustCompile(`^(resources|trait)([a-zA-Z0-9_-]{1,64})?:(.+)$`)

// subtreeKey is an extra spec that lists groups; several differ in what follows.
var subtreeKey = regexp.MustCompile(`^same_subtree([a-zA-Z0-9_-]{1,64})?$`)

// demand is what the server takes with that flavor, and how it is to lie on its
// host, nil for wherever.
func (s *Server) demand(f Flavor) (ResourceRequest, *numa.Want, error) {
	r := ResourceRequest{Groups: map[string]ResourceGroup{}}
	specs := f.ExtraSpecs.V
	given := map[string]bool{} // classes that the extra specs speak of
	for _, key := range slices.Sorted(maps.Keys(specs)) {
		value := specs[key]
		if subtreeKey.MatchString(key) {
			names := strings.Split(value, ",")
			for i := range names {
				names[i] = strings.TrimSpace(names[i])
			}
			r.Together = append(r.Together, names)
			continue
		}
		match := demandKey.FindStringSubmatch(key)
		if match == nil {
			continue
		}
		suffix, name := match[2], match[3]
		g := r.Groups[suffix]
		n, err := strconv.ParseInt(value, 10, 64)
		switch {
		case match[1] == "resources" && err == nil && n >= 0:
			given[name] = true
			if n > 0 {
				g.Resources = with(g.Resources, name, n)
			}
		case match[1] == "trait" && value == "required":
			g.Required = append(g.Required, name)
		case match[1] == "trait" && value == "forbidden":
			g.Forbidden = append(g.Forbidden, name)
		}
		r.Groups[suffix] = g
	}
	r.Isolate = specs["group_policy"] == "isolate"
	own := r.Groups[""]
	amounts, lie, err := s.amounts(f)
	if err != nil {
		return r, nil, err
	}
	for class, n := range classes(amounts) {
		if !given[class] {
			own.Resources = with(own.Resources, class, n)
		}
	}
	for _, trait := range imageTraits(s.ImageProperties.V) {
		if !slices.Contains(own.Required, trait) {
			own.Required = append(own.Required, trait)
		}
	}
	r.Groups[""] = own
	r.Together = slices.DeleteFunc(r.Together, func(names []string) bool {
		return slices.ContainsFunc(names, func(name string) bool { _, known := r.Groups[name]; return !known || name == "" })
	})
	return r, lie, nil
}

// imageTraits are the traits that an image requires.
func imageTraits(image map[string]string) []string {
	var traits []string
	for _, key := range slices.Sorted(maps.Keys(image)) {
		trait, isTrait := strings.CutPrefix(key, "trait:")
		if isTrait && image[key] == "required" {
			traits = append(traits, trait)
		}
	}
	return traits
}

func with(resources map[string]int64, class string, n int64) map[string]int64 {
	if resources == nil {
		resources = map[string]int64{}
	}
	resources[class] = n
	return resources
}

// plain tells whether the host's own provider has all that is asked for. The
// scheduler then decides by itself.
func plain(r ResourceRequest) bool {
	if len(r.Groups) > 1 {
		return false
	}
	for class := range r.Groups[""].Resources {
		if !slices.Contains(scheduler.Classes[:], class) {
			return false
		}
	}
	return true
}

// either is what serves the one request or the other. Cores of its own are not the
// same ones with both.
func either(a, b ResourceRequest) ResourceRequest {
	out := ResourceRequest{Groups: maps.Clone(a.Groups), Isolate: a.Isolate || b.Isolate, Together: slices.Concat(a.Together, b.Together)}
	for suffix, more := range b.Groups {
		g := out.Groups[suffix]
		g.Resources = maps.Clone(g.Resources)
		for class, n := range more.Resources {
			most := max(g.Resources[class], n)
			if class == scheduler.Classes[scheduler.PCPU] {
				most = g.Resources[class] + n
			}
			g.Resources = with(g.Resources, class, most)
		}
		g.Required, g.Forbidden = slices.Concat(g.Required, more.Required), slices.Concat(g.Forbidden, more.Forbidden)
		out.Groups[suffix] = g
	}
	return out
}

// claim takes for a server what a request asks for on a host. What the server had is
// given back.
func (s *Service) claim(ctx context.Context, tx *db.Tx, server Server, host string, r ResourceRequest) error {
	if plain(r) {
		return s.placement.Claim(ctx, tx, server.ID, server.Project, server.UserID, host, r.Groups[""].Resources)
	}
	return s.placement.ClaimRequest(ctx, tx, server.ID, server.Project, server.UserID, host, r)
}

// askHosts puts what the server takes into the question to the scheduler. What
// placement alone can answer it is asked first; take then lets a host serve the
// demand once more, in memory, and is nil where the scheduler counts by itself.
func (s *Service) askHosts(ctx context.Context, tx *db.Tx, r *question) (err error) {
	for _, g := range r.demand.Groups {
		r.Traits = append(r.Traits, g.Required...)
	}
	if !plain(r.demand) {
		r.Asked = wording(r.demand)
		r.Able, r.take, err = s.placement.Rehearse(ctx, tx, r.demand)
		return err
	}
	own := r.demand.Groups[""]
	r.Required, r.Forbidden = own.Required, own.Forbidden
	for i, class := range scheduler.Classes {
		r.Amounts[i] = own.Resources[class]
	}
	return nil
}

// wording says a request in one line: CUSTOM_CARD:1, VCPU:2; group 1: FPGA:1.
func wording(r ResourceRequest) string {
	var groups []string
	for _, suffix := range slices.Sorted(maps.Keys(r.Groups)) {
		var parts []string
		g := r.Groups[suffix]
		for _, class := range slices.Sorted(maps.Keys(g.Resources)) {
			parts = append(parts, fmt.Sprintf("%s:%d", class, g.Resources[class]))
		}
		for _, trait := range g.Required {
			parts = append(parts, "with "+trait)
		}
		for _, trait := range g.Forbidden {
			parts = append(parts, "without "+trait)
		}
		text := strings.Join(parts, ", ")
		if suffix != "" {
			text = "group " + suffix + ": " + text
		}
		groups = append(groups, text)
	}
	return strings.Join(groups, "; ")
}
