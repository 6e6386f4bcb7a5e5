package api

import (
	"slices"
	"unicode/utf8"

	"nacre/internal/api"
	"nacre/internal/auth"
	"nacre/internal/errs"
)

type tagsView struct {
	Tags []string `json:"tags"`
}

type tagsRequest struct {
	Tags []string `json:"tags" check:"required"`
}

func unrecognized(name string) error {
	return errs.BadRequestf("Unrecognized attribute(s) '%s'", name).Typed("HTTPBadRequest")
}

// tagged finds the resource that the tags in the path are about, and checks
// that the caller may do this to them. Verb is create, get, update or delete.
func (h handlers) tagged(c *api.Call, verb string) (tags []string, err error) {
	row, err := h.net.Tagged(c.Context(), scope(c), c.PathValue("resource_type"), c.PathValue("resource_id"))
	if err != nil {
		return nil, err
	}
	return row.Tags, c.AuthorizeRule(verb+"_"+row.Kind+":tags", target(row.Project, row.On))
}

func tagNotFound(tag string) error {
	return errs.NotFoundf("Tag %s could not be found.", tag).Typed("TagNotFound")
}

func checkTags(tags []string) error {
	const longest = 255
	for _, tag := range tags {
		if tag == "" || utf8.RuneCountInString(tag) > longest {
			return errs.BadRequestf("Invalid input for tags. Reason: '%s' is not a valid tag: 1 to %d characters.", tag, longest).Typed("HTTPBadRequest")
		}
	}
	return nil
}

// newTags checks the tags that a new resource is to have.
func newTags(c *api.Call, kind string, t auth.Target, tags []string) error {
	err := guard(c, len(tags) > 0, "create_"+kind+":tags", t)
	if err != nil {
		return err
	}
	return checkTags(tags)
}

func (h handlers) changeTags(c *api.Call, change func(tags []string) ([]string, error)) ([]string, error) {
	return h.net.ChangeTags(c.Context(), c.PathValue("resource_type"), c.PathValue("resource_id"), change)
}

func (h handlers) listTags(c *api.Call) (tagsView, error) {
	tags, err := h.tagged(c, "get")
	return tagsView{tags}, err
}

func (h handlers) replaceTags(c *api.Call, in tagsRequest) (tagsView, error) {
	_, err := h.tagged(c, "update")
	if err != nil {
		return tagsView{}, err
	}
	err = checkTags(in.Tags)
	if err != nil {
		return tagsView{}, err
	}
	tags, err := h.changeTags(c, func([]string) ([]string, error) {
		return slices.Compact(slices.Sorted(slices.Values(in.Tags))), nil
	})
	return tagsView{tags}, err
}

// addTags adds those that are missing.
func (h handlers) addTags(c *api.Call, in tagsRequest) (tagsView, error) {
	_, err := h.tagged(c, "create")
	if err != nil {
		return tagsView{}, err
	}
	err = checkTags(in.Tags)
	if err != nil {
		return tagsView{}, err
	}
	tags, err := h.changeTags(c, func(tags []string) ([]string, error) {
		return slices.Compact(slices.Sorted(slices.Values(append(tags, in.Tags...)))), nil
	})
	return tagsView{tags}, err
}

func (h handlers) deleteTags(c *api.Call) error {
	_, err := h.tagged(c, "delete")
	if err != nil {
		return err
	}
	_, err = h.changeTags(c, func([]string) ([]string, error) { return nil, nil })
	return err
}

func (h handlers) checkTag(c *api.Call) error {
	tags, err := h.tagged(c, "get")
	if err != nil {
		return err
	}
	if !slices.Contains(tags, c.PathValue("tag")) {
		return tagNotFound(c.PathValue("tag"))
	}
	return nil
}

func (h handlers) addTag(c *api.Call) error {
	_, err := h.tagged(c, "update")
	if err != nil {
		return err
	}
	tag := c.PathValue("tag")
	err = checkTags([]string{tag})
	if err != nil {
		return err
	}
	_, err = h.changeTags(c, func(tags []string) ([]string, error) {
		if slices.Contains(tags, tag) {
			return tags, nil
		}
		return append(tags, tag), nil
	})
	return err
}

func (h handlers) deleteTag(c *api.Call) error {
	_, err := h.tagged(c, "delete")
	if err != nil {
		return err
	}
	tag := c.PathValue("tag")
	_, err = h.changeTags(c, func(tags []string) ([]string, error) {
		if !slices.Contains(tags, tag) {
			return nil, tagNotFound(tag)
		}
		return slices.DeleteFunc(tags, func(t string) bool { return t == tag }), nil
	})
	return err
}
