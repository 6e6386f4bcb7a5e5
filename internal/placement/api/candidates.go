package api

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"nacre/internal/api"
	"nacre/internal/errs"
	"nacre/internal/placement"
)

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

const (
	numbered = "([1-9][0-9]*)?"
	named    = "([a-zA-Z0-9_-]{1,64})?"
)

var candidateQuery = []parameter{
	param("resources", 10),
	param("limit", 16).as("pattern", "^[1-9][0-9]*$"),
	param("required", 17),
	param("member_of", 21),
	param("group_policy", 25).as("enum", "^(none|isolate)$"),
	param("resources"+numbered, 25), param("required"+numbered, 25), param("member_of"+numbered, 25), param("in_tree"+numbered, 31),
	param("resources"+named, 33), param("required"+named, 33), param("member_of"+named, 33), param("in_tree"+named, 33),
	param("root_required", 35),
	param("same_subtree", 36),
}

// candidates lists the ways to satisfy all groups of a request, the best first.
func (h handlers) candidates(c *api.Call) (any, error) {
	err := allowed(c)
	if err != nil {
		return nil, err
	}
	ask, err := askOf(c)
	if err != nil {
		return nil, err
	}
	chosen, trees, err := h.placement.Candidates(c.Context(), ask)
	if err != nil {
		return nil, err
	}
	fresh(c, c.Now())
	return viewCandidates(c, chosen, trees, ask), nil
}

// askOf reads the request and refuses what contradicts itself.
func askOf(c *api.Call) (placement.Ask, error) {
	ask := placement.Ask{Groups: map[string]placement.Need{}, Flat: c.Version < api.V(1, 29)}
	err := checkQuery(c, candidateQuery)
	if err != nil {
		return ask, err
	}
	q := c.Query()
	if c.Version < api.V(1, 25) && !q.Has("resources") {
		return ask, badQuery("required", "'resources' is a required property")
	}
	err = wholeAsk(c, &ask)
	if err != nil {
		return ask, err
	}
	for _, suffix := range suffixes(c) {
		ask.Groups[suffix], err = needOf(c, suffix)
		if err != nil {
			return ask, err
		}
	}
	if c.Version >= api.V(1, 36) {
		err = checkSubtrees(ask)
	} else {
		err = checkOrphans(ask)
	}
	if err != nil {
		return ask, err
	}
	var conflicts []string
	with := 0
	for suffix, need := range ask.Groups {
		traits := contradiction(need)
		if traits != "" {
			conflicts = append(conflicts, "required"+suffix+": ("+traits+")")
		}
		if suffix != "" {
			with++
		}
	}
	if conflicts != nil {
		slices.Sort(conflicts)
		return ask, errs.BadRequestf("Conflicting required and forbidden traits found in the following traits keys: %s", strings.Join(conflicts, ", "))
	}
	if with > 1 && !q.Has("group_policy") {
		return ask, errs.BadRequestf("The \"group_policy\" parameter is required when specifying more than one \"resources{N}\" parameter.")
	}
	return ask, nil
}

// wholeAsk reads what is said of the request as a whole.
func wholeAsk(c *api.Call, ask *placement.Ask) error {
	q := c.Query()
	ask.Isolate = q.Get("group_policy") == "isolate"
	if q.Has("limit") {
		var err error
		ask.Limit, err = strconv.Atoi(q.Get("limit"))
		if err != nil {
			ask.Limit = 0 // more digits than any list has entries, or an earlier value that nobody looked at
		}
		ask.Limit = max(ask.Limit, 0)
	}
	if len(q["root_required"]) > 1 {
		return errs.BadRequestf("Query parameter 'root_required' may be specified only once.").Typed("placement.query.duplicate_key")
	}
	if q.Has("root_required") {
		text := q.Get("root_required")
		if strings.HasPrefix(text, "in:") {
			return errs.BadRequestf("Invalid query string parameters: The format 'in:HW_CPU_X86_VMX,CUSTOM_MAGIC' is not supported by root_required. Got: %s", text)
		}
		required, forbidden, err := traitSets(c, text)
		if err != nil {
			return err
		}
		ask.RootHas, ask.RootLacks = slices.Concat(required...), forbidden
		conflicts := slices.DeleteFunc(slices.Clone(ask.RootHas), func(name string) bool { return !slices.Contains(forbidden, name) })
		if len(conflicts) > 0 {
			return errs.BadRequestf("Conflicting required and forbidden traits found in root_required: %s", strings.Join(conflicts, ", ")).Typed(badValue)
		}
	}
	for _, text := range q["same_subtree"] {
		names := trimmed(text)
		if slices.Contains(names, "") {
			return errs.BadRequestf("Empty string (unsuffixed group) can not be specified in `same_subtree` ").Typed(badValue)
		}
		ask.Together = append(ask.Together, names)
	}
	return nil
}

