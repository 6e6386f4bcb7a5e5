package compute

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/vif"
)

// Query selects servers.
type Query struct {
	Project       string // "" for all
	Conds         []db.Cond
	Name          string // a regular expression, found anywhere in the name, in any case
	Zone          string // a regular expression, of the zone that the server's host is in
	IP            string // a part of an address, which may be a floating one
	IDs           []string
	Statuses      []string // as users see them
	Deleted       bool     // only deleted ones, and those that can be restored
	SoftDeleted   bool     // also those that can be restored
	ChangedSince  db.Time  // also deleted ones
	ChangedBefore db.Time
	Tags          []string // all of them
	TagsAny       []string
	NotTags       []string // not all of them
	NotTagsAny    []string // none of them
	Page          db.Page
	Brief         bool // only id and name are read
	Request       bool // also what it was made of: the image's properties and the hints
}

// Sorting of servers in lists.
var newestFirst = []db.Sort{{Column: "created_at", Desc: true}, {Column: "id", Desc: true}}

// unseen are columns that no view of a server shows: lists don't read them.
var unseen = []string{
	"generation", "flavor_id", "locked_by", "running", "rest", "rebuilds", "other_flavor", "rescue", "shelf",
	"local_disks", "buses", "disk_image", "crash_dumps", "soft_reboots", "hard_reboots", "soft_deleted_at",
}

// partsOfLists are for the servers of lists, so many at a time.
var partsOfLists = db.Rooms[Server]{Size: 250}

// LetGo gives a part of a list back that nobody looks at any longer. Who keeps it does no harm.
func LetGo(part []Server) { partsOfLists.Leave(part) }

// Servers lists servers as users see them, newest first unless the page says
// otherwise, and hands them over part by part while it reads on. What only plans
// need of them is left out.
func (s *Service) Servers(ctx context.Context, q Query, part func([]Server)) (more bool, err error) {
	if q.Page.Sort == nil {
		q.Page.Sort = newestFirst
	}
	zone, err := regexp.Compile("(?i)" + q.Zone)
	if err != nil {
		return false, errs.BadRequestf("'%s' is not a 'regex'", q.Zone)
	}
	left := q.Page.Limit
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		if q.Page.Marker != "" {
			_, err := anyServer(ctx, tx, q.Project, q.Page.Marker)
			if errs.Is(err, errs.NotFound) {
				return errs.BadRequestf("marker [%s] not found", q.Page.Marker)
			}
			if err != nil {
				return err
			}
		}
		sel := q.where(tx.NewSelect().Model((*Server)(nil)))
		if q.Zone != "" {
			sel = s.inZones(sel, zone)
		}
		if q.IP != "" {
			sel = s.networks.ByAddress(sel, strings.Trim(q.IP, "^$"))
		}
		switch {
		case q.Brief:
			sel = sel.Column("id", "name")
		case q.Request:
			sel = sel.ExcludeColumn(unseen...)
		default:
			sel = sel.ExcludeColumn(slices.Concat(unseen, []string{"image_properties", "scheduler_hints"})...)
		}
		return db.Parts(ctx, tx, q.Page.Cut(sel, "servers", "id"), &partsOfLists, func(servers []Server) error {
			if q.Page.Limit > 0 && len(servers) > left {
				servers, more = servers[:left], true // the last only tells of a further page
			}
			left -= len(servers)
			part(servers)
			return nil
		})
	})
	if err != nil {
		return false, fmt.Errorf("list servers: %w", err)
	}
	return more, nil
}

// inZones narrows a query to the servers of hosts whose zone matches. A host that nobody
// knows any more is in the zone of hosts without one.
func (s *Service) inZones(sel *bun.SelectQuery, zone *regexp.Regexp) *bun.SelectQuery {
	s.mu.RLock()
	defer s.mu.RUnlock()
	hosts := map[bool][]string{}
	for name, state := range s.state {
		is := zone.MatchString(cmp.Or(state.zone, s.zone))
		hosts[is] = append(hosts[is], name)
	}
	sel = sel.Where("host <> ''")
	if zone.MatchString(s.zone) {
		return sel.Where("host NOT IN (?)", db.In(append(hosts[false], "")))
	}
	return sel.Where("host IN (?)", db.In(append(hosts[true], "")))
}

