package api

import (
	"maps"

	"nacre/internal/api"
	"nacre/internal/errs"
)

type metadataBody struct {
	Metadata metadata `json:"metadata" check:"required"`
}

type metaBody struct {
	Meta metadata `json:"meta" check:"required"`
}

// addTo puts further values into a map.
func addTo(values metadata) func(map[string]string) error {
	return func(have map[string]string) error {
		maps.Copy(have, values)
		return nil
	}
}

// replaceBy puts the values in place of all.
func replaceBy(values metadata) func(map[string]string) error {
	return func(have map[string]string) error {
		clear(have)
		maps.Copy(have, values)
		return nil
	}
}

// withoutKey takes one key out of a map.
func withoutKey(key string) func(map[string]string) error {
	return func(have map[string]string) error {
		_, known := have[key]
		if !known {
			return errs.NotFoundf("Metadata item was not found")
		}
		delete(have, key)
		return nil
	}
}

// item checks the body of a call on one key.
func item(c *api.Call, in metaBody) error {
	_, given := in.Meta[c.PathValue("key")]
	if !given || len(in.Meta) != 1 {
		return errs.BadRequestf("Request body and URI mismatch")
	}
	return nil
}

func (h handlers) addMetadata(c *api.Call, in metadataBody) (metadataBody, error) {
	v, err := h.found(c)
	if err != nil {
		return metadataBody{}, err
	}
	all, err := h.service.ChangeMetadata(c.Context(), viewer(c), v.ID, addTo(in.Metadata))
	return metadataBody{all}, err
}

func (h handlers) replaceMetadata(c *api.Call, in metadataBody) (metadataBody, error) {
	v, err := h.found(c)
	if err != nil {
		return metadataBody{}, err
	}
	all, err := h.service.ChangeMetadata(c.Context(), viewer(c), v.ID, replaceBy(in.Metadata))
	return metadataBody{all}, err
}

func (h handlers) showMetadata(c *api.Call) (metadataBody, error) {
	v, err := h.found(c)
	return metadataBody{v.Metadata.V}, err
}

func (h handlers) showMetadataItem(c *api.Call) (metaBody, error) {
	v, err := h.found(c)
	if err != nil {
		return metaBody{}, err
	}
	key := c.PathValue("key")
	value, known := v.Metadata.V[key]
	if !known {
		return metaBody{}, errs.NotFoundf("Metadata item was not found")
	}
	return metaBody{metadata{key: value}}, nil
}

func (h handlers) setMetadataItem(c *api.Call, in metaBody) (metaBody, error) {
	v, err := h.found(c)
	if err != nil {
		return metaBody{}, err
	}
	err = item(c, in)
	if err != nil {
		return metaBody{}, err
	}
	_, err = h.service.ChangeMetadata(c.Context(), viewer(c), v.ID, addTo(in.Meta))
	return in, err
}

func (h handlers) deleteMetadataItem(c *api.Call) error {
	v, err := h.found(c)
	if err != nil {
		return err
	}
	_, err = h.service.ChangeMetadata(c.Context(), viewer(c), v.ID, withoutKey(c.PathValue("key")))
	return err
}
