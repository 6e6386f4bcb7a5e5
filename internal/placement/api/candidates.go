package api

import (
	"maps"
	"regexp"
	"slices"
	"strconv"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/errs"
	"nacre/internal/placement"
)

func authProject(project string) auth.Target { return auth.Target{Project: project} }

type requestView struct {
	Allocations any                  `json:"allocations"`
	Mappings    *map[string][]string `json:"mappings,omitempty" since:"1.34"`
}

type candidateResources struct {
	Resources placement.Resources `json:"resources"`
}

type summaryView struct {
	Resources map[string]capacityView `json:"resources"`
	Traits    []string                `json:"traits" since:"1.17"`
	Parent    *string                 `json:"parent_provider_uuid" since:"1.29"`
	Root      string                  `json:"root_provider_uuid" since:"1.29"`
}

type capacityView struct {
	Capacity int64 `json:"capacity"`
	Used     int64 `json:"used"`
}

type candidatesReply struct {
	Requests  []requestView          `json:"allocation_requests"`
	Summaries map[string]summaryView `json:"provider_summaries"`
}

var groupForm = regexp.MustCompile(`^resources([a-zA-Z0-9_-]{1,64})$`)

// candidate is a choice of one provider for each group.
type candidate map[string]placement.Found

// candidates lists the ways to satisfy all groups of a request, each group by
// one provider, all providers of one tree.
func (h handlers) candidates(c *api.Call) (any, error) {
	err := allowed(c)
	if err != nil {
		return nil, err
	}
	groups, err := groupsOf(c)
	if err != nil {
		return nil, err
	}
	limit := 0
	if text := c.Query().Get("limit"); text != "" && c.Version >= api.V(1, 16) {
		limit, err = strconv.Atoi(text)
		if err != nil || limit < 1 {
			return nil, errs.BadRequestf("Invalid query string parameters: '%s' does not match '^[1-9][0-9]*$'", text)
		}
	}
	suffixes := slices.Sorted(maps.Keys(groups))
	byTree := map[string]map[string][]placement.Found{} // root → suffix → providers
	for _, suffix := range suffixes {
		found, err := h.placement.Find(c.Context(), groups[suffix])
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			root := f.Provider.Root
			if byTree[root] == nil {
				byTree[root] = map[string][]placement.Found{}
			}
			byTree[root][suffix] = append(byTree[root][suffix], f)
		}
	}
	isolate := c.Query().Get("group_policy") == "isolate"
	var all []candidate
	for _, root := range slices.Sorted(maps.Keys(byTree)) {
		for _, chosen := range product(suffixes, byTree[root]) {
			if fits(chosen, groups) && (!isolate || apart(chosen)) {
				all = append(all, chosen)
			}
		}
	}
	if limit > 0 && len(all) > limit {
		all = all[:limit]
	}
	fresh(c, c.Now())
	return viewCandidates(c, all, groups), nil
}

func groupsOf(c *api.Call) (map[string]placement.Need, error) {
	groups := map[string]placement.Need{}
	numbered := 0
	for name := range c.Query() {
		match := groupForm.FindStringSubmatch(name)
		if match == nil {
			continue
		}
		if c.Version < api.V(1, 25) {
			return nil, errs.BadRequestf("Invalid query string parameters: Additional properties are not allowed ('%s' was unexpected)", name)
		}
		numbered++
		need, err := needOf(c, match[1])
		if err != nil {
			return nil, err
		}
		groups[match[1]] = need
	}
	policy := c.Query().Get("group_policy")
	if numbered > 1 && policy != "none" && policy != "isolate" {
		return nil, errs.BadRequestf("The \"group_policy\" parameter is required when specifying more than one \"resources{N}\" parameter.")
	}
	if c.Query().Has("resources") {
		need, err := needOf(c, "")
		if err != nil {
			return nil, err
		}
		groups[""] = need
	}
	if len(groups) == 0 {
		return nil, errs.BadRequestf("Invalid query string parameters: 'resources' is a required property")
	}
	for suffix, need := range groups {
		if c.Version >= api.V(1, 31) {
			need.InTree = c.Query().Get("in_tree" + suffix)
		}
		if c.Version >= api.V(1, 35) && c.Query().Has("root_required") {
			var err error
			need.RootHas, need.RootLacks, err = traitSets(c, c.Query().Get("root_required"))
			if err != nil {
				return nil, err
			}
		}
		groups[suffix] = need
	}
	return groups, nil
}

