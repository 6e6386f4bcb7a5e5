package s3

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"nacre/internal/api"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/object"
)

// change changes the settings of the bucket.
func (e entry) change(set func(s *object.Settings) error) error {
	return e.h.store.UpdateContainer(e.c.Context(), e.Account, e.Container, object.ContainerChange{
		Set: func(_ object.Container, s *object.Settings) error { return set(s) },
	})
}

// done answers a change of settings.
func done(err error, status int) (any, error) {
	if err != nil {
		return nil, err
	}
	return api.Reply{Status: status}, nil
}

type versioningDoc struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ VersioningConfiguration"`
	Status  string   `xml:",omitempty"`
}

func (h handlers) versioning(e entry) (any, error) {
	return answer(versioningDoc{Status: string(e.box.Settings.V.Versioning)})
}

func (h handlers) setVersioning(e entry) (any, error) {
	var in struct{ Status, MfaDelete string }
	err := read(e.c, &in)
	if err != nil {
		return nil, err
	}
	if in.MfaDelete == "Enabled" {
		return missing(e)
	}
	status := object.Versioning(in.Status)
	if status != object.Enabled && status != object.Suspended {
		return nil, fault(errs.BadRequest, "IllegalVersioningConfigurationException", "The versioning configuration specified in the request is invalid.")
	}
	return done(e.change(func(s *object.Settings) error {
		if s.Archive != "" {
			return fault(errs.Conflict, "InvalidBucketState", "The bucket keeps its former versions in another container.")
		}
		s.Versioning = status
		return nil
	}), http.StatusOK)
}

type tagRow struct{ Key, Value string }

type tagsDoc struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ Tagging"`
	Tags    []tagRow `xml:"TagSet>Tag"`
}

func viewTags(tags map[string]string) tagsDoc {
	var doc tagsDoc
	for name, value := range tags {
		doc.Tags = append(doc.Tags, tagRow{name, value})
	}
	slices.SortFunc(doc.Tags, func(a, b tagRow) int { return strings.Compare(a.Key, b.Key) })
	return doc
}

// checkTags holds tags against S3's limits.
func checkTags(rows []tagRow, most int) (map[string]string, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	out := map[string]string{}
	for _, t := range rows {
		_, twice := out[t.Key]
		if t.Key == "" || len([]rune(t.Key)) > 128 || len([]rune(t.Value)) > 256 || twice || !legible(t.Key) || !legible(t.Value) {
			return nil, fault(errs.BadRequest, "InvalidTag", "The tag provided was not a valid tag.")
		}
		out[t.Key] = t.Value
	}
	if len(out) > most {
		return nil, fault(errs.BadRequest, "BadRequest", "Object tags cannot be greater than %d", most)
	}
	return out, nil
}

// readTags reads tags that are written like a query.
func readTags(text string, most int) (map[string]string, error) {
	q, err := url.ParseQuery(text)
	if err != nil {
		return nil, fault(errs.BadRequest, "InvalidArgument", "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.")
	}
	var rows []tagRow
	for name, values := range q {
		for _, v := range values {
			rows = append(rows, tagRow{name, v})
		}
	}
	return checkTags(rows, most)
}

func (h handlers) bucketTags(e entry) (any, error) {
	return answer(viewTags(e.box.Settings.V.Tags))
}

func (h handlers) setBucketTags(e entry) (any, error) {
	var in tagsIn
	err := read(e.c, &in)
	if err != nil {
		return nil, err
	}
	tags, err := checkTags(in.Tags, 50)
	if err != nil {
		return nil, err
	}
	return done(e.change(func(s *object.Settings) error { s.Tags = tags; return nil }), http.StatusNoContent)
}

func (h handlers) deleteBucketTags(e entry) (any, error) {
	return done(e.change(func(s *object.Settings) error { s.Tags = nil; return nil }), http.StatusNoContent)
}

// tagsIn is tagsDoc as it is read: with or without a name space.
type tagsIn struct {
	Tags []tagRow `xml:"TagSet>Tag"`
}

