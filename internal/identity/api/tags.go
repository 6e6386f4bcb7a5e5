package api

import (
	"slices"
	"strings"
	"unicode/utf8"

	"nacre/internal/api"
	"nacre/internal/errs"
	"nacre/internal/identity"
)

// A project has at most 80 tags of at most 255 characters; a tag stands in
// paths and lists, so that it holds neither slash nor comma.
const (
	maxTags = 80
	maxTag  = 255
)

func checkTags(tags []string) error {
	if len(tags) > maxTags {
		return errs.BadRequestf("Invalid input for field 'tags': a project has at most %d tags.", maxTags)
	}
	for i, tag := range tags {
		if tag == "" || utf8.RuneCountInString(tag) > maxTag || strings.ContainsAny(tag, ",/") {
			return errs.BadRequestf("Invalid input for field 'tags': '%.64s' is not a tag of 1 to %d characters without comma and slash.", tag, maxTag)
		}
		if slices.Contains(tags[:i], tag) {
			return errs.BadRequestf("Invalid input for field 'tags': '%s' occurs twice.", tag)
		}
	}
	return nil
}

type tagsReply struct {
	Links listLinks `json:"links"`
	Tags  []string  `json:"tags"`
}

type tagsRequest struct {
	_    struct{} `check:"open"`
	Tags []string `json:"tags" check:"required,max=80"`
}

func (h handlers) listTags(c *api.Call) (tagsReply, error) {
	p, err := h.findProject(c)
	return tagsReply{links(c), p.Tags.V}, err
}

// changeTags finds the project and replaces its tags by what the function
// makes of them.
func (h handlers) changeTags(c *api.Call, change func(tags []string) ([]string, error)) (identity.Project, error) {
	p, err := h.findProject(c)
	if err != nil {
		return p, err
	}
	return h.changeProject(c, p, func(p *identity.Project) error {
		tags, err := change(slices.Clone(p.Tags.V))
		if err != nil {
			return err
		}
		p.Tags.V = tagsOf(tags)
		return checkTags(p.Tags.V)
	})
}

func (h handlers) replaceTags(c *api.Call, in tagsRequest) (tagsReply, error) {
	p, err := h.changeTags(c, func([]string) ([]string, error) { return in.Tags, nil })
	return tagsReply{links(c), p.Tags.V}, err
}

func (h handlers) deleteTags(c *api.Call) error {
	_, err := h.changeTags(c, func([]string) ([]string, error) { return nil, nil })
	return err
}

func noTag(tag string) error { return errs.NotFoundf("Could not find project tag: %s.", tag) }

func (h handlers) checkTag(c *api.Call) error {
	p, err := h.findProject(c)
	if err != nil {
		return err
	}
	if !slices.Contains(p.Tags.V, c.PathValue("tag")) {
		return noTag(c.PathValue("tag"))
	}
	return nil
}

func (h handlers) addTag(c *api.Call) error {
	tag := c.PathValue("tag")
	_, err := h.changeTags(c, func(tags []string) ([]string, error) {
		if slices.Contains(tags, tag) {
			return tags, nil
		}
		return append(tags, tag), nil
	})
	return err
}

func (h handlers) deleteTag(c *api.Call) error {
	tag := c.PathValue("tag")
	_, err := h.changeTags(c, func(tags []string) ([]string, error) {
		i := slices.Index(tags, tag)
		if i < 0 {
			return nil, noTag(tag)
		}
		return slices.Delete(tags, i, i+1), nil
	})
	return err
}