// product lists all ways to give each suffix one of its providers.
func product(suffixes []string, from map[string][]placement.Found) []candidate {
	all := []candidate{{}}
	for _, suffix := range suffixes {
		var longer []candidate
		for _, chosen := range all {
			for _, f := range from[suffix] {
				more := maps.Clone(chosen)
				more[suffix] = f
				longer = append(longer, more)
			}
		}
		all = longer
	}
	return all
}

// amountsBy sums what a candidate takes from each provider.
func amountsBy(chosen candidate, groups map[string]placement.Need) map[string]placement.Resources {
	sums := map[string]placement.Resources{}
	for suffix, f := range chosen {
		if sums[f.Provider.ID] == nil {
			sums[f.Provider.ID] = placement.Resources{}
		}
		for class, n := range groups[suffix].Resources {
			sums[f.Provider.ID][class] += n
		}
	}
	return sums
}

func fits(chosen candidate, groups map[string]placement.Need) bool {
	sums := amountsBy(chosen, groups)
	for _, f := range chosen {
		for class, n := range sums[f.Provider.ID] {
			i := f.Inventories[class]
			if i.Used+n > i.Capacity() {
				return false
			}
		}
	}
	return true
}

func apart(chosen candidate) bool {
	seen := map[string]bool{}
	for suffix, f := range chosen {
		if suffix == "" {
			continue
		}
		if seen[f.Provider.ID] {
			return false
		}
		seen[f.Provider.ID] = true
	}
	return true
}

func viewCandidates(c *api.Call, all []candidate, groups map[string]placement.Need) candidatesReply {
	reply := candidatesReply{Requests: []requestView{}, Summaries: map[string]summaryView{}}
	asked := map[string]bool{}
	for _, need := range groups {
		for class := range need.Resources {
			asked[class] = true
		}
	}
	for _, chosen := range all {
		mappings := map[string][]string{}
		for suffix, f := range chosen {
			mappings[suffix] = []string{f.Provider.ID}
			reply.Summaries[f.Provider.ID] = viewSummary(c, f, asked)
		}
		reply.Requests = append(reply.Requests, requestView{viewAmounts(c, amountsBy(chosen, groups)), &mappings})
	}
	return reply
}

// viewAmounts has the form of the body that claims them: a list before 1.12.
func viewAmounts(c *api.Call, sums map[string]placement.Resources) any {
	if c.Version >= api.V(1, 12) {
		byProvider := map[string]candidateResources{}
		for id, resources := range sums {
			byProvider[id] = candidateResources{resources}
		}
		return byProvider
	}
	list := []map[string]any{}
	for _, id := range slices.Sorted(maps.Keys(sums)) {
		list = append(list, map[string]any{"resource_provider": map[string]string{"uuid": id}, "resources": sums[id]})
	}
	return list
}

func viewSummary(c *api.Call, f placement.Found, asked map[string]bool) summaryView {
	v := summaryView{Resources: map[string]capacityView{}, Traits: f.Traits, Root: f.Provider.Root}
	if f.Provider.Parent != "" {
		v.Parent = &f.Provider.Parent
	}
	for class, i := range f.Inventories {
		if asked[class] || c.Version >= api.V(1, 27) {
			v.Resources[class] = capacityView{i.Capacity(), i.Used}
		}
	}
	return v
}