func (h handlers) objectTags(e entry) (any, error) {
	o, err := h.store.Object(e.c.Context(), e.Place)
	if err != nil {
		return nil, errNoKey(err, e.Version != "")
	}
	e.version(o.VersionID())
	return answer(viewTags(o.Tags.V))
}

func (h handlers) setObjectTags(e entry) (any, error) {
	var in tagsIn
	err := read(e.c, &in)
	if err != nil {
		return nil, err
	}
	tags, err := checkTags(in.Tags, 10)
	if err != nil {
		return nil, err
	}
	return h.tag(e, tags, http.StatusOK)
}

func (h handlers) deleteObjectTags(e entry) (any, error) { return h.tag(e, nil, http.StatusNoContent) }

func (h handlers) tag(e entry, tags map[string]string, status int) (any, error) {
	o, err := h.store.Update(e.c.Context(), e.Place, func(o *object.Object) error {
		o.Tags = db.Of(tags)
		return nil
	})
	if err != nil {
		return nil, errNoKey(err, e.Version != "")
	}
	e.version(o.VersionID())
	return api.Reply{Status: status}, nil
}

type lifecycleDoc struct {
	XMLName xml.Name        `xml:"http://s3.amazonaws.com/doc/2006-03-01/ LifecycleConfiguration"`
	Rules   []lifecycleRule `xml:"Rule"`
}

type lifecycleIn struct {
	Rules []lifecycleRule `xml:"Rule"`
}

type lifecycleRule struct {
	ID         string           `xml:",omitempty"`
	Prefix     *string          `xml:",omitempty"`
	Filter     *lifecycleFilter `xml:",omitempty"`
	Status     string
	Expiration *expiration `xml:",omitempty"`
	Noncurrent *noncurrent `xml:"NoncurrentVersionExpiration,omitempty"`
	Abort      *abort      `xml:"AbortIncompleteMultipartUpload,omitempty"`
	Transition []struct{}  `xml:"Transition"`
	Moved      []struct{}  `xml:"NoncurrentVersionTransition"`
}

type lifecycleFilter struct {
	Prefix *string       `xml:",omitempty"`
	Tag    *tagRow       `xml:",omitempty"`
	And    *lifecycleAnd `xml:",omitempty"`
	Larger *int64        `xml:"ObjectSizeGreaterThan,omitempty"`
	Less   *int64        `xml:"ObjectSizeLessThan,omitempty"`
}

type lifecycleAnd struct {
	Prefix string   `xml:",omitempty"`
	Tags   []tagRow `xml:"Tag"`
	Larger *int64   `xml:"ObjectSizeGreaterThan,omitempty"`
	Less   *int64   `xml:"ObjectSizeLessThan,omitempty"`
}

type expiration struct {
	Days    int    `xml:",omitempty"`
	Date    string `xml:",omitempty"`
	Markers bool   `xml:"ExpiredObjectDeleteMarker,omitempty"`
}

type noncurrent struct {
	Days  int `xml:"NoncurrentDays"`
	Newer int `xml:"NewerNoncurrentVersions,omitempty"`
}

type abort struct {
	Days int `xml:"DaysAfterInitiation"`
}

func (h handlers) lifecycle(e entry) (any, error) {
	rules := e.box.Settings.V.Lifecycle
	if len(rules) == 0 {
		return nil, fault(errs.NotFound, "NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist.")
	}
	var doc lifecycleDoc
	for _, r := range rules {
		out := lifecycleRule{ID: r.ID, Status: "Disabled", Filter: &lifecycleFilter{Prefix: &r.Prefix}}
		if r.Enabled {
			out.Status = "Enabled"
		}
		if len(r.Tags) > 0 {
			out.Filter = &lifecycleFilter{And: &lifecycleAnd{Prefix: r.Prefix, Tags: viewTags(r.Tags).Tags}}
		}
		if r.Days > 0 || r.Date != 0 || r.Markers {
			out.Expiration = &expiration{Days: r.Days, Markers: r.Markers}
			if r.Date != 0 {
				out.Expiration.Date = stamp(r.Date.Time())
			}
		}
		if r.Noncurrent > 0 {
			out.Noncurrent = &noncurrent{Days: r.Noncurrent}
		}
		if r.AbortDays > 0 {
			out.Abort = &abort{r.AbortDays}
		}
		doc.Rules = append(doc.Rules, out)
	}
	return answer(doc)
}