const badValue = "placement.query.bad_value"

// checkSubtrees lets groups be without resources that are there to have others
// beside them.
func checkSubtrees(ask placement.Ask) error {
	var bare, lone []string
	for _, suffix := range slices.Sorted(maps.Keys(ask.Groups)) {
		if len(ask.Groups[suffix].Resources) > 0 {
			continue
		}
		bare = append(bare, suffix)
		if !slices.ContainsFunc(ask.Together, func(names []string) bool { return slices.Contains(names, suffix) }) {
			lone = append(lone, suffix)
		}
	}
	if len(bare) == len(ask.Groups) {
		return errs.BadRequestf("There must be at least one resources or resources[$S] parameter.").Typed("placement.query.missing_value")
	}
	if lone != nil {
		return errs.BadRequestf("Resourceless suffixed group request should be specified in `same_subtree` query param: bad group(s) - ['%s'].",
			strings.Join(lone, "', '")).Typed(badValue)
	}
	for _, name := range slices.Concat(ask.Together...) {
		_, known := ask.Groups[name]
		if !known {
			return errs.BadRequestf("Real suffixes should be specified in `same_subtree`: ['%s'] not found in ['%s'].",
				name, strings.Join(slices.Sorted(maps.Keys(ask.Groups)), "', '")).Typed(badValue)
		}
	}
	return nil
}

// checkOrphans is what was said before groups could do without resources.
func checkOrphans(ask placement.Ask) error {
	var traits, aggregates []string
	bare := false
	for _, suffix := range slices.Sorted(maps.Keys(ask.Groups)) {
		need := ask.Groups[suffix]
		if len(need.Resources) > 0 {
			continue
		}
		bare = true
		if len(need.Required) > 0 {
			traits = append(traits, "required"+suffix)
		}
		if len(need.MemberOf)+len(need.Outside) > 0 {
			aggregates = append(aggregates, "member_of"+suffix)
		}
	}
	switch {
	case traits != nil:
		return errs.BadRequestf("All traits parameters must be associated with resources.  Found the following orphaned traits keys: %s", strings.Join(traits, ", "))
	case aggregates != nil:
		return errs.BadRequestf("All member_of parameters must be associated with resources. Found the following orphaned member_of keys: %s", strings.Join(aggregates, ", "))
	case bare:
		return errs.BadRequestf("All request groups must specify resources.")
	case len(ask.Groups) == 0:
		return errs.BadRequestf("At least one request group (`resources` or `resources{$S}`) is required.")
	}
	return nil
}

func viewCandidates(c *api.Call, chosen []placement.Candidate, trees []placement.Found, ask placement.Ask) candidatesReply {
	reply := candidatesReply{Requests: make([]requestView, 0, len(chosen)), Summaries: make(map[string]summaryView, len(trees))}
	asked := map[string]bool{}
	for _, need := range ask.Groups {
		for class := range need.Resources {
			asked[class] = true
		}
	}
	for _, one := range chosen {
		reply.Requests = append(reply.Requests, requestView{viewAmounts(c, one.Takes), &one.Groups})
	}
	for _, f := range trees {
		reply.Summaries[f.Provider.ID] = viewSummary(c, f, asked)
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