func (q Query) where(sel *bun.SelectQuery) *bun.SelectQuery {
	if q.Project != "" {
		sel = sel.Where("project = ?", q.Project)
	}
	switch {
	case q.Deleted:
		sel = sel.Where("(deleted_at > 0 OR vm_state = ?)", SoftDeleted)
	case q.ChangedSince == 0 && q.SoftDeleted:
		sel = sel.Where("deleted_at = 0")
	case q.ChangedSince == 0:
		sel = sel.Where("deleted_at = 0 AND vm_state <> ?", SoftDeleted)
	}
	if q.ChangedSince > 0 {
		sel = sel.Where("updated_at >= ?", q.ChangedSince)
	}
	if q.ChangedBefore > 0 {
		sel = sel.Where("updated_at <= ?", q.ChangedBefore)
	}
	sel = db.Where(sel, q.Conds)
	switch text := strings.TrimSuffix(strings.TrimPrefix(q.Name, "^"), "$"); {
	case q.Name == "":
	case regexp.QuoteMeta(text) == text: // the usual, and quick
		sel = sel.Where(`LOWER(name) LIKE ? ESCAPE '\'`, db.AnyCase(namePattern(q.Name)))
	default:
		sel = db.Matching(sel, "name", q.Name)
	}
	if q.IDs != nil {
		sel = sel.Where("id IN (?)", db.In(append(q.IDs, "")))
	}
	if len(q.Statuses) > 0 {
		states := statesOf(q.Statuses)
		if len(states) == 1 && !slices.Contains(often, states[0]) { // several are not in order
			sel = sel.Where(seldom+" AND vm_state = ?", states[0])
		}
		sel = sel.WhereGroup(" AND ", func(sel *bun.SelectQuery) *bun.SelectQuery {
			for _, status := range q.Statuses {
				sel = byStatus(sel, status)
			}
			return sel
		})
	}
	has := "EXISTS (SELECT 1 FROM server_tags AS t WHERE t.server = servers.id AND t.tag IN (?))"
	count := "(SELECT COUNT(*) FROM server_tags AS t WHERE t.server = servers.id AND t.tag IN (?))"
	if len(q.Tags) > 0 {
		sel = sel.Where(count+" = ?", db.In(q.Tags), len(q.Tags))
	}
	if len(q.TagsAny) > 0 {
		sel = sel.Where(has, db.In(q.TagsAny))
	}
	if len(q.NotTags) > 0 {
		sel = sel.Where(count+" < ?", db.In(q.NotTags), len(q.NotTags))
	}
	if len(q.NotTagsAny) > 0 {
		sel = sel.Where("NOT "+has, db.In(q.NotTagsAny))
	}
	return sel
}

// otherStatuses exist in the API and no server is ever in them here.
var otherStatuses = []string{"PASSWORD", "UNKNOWN"}

// KnownStatus tells whether the API has such a status.
func KnownStatus(status string) bool {
	for _, is := range statusOf {
		if is.word == status || slices.Contains(slices.Collect(maps.Values(is.tasks)), status) {
			return true
		}
	}
	return slices.Contains(otherStatuses, status)
}

// often are the states that many servers are in. Servers in another one have an
// index of their own, for queries that say seldom, word by word: SQLite compares
// values that were taken out of a statement, though not those of a list.
var often = []VMState{Active, Building, Deleted, Stopped}

const seldom = "NOT (vm_state = 'active') AND NOT (vm_state = 'building') AND NOT (vm_state = 'deleted') AND NOT (vm_state = 'stopped')"