func (h handlers) setLifecycle(e entry) (any, error) {
	var in lifecycleIn
	err := read(e.c, &in)
	if err != nil {
		return nil, err
	}
	if len(in.Rules) == 0 || len(in.Rules) > 1000 {
		return nil, errRule("A configuration must have between 1 and 1000 rules.")
	}
	var rules []object.LifecycleRule
	for i, r := range in.Rules {
		rule, err := readRule(r)
		if err != nil {
			return nil, err
		}
		if rule.ID == "" {
			rule.ID = fmt.Sprintf("rule-%d", i+1)
		}
		rules = append(rules, rule)
	}
	return done(e.change(func(s *object.Settings) error { s.Lifecycle = rules; return nil }), http.StatusOK)
}

func errRule(text string) error { return fault(errs.BadRequest, "MalformedXML", "%s", text) }

// readRule reads one rule. What we do not do is refused: nobody shall wait for
// objects to go that stay.
func readRule(r lifecycleRule) (object.LifecycleRule, error) {
	out := object.LifecycleRule{ID: r.ID, Enabled: r.Status == "Enabled"}
	if r.Status != "Enabled" && r.Status != "Disabled" {
		return out, errRule("The status of a rule is Enabled or Disabled.")
	}
	if len(r.Transition) > 0 || len(r.Moved) > 0 {
		return out, fault(errs.NotImplemented, "NotImplemented", "There is one storage class, so that no object can change it.")
	}
	if r.Prefix != nil {
		out.Prefix = *r.Prefix
	}
	var tags []tagRow
	if f := r.Filter; f != nil {
		sized := f.Larger != nil || f.Less != nil
		if f.Prefix != nil {
			out.Prefix = *f.Prefix
		}
		if f.Tag != nil {
			tags = []tagRow{*f.Tag}
		}
		if f.And != nil {
			out.Prefix, tags = f.And.Prefix, f.And.Tags
			sized = sized || f.And.Larger != nil || f.And.Less != nil
		}
		if sized {
			return out, fault(errs.NotImplemented, "NotImplemented", "Rules by size are not implemented.")
		}
	}
	var err error
	out.Tags, err = checkTags(tags, 10)
	if err != nil {
		return out, err
	}
	if x := r.Expiration; x != nil {
		out.Days, out.Markers = x.Days, x.Markers
		if x.Date != "" {
			at, err := time.Parse(time.RFC3339, x.Date)
			if err != nil {
				return out, errRule("The date of a rule is a time.")
			}
			out.Date = db.At(at)
		}
		if x.Days < 0 || (x.Days == 0 && x.Date == "" && !x.Markers) || (x.Days > 0 && x.Date != "") {
			return out, errRule("An expiration has days, a date or delete markers.")
		}
	}
	if n := r.Noncurrent; n != nil {
		if n.Days < 1 {
			return out, errRule("Noncurrent days must be a positive number.")
		}
		if n.Newer > 0 {
			return out, fault(errs.NotImplemented, "NotImplemented", "Rules by the number of versions are not implemented.")
		}
		out.Noncurrent = n.Days
	}
	if a := r.Abort; a != nil {
		if a.Days < 1 || len(tags) > 0 {
			return out, errRule("Uploads are given up after a number of days, whatever their tags.")
		}
		out.AbortDays = a.Days
	}
	if r.Expiration == nil && r.Noncurrent == nil && r.Abort == nil {
		return out, errRule("At least one action needs to be specified in a rule.")
	}
	return out, nil
}

func (h handlers) deleteLifecycle(e entry) (any, error) {
	return done(e.change(func(s *object.Settings) error { s.Lifecycle = nil; return nil }), http.StatusNoContent)
}