// statesOf are the states that a server of one of the statuses may be in.
func statesOf(statuses []string) []VMState {
	var states []VMState
	for state, is := range statusOf {
		words := append(slices.Collect(maps.Values(is.tasks)), is.word)
		if slices.ContainsFunc(words, func(word string) bool { return slices.Contains(statuses, word) }) {
			states = append(states, state)
		}
	}
	slices.Sort(states)
	return states
}

// byStatus is Server.Status the other way round.
func byStatus(sel *bun.SelectQuery, status string) *bun.SelectQuery {
	sel = sel.WhereOr("1 = 0")
	for state, is := range statusOf {
		own, others := []Task{""}, []Task{"-"} // no task, and none at all
		for task, word := range is.tasks {
			if word == status {
				own = append(own, task)
			} else {
				others = append(others, task)
			}
		}
		switch {
		case is.word == status:
			sel = sel.WhereOr("vm_state = ? AND task_state NOT IN (?)", state, db.In(others))
		case len(own) > 1:
			sel = sel.WhereOr("vm_state = ? AND task_state IN (?)", state, db.In(own[1:]))
		}
	}
	return sel
}

func namePattern(name string) string {
	text, start := strings.CutPrefix(name, "^")
	text, end := strings.CutSuffix(text, "$")
	pattern := db.Like(text)
	if start {
		pattern = strings.TrimPrefix(pattern, "%")
	}
	if end {
		pattern = strings.TrimSuffix(pattern, "%")
	}
	return pattern
}

// Details is what the full view of servers shows besides their rows, read for
// all of them at once.
type Details struct {
	Ports   map[string][]vif.Port
	Volumes map[string][]Attachment
	Tags    map[string][]string
	Data    map[string]string // user data, base64
}

// Details reads what belongs to the servers. The user data, which may be
// large, is read when asked for.
func (s *Service) Details(ctx context.Context, servers []Server, userData bool) (Details, error) {
	d := Details{Volumes: map[string][]Attachment{}, Tags: map[string][]string{}, Data: map[string]string{}}
	if len(servers) == 0 {
		return d, nil
	}
	ids := make([]string, len(servers))
	for i, server := range servers {
		ids[i] = server.ID
	}
	asked := db.Each(ids)
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		d.Ports, err = s.networks.PortsOf(ctx, tx, ids...)
		if err != nil {
			return err
		}
		var volumes []Attachment
		err = tx.All(ctx, &volumes, `
			SELECT v.* FROM ? AS asked CROSS JOIN server_volumes AS v WHERE v.server = asked.value
			ORDER BY v.created_at, v.device`, asked)
		if err != nil {
			return fmt.Errorf("read volumes: %w", err)
		}
		for _, v := range volumes {
			d.Volumes[v.Server] = append(d.Volumes[v.Server], v)
		}
		var tags []struct{ Server, Tag string }
		err = tx.All(ctx, &tags, `
			SELECT t.server, t.tag FROM ? AS asked CROSS JOIN server_tags AS t WHERE t.server = asked.value
			ORDER BY t.server, t.tag`, asked)
		if err != nil {
			return fmt.Errorf("read tags: %w", err)
		}
		for _, t := range tags {
			d.Tags[t.Server] = append(d.Tags[t.Server], t.Tag)
		}
		if !userData {
			return nil
		}
		var rows []struct{ Server, UserData string }
		err = tx.All(ctx, &rows, `
			SELECT s.server, s.user_data FROM ? AS asked CROSS JOIN server_secrets AS s WHERE s.server = asked.value AND s.user_data <> ''`,
			asked)
		if err != nil {
			return fmt.Errorf("read user data: %w", err)
		}
		for _, row := range rows {
			d.Data[row.Server] = row.UserData
		}
		return nil
	})
	return d, err
}

// UserData is the user data of a server, base64, "" for none.
func (d Details) UserData(server string) string { return d.Data[server] }
